"""MobileNetV2 of mmseg that reads the names which torchvision gives to its weights."""

import re
from typing import Any

from mmseg.models.backbones import MobileNetV2

from mmfusion.registry import MODELS

# Blocks in each of mmseg's seven layers; torchvision counts them through, from 1.
_BLOCKS_OF_LAYERS = [(layer + 1, block) for layer, count in enumerate((1, 2, 3, 4, 3, 3, 1)) for block in range(count)]


@MODELS.register_module()
class TorchvisionMobileNetV2(MobileNetV2):
    """mmseg's MobileNetV2, which also loads weights that are named as torchvision names them.

    The classifier and the convolution before it are left out. Weights under mmseg's names are loaded as ever.

    Where batch norms were folded into the convolutions (weight 1, mean 0, variance 1, and a bias), the statistics are
    no statistics of anything: use ``norm_eval=True``, or training replaces them by those of its batches.

    Args:
        **kwargs: See :class:`mmseg.models.backbones.MobileNetV2`.

    Examples:
        >>> import torch
        >>> backbone = TorchvisionMobileNetV2(out_indices=(1, 6), norm_eval=True)
        >>> stem = {'features.0.0.weight': torch.ones(32, 3, 3, 3)}
        >>> _ = backbone.load_state_dict(stem, strict=False)
        >>> float(backbone.conv1.conv.weight.mean())
        1.0
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._register_load_state_dict_pre_hook(_rename)


def _rename(state_dict: dict, prefix: str, *_: Any) -> None:
    """Give torchvision's weights the names of mmseg."""
    if f'{prefix}features.0.0.weight' not in state_dict:
        return
    for name in [name for name in state_dict if name.startswith((f'{prefix}features.', f'{prefix}classifier.'))]:
        value = state_dict.pop(name)
        ours = _name_here(name.removeprefix(prefix))
        if ours is not None:
            state_dict[prefix + ours] = value


def _name_here(torchvision: str) -> str | None:
    """Name of a weight in mmseg; None for those of the classifier."""
    found = re.fullmatch(r'features\.(\d+)\.(?:conv\.)?(\d)(?:\.(\d))?\.(\w+)', torchvision)
    if found is None:
        return None if torchvision.startswith('classifier.') else torchvision
    number = int(found[1])
    if number > len(_BLOCKS_OF_LAYERS):
        return None
    first, second, rest = int(found[2]), found[3], found[4]
    if number == 0:
        return f'conv1.{("conv", "bn")[first]}.{rest}'
    layer, block = _BLOCKS_OF_LAYERS[number - 1]
    # Convolution and norm are nested, but for the last ones, which follow each other.
    last = 1 if number == 1 else 2
    place, part = (first, int(second)) if second else (last, first - last)
    return f'layer{layer}.{block}.conv.{place}.{("conv", "bn")[part]}.{rest}'
