"""What every base model of mmseg needs behind a fusion; ``python tests/decoders.py`` prints docs/decoders.md.

``python tests/decoders.py NAME`` steps one, with what stands in for compiled modules in place before mmseg is imported.
"""
# ruff: noqa: E501  (the lines of tables)

import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from recipes import stand_in_for_extensions

BASES = Path(importlib.util.find_spec('mmseg').origin).parent / '.mim/configs/_base_/models'


class Need(NamedTuple):
    """What has to be set, or why nothing helps."""

    text: str
    options: dict = {}
    size: int = 64
    works: bool = True


_SLICES = Need(
    "`test_cfg=dict(crop_size=(64, 64), stride=(42, 42))`, as mmseg's own children of it have it",
    {'test_cfg.crop_size': (64, 64), 'test_cfg.stride': (42, 42)},
)
_POSITIONS = '`backbone.img_size` of the crop, whose positions are tables'
NEEDS = {
    'deeplabv3_unet_s5-d16': _SLICES,
    'fcn_unet_s5-d16': _SLICES,
    'pspnet_unet_s5-d16': _SLICES,
    'fpn_poolformer_s12': Need(
        "mmpretrain; `neck.in_channels=[64, 128, 320, 512]`, as mmseg's children have it",
        {'neck.in_channels': [64, 128, 320, 512]},
    ),
    'lraspp_m-v3-d8': Need('images of at least 392 pixels, which its head pools by 49 at an eighth', size=400),
    'ccnet_r50-d8': Need('mmcv with its operators (`CrissCrossAttention`)'),
    'pointrend_r50': Need('mmcv with its operators (`point_sample`)'),
    'psanet_r50-d8': Need('mmcv with compiled operators (`psamask`)', works=False),
    'san_vit-b16': Need(
        'mmcv with its operators (`point_sample`); `text_encoder.vocabulary` with the names of the classes',
        {
            'text_encoder.vocabulary': ['a', 'b', 'c'],
            'decode_head.num_classes': 3,
            'decode_head.loss_decode.0.class_weight': [1.0, 1.0, 1.0, 0.1],
        },
    ),
    'upernet_beit': Need(_POSITIONS, {'backbone.img_size': (64, 64)}),
    'upernet_mae': Need(
        f"{_POSITIONS}; `in_channels` of both heads, as mmseg's children have them",
        {
            'backbone.img_size': (64, 64),
            'decode_head.in_channels': [768] * 4,
            'auxiliary_head.in_channels': 768,
        },
    ),
    'upernet_convnext': Need('mmpretrain; `auxiliary_head.in_channels=512`', {'auxiliary_head.in_channels': 512}),
    'vpd_sd': Need('is no segmentor: it estimates depth and has no decode head', works=False),
}

# Half a minute together, and of a kind that the others stand for.
SLOW = (
    'ccnet_r50-d8',
    'dpt_vit-b16',
    'lraspp_m-v3-d8',
    'san_vit-b16',
    'segmenter_vit-b16_mask',
    'setr_mla',
    'setr_naive',
    'setr_pup',
)
SLOW += ('upernet_beit', 'upernet_mae', 'upernet_vit-b16_ln_mln', 'upernet_convnext')

_HEAD = """\
# Which segmentors

Every file of mmseg's `configs/_base_/models`, as `segmentor` of a `FusionSegmentor`: built, one step of training with all gradients, one
prediction. {works} of {number} work as they are, {with_needs} with what is said here, {not_here} not. Printed by `python tests/decoders.py`;
`tests/test_recipes/test_decoders.py` finds out whether each row holds.

A complete recipe, with its data pipeline and schedule, becomes a joint model by nine lines; see README, 'Your segmentor'.
`tests/test_recipes` steps seven of them: SegFormer, PSPNet, UPerNet with ConvNeXt, PIDNet, Mask2Former, SegNeXt, UPerNet with BEiT.

| base | works | needs, or why not |
|---|---|---|
"""

