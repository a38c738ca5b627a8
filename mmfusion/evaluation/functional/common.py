"""What every fusion metric needs: the check of its images, the correlation of two, a windowed mean."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))

FLAT = 1e-8
"""Grey levels of standard deviation below which an image counts as constant: far above the rounding error of float64
on 0..255, far below anything a camera or an 8-bit file can hold."""


def as_images(**images: Tensor) -> tuple[Tensor, ...]:
    """Check images that belong together and bring them to float64.

    Args:
        **images (Tensor): Name to image, each (B, 1, H, W) of any real dtype, in 0..255. The names are for messages.

    Returns:
        tuple[Tensor, ...]: The images in the order given, (B, 1, H, W) float64.

    Raises:
        TypeError: An image is not a tensor, or is bool or complex.
        ValueError: An image is not (B, 1, H, W), is smaller than 2x2, has another shape or device than the first, holds
            NaN or infinity, or lies outside 0..255 by more than half a grey level.

    Example:
        >>> image, = as_images(image=torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
        >>> image.dtype
        torch.float64
    """
    first_name, first = next(iter(images.items()))
    checked = []
    for name, image in images.items():
        _check_type(name, image)
        _check_shape(name, image)
        _check_partner(name, image, first_name, first)
        checked.append(image.double())
        _check_values(name, checked[-1])
    return tuple(checked)


def _check_type(name: str, image: Tensor) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(
            f'{name} must be a torch.Tensor, but is {type(image).__name__}; '
            'use torch.from_numpy(array)[None, None] for a grey array'
        )
    if image.dtype == torch.bool or image.is_complex():
        raise TypeError(f'{name} must hold grey values, but its dtype is {image.dtype}; convert it to float or uint8')


def _check_shape(name: str, image: Tensor) -> None:
    if image.ndim != 4 or image.shape[1] != 1:
        raise ValueError(
            f'{name} must have the shape (B, 1, H, W), but has {tuple(image.shape)}; convert colour '
            'to luminance and add the missing dimensions'
        )
    if image.shape[0] < 1 or min(image.shape[2:]) < 2:
        raise ValueError(f'{name} must hold at least one image of 2x2 pixels, but has the shape {tuple(image.shape)}')


def _check_partner(name: str, image: Tensor, first_name: str, first: Tensor) -> None:
    """Refuse what cannot be compared with the first image."""
    if image.shape != first.shape:
        raise ValueError(
            f'{name} has the shape {tuple(image.shape)}, but {first_name} has {tuple(first.shape)}; '
            'resize or crop them to one shape'
        )
    if image.device != first.device:
        raise ValueError(f'{name} is on {image.device}, but {first_name} is on {first.device}; move them to one device')


def _check_values(name: str, image: Tensor) -> None:
    low, high = (bound.item() for bound in image.aminmax())
    # aminmax hands a NaN on, and no comparison with NaN is true.
    if low >= -0.5 and high <= 255.5:
        return
    if not image.isfinite().all():
        raise ValueError(f'{name} holds NaN or infinite values; fusion metrics are not defined on them')
    raise ValueError(f'{name} must be in 0..255, but spans {low:g}..{high:g}; scale it to 8-bit grey levels')


def sobel(image: Tensor, padding: str) -> tuple[Tensor, Tensor]:
    """Sobel's differences of every pixel, eight times the gradient in grey levels per pixel.

    Args:
        image (Tensor): (B, 1, H, W).
        padding (str): What lies beyond the border, as :func:`torch.nn.functional.pad` calls it; 'constant' is zero.

    Returns:
        tuple[Tensor, Tensor]: To the right and downwards, (B, 1, H, W) each.

    Example:
        >>> right, down = sobel(torch.arange(5.0).expand(1, 1, 4, 5), 'replicate')
        >>> right[0, 0, 0].tolist(), down.abs().max().item()
        ([4.0, 8.0, 8.0, 8.0, 4.0], 0.0)
    """
    kernel = torch.tensor(_SOBEL, dtype=image.dtype, device=image.device)
    padded = F.pad(image, (1, 1, 1, 1), mode=padding)
    right, down = F.conv2d(padded, torch.stack((kernel, kernel.T))[:, None]).split(1, dim=1)
    return right, down


def preserved(value: Tensor, constants: tuple[float, float, float]) -> Tensor:
    """The sigmoid by which edge measures tell what is kept from what is not.

    Args:
        value (Tensor): Of any shape, a ratio or an agreement in [0, 1].
        constants (tuple[float, float, float]): Gain, slope (negative) and centre.

    Returns:
        Tensor: Of that shape.

    Example:
        >>> preserved(torch.tensor([0.0, 0.5, 1.0]), (1.0, -20.0, 0.5)).round(decimals=3).tolist()
        [0.0, 0.5, 1.0]
    """
    gain, slope, centre = constants
    return gain / (1 + torch.exp(slope * (value - centre)))


def stretched(image: Tensor) -> Tensor:
    """Every image over the whole grey range, in whole levels, as some evaluators have it; a constant one becomes black.

    Args:
        image (Tensor): (B, 1, H, W) in grey levels.

    Returns:
        Tensor: (B, 1, H, W) of whole numbers in 0..255.

    Example:
        >>> stretched(torch.tensor([[[[10., 20.], [30., 60.]]]])).tolist()
        [[[[0.0, 51.0], [102.0, 255.0]]]]
    """
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    span = torch.where(high > low, high - low, torch.ones_like(high))
    return ((image - low) / span * 255).round()


def centred(image: Tensor) -> Tensor:
    """Subtract the mean of each image; an image that is constant up to rounding error becomes exactly zero.

    Args:
        image (Tensor): (B, 1, H, W) in grey levels.

    Returns:
        Tensor: (B, 1, H, W).

    Example:
        >>> centred(torch.tensor([[[[10., 20.], [30., 40.]]]])).tolist()
        [[[[-15.0, -5.0], [5.0, 15.0]]]]
        >>> centred(torch.full((1, 1, 2, 2), 0.1, dtype=torch.float64)).abs().max().item()
        0.0
    """
    rest = image - image.mean(dim=(1, 2, 3), keepdim=True)
    flat = rest.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() < FLAT
    return rest.masked_fill(flat, 0.0)


def pearson(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's correlation of two images, image by image.

    The correlation with a constant image is undefined (0/0) and has no limit; it is taken as 0, "no linear relation".

    Args:
        first (Tensor): (B, 1, H, W) in grey levels, differences of images included.
        second (Tensor): The same.

    Returns:
        Tensor: (B,) in [-1, 1].

    Example:
        >>> ramp = torch.arange(16, dtype=torch.float64).view(1, 1, 4, 4)
        >>> pearson(ramp, 100 - 2 * ramp)
        tensor([-1.], dtype=torch.float64)
    """
    first, second = centred(first), centred(second)
    product = (first * second).sum(dim=(1, 2, 3))
    norm = (first.square().sum(dim=(1, 2, 3)) * second.square().sum(dim=(1, 2, 3))).sqrt()
    return torch.where(norm > 0, product / norm.where(norm > 0, torch.ones_like(norm)), torch.zeros_like(norm))


def gaussian_window(size: int, sigma: float) -> tuple[float, ...]:
    """One axis of a Gaussian window of weight 1; the two-dimensional window is its outer product with itself.

    Args:
        size (int): Number of pixels, odd.
        sigma (float): Standard deviation in pixels.

    Returns:
        tuple[float, ...]: ``size`` weights.

    Example:
        >>> [round(weight, 3) for weight in gaussian_window(5, 1.0)]
        [0.054, 0.244, 0.403, 0.244, 0.054]
    """
    weights = [math.exp(-((position - (size - 1) / 2) ** 2) / (2 * sigma**2)) for position in range(size)]
    return tuple(weight / sum(weights) for weight in weights)


def windowed_mean(image: Tensor, window: Sequence[float]) -> Tensor:
    """Weighted mean in every window that lies wholly inside the image.

    Args:
        image (Tensor): (B, 1, H, W).
        window (Sequence[float]): n weights, one axis of the separable, symmetric window.

    Returns:
        Tensor: (B, 1, H - n + 1, W - n + 1).

    Example:
        >>> image = torch.arange(16, dtype=torch.float64).view(1, 1, 4, 4)
        >>> windowed_mean(image, (0.25, 0.5, 0.25)).tolist()
        [[[[5.0, 6.0], [9.0, 10.0]]]]
    """
    # A weighted sum of shifted views: six times as fast as torch's convolution, which has no fast float64 on a CPU.
    for axis in (2, 3):
        length = image.shape[axis] - len(window) + 1
        total = image.narrow(axis, 0, length) * window[0]
        for shift, weight in enumerate(window[1:], start=1):
            total.add_(image.narrow(axis, shift, length), alpha=weight)
        image = total
    return image
