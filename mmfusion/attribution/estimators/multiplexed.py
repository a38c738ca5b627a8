"""Integrated gradients, one backward pass for all classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .common import Effort, PathPoints, random_signs, score_images, walk_path


def multiplexed(
    scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort, groups: Sequence[int]
) -> Tensor:
    """Integrated gradients of all classes from one backward pass per point of the path.

    The classes' scores are added with random signs and each region's result is multiplied by its own sign; cross terms
    carry the product of two independent signs, so that the result is unbiased.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``steps``, ``rule``, ``max_batch`` and ``generator`` are used.
        groups (Sequence[int]): Channels of each source: one number, C', for images of one source; several for images in
            which sources are stacked and which the scorer reads together.

    Returns:
        Tensor: (G, B, C) for G sources, of either sign: means over the pixels of each region.
    """
    sums = regions.inverse.new_zeros(len(groups), *regions.inverse.shape)
    generator = effort.sign_generator()
    for points in walk_path(start, end, effort):
        scores = score_images(scorer, points.images, regions.num_classes)
        found = _sums(scores, points, regions[points.rows], generator, groups)
        sums.index_add_(1, points.rows, found * points.factors)
    return regions.finish(sums)


def _sums(
    scores: Tensor, points: PathPoints, regions: LabelRegions, generator: torch.Generator, groups: Sequence[int]
) -> Tensor:
    """Sums over each region (G, N, C + 1)."""
    signs = random_signs(regions.inverse.shape, generator, scores.device).to(scores)
    factors = (signs * regions.inverse).gather(1, regions.index.flatten(1))
    total = (regions.select(scores).flatten(1) * factors).sum()
    (gradient,) = torch.autograd.grad(total, points.images)
    changes = (gradient * points.difference).split(list(groups), dim=1)
    return torch.stack([regions.sums(change.sum(1)) * signs for change in changes])
