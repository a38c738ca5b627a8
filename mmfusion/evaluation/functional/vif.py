"""Visual information fidelity in the pixel domain."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .common import as_images, centred, gaussian_window, windowed_mean

_SCALES = 4
_NOISE = 2.0  # variance of the eye's noise, squared grey levels
_EPSILON = 1e-10
_SMALLEST = 41  # after three halvings a 3x3 window must still fit


def visual_information_fidelity(image: Tensor, reference: Tensor) -> Tensor:
    """Visual information fidelity (VIF) in the pixel domain over four scales.

    Sheikh, Bovik, "Image information and visual quality", IEEE Trans. Image Process. 15(2), 2006, in the pixel-domain
    form that its authors published: local gain and noise from Gaussian windows of 17, 9, 5 and 3 pixels (sigma a fifth
    of the size), the image filtered by the window and halved before every scale but the first, noise of the eye 2.
    ``sum log(1 + g^2 s / (v + 2)) / sum log(1 + s / 2)`` with the local variance s of the reference, the gain g from
    reference to image and the variance v that the gain leaves unexplained. Not symmetric.

    Args:
        image (Tensor): (B, 1, H, W) in 0..255.
        reference (Tensor): The same.

    Returns:
        Tensor: (B,) float64, at least 0; 1 for identical images, above 1 where the image has more contrast. A reference
        without any structure holds no information that could be lost: 1 by definition, whatever the image.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: An image is smaller than 41x41 pixels, or see :func:`as_images`.

    Example:
        >>> image = torch.arange(48.).mul(5).expand(1, 1, 48, 48)
        >>> visual_information_fidelity(image, image).round(decimals=6)
        tensor([1.], dtype=torch.float64)
    """
    image, reference = as_images(image=image, reference=reference)
    if min(image.shape[2:]) < _SMALLEST:
        raise ValueError(
            f'VIF over four scales needs images of at least {_SMALLEST}x{_SMALLEST} pixels, but got '
            f'{tuple(image.shape[2:])}; use larger images or leave the metric out'
        )
    # Only variances enter. Taking the mean out first keeps float64 from inventing them in flat images.
    image, reference = centred(image), centred(reference)
    kept = torch.zeros(len(image), dtype=image.dtype, device=image.device)
    available = torch.zeros_like(kept)
    for scale in range(_SCALES):
        size = 2 ** (_SCALES - scale) + 1
        window = gaussian_window(size, size / 5)
        if scale:
            image = windowed_mean(image, window)[..., ::2, ::2]
            reference = windowed_mean(reference, window)[..., ::2, ::2]
        kept_here, available_here = _information(image, reference, window)
        kept = kept + kept_here
        available = available + available_here
    something = available > 0
    return torch.where(
        something, kept / available.where(something, torch.ones_like(available)), torch.ones_like(available)
    )


def _information(image: Tensor, reference: Tensor, window: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Information of the reference that the image kept, and all of it, at one scale; (B,) each."""
    mean_x, mean_y = windowed_mean(reference, window), windowed_mean(image, window)
    variance = (windowed_mean(reference.square(), window) - mean_x.square()).clamp(min=0)
    variance_image = (windowed_mean(image.square(), window) - mean_y.square()).clamp(min=0)
    covariance = windowed_mean(reference * image, window) - mean_x * mean_y

    gain = covariance / (variance + _EPSILON)
    noise = variance_image - gain * covariance
    # Without structure in the reference, or with a negative gain, all of the image is noise.
    nothing_there = variance < _EPSILON
    gain = gain.masked_fill(nothing_there, 0.0)
    noise = noise.where(~nothing_there, variance_image)
    variance = variance.masked_fill(nothing_there, 0.0)
    # Without structure in the image nothing came through at all.
    nothing_left = variance_image < _EPSILON
    gain = gain.masked_fill(nothing_left, 0.0)
    noise = noise.masked_fill(nothing_left, 0.0)
    negative = gain < 0
    noise = noise.where(~negative, variance_image)
    gain = gain.masked_fill(negative, 0.0)
    noise = noise.clamp(min=_EPSILON)

    kept = torch.log1p(gain.square() * variance / (noise + _NOISE)).sum(dim=(1, 2, 3))
    available = torch.log1p(variance / _NOISE).sum(dim=(1, 2, 3))
    return kept, available


def fusion_visual_information_fidelity(fused: Tensor, ir: Tensor, vi: Tensor) -> Tensor:
    """VIF of the fused image with the infrared image as reference plus VIF with the visible image as reference.

    VIF itself knows one reference; the sum over both sources is what the fusion literature reports under this name. The
    usual evaluator computes the same from values rounded to integers. (VIFF of Han et al. 2013 is another measure.)

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.

    Returns:
        Tensor: (B,) float64, at least 0; 2 for three identical images.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`visual_information_fidelity`.

    Example:
        >>> image = torch.arange(48.).mul(5).expand(1, 1, 48, 48)
        >>> fusion_visual_information_fidelity(image, image, image).round(decimals=6)
        tensor([2.], dtype=torch.float64)
    """
    return visual_information_fidelity(fused, ir) + visual_information_fidelity(fused, vi)
