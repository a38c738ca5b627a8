"""Every parameter of a segmentor learns as in mmseg, whatever its recipe says; a fusion learns at the plain rate."""

import copy

import pytest
import recipes
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmfusion.engine.layer_decay import PlainNames

# Ten times the rate for heads, decay by stage and by layer, none of it, and positions without weight decay.
RECIPES = ('segformer', 'segnext', 'convnext', 'beit', 'pspnet', 'pidnet')


def groups(model, optim_wrapper):
    """Rate and weight decay of every parameter, by the name that it has in the segmentor."""
    optim_wrapper = copy.deepcopy(optim_wrapper)
    optim_wrapper.type = 'OptimWrapper'
    optim_wrapper.pop('loss_scale', None)
    optimizer = build_optim_wrapper(model, optim_wrapper).optimizer
    names = {parameter: name.removeprefix('segmentor.') for name, parameter in model.named_parameters()}
    return {
        names[parameter]: (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }


@pytest.mark.parametrize('family', RECIPES)
def test_rates(family, pair_folder, tmp_path):
    recipes.stand_in_for_extensions()
    cfg, plain = recipes.child_config(family, tmp_path, tmp_path), recipes.plain_config(family, tmp_path)
    DefaultScope.get_instance('test_rates', scope_name='mmseg')
    recipes.shrink_model(cfg.model.segmentor, family)
    recipes.shrink_model(plain.model, family)
    cfg.model.pop('num_classes')
    joint, alone = MODELS.build(cfg.model), MODELS.build(plain.model)
    ours, theirs = groups(joint, cfg.optim_wrapper), groups(alone, plain.optim_wrapper)
    assert {name: value for name, value in ours.items() if not name.startswith('fusion.')} == theirs
    base = plain.optim_wrapper.optimizer.lr
    assert all(rate == pytest.approx(base) for name, (rate, _) in ours.items() if name.startswith('fusion.'))
    if family not in ('pspnet', 'pidnet'):
        assert len({rate for rate, _ in theirs.values()}) > 1


def test_a_backbone_for_each_sensor(tmp_path):
    """Each learns as the one would."""
    recipes.stand_in_for_extensions()
    cfg = recipes.child_config('beit', tmp_path, tmp_path)
    DefaultScope.get_instance('test_rates', scope_name='mmseg')
    recipes.shrink_model(cfg.model.segmentor, 'beit')
    cfg.model.reads = dict(type='views', views=('visible', 'infrared'), shared=False)
    cfg.model.fusion.attention = None
    rates = groups(MODELS.build(cfg.model), cfg.optim_wrapper)
    first = {name: value for name, value in rates.items() if name.startswith('backbone.backbone.')}
    assert len({rate for rate, _ in first.values()}) > 3
    for name, value in first.items():
        assert rates[name.replace('backbone.backbone.', 'backbone.others.0.')] == value


def test_other_models_are_left_alone():
    """What mmseg's constructor does for a model of its own stays."""
    from mmseg.engine.optimizers.layer_decay_optimizer_constructor import LearningRateDecayOptimizerConstructor

    class BEiT(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])

    model = nn.Module()
    model.backbone = BEiT()
    wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=1.0),
        constructor='LearningRateDecayOptimizerConstructor',
        paramwise_cfg=dict(num_layers=3, decay_rate=0.5, decay_type='layer_wise'),
    )
    DefaultScope.get_instance('test_others', scope_name='mmseg')
    built = build_optim_wrapper(model, dict(wrapper)).optimizer.param_groups
    options = dict(optimizer=wrapper['optimizer'], type='OptimWrapper')
    theirs = LearningRateDecayOptimizerConstructor(options, dict(wrapper['paramwise_cfg']))(model)
    assert [group['lr'] for group in built] == [group['lr'] for group in theirs.optimizer.param_groups]
    assert len(built) == 6


def test_names():
    model = nn.Module()
    model.fusion, model.segmentor = nn.PReLU(), nn.Module()
    model.segmentor.backbone = nn.Module()
    model.segmentor.backbone.backbone = nn.PReLU()
    model.segmentor.backbone.others = nn.ModuleList([nn.PReLU()])
    model.backbone = model.segmentor.backbone
    shown = PlainNames(model)
    assert [name for name, _ in shown.named_parameters()] == ['fusion.weight', 'backbone.weight', 'backbone.weight']
    assert shown.backbone is model.segmentor.backbone.backbone
    assert all(isinstance(value, torch.Tensor) for _, value in shown.named_parameters())
