"""Integrated gradients, one backward pass per class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .common import Effort, PathPoints, score_images, walk_path


def exact(
    scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort, groups: Sequence[int]
) -> Tensor:
    """Integrated gradients of every class's mean score, restricted to its region.

    Which classes are present decides how many backward passes there are, so this waits for the device once.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``steps``, ``rule`` and ``max_batch`` are used.
        groups (Sequence[int]): Channels of each source: one number, C', for images of one source; several for images in
            which sources are stacked and which the scorer reads together.

    Returns:
        Tensor: (G, B, C) for G sources, of either sign: means over the pixels of each region.
    """
    classes = regions.present_in_batch()
    sums = regions.inverse.new_zeros(len(groups), *regions.inverse.shape)
    for points in walk_path(start, end, effort):
        scores = score_images(scorer, points.images, regions.num_classes)
        found = _sums(scores, points, regions[points.rows], classes, groups)
        sums.index_add_(1, points.rows, found * points.factors)
    return regions.finish(sums)


def _sums(
    scores: Tensor, points: PathPoints, regions: LabelRegions, classes: list[int], groups: Sequence[int]
) -> Tensor:
    """Sums over each region (G, N, C + 1)."""
    sums = regions.inverse.new_zeros(len(groups), *regions.inverse.shape)
    for number, c in enumerate(classes, start=1):
        mask = (regions.index == c).to(scores.dtype)
        score = (scores[:, c] * mask * regions.inverse[:, c, None, None]).sum()
        (gradient,) = torch.autograd.grad(score, points.images, retain_graph=number < len(classes))
        for of_source, change in zip(sums, (gradient * points.difference).split(list(groups), dim=1)):
            of_source[:, c] = (change.sum(1) * mask).sum((1, 2))
    return sums
