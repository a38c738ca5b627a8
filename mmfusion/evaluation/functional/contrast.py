"""Metrics of the fused image alone: contrast and activity."""

import torch
from torch import Tensor

from .common import as_images, centred

_GRADIENTS = ('forward', 'central')


def standard_deviation(image: Tensor) -> Tensor:
    """Standard deviation (SD) of the grey values over all pixels (divisor H W): overall contrast.

    Used for fusion since Rao, "In-fibre Bragg grating sensors", Meas. Sci. Technol. 8, 1997. The usual evaluator
    computes the same from values rounded to integers.

    Args:
        image (Tensor): (B, 1, H, W) in 0..255.

    Returns:
        Tensor: (B,) float64, grey levels; 0 for a constant image.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> standard_deviation(torch.tensor([[[[0., 0.], [255., 255.]]]]))
        tensor([127.5000], dtype=torch.float64)
    """
    (image,) = as_images(image=image)
    return centred(image).square().mean(dim=(1, 2, 3)).sqrt()


def spatial_frequency(image: Tensor, per_difference: bool = False) -> Tensor:
    """Spatial frequency (SF): root of the squared row frequency plus the squared column frequency.

    Eskicioglu, Fisher, "Image quality measures and their performance", IEEE Trans. Commun. 43(12), 1995: both
    frequencies are root mean squares of neighbour differences whose sum is divided by the number of *pixels* H W. The
    usual evaluator divides by the number of *differences*, H (W - 1) and (H - 1) W, and is a little larger.

    Args:
        image (Tensor): (B, 1, H, W) in 0..255.
        per_difference (bool): Divide by the number of differences, as the evaluator does, instead of pixels.

    Returns:
        Tensor: (B,) float64, grey levels; 0 for a constant image.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> spatial_frequency(torch.tensor([[[[0., 10.], [0., 10.]]]]), per_difference=True)
        tensor([10.], dtype=torch.float64)
    """
    (image,) = as_images(image=image)
    pixels = image[0].numel()
    squares = torch.zeros(len(image), dtype=image.dtype, device=image.device)
    for axis in (2, 3):
        difference = image.diff(dim=axis).square()
        squares = squares + difference.sum(dim=(1, 2, 3)) / (difference[0].numel() if per_difference else pixels)
    return squares.sqrt()


def average_gradient(image: Tensor, gradient: str = 'forward') -> Tensor:
    """Average gradient (AG): mean of ``sqrt((gx^2 + gy^2) / 2)``, the sharpness of an image.

    Cui, Feng, Xu, Li, Chen, "Detail preserved fusion of visible and infrared images using regional saliency extraction
    and multi-scale image decomposition", Opt. Commun. 341, 2015: forward differences, averaged over the
    (H - 1) x (W - 1) pixels that have both. The usual evaluator takes central differences inside and one-sided ones at
    the border, averaged over all pixels; on fine texture that is much smaller (a checkerboard of single pixels has
    central differences of zero).

    Args:
        image (Tensor): (B, 1, H, W) in 0..255.
        gradient (str): 'forward' (original) or 'central' (evaluator).

    Returns:
        Tensor: (B,) float64, grey levels per pixel; 0 for a constant image.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The gradient is unknown, or see :func:`as_images`.

    Example:
        >>> ramp = torch.arange(4.).expand(1, 1, 4, 4)
        >>> average_gradient(10 * ramp + 10 * ramp.mT)
        tensor([10.], dtype=torch.float64)
    """
    if gradient not in _GRADIENTS:
        raise ValueError(f'gradient must be one of {_GRADIENTS}, but is {gradient!r}')
    (image,) = as_images(image=image)
    if gradient == 'forward':
        gy, gx = image.diff(dim=2)[..., :-1], image.diff(dim=3)[..., :-1, :]
    else:
        gy, gx = torch.gradient(image, dim=(2, 3))
    return ((gx.square() + gy.square()) / 2).sqrt().mean(dim=(1, 2, 3))
