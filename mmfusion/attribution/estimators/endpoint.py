"""Difference of the scores at the two ends of the path: no gradient."""

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .common import Effort, score_images


def endpoint(scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort) -> Tensor:
    """What the whole image adds to the mean score of every class.

    By completeness this is the attribution of the whole image; what surrounds an object counts as well.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``max_batch`` is used.

    Returns:
        Tensor: (B, C), of either sign, on the scale of the score.
    """
    batch = len(end)
    rows = torch.arange(batch, device=end.device).repeat(2)
    signs = torch.cat([end.new_ones(batch, 1), -end.new_ones(batch, 1)])
    images = torch.cat([end, start])
    size = effort.chunk_size(len(rows))
    sums = torch.zeros_like(regions.inverse)
    with torch.no_grad():
        for chunk, chunk_rows, chunk_signs in zip(images.split(size), rows.split(size), signs.split(size)):
            chunk_regions = regions[chunk_rows]
            selected = chunk_regions.select(score_images(scorer, chunk, regions.num_classes))
            sums.index_add_(0, chunk_rows, chunk_regions.sums(selected) * chunk_signs)
    return regions.finish(sums)
