"""Structural similarity of the fused image to the sources."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .common import as_images, gaussian_window, windowed_mean

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WINDOW_SIZES = {'gaussian': 11, 'uniform': 7}
# Of the five scales, from the finest; the smallest image still holds one window at the coarsest.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST = 11 * 2 ** (len(_SCALES) - 1)


def structural_similarity(image: Tensor, reference: Tensor, window: str = 'gaussian') -> Tensor:
    """Mean structural similarity (SSIM) of two images, data range 255.

    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE
    Trans. Image Process. 13(4), 2004, equation 13 with K1 = 0.01 and K2 = 0.03, averaged over all windows that lie
    wholly inside the image.

    Args:
        image (Tensor): (B, 1, H, W) in 0..255.
        reference (Tensor): The same; SSIM is symmetric.
        window (str): 'gaussian' is the paper's 11x11 window of sigma 1.5; 'uniform' is the evaluator's 7x7 mean with
            variances of the sample (divisor 48 instead of 49).

    Returns:
        Tensor: (B,) float64 in [-1, 1]; 1 for identical images, constant ones included.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The window is unknown, an image is smaller than the window, or see :func:`as_images`.

    Example:
        >>> import torch
        >>> grey = torch.full((1, 1, 16, 16), 100.)
        >>> structural_similarity(grey, grey)
        tensor([1.], dtype=torch.float64)
    """
    if window not in _WINDOW_SIZES:
        raise ValueError(f'window must be one of {sorted(_WINDOW_SIZES)}, but is {window!r}')
    image, reference = as_images(image=image, reference=reference)
    size = _WINDOW_SIZES[window]
    if min(image.shape[2:]) < size:
        raise ValueError(
            f'SSIM with a {window} window needs images of at least {size}x{size} pixels, but got '
            f'{tuple(image.shape[2:])}; use larger images or leave the metric out'
        )
    if window == 'gaussian':
        weights, unbiased = gaussian_window(size, 1.5), 1.0
    else:
        weights = (1 / size,) * size
        unbiased = size**2 / (size**2 - 1)

    level, structure = _similarities(image, reference, weights, unbiased)
    return (level * structure).mean(dim=(1, 2, 3))


def _similarities(image: Tensor, reference: Tensor, weights: Sequence[float], unbiased: float) -> tuple[Tensor, Tensor]:
    """The two factors in every window: of the means; of contrast and structure."""
    mean_x, mean_y = windowed_mean(image, weights), windowed_mean(reference, weights)
    variance_x = unbiased * (windowed_mean(image.square(), weights) - mean_x.square())
    variance_y = unbiased * (windowed_mean(reference.square(), weights) - mean_y.square())
    covariance = unbiased * (windowed_mean(image * reference, weights) - mean_x * mean_y)
    level = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    return level, (2 * covariance + _C2) / (variance_x + variance_y + _C2)


def fusion_structural_similarity(fused: Tensor, ir: Tensor, vi: Tensor, window: str = 'gaussian') -> Tensor:
    """SSIM of the fused image to the infrared plus SSIM to the visible image.

    SSIM itself compares two images; the fusion literature *sums* over the sources (survey of Ma, Ma, Li, Information
    Fusion 45, 2019), and so do both conventions here: the best possible figure is 2. They differ by the window, see
    :func:`structural_similarity`.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.
        window (str): 'gaussian' (original) or 'uniform' (evaluator).

    Returns:
        Tensor: (B,) float64 in [-2, 2].

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`structural_similarity`.

    Example:
        >>> import torch
        >>> grey = torch.full((1, 1, 16, 16), 100.)
        >>> fusion_structural_similarity(grey, grey, grey)
        tensor([2.], dtype=torch.float64)
    """
    return structural_similarity(fused, ir, window) + structural_similarity(fused, vi, window)


def multiscale_structural_similarity(image: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity over five scales (MS-SSIM) of two images, data range 255.

    Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003: the
    product over scales of the mean of contrast and structure, at the coarsest scale of the means as well, to the powers
    .0448, .2856, .3001, .2363, .1333; 11x11 Gaussian window, scales halved by means of 2x2 pixels.

    Args:
        image (Tensor): (B, 1, H, W) in 0..255.
        reference (Tensor): The same; the measure is symmetric.

    Returns:
        Tensor: (B,) float64 in [0, 1]; 1 for identical images. A scale at which the images are opposite counts as 0,
        since a negative number has no such power.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: An image is smaller than 176x176 pixels, or see :func:`as_images`.

    Example:
        >>> import torch
        >>> ramp = torch.arange(176.).expand(1, 1, 176, 176)
        >>> multiscale_structural_similarity(ramp, ramp), multiscale_structural_similarity(ramp, 255 - ramp)
        (tensor([1.], dtype=torch.float64), tensor([0.], dtype=torch.float64))
    """
    image, reference = as_images(image=image, reference=reference)
    if min(image.shape[2:]) < _SMALLEST:
        raise ValueError(
            f'MS-SSIM over {len(_SCALES)} scales needs images of at least {_SMALLEST}x{_SMALLEST} pixels, but got '
            f'{tuple(image.shape[2:])}; use larger images or leave the metric out'
        )
    weights = gaussian_window(_WINDOW_SIZES['gaussian'], 1.5)
    product = image.new_ones(len(image))
    for scale, power in enumerate(_SCALES):
        level, structure = _similarities(image, reference, weights, unbiased=1.0)
        if scale == len(_SCALES) - 1:
            structure = level * structure
        product = product * structure.mean(dim=(1, 2, 3)).clamp(min=0).pow(power)
        image, reference = F.avg_pool2d(image, 2), F.avg_pool2d(reference, 2)
    return product


def fusion_multiscale_structural_similarity(fused: Tensor, ir: Tensor, vi: Tensor) -> Tensor:
    """MS-SSIM of the fused image to the infrared and to the visible image, averaged; both conventions are this.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.

    Returns:
        Tensor: (B,) float64 in [0, 1].

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`multiscale_structural_similarity`.

    Example:
        >>> import torch
        >>> ramp = torch.arange(176.).expand(1, 1, 176, 176)
        >>> fusion_multiscale_structural_similarity(ramp, ramp, 255 - ramp)
        tensor([0.5000], dtype=torch.float64)
    """
    return (multiscale_structural_similarity(fused, ir) + multiscale_structural_similarity(fused, vi)) / 2
