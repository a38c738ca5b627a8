"""Squares of pixels as channels and back: features at a part of the resolution that lose nothing."""

import torch
import torch.nn.functional as F
from torch import Tensor


def fold(image: Tensor, scale: int) -> Tensor:
    """Pixels of a square as channels: nothing is lost, and what follows works on fewer places.

    Args:
        image (Tensor): (B, C, H, W), sides divisible by ``scale``.
        scale (int): Side of a square in pixels.

    Returns:
        Tensor: (B, C * scale^2, H / scale, W / scale).

    Examples:
        >>> fold(torch.arange(4.0).view(1, 1, 2, 2), 2).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    return image if scale == 1 else F.pixel_unshuffle(image, scale)


def unfold(image: Tensor, scale: int) -> Tensor:
    """The inverse of :func:`fold`.

    Args:
        image (Tensor): (B, C * scale^2, H, W).
        scale (int): Side of a square in pixels.

    Returns:
        Tensor: (B, C, H * scale, W * scale).

    Examples:
        >>> image = torch.rand(1, 1, 4, 6)
        >>> torch.equal(unfold(fold(image, 2), 2), image)
        True
    """
    return image if scale == 1 else F.pixel_shuffle(image, scale)


def blend(image: Tensor, scale: int) -> Tensor:
    """Take the grid of squares out of an image that was put together from them.

    Each pixel of a square has filters of its own, and a network trained for a short time makes some of them brighter
    than others: a grid with the period of the squares. A triangle of ``2 * scale - 1`` pixels, which is what linear
    interpolation convolves with, has its zeros at that period and its harmonics, so that whatever repeats from square
    to square vanishes.

    Args:
        image (Tensor): (B, 1, H, W), sides at least ``scale``.
        scale (int): Side of a square in pixels.

    Returns:
        Tensor: (B, 1, H, W); with a scale of 1 the image itself.

    Examples:
        >>> grid = torch.tensor([[0.0, 8.0], [0.0, 0.0]]).repeat(3, 4)[None, None]
        >>> blend(grid, 2).unique().tolist()
        [2.0]
    """
    if scale == 1:
        return image
    ramp = torch.arange(1, 2 * scale, device=image.device, dtype=image.dtype)
    triangle = torch.minimum(ramp, 2 * scale - ramp) / scale**2
    padded = F.pad(image, (scale - 1,) * 4, mode='reflect')
    return F.conv2d(F.conv2d(padded, triangle.view(1, 1, -1, 1)), triangle.view(1, 1, 1, -1))
