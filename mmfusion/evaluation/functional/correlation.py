"""Metrics from Pearson's correlation: CC and SCD."""

from torch import Tensor

from .common import as_images, pearson


def correlation_coefficient(fused: Tensor, ir: Tensor, vi: Tensor) -> Tensor:
    """Correlation coefficient (CC) of the fused image with the two sources, averaged.

    ``(r(F, IR) + r(F, VI)) / 2`` with Pearson's r over all pixels, as in the survey of Ma, Ma, Li, "Infrared and
    visible image fusion methods and applications", Information Fusion 45, 2019. The usual evaluator computes the same
    from values rounded to integers.

    A constant image has no correlation (0/0, no limit): its term counts as 0, where the evaluator gives NaN.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.

    Returns:
        Tensor: (B,) float64 in [-1, 1].

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> import torch
        >>> ir = torch.arange(16.).view(1, 1, 4, 4)
        >>> correlation_coefficient(ir, ir, 255 - ir)
        tensor([0.], dtype=torch.float64)
    """
    fused, ir, vi = as_images(fused=fused, ir=ir, vi=vi)
    return (pearson(fused, ir) + pearson(fused, vi)) / 2


def sum_of_correlations_of_differences(fused: Tensor, ir: Tensor, vi: Tensor) -> Tensor:
    """Sum of the correlations of differences (SCD): is what fusion added to one source found in the other?

    Aslantas, Bendes, "A new image quality metric for image fusion: the sum of the correlations of differences",
    AEU 69(12), 2015: ``r(F - VI, IR) + r(F - IR, VI)``. The usual evaluator computes the same from values rounded to
    integers. A constant image or difference has no correlation (0/0): its term counts as 0, where the evaluator gives
    NaN. So a fused image that copies one source has the term of the other difference only.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.

    Returns:
        Tensor: (B,) float64 in [-2, 2].

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> import torch
        >>> ir = torch.arange(16.).view(1, 1, 4, 4)
        >>> sum_of_correlations_of_differences(ir + ir.mT, ir, ir.mT)
        tensor([2.], dtype=torch.float64)
    """
    fused, ir, vi = as_images(fused=fused, ir=ir, vi=vi)
    return pearson(fused - vi, ir) + pearson(fused - ir, vi)
