"""Weights of the released segmentor in the layout of mmseg's MobileNetV2 and :class:`ReleasedDeepLabHead`."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from .fusion import strip_prefixes

# Blocks per group of MobileNetV2; torchvision numbers them through, behind the stem.
_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
_CONVOLUTION = ('weight',)
_CONVOLUTION_WITH_BIAS = ('weight', 'bias')
_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
# Layers of the decode head.
_HEAD_CONVOLUTIONS = {
    'shortcut_conv.0': 'shortcut.conv',
    'cat_conv.0': 'merge.conv',
    'cat_conv.4': 'refine.conv',
    'cls_conv': 'conv_seg',
}
_HEAD_NORMS = {'shortcut_conv.1': 'shortcut.bn', 'cat_conv.1': 'merge.bn', 'cat_conv.5': 'refine.bn'}


def segmentor_names() -> dict[str, str]:
    """Released name to ours, for every entry of the segmentor's state dict.

    Returns:
        dict[str, str]: Names without a ``module.`` prefix.

    Examples:
        >>> names = segmentor_names()
        >>> names['feature_extractor.features.17.conv.0.weight']
        'backbone.layer7.0.conv.0.conv.weight'
        >>> len(names)
        329
    """
    names = {}
    for released, ours, entries in [*_backbone_layers(), *_head_layers()]:
        names.update({f'{released}.{entry}': f'{ours}.{entry}' for entry in entries})
    return names


def convert_segmentor_state_dict(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Released layout of the segmentor to mmseg's.

    Args:
        state_dict (Mapping): Released layout (``model_s``), with or without a ``module.`` prefix, or the checkpoint
            that holds it under ``model_s``.

    Returns:
        dict[str, Tensor]: Weights for an ``EncoderDecoder`` of ``DilatedMobileNetV2`` and ``ReleasedDeepLabHead``.

    Raises:
        ValueError: Keys are missing or unknown; the message lists them.

    Examples:
        >>> import torch
        >>> released = {name: torch.zeros(1) for name in segmentor_names()}
        >>> converted = convert_segmentor_state_dict({'epoch': 40, 'model_s': released})
        >>> converted['decode_head.conv_seg.bias']
        tensor([0.])
    """
    released = strip_prefixes(state_dict, 'model_s')
    names = segmentor_names()
    missing = sorted(set(names) - set(released))
    unknown = sorted(set(released) - set(names))
    if missing or unknown:
        raise ValueError(
            f'not a released UAAFusion segmentor: {len(missing)} keys are missing, such as {missing[:5]}, '
            f'and {len(unknown)} are unknown, such as {unknown[:5]}'
        )
    return {ours: released[name] for name, ours in names.items()}


def _backbone_layers() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Released name, ours, and the entries of every layer of MobileNetV2."""
    features = 'feature_extractor.features'
    yield f'{features}.0.0', 'backbone.conv1.conv', _CONVOLUTION
    yield f'{features}.0.1', 'backbone.conv1.bn', _NORM
    number = 0
    for group, blocks in enumerate(_BLOCKS, start=1):
        for block in range(blocks):
            number += 1
            # Convolution, norm and activation each have a number, but the last convolution has no activation. The first
            # group does not expand, so it has one convolution less.
            for i in range(2 if group == 1 else 3):
                ours = f'backbone.layer{group}.{block}.conv.{i}'
                yield f'{features}.{number}.conv.{3 * i}', f'{ours}.conv', _CONVOLUTION
                yield f'{features}.{number}.conv.{3 * i + 1}', f'{ours}.bn', _NORM


def _head_layers() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Released name, ours, and the entries of every layer of the decode head."""
    for released, ours in _HEAD_CONVOLUTIONS.items():
        yield released, f'decode_head.{ours}', _CONVOLUTION_WITH_BIAS
    for released, ours in _HEAD_NORMS.items():
        yield released, f'decode_head.{ours}', _NORM
