"""From the evidence in two sources to the share of one."""
import torch
from torch import Tensor

# Differences of scores; the others are means over the pixels of a region.
_WHOLE = ('endpoint', 'banzhaf')


def infrared_share(region_ir: Tensor,
                   region_vi: Tensor,
                   labels: Tensor,
                   *,
                   estimator: str = 'exact',
                   smoothing: float = 0.075,
                   eps: float = 1e-8,
                   region: str = 'sample',
                   ignore_index: int = 255) -> Tensor:
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
    if not smoothing >= 0:
        raise ValueError(f'smoothing must not be negative, got {smoothing}')
    prior = eps
    if estimator in _WHOLE:
        prior = prior + smoothing
    elif smoothing:
        classes = region_ir.shape[1]
        index = labels.long().masked_fill((labels == ignore_index) | (labels < 0) | (labels >= classes), classes)
        sizes = torch.zeros(len(labels), classes + 1, dtype=region_ir.dtype, device=labels.device)
        sizes.scatter_add_(1, index.flatten(1), torch.ones_like(index, dtype=sizes.dtype).flatten(1))
        if region == 'batch':
            sizes = sizes.sum(0, keepdim=True)
        prior = prior + smoothing / sizes[:, :-1].clamp(min=1)
    return (region_ir + prior) / (region_ir + region_vi + 2 * prior)
