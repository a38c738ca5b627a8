"""Which stack is installed, on made-up environments; and what importing mmfusion arranges."""

import re

import pytest
import torch
from mmengine.config import Config, utils
from mmengine.runner import CheckpointLoader

import mmfusion
from mmfusion import compat
from mmfusion.engine import only_weights

FORK = dict(mmengine=['onedl-mmengine'], mmcv=['onedl-mmcv'], mmseg=['onedl-mmsegmentation'])
UPSTREAM = dict(mmengine=['mmengine'], mmcv=['mmcv-lite'], mmseg=['mmsegmentation'])


def test_fork():
    assert compat.check_stack({**FORK, 'numpy': ['numpy']}) == dict(
        mmengine='onedl-mmengine', mmcv='onedl-mmcv', mmseg='onedl-mmsegmentation'
    )


def test_upstream():
    assert compat.check_stack(UPSTREAM) == dict(mmengine='mmengine', mmcv='mmcv-lite', mmseg='mmsegmentation')


def test_names_repeat():
    """A distribution is listed once for each of its files."""
    assert compat.check_stack({**UPSTREAM, 'mmcv': ['mmcv'] * 3})['mmcv'] == 'mmcv'


@pytest.mark.parametrize(('missing', 'named'), [(('mmcv',), 'mmcv'), (('mmengine', 'mmseg'), 'mmengine, mmseg')])
def test_missing(missing, named):
    found = {module: names for module, names in FORK.items() if module not in missing}
    with pytest.raises(ImportError, match=f'needs {named}, which no installed') as error:
        compat.check_stack(found)
    assert "pip install 'mmfusion[onedl]'" in str(error.value)
    assert "pip install 'mmfusion[upstream]'" in str(error.value)
    with pytest.raises(ImportError):
        compat.check_stack({**found, missing[0]: []})


def test_two_owners():
    both = {module: UPSTREAM[module] + names for module, names in FORK.items()}
    with pytest.raises(ImportError, match='Two distributions own one module') as error:
        compat.check_stack(both)
    assert 'mmseg from mmsegmentation and onedl-mmsegmentation' in str(error.value)
    uninstall = re.search('pip uninstall ([^`]*)`', str(error.value)).group(1).split()
    assert sorted(uninstall) == sorted(name for names in both.values() for name in names)
    with pytest.raises(ImportError, match='mmcv from mmcv and mmcv-lite'):
        compat.check_stack({**UPSTREAM, 'mmcv': ['mmcv-lite', 'mmcv', 'mmcv']})


def test_versions(monkeypatch):
    stack, versions = compat.check_stack(UPSTREAM), dict(mmengine='0.10.7', mmsegmentation='1.2.2')
    versions['mmcv-lite'] = '2.1.0'
    monkeypatch.setattr(compat.metadata, 'version', versions.__getitem__)
    compat.check_versions(stack)
    versions['mmengine'] = '0.10.12'  # Later than 0.10.7, though not as text.
    compat.check_versions(stack)
    versions['mmengine'] = '0.9.1'
    with pytest.raises(ImportError, match=r'needs mmengine >= 0\.10\.0, but mmengine 0\.9\.1 is installed'):
        compat.check_versions(stack)


def test_this_environment():
    assert compat.check_stack() == mmfusion.STACK
    assert set(mmfusion.STACK) == {'mmengine', 'mmcv', 'mmseg'}
    assert re.fullmatch(r'\d+\.\d+\.\d+', mmfusion.__version__)


def test_bases_of_mmseg(tmp_path):
    assert utils.MODULE2PACKAGE['mmseg'] == 'mmseg'
    (tmp_path / 'config.py').write_text("_base_ = ['mmseg::_base_/models/segformer_mit-b0.py']\nnumber = 3\n")
    config = Config.fromfile(tmp_path / 'config.py')
    assert (config.model.decode_head.type, config.number) == ('SegformerHead', 3)


def test_checkpoints_of_a_run_are_loaded(make_runner):
    """Message hub, history buffers and numpy scalars included."""
    runner = make_runner(
        max_iters=1, default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1))
    )
    runner.train()
    path = f'{runner.work_dir}/iter_1.pth'
    with only_weights():
        hub = torch.load(path, map_location='cpu')['message_hub']
    assert hub['log_scalars']['train/loss'].data[0].shape == (1,)
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    assert loaded['meta']['iter'] == 1
