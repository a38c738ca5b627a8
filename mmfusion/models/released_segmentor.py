"""Weights of the released segmentor in the layout of mmseg's MobileNetV2 and :class:`ReleasedDeepLabHead`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .fusion.released import strip_prefixes

# Blocks per group of MobileNetV2; torchvision numbers them through, behind the stem.
_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
_HEAD = {
    'shortcut_conv.0': 'shortcut.conv',
    'cat_conv.0': 'merge.conv',
    'cat_conv.4': 'refine.conv',
    'cls_conv': 'conv_seg',
}
_HEAD_NORMS = {'shortcut_conv.1': 'shortcut.bn', 'cat_conv.1': 'merge.bn', 'cat_conv.5': 'refine.bn'}


def _key_map() -> dict[str, str]:
    """Released name to ours, for every entry of the state dict."""
    layers = {'features.0.0': ('backbone.conv1.conv', ('weight',)), 'features.0.1': ('backbone.conv1.bn', _NORM)}
    number = 0
    for group, blocks in enumerate(_BLOCKS, start=1):
        for block in range(blocks):
            number += 1
            # Convolution, norm and activation each have a number, but the last convolution has no activation. The first
            # group does not expand, so it has one convolution less.
            for i in range(2 if group == 1 else 3):
                ours = f'backbone.layer{group}.{block}.conv.{i}'
                layers[f'features.{number}.conv.{3 * i}'] = (f'{ours}.conv', ('weight',))
                layers[f'features.{number}.conv.{3 * i + 1}'] = (f'{ours}.bn', _NORM)
    layers = {f'feature_extractor.{name}': value for name, value in layers.items()}
    layers.update({name: (f'decode_head.{ours}', ('weight', 'bias')) for name, ours in _HEAD.items()})
    layers.update({name: (f'decode_head.{ours}', _NORM) for name, ours in _HEAD_NORMS.items()})
    return {f'{name}.{part}': f'{ours}.{part}' for name, (ours, parts) in layers.items() for part in parts}


def convert_segmentor_state_dict(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Released layout of the segmentor to mmseg's.

    Args:
        state_dict (Mapping): Released layout (``model_s``), with or without a ``module.`` prefix, or the checkpoint
            that holds it under ``model_s``.

    Returns:
        dict[str, Tensor]: Weights for an ``EncoderDecoder`` of ``DilatedMobileNetV2`` and ``ReleasedDeepLabHead``.

    Raises:
        ValueError: Keys are missing or unknown; the message lists them.
    """
    released = strip_prefixes(state_dict, 'model_s')
    names = _key_map()
    missing = sorted(set(names) - set(released))
    unknown = sorted(set(released) - set(names))
    if missing or unknown:
        raise ValueError(
            f'not a released UAAFusion segmentor: {len(missing)} keys are missing, such as {missing[:5]}, '
            f'and {len(unknown)} are unknown, such as {unknown[:5]}'
        )
    return {ours: released[name] for name, ours in names.items()}
