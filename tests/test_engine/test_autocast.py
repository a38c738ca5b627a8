"""Mixed precision by the command line's --amp, on a GPU and without one."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmfusion.engine.autocast import Bfloat16OptimWrapper, use_amp
from mmfusion.registry import MODELS


def config(kind='OptimWrapper', **options):
    return Config(dict(optim_wrapper=dict(type=kind, optimizer=dict(type='SGD', lr=0.1), **options)))


@pytest.fixture
def gpu(monkeypatch):
    def set_to(available):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: available)

    return set_to


def test_on_a_gpu(gpu):
    gpu(True)
    cfg = config()
    use_amp(cfg)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
    cfg.optim_wrapper.loss_scale = 512.0
    use_amp(cfg)  # What the config says already stays.
    assert cfg.optim_wrapper.loss_scale == 512.0


def test_without_a_gpu(gpu):
    gpu(False)
    cfg = config()
    use_amp(cfg)
    assert cfg.optim_wrapper == config('Bfloat16OptimWrapper').optim_wrapper
    use_amp(cfg)
    assert cfg.optim_wrapper == config('Bfloat16OptimWrapper').optim_wrapper


@pytest.mark.parametrize('available', [False, True])
def test_not_wanted(gpu, available):
    """An inherited float16 needs a GPU; everything else is left alone."""
    gpu(available)
    cfg = config('AmpOptimWrapper', loss_scale='dynamic', dtype='float16')
    use_amp(cfg, wanted=False)
    assert cfg.optim_wrapper.type == ('AmpOptimWrapper' if available else 'Bfloat16OptimWrapper')
    assert ('loss_scale' in cfg.optim_wrapper) is available
    cfg = config()
    use_amp(cfg, wanted=False)
    assert cfg.optim_wrapper.type == 'OptimWrapper'


@pytest.mark.parametrize('available', [False, True])
def test_another_wrapper(gpu, available):
    gpu(available)
    with pytest.raises(ValueError, match='the config has a ApexOptimWrapper'):
        use_amp(config('ApexOptimWrapper'))


def test_gradients(model_config, make_batch):
    """Close to those of float32, for every weight: attribution leaves nothing behind that cuts them off."""
    torch.manual_seed(0)
    model = MODELS.build(model_config()).train()
    inputs, samples = make_batch()
    plain = gradients(model, inputs, samples, torch.enable_grad())
    wrapper = Bfloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    half = gradients(model, inputs, samples, wrapper.optim_context(model))
    assert plain.keys() == half.keys()
    for part in ('fusion', 'segmentor'):
        mine, theirs = (torch.cat([g[name] for name in g if name.startswith(part)]) for g in (half, plain))
        assert not torch.equal(mine, theirs)
        assert nn.functional.cosine_similarity(mine, theirs, dim=0) > 0.98


def gradients(model, inputs, samples, context):
    model.zero_grad()
    with context:
        losses = model.loss(inputs, samples)
        loss, _ = model.parse_losses(losses)
    loss.backward()
    return {name: value.grad.flatten().clone() for name, value in model.named_parameters() if value.grad is not None}
