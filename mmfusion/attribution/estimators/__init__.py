"""Estimators of region attribution, one file each; all of them take and give the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..baseline import make_baseline
from ..isolation import PairScorer, Scorer, isolated
from ..label_regions import LabelRegions
from .banzhaf import banzhaf
from .common import Effort
from .endpoint import endpoint
from .exact import exact
from .multiplexed import multiplexed


@dataclass(frozen=True)
class Estimator:
    """An estimator, and what those who use it have to know about it."""

    compute: Callable[[Scorer, Tensor, Tensor, LabelRegions, Effort, Sequence[int]], Tensor]
    """Scorer, baselines, images, regions, effort and channels of each source to (G, B, C), of either sign."""
    per_pixel: bool
    """Whether results are means over a region's pixels, which shrink with its size, or else differences of scores."""
    integrates: bool
    """Whether ``steps`` and ``rule`` have an effect."""
    random: bool
    """Whether it draws signs."""


_ESTIMATORS = {
    'exact': Estimator(exact, per_pixel=True, integrates=True, random=False),
    'multiplexed': Estimator(multiplexed, per_pixel=True, integrates=True, random=True),
    'endpoint': Estimator(endpoint, per_pixel=False, integrates=False, random=False),
    'banzhaf': Estimator(banzhaf, per_pixel=False, integrates=False, random=True),
}
ESTIMATORS = tuple(_ESTIMATORS)
"""Names of the estimators."""


def get_estimator(name: str) -> Estimator:
    """Find an estimator by its name.

    Raises:
        ValueError: There is none of this name.

    Examples:
        >>> get_estimator('banzhaf').per_pixel, get_estimator('exact').per_pixel
        (False, True)
    """
    if name not in _ESTIMATORS:
        raise ValueError(f'unknown estimator {name!r}; choose one of {", ".join(ESTIMATORS)}')
    return _ESTIMATORS[name]


def estimate(
    scorer: Scorer, image: Tensor, regions: LabelRegions, estimator: str, baseline: str | Tensor, effort: Effort
) -> Tensor:
    """Attribute a batch of images without a trace in the scorer.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, C, H, W).
        image (Tensor): Images (B, C', H, W).
        regions (LabelRegions): Their regions.
        estimator (str): One of ``ESTIMATORS``.
        baseline (str | Tensor): See :func:`~mmfusion.attribution.baseline.make_baseline`.
        effort (Effort): How much to look at.

    Returns:
        Tensor: (B, C), at least 0, without gradient.
    """
    with isolated(scorer, image.device):
        # A copy: tensors made under inference_mode cannot take part in autograd.
        end = image.detach().clone().to(torch.promote_types(image.dtype, torch.float32))
        start = make_baseline(end, baseline).detach()
        (means,) = get_estimator(estimator).compute(scorer, start, end, regions, effort, [end.shape[1]])
    return means.clamp(min=0)


def estimate_jointly(
    scorer: PairScorer,
    ir: Tensor,
    vi: Tensor,
    regions: LabelRegions,
    estimator: str,
    baseline: str | Tensor,
    effort: Effort,
) -> Tensor:
    """Attribute both sources of a batch in a network that reads them together, without a trace in it.

    Args:
        scorer (Callable): Infrared (N, 1, H, W) and visible (N, C', H, W) images to scores (N, C, H, W).
        ir (Tensor): Infrared images (B, 1, H, W).
        vi (Tensor): Visible images (B, C', H, W).
        regions (LabelRegions): Their regions.
        estimator (str): One of ``ESTIMATORS``.
        baseline (str | Tensor): See :func:`~mmfusion.attribution.baseline.make_baseline`.
        effort (Effort): How much to look at.

    Returns:
        Tensor: (2, B, C), infrared and visible, of either sign, without gradient.
    """
    with isolated(scorer, ir.device):
        dtype = torch.promote_types(ir.dtype, torch.float32)
        sources = [source.detach().clone().to(dtype) for source in (ir, vi)]
        # Each source by itself: the mean of a source is not that of both.
        start = torch.cat([make_baseline(source, baseline) for source in sources], dim=1).detach()
        groups = [source.shape[1] for source in sources]

        def stacked(images: Tensor) -> Tensor:
            return scorer(*images.split(groups, dim=1))

        return get_estimator(estimator).compute(stacked, start, torch.cat(sources, dim=1), regions, effort, groups)


__all__ = ['ESTIMATORS', 'Effort', 'Estimator', 'estimate', 'estimate_jointly', 'get_estimator']
