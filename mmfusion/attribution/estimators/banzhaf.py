"""Banzhaf values of the regions: no gradient."""

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .coalition import coalition_signs
from .common import Effort, score_images


def banzhaf(scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort) -> Tensor:
    """What each class's score gains when its region shows the image, while every other region shows either.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``pairs``, ``max_batch`` and ``generator`` are used.

    Returns:
        Tensor: (B, C), of either sign, on the scale of the score.
    """
    generator = effort.sign_generator()
    # Of each sample by itself, also where regions run over the batch.
    sizes = regions.sums(torch.ones_like(regions.index))
    signs = coalition_signs(sizes, effort.pairs, generator).to(end)
    rows = torch.arange(len(end), device=end.device).repeat(len(signs))
    size = effort.chunk_size(len(rows))
    sums = torch.zeros_like(regions.inverse)
    with torch.no_grad():
        for chunk_rows, chunk_signs in zip(rows.split(size), signs.flatten(0, 1).split(size)):
            chunk_regions = regions[chunk_rows]
            painted = chunk_signs.gather(1, chunk_regions.index.flatten(1))
            shows_image = painted.view(len(chunk_rows), 1, *end.shape[2:]) >= 0
            images = torch.where(shows_image, end[chunk_rows], start[chunk_rows])
            selected = chunk_regions.select(score_images(scorer, images, regions.num_classes))
            sums.index_add_(0, chunk_rows, chunk_regions.sums(selected) * chunk_signs)
    return regions.finish(sums) / effort.pairs
