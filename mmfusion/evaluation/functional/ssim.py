"""Structural similarity of the fused image to the sources."""

from torch import Tensor

from .common import as_images, gaussian_window, windowed_mean

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WINDOW_SIZES = {'gaussian': 11, 'uniform': 7}


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

    mean_x, mean_y = windowed_mean(image, weights), windowed_mean(reference, weights)
    variance_x = unbiased * (windowed_mean(image.square(), weights) - mean_x.square())
    variance_y = unbiased * (windowed_mean(reference.square(), weights) - mean_y.square())
    covariance = unbiased * (windowed_mean(image * reference, weights) - mean_x * mean_y)
    similarity = (
        (2 * mean_x * mean_y + _C1)
        * (2 * covariance + _C2)
        / ((mean_x.square() + mean_y.square() + _C1) * (variance_x + variance_y + _C2))
    )
    return similarity.mean(dim=(1, 2, 3))


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