_SPECIAL = """
## Special cases

| what | what happens |
|---|---|
| heads that classify masks: MaskFormer, Mask2Former (mmdet, compiled operators of mmcv), SAN | their scores are sums of probabilities, which attribution, merged views and a refiner take as such (`test_head_scores.py`) |
| heads with random bases: SegNeXt's ham | the same bases for every image outside of training, so that a prediction can be repeated (`test_head_scores.py`) |
| cascades of heads: OCRNet, PointRend | the last head counts (`test_any_segmentor.py`) |
| one output channel | the two probabilities of a binary task (`test_any_segmentor.py`) |
| edges as labels: PIDNet | `GenerateEdge` of the inherited pipeline stays; edges are padded like labels |
| weights of classes in losses | left out where `num_classes` of the FusionSegmentor differs from the recipe's (`test_recipe.py`) |
| SyncBN | as mmseg's; on a CPU it trains in one process only: `norm_cfg=dict(type='BN')` in several |
| rates by layer: `LearningRateDecayOptimizerConstructor` | sees the segmentor's backbone; the fusion has the full rate (`test_learning_rates.py`) |
| ten times the rate for heads: `custom_keys={'head': ...}` | reaches the segmentor's heads only (`test_learning_rates.py`) |
| `reads='pair'` and other stacks with ERFNet or CGNet | refused: they need the number of channels in later layers as well; `reads='views'` works |
| `reads='pair+fused'` with frozen first layers | refused: the fused image could never have an effect; `frozen_stages=-1` |
| a model without a decode head | refused with the keys that the config has |
"""


def bases():
    """Names of mmseg's base models."""
    return sorted(path.stem for path in BASES.glob('*.py'))


def row(name):
    """A line of the table."""
    need = NEEDS.get(name)
    if need is None:
        return f'| `{name}` | as it is | |'
    return f'| `{name}` | {"with" if need.works else "no"} | {need.text} |'


def page():
    """The document."""
    names = bases()
    not_here = sum(name in NEEDS and not NEEDS[name].works for name in names)
    with_needs = sum(name in NEEDS for name in names) - not_here
    counts = dict(number=len(names), works=len(names) - with_needs - not_here, with_needs=with_needs, not_here=not_here)
    return _HEAD.format(**counts) + '\n'.join(map(row, names)) + '\n' + _SPECIAL


def build(name):
    """The model, and the size of images that it takes."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from mmfusion.registry import MODELS

    DefaultScope.get_instance(f'base_{name}', scope_name='mmseg')
    need = NEEDS.get(name, Need(''))
    cfg = Config.fromfile(BASES / f'{name}.py')
    cfg.merge_from_dict({f'model.{key}': value for key, value in need.options.items()})
    fusion = dict(type='UAAFusion', num_stages=1, channels=2, weights='even', attention=None)
    model = dict(type='FusionSegmentor', fusion=fusion, segmentor=cfg.model, pretrained=False)
    return MODELS.build(model), need.size


def batch(size):
    """Two pairs of noise, with labels of two classes."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    shape = (size, size)
    samples = []
    for _ in range(2):
        meta = dict(ori_shape=shape, img_shape=shape, pad_shape=shape, padding_size=[0, 0, 0, 0])
        sample = SegDataSample(metainfo=meta)
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 2, (1, *shape)))
        samples.append(sample)
    return torch.rand(2, 4, *shape), samples


def step(name):
    """Train a step and predict; what did not hold is raised as an AssertionError."""
    torch.manual_seed(0)
    model, size = build(name)
    # SAN's has weights of whatever was in memory before; its own init_weights looks for a method that is not there.
    for value in getattr(model.segmentor, 'text_encoder', torch.nn.Identity()).parameters():
        torch.nn.init.normal_(value, std=0.02)
    inputs, samples = batch(size)
    losses = model.train().loss(inputs, samples)
    # Of the segmentor alone: does its gradient reach the fusion?
    loss, _ = model.parse_losses({key: value for key, value in losses.items() if not key.startswith('fusion.')})
    loss.backward()
    reached = [value.grad for value in model.fusion.parameters() if value.grad is not None]
    assert any(gradient.ne(0).any() for gradient in reached)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)
    with torch.no_grad():
        (prediction, _) = model.eval().predict(inputs, samples)
    assert prediction.pred_sem_seg.data.shape == (1, size, size)


if __name__ == '__main__':
    if len(sys.argv) > 1:
        stand_in_for_extensions()
        step(sys.argv[1])
    else:
        print(page(), end='')
