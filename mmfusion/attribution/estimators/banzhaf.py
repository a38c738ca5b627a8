"""Banzhaf values of the regions: no gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .coalition import coalition_signs
from .common import Effort, score_images


def banzhaf(
    scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort, groups: Sequence[int]
) -> Tensor:
    """What each class's score gains when its region shows the image, while every other region shows either.

    Of several sources that the scorer reads together, every region of every source is shown or not by itself: one
    sees what the other source adds, but does not get the credit.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``pairs``, ``max_batch`` and ``generator`` are used.
        groups (Sequence[int]): Channels of each source: one number, C', for images of one source; several for images in
            which sources are stacked and which the scorer reads together.

    Returns:
        Tensor: (G, B, C) for G sources, of either sign, on the scale of the score.
    """
    classes = regions.num_classes
    generator = effort.sign_generator()
    # Of each sample by itself, also where regions run over the batch.
    sizes = regions.sums(torch.ones_like(regions.index))
    players = torch.cat([sizes[:, :-1]] * len(groups) + [sizes[:, -1:]], dim=1)
    signs = coalition_signs(players, effort.pairs, generator).to(end)
    rows = torch.arange(len(end), device=end.device).repeat(len(signs))
    size = effort.chunk_size(len(rows))
    sums = regions.inverse.new_zeros(len(groups), *regions.inverse.shape)
    with torch.no_grad():
        for chunk_rows, chunk_signs in zip(rows.split(size), signs.flatten(0, 1).split(size)):
            chunk_regions = regions[chunk_rows]
            *of_sources, of_none = chunk_signs.split([classes] * len(groups) + [1], dim=1)
            signs_by_source = torch.stack([torch.cat([own, of_none], dim=1) for own in of_sources])
            shows_image = torch.cat(
                [
                    (own.gather(1, chunk_regions.index.flatten(1)) >= 0)
                    .view(len(chunk_rows), 1, *end.shape[2:])
                    .expand(-1, channels, -1, -1)
                    for own, channels in zip(signs_by_source, groups)
                ],
                dim=1,
            )
            images = torch.where(shows_image, end[chunk_rows], start[chunk_rows])
            selected = chunk_regions.select(score_images(scorer, images, regions.num_classes))
            sums.index_add_(1, chunk_rows, chunk_regions.sums(selected) * signs_by_source)
    return regions.finish(sums) / effort.pairs
