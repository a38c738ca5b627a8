"""From the evidence in two sources to the share of one, for attributions at hand; see :class:`Evidence`."""

import torch
from torch import Tensor

from .attribution import Attribution, Evidence
from .label_regions import LabelRegions


def evidence_prior(
    labels: Tensor,
    num_classes: int,
    *,
    estimator: str = Attribution.estimator,
    smoothing: float = Attribution.smoothing,
    region: str = Attribution.region,
    ignore_index: int = Attribution.ignore_index,
) -> Tensor:
    """Smoothing in units of the attributions.

    Args:
        labels (Tensor): Class ids (B, H, W), integer.
        num_classes (int): Number of classes C.
        estimator (str): What the attributions come from; tells their scale.
        smoothing (float): In units of the score, at least 0.
        region (str): 'sample' or 'batch', as the attributions.
        ignore_index (int): Label of pixels that belong to no region, as any id that no class has.

    Returns:
        Tensor: (B, C), float32: the smoothing itself for differences of scores, divided by the size of the region for
        means over its pixels.

    Raises:
        ValueError: Negative smoothing.

    Examples:
        >>> labels = torch.zeros(1, 2, 2, dtype=torch.long)
        >>> evidence_prior(labels, 1, estimator='exact', smoothing=0.4)
        tensor([[0.1000]])
        >>> evidence_prior(labels, 1, estimator='banzhaf', smoothing=0.4)
        tensor([[0.4000]])
    """
    options = Attribution(estimator=estimator, smoothing=smoothing, region=region, ignore_index=ignore_index)
    regions = LabelRegions.from_labels(labels, num_classes, ignore_index, pooled=region == 'batch', check=False)
    none = torch.zeros_like(regions.inverse[:, :-1])
    return Evidence(regions, none, none, options.scale_of(regions), smoothing).prior


def infrared_share(
    region_ir: Tensor,
    region_vi: Tensor,
    labels: Tensor,
    *,
    estimator: str = Attribution.estimator,
    smoothing: float = Attribution.smoothing,
    eps: float = Attribution.eps,
    region: str = Attribution.region,
    ignore_index: int = Attribution.ignore_index,
) -> Tensor:
    """Share of the infrared image in the evidence for each class.

    For attributions at hand. The defaults are those of :class:`Attribution`, as of every fusion; attributions of
    another estimator have another scale, so name it. :meth:`Attribution.evidence` knows by itself.

    Args:
        region_ir (Tensor): Attributions of the infrared image (B, C), at least 0, of
            :func:`~mmfusion.attribution.region_attribution`.
        region_vi (Tensor): Attributions of the visible image (B, C).
        labels (Tensor): Class ids (B, H, W), integer.
        estimator (str): What the attributions come from; tells their scale.
        smoothing (float): In units of the score, at least 0; see :class:`Evidence`.
        eps (float): Added to both attributions, so that no evidence at all is one half.
        region (str): 'sample' or 'batch', as the attributions.
        ignore_index (int): Label of pixels that belong to no region, as any id that no class has.

    Returns:
        Tensor: (B, C) in [0, 1].

    Raises:
        ValueError: Negative smoothing, or an unknown option.

    Examples:
        A region of four pixels whose evidence is 0.4 in infrared and 0.1 in visible, told per pixel:

        >>> labels = torch.zeros(1, 2, 2, dtype=torch.long)
        >>> a, b = torch.tensor([[0.1]]), torch.tensor([[0.025]])
        >>> infrared_share(a, b, labels, estimator='exact', smoothing=0.05)
        tensor([[0.7500]])
    """
    options = Attribution(estimator=estimator, smoothing=smoothing, eps=eps, region=region, ignore_index=ignore_index)
    regions = LabelRegions.from_labels(
        labels, region_ir.shape[1], ignore_index, pooled=region == 'batch', dtype=region_ir.dtype, check=False
    )
    return Evidence(regions, region_ir, region_vi, options.scale_of(regions), smoothing, eps).share()
