"""Integrated gradients, one backward pass per class."""

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .common import Effort, PathPoints, score_images, walk_path


def exact(scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort) -> Tensor:
    """Integrated gradients of every class's mean score, restricted to its region.

    Which classes are present decides how many backward passes there are, so this waits for the device once.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``steps``, ``rule`` and ``max_batch`` are used.

    Returns:
        Tensor: (B, C), of either sign: means over the pixels of each region.
    """
    classes = regions.present_in_batch()
    sums = torch.zeros_like(regions.inverse)
    for points in walk_path(start, end, effort):
        scores = score_images(scorer, points.images, regions.num_classes)
        sums.index_add_(0, points.rows, _sums(scores, points, regions[points.rows], classes) * points.factors)
    return regions.finish(sums)


def _sums(scores: Tensor, points: PathPoints, regions: LabelRegions, classes: list[int]) -> Tensor:
    """Sums over each region (N, C + 1)."""
    sums = torch.zeros_like(regions.inverse)
    for number, c in enumerate(classes, start=1):
        mask = (regions.index == c).to(scores.dtype)
        score = (scores[:, c] * mask * regions.inverse[:, c, None, None]).sum()
        (gradient,) = torch.autograd.grad(score, points.images, retain_graph=number < len(classes))
        sums[:, c] = ((gradient * points.difference).sum(1) * mask).sum((1, 2))
    return sums
