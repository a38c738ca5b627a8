"""Segmentation losses of single sources, which a network has to know before its evidence in each can be compared."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmfusion.deprecation import warn_deprecated

# Fused image and both sources count the same.
THIRDS = 2 / 3


def source_weight(weight: float | None, renamed: Mapping[str, Any], reads: str, single_sources: bool) -> float:
    """Part of the segmentation loss that comes from single sources.

    Args:
        weight (float, optional): As the user says.
        renamed (Mapping): Other arguments: the former ``segment_sources`` and nothing else.
        reads (str): What the segmentor reads.
        single_sources (bool): Whether the fusion attributes single sources, which the segmentor then has to know.

    Returns:
        float: In [0, 1).

    Raises:
        TypeError: An argument that never was one.
        ValueError: Out of range, or the segmentor cannot segment a single source.

    Examples:
        >>> source_weight(None, {}, 'pair', single_sources=False), round(source_weight(None, {}, 'fused', True), 3)
        (0.0, 0.667)
    """
    unknown = sorted(set(renamed) - {'segment_sources'})
    if unknown:
        raise TypeError(f'FusionSegmentor has no argument {", ".join(unknown)}')
    if 'segment_sources' in renamed:
        weight = THIRDS if renamed['segment_sources'] else 0.0
        warn_deprecated(f'FusionSegmentor: segment_sources is deprecated; write source_loss_weight={weight:.4g}', 3)
    if weight is None:
        weight = THIRDS if single_sources else 0.0
    if not 0 <= weight < 1:
        raise ValueError(f'source_loss_weight is a part of the segmentation loss in [0, 1), got {weight}')
    if weight and reads != 'fused':
        raise ValueError(
            f'a segmentor that reads {reads!r} cannot segment one source; use source_loss_weight=0, and sensor_dropout '
            'to train with sensors missing'
        )
    return weight


def with_sources(
    fused: Tensor, infrared: Tensor, visible: Tensor, weight: float, batched: bool
) -> dict[str, tuple[float, Tensor]]:
    """Batches to segment by their names, with the part of the loss that each has.

    Args:
        fused (Tensor): Fused images (B, C, H, W), as the segmentor wants them.
        infrared (Tensor): Infrared images, likewise.
        visible (Tensor): Visible luminance, likewise.
        weight (float): Part of the loss that the sources have.
        batched (bool): Put together what can be: all three if they count the same, else both sources.

    Returns:
        dict[str, tuple[float, Tensor]]: Parts that add to 1, and batches; a single one has no name.

    Examples:
        >>> images = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
        >>> {name: (part, len(batch)) for name, (part, batch) in with_sources(*images, 0.5, batched=True).items()}
        {'fused': (0.5, 2), 'sources': (0.5, 4)}
    """
    if batched and math.isclose(weight, THIRDS):
        return {'': (1.0, torch.cat([fused, infrared, visible]))}
    if batched:
        return {'fused': (1 - weight, fused), 'sources': (weight, torch.cat([infrared, visible]))}
    return {'fused': (1 - weight, fused), 'infrared': (weight / 2, infrared), 'visible': (weight / 2, visible)}
