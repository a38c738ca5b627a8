"""Configs by name, in a checkout and in an installed package."""

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmfusion import shipped
from mmfusion.apis import config_names, load_config

ROOT = Path(__file__).resolve().parents[2]
NAME = 'maximum_unet-tiny_1xb4-300_synthetic-96x128'


def test_every_config_has_a_name_of_its_own():
    names = config_names()
    files = [path for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name != '_base_']
    assert len(names) == len(files) >= 11
    assert {path.resolve() for path in names.values()} == {path.resolve() for path in files}
    assert list(names) == sorted(names)


def test_name_path_and_config_are_one():
    path = ROOT / f'configs/baselines/{NAME}.py'
    by_name, by_path = load_config(NAME), load_config(path)
    assert by_name.model == by_path.model == load_config(str(path)).model
    assert by_name.model.fusion.type == 'MaximumFusion'
    copied = load_config(by_name)
    copied.model.fusion.type = 'AverageFusion'
    assert by_name.model.fusion.type == 'MaximumFusion'
    assert isinstance(copied, Config)


def test_configs_of_an_installed_package(tmp_path, monkeypatch):
    """They lie in the package; a folder `configs` beside it belongs to somebody else."""
    package = tmp_path / 'site-packages/mmfusion'
    monkeypatch.setattr(shipped, '__file__', str(package / 'shipped.py'))
    (package.parent / 'configs/other').mkdir(parents=True)
    (package.parent / 'configs/other/theirs.py').write_text('a = 1')
    assert config_names() == {}
    with pytest.raises(ValueError, match='this installation has none; give a path'):
        load_config(NAME)
    shutil.copytree(ROOT / 'configs', package / '.mim/configs')
    assert config_names()[NAME] == package / f'.mim/configs/baselines/{NAME}.py'
    assert 'theirs' not in config_names()
    assert load_config(NAME).model.fusion.type == 'MaximumFusion'


def test_unknown_names(tmp_path):
    with pytest.raises(ValueError, match=f'no config is called .*; the closest names: {NAME}'):
        load_config('maximum_unet_1xb4-300_synthetic-96x128')
    with pytest.raises(ValueError, match=r'closest names: uaafusion-[a-z]*_'):  # Of the method that is meant.
        load_config('uaafusion-vews')
    with pytest.raises(ValueError, match=r'closest names: average_.* and \d+ more in configs/'):  # Nothing is close.
        load_config('?')
    for path in (tmp_path / 'absent.py', 'absent.py', 'baselines/absent'):
        with pytest.raises(FileNotFoundError, match=r'no config at .*absent'):
            load_config(path)
    with pytest.raises(TypeError, match='got dict'):
        load_config(dict(model=1))
