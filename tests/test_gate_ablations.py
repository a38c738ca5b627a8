"""Ablations of the gated model: each takes away what its name says, and nothing else."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.analysis.run_summary import differing_keys
from mmfusion.analysis.work_folders import flatten
from mmfusion.registry import MODELS

CONFIGS = Path(__file__).parent.parent / 'configs'
DRAWN = 'unet-tiny_1xb4-300_synthetic-96x128.py'
REAL = ('weedmap', 'cwfid', 'ombria', 'msrs-weak')
# Baselines that also come with the loss of the refiner.
WITH_IOU = ('early', 'two-backbones')
# What each is allowed to change.
CHANGES = {
    'untaught': ('model.loss_gate',),
    'even': ('model.fusion.weights', 'model.fusion.attention'),
    'attribution': ('model.fusion.weights',),
    'no-refiner': ('model.refine',),
    'pair': ('model.reads',),
    'fused': ('model.reads',),
    'dropout': ('model.sensor_dropout',),
}
# Likewise, of the recipe for real pairs with a backbone for each sensor. A rule tells its weights, and it sees no
# iterate that attribution could attend to.
OF_VIEWS = {'dropout': CHANGES['dropout'], 'gate': ('model.fusion.gate',)}
OF_VIEWS['even'] = OF_VIEWS['attribution'] = (*CHANGES['even'], 'model.fusion.gate')
OF_VIEWS['taught'] = ('model.fusion.gate', 'model.loss_gate', 'model.teach_interval')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmfusion'):
        yield


def load(name=None):
    middle = '' if name is None else f'-{name}'
    return Config.fromfile(CONFIGS / ('uaafusion' if name is None else 'ablations') / f'uaafusion-gate{middle}_{DRAWN}')


def train_step(name=None):
    torch.manual_seed(0)
    model = MODELS.build(load(name).model).train()
    inputs = torch.rand(2, 4, 32, 48)
    samples = []
    for _ in inputs:
        sample = SegDataSample(metainfo=dict(ori_shape=(32, 48), img_shape=(32, 48), pad_shape=(32, 48)))
        sample.gt_sem_seg = PixelData(data=torch.arange(4).repeat_interleave(8).view(1, 32, 1).expand(1, 32, 48))
        samples.append(sample)
    return model, model.loss(inputs, samples), model.fuse(inputs)[1]


def test_there_are_all_of_them():
    found = {path.name for path in (CONFIGS / 'ablations').glob('uaafusion-gate-*.py')}
    assert found == {f'uaafusion-gate-{name}_{DRAWN}' for name in CHANGES}
    found = {path.name for path in (CONFIGS / 'ablations').glob('uaafusion-views-*.py')}
    recipes = [f'efficientnet-lite0_1xb4-300_{data}-160x192.py' for data in REAL]
    assert found == {f'uaafusion-views-{name}_{recipe}' for recipe in recipes for name in OF_VIEWS}
    found = {path.name for path in (CONFIGS / 'ablations').glob('*-iou_*.py')}
    assert found == {f'{name}-iou_efficientnet-lite0_1xb4-300_{data}-160x192.py' for data in REAL for name in WITH_IOU}


@pytest.mark.parametrize('name', CHANGES)
def test_overrides_the_difference_only(name):
    base, ours = (flatten(load(which).to_dict()) for which in (None, name))
    keys = {key for key in base.keys() | ours.keys() if base.get(key, '') != ours.get(key, '')}  # None says something.
    assert keys
    assert all(key.startswith(CHANGES[name]) for key in keys), keys


@pytest.mark.parametrize('name', OF_VIEWS)
@pytest.mark.parametrize('data', REAL)
def test_overrides_the_difference_only_on_real_pairs(name, data):
    recipe = f'efficientnet-lite0_1xb4-300_{data}-160x192.py'
    base = flatten(Config.fromfile(CONFIGS / f'uaafusion/uaafusion-views_{recipe}').to_dict())
    ours = flatten(Config.fromfile(CONFIGS / f'ablations/uaafusion-views-{name}_{recipe}').to_dict())
    keys = {key for key in base.keys() | ours.keys() if base.get(key, '') != ours.get(key, '')}
    assert keys
    assert all(key.startswith(OF_VIEWS[name]) for key in keys), keys


@pytest.mark.parametrize('baseline', WITH_IOU)
@pytest.mark.parametrize('data', REAL)
def test_baselines_with_the_loss_of_the_refiner(baseline, data):
    recipe = f'efficientnet-lite0_1xb4-300_{data}-160x192.py'
    cfg = Config.fromfile(CONFIGS / f'ablations/{baseline}-iou_{recipe}')
    ours = Config.fromfile(CONFIGS / f'uaafusion/uaafusion_{recipe}')
    plain = Config.fromfile(CONFIGS / f'baselines/{baseline}_{recipe}')
    assert cfg.model.segmentor.decode_head.loss_decode == ours.model.loss_refined
    assert cfg.model.refine is None
    changed = differing_keys(flatten(cfg.to_dict()), flatten(plain.to_dict()))
    assert all(key.startswith('model.segmentor.decode_head.loss_decode') for key in changed), changed


@pytest.mark.parametrize('data', REAL)
def test_views_differ_in_what_is_read(data):
    """Of the two recipes; they see the same baselines."""
    recipe = f'efficientnet-lite0_1xb4-300_{data}-160x192.py'
    pair, views, baseline = (
        Config.fromfile(CONFIGS / f'{name}_{recipe}')
        for name in ('uaafusion/uaafusion', 'uaafusion/uaafusion-views', 'baselines/two-backbones')
    )
    changed = differing_keys(flatten(pair.to_dict()), flatten(views.to_dict()))
    assert all(key.startswith(('model.reads', 'model.loss_gate', 'model.fusion.gate')) for key in changed), changed
    assert views.model.fusion.gate.type == 'SalienceGate'
    assert views.model.loss_gate is None
    assert views.model.reads == baseline.model.reads


def test_reference():
    """The reference for what follows: everything is on."""
    model, losses, result = train_step()
    assert {'fusion.loss_gate_share', 'refined.loss_ce', 'decode.loss_ce'} <= set(losses)
    assert result.evidence is None
    assert model.segmentor.backbone.encoder[0][0].convs[0].conv.in_channels == 5
    assert model.sensor_dropout is None


def test_untaught():
    losses = train_step('untaught')[1]
    assert not any('loss_gate' in name for name in losses)
    assert 'refined.loss_ce' in losses


def test_even():
    result = train_step('even')[2]
    assert torch.equal(result.weight_ir, torch.full_like(result.weight_ir, 0.5))
    assert not any(attention.any() for attention in result.attention)


def test_attribution():
    model, losses, result = train_step('attribution')
    assert result.evidence is not None
    assert model.fusion.attention == 'rms'
    assert not any('loss_gate' in name for name in losses)


def test_no_refiner():
    assert not any(name.startswith('refined.') for name in train_step('no-refiner')[1])


@pytest.mark.parametrize(('name', 'channels'), [('pair', 4), ('fused', 3)])
def test_reading(name, channels):
    model, losses, _ = train_step(name)
    assert model.segmentor.backbone.encoder[0][0].convs[0].conv.in_channels == channels
    assert 'fusion.loss_gate_share' in losses


def test_dropout():
    assert train_step('dropout')[0].sensor_dropout.prob == 0.1
