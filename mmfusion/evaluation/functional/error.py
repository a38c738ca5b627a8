"""Metrics from squared differences: MSE and PSNR."""

import torch
from torch import Tensor

from .common import as_images

_PEAKS = ('white', 'fused')


def mean_squared_error(fused: Tensor, ir: Tensor, vi: Tensor) -> Tensor:
    """Mean squared error (MSE) of the fused image against the two sources, averaged.

    ``(mse(F, IR) + mse(F, VI)) / 2`` on the 0..255 scale, as in the survey of Ma, Ma, Li, Information Fusion 45, 2019.
    The usual evaluator computes the same from values rounded to integers. (Some papers divide the images by 255 first.)

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.

    Returns:
        Tensor: (B,) float64, squared grey levels.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> black = torch.zeros(1, 1, 4, 4)
        >>> mean_squared_error(black + 10, black, black + 20)
        tensor([100.], dtype=torch.float64)
    """
    fused, ir, vi = as_images(fused=fused, ir=ir, vi=vi)
    return ((fused - ir).square().mean(dim=(1, 2, 3)) + (fused - vi).square().mean(dim=(1, 2, 3))) / 2


def peak_signal_to_noise_ratio(fused: Tensor, ir: Tensor, vi: Tensor, peak: str = 'white') -> Tensor:
    """Peak signal-to-noise ratio (PSNR): ``10 log10(peak^2 / MSE)`` with :func:`mean_squared_error`.

    The peak of the definition is the largest value that the signal *can* take, 255. The usual evaluator (and the survey
    of Ma, Ma, Li, Information Fusion 45, 2019) takes the largest value that occurs in the fused image, so that a darker
    image of the same error scores lower.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.
        peak (str): 'white' for 255 (original) or 'fused' for the maximum of the fused image (evaluator).

    Returns:
        Tensor: (B,) float64, decibels. Infinite when the error is zero; minus infinity for a black fused image with an
        error under ``peak='fused'``.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The peak is unknown, or see :func:`as_images`.

    Example:
        >>> black = torch.zeros(1, 1, 4, 4)
        >>> peak_signal_to_noise_ratio(black + 25.5, black, black)
        tensor([20.], dtype=torch.float64)
    """
    if peak not in _PEAKS:
        raise ValueError(f'peak must be one of {_PEAKS}, but is {peak!r}')
    fused, ir, vi = as_images(fused=fused, ir=ir, vi=vi)
    error = mean_squared_error(fused, ir, vi)
    top = fused.amax(dim=(1, 2, 3)) if peak == 'fused' else torch.full_like(error, 255.0)
    # Without an error the ratio is infinite whatever the peak, also for three black images.
    return torch.where(error > 0, 10 * torch.log10(top.square() / error), torch.full_like(error, torch.inf))
