"""Integrated gradients, one backward pass for all classes."""

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .common import Effort, PathPoints, random_signs, score_images, walk_path


def multiplexed(scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort) -> Tensor:
    """Integrated gradients of all classes from one backward pass per point of the path.

    The classes' scores are added with random signs and each region's result is multiplied by its own sign; cross terms
    carry the product of two independent signs, so that the result is unbiased.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``steps``, ``rule``, ``max_batch`` and ``generator`` are used.

    Returns:
        Tensor: (B, C), of either sign: means over the pixels of each region.
    """
    sums = torch.zeros_like(regions.inverse)
    generator = effort.sign_generator()
    for points in walk_path(start, end, effort):
        scores = score_images(scorer, points.images, regions.num_classes)
        sums.index_add_(0, points.rows, _sums(scores, points, regions[points.rows], generator) * points.factors)
    return regions.finish(sums)


def _sums(scores: Tensor, points: PathPoints, regions: LabelRegions, generator: torch.Generator) -> Tensor:
    """Sums over each region (N, C + 1)."""
    signs = random_signs(regions.inverse.shape, generator, scores.device).to(scores)
    factors = (signs * regions.inverse).gather(1, regions.index.flatten(1))
    total = (regions.select(scores).flatten(1) * factors).sum()
    (gradient,) = torch.autograd.grad(total, points.images)
    return regions.sums((gradient * points.difference).sum(1)) * signs
