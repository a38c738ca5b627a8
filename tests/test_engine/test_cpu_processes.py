"""Several processes without an accelerator: the wrapper of the model asks for no device."""

import pytest
import torch.distributed as dist
from mmengine.config import Config

from mmfusion.engine import cpu_processes
from mmfusion.engine.cpu_processes import join_cpu_processes


@pytest.fixture
def started(monkeypatch):
    """Backends of the groups that would be started."""
    found = []
    monkeypatch.setattr(dist, 'init_process_group', found.append)
    monkeypatch.setattr(cpu_processes, 'get_device', lambda: 'cpu')
    return found


@pytest.mark.parametrize(('launcher', 'device'), [('none', 'cpu'), ('slurm', 'cpu'), ('pytorch', 'cuda')])
def test_left_as_they_are(started, monkeypatch, launcher, device):
    """One process, another launcher, and GPUs."""
    monkeypatch.setattr(cpu_processes, 'get_device', lambda: device)
    cfg = Config(dict(launcher=launcher))
    join_cpu_processes(cfg)
    assert cfg.get('model_wrapper_cfg') is None
    assert not started


def test_as_mmengine_wraps_but_for_the_device(started):
    cfg = Config(dict(launcher='pytorch', find_unused_parameters=True))
    join_cpu_processes(cfg)
    expected = dict(type='MMDistributedDataParallel', device_ids=None)
    assert cfg.model_wrapper_cfg == dict(expected, broadcast_buffers=False, find_unused_parameters=True)
    assert started == ['gloo']


def test_a_wrapper_of_the_config_keeps_its_options(started):
    cfg = Config(dict(launcher='pytorch', model_wrapper_cfg=dict(type='Mine', broadcast_buffers=True)))
    join_cpu_processes(cfg)
    assert cfg.model_wrapper_cfg == dict(type='Mine', broadcast_buffers=True, device_ids=None)
