"""Difference of the scores at the two ends of the path: no gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..isolation import Scorer
from ..label_regions import LabelRegions
from .common import Effort, score_images


def endpoint(
    scorer: Scorer, start: Tensor, end: Tensor, regions: LabelRegions, effort: Effort, groups: Sequence[int]
) -> Tensor:
    """What a whole source adds to the mean score of every class.

    By completeness this is the attribution of the whole image; what surrounds an object counts as well. Of two sources
    that the scorer reads together, each gets its Shapley value: what it adds, half by itself and half beside the other.
    The two add up to what both add (Shapley, "A value for n-person games", 1953).

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        regions (LabelRegions): Regions of the images.
        effort (Effort): ``max_batch`` is used.
        groups (Sequence[int]): Channels of each source: one number, C', for images of one source; two for images in
            which two sources are stacked and which the scorer reads together.

    Returns:
        Tensor: (G, B, C) for G sources, of either sign, on the scale of the score.

    Raises:
        ValueError: More than two sources.
    """
    batch = len(end)
    if len(groups) == 1:
        images, factors = [end, start], [[1.0, -1.0]]
    elif len(groups) == 2:
        (first, second), (no_first, no_second) = (x.split(list(groups), dim=1) for x in (end, start))
        images = [end, torch.cat([first, no_second], 1), torch.cat([no_first, second], 1), start]
        factors = [[0.5, 0.5, -0.5, -0.5], [0.5, -0.5, 0.5, -0.5]]
    else:
        raise ValueError(f"'endpoint' attributes one or two sources, got {len(groups)}; use another estimator")
    rows = torch.arange(batch, device=end.device).repeat(len(images))
    size = effort.chunk_size(len(rows))
    sums = []
    with torch.no_grad():
        for chunk, chunk_rows in zip(torch.cat(images).split(size), rows.split(size)):
            chunk_regions = regions[chunk_rows]
            sums.append(chunk_regions.sums(chunk_regions.select(score_images(scorer, chunk, regions.num_classes))))
    by_image = torch.cat(sums).unflatten(0, (len(images), batch))
    weighted = [sum(factor * of_image for factor, of_image in zip(row, by_image)) for row in factors]
    return regions.finish(torch.stack(weighted))
