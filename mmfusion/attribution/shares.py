"""From the evidence in two sources to the share of one."""

import torch
from torch import Tensor

# Differences of scores; the others are means over the pixels of a region.
_WHOLE = ('endpoint', 'banzhaf')


def evidence_prior(
    labels: Tensor,
    num_classes: int,
    *,
    estimator: str,
    smoothing: float,
    region: str = 'sample',
    ignore_index: int = 255,
) -> Tensor:
    """Smoothing in units of the attributions.

    Args:
        labels (Tensor): Class ids (B, H, W), integer.
        num_classes (int): Number of classes C.
        estimator (str): What the attributions come from; tells their scale.
        smoothing (float): In units of the score, at least 0.
        region (str): 'sample' or 'batch', as the attributions.
        ignore_index (int): Label of pixels that belong to no region.

    Returns:
        Tensor: (B, C), float32: the smoothing itself for differences of scores, divided by the size of the region for
        means over its pixels.

    Raises:
        ValueError: Negative smoothing.
    """
    if not smoothing >= 0:
        raise ValueError(f'smoothing must not be negative, got {smoothing}')
    sizes = torch.ones(len(labels), num_classes + 1, dtype=torch.float64, device=labels.device)
    if estimator not in _WHOLE:
        known = (labels != ignore_index) & (labels >= 0) & (labels < num_classes)
        index = labels.long().masked_fill(~known, num_classes).flatten(1)
        sizes = torch.zeros_like(sizes).scatter_add_(1, index, torch.ones_like(index, dtype=sizes.dtype))
        if region == 'batch':
            sizes = sizes.sum(0, keepdim=True).expand_as(sizes)
    return (smoothing / sizes[:, :-1].clamp(min=1)).float()


def infrared_share(
    region_ir: Tensor,
    region_vi: Tensor,
    labels: Tensor,
    *,
    estimator: str = 'exact',
    smoothing: float = 0.075,
    eps: float = 1e-8,
    region: str = 'sample',
    ignore_index: int = 255,
) -> Tensor:
    r"""Share of the infrared image in the evidence for each class.

    .. math:: \frac{E_I + \kappa}{E_I + E_V + 2 \kappa}

    with the evidence :math:`E` of a whole region in units of the score, which for probabilities is at most about one,
    and the smoothing :math:`\kappa` as evidence that each source is credited with in advance. Where both sources hold
    next to nothing (a background that the segmentor assumes anyway), the plain ratio is that of two rounding errors;
    smoothing leaves it at one half. With :math:`\kappa = 0` it is the ratio of UAAFusion (arXiv 2502.01467).

    Args:
        region_ir (Tensor): Attributions of the infrared image (B, C), at least 0, of
            :func:`~mmfusion.attribution.region_attribution`.
        region_vi (Tensor): Attributions of the visible image (B, C).
        labels (Tensor): Class ids (B, H, W), integer.
        estimator (str): What the attributions come from; tells their scale.
        smoothing (float): :math:`\kappa`, in units of the score, at least 0.
        eps (float): Added to both attributions, so that no evidence at all is one half.
        region (str): 'sample' or 'batch', as the attributions.
        ignore_index (int): Label of pixels that belong to no region.

    Returns:
        Tensor: (B, C) in [0, 1].

    Raises:
        ValueError: Negative smoothing.

    Examples:
        A region of four pixels whose evidence is 0.4 in infrared and 0.1 in visible:

        >>> labels = torch.zeros(1, 2, 2, dtype=torch.long)
        >>> a, b = torch.tensor([[0.1]]), torch.tensor([[0.025]])
        >>> infrared_share(a, b, labels, smoothing=0), infrared_share(a, b, labels, smoothing=0.05)
        (tensor([[0.8000]]), tensor([[0.7500]]))
    """
    prior = eps + evidence_prior(
        labels, region_ir.shape[1], estimator=estimator, smoothing=smoothing, region=region, ignore_index=ignore_index
    ).to(region_ir)
    return (region_ir + prior) / (region_ir + region_vi + 2 * prior)
