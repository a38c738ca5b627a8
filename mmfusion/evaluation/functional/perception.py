"""Metrics modelled on the contrast sensitivity of the eye: Chen and Blum's, Chen and Varshney's."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .common import as_images, sobel, stretched

_BLOCK = 16
_SALIENCE = 5  # Power of the edge strength that makes a block salient.
_PADDING = {'original': 'replicate', 'evaluator': 'constant'}


def _prepared(convention: str, **images: Tensor) -> tuple[Tensor, ...]:
    if convention not in _PADDING:
        raise ValueError(f'convention must be one of {sorted(_PADDING)}, but is {convention!r}')
    checked = as_images(**images)
    return tuple(stretched(image) for image in checked) if convention == 'evaluator' else checked


def _filtered(image: Tensor, sensitivity: Callable[[Tensor], Tensor]) -> Tensor:
    """The image as an eye of that sensitivity to cycles per image sees it."""
    height, width = image.shape[2:]
    down = torch.fft.fftfreq(height, dtype=image.dtype, device=image.device) * height
    right = torch.fft.fftfreq(width, dtype=image.dtype, device=image.device) * width
    gain = sensitivity((down[:, None].square() + right.square()).sqrt())
    return torch.fft.ifft2(torch.fft.fft2(image) * gain).real


def _ratio(first: Tensor, second: Tensor, otherwise: float) -> Tensor:
    """A quotient, and what it is where both are zero."""
    return torch.where(second != 0, first / second.where(second != 0, torch.ones_like(second)), otherwise)


# Chen, Blum ----------------------------------------------------------------------------------------------------------
def _blurred(image: Tensor, sigma: float) -> Tensor:
    offsets = torch.arange(-15.0, 16.0, dtype=image.dtype, device=image.device)
    window = torch.exp(-offsets.square() / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
    image = F.conv2d(image, window.view(1, 1, -1, 1), padding=(15, 0))
    return F.conv2d(image, window.view(1, 1, 1, -1), padding=(0, 15))


def _gaussian(frequency: Tensor, width: float) -> Tensor:
    return torch.exp(-((frequency / width) ** 2))


def _seen_contrast(image: Tensor) -> Tensor:
    """Local contrast, masked: of the image as the eye sees it, what a narrow blur leaves over a wide one."""
    # Sensitivity by the difference of two Gaussians, at fifteen cycles per image for one per degree.
    seen = _filtered(
        image, lambda r: torch.exp(-((r / 15 / 15.3870) ** 2)) - 0.7622 * torch.exp(-((r / 15 / 1.3456) ** 2))
    )
    wide = _blurred(seen, 4)
    contrast = (_ratio(_blurred(seen, 2), wide, 1.0) - 1).abs()
    return contrast**3 / (contrast**2 + 0.0001)


def contrast_preservation(fused: Tensor, ir: Tensor, vi: Tensor, convention: str = 'original') -> Tensor:
    """Preservation of perceived contrast (Qcb, Chen-Blum).

    Chen, Blum, "A new automated quality assessment algorithm for image fusion", Image and Vision Computing 27(10),
    2009: local contrast of the images as the eye sees them, the smaller over the larger of fused image and source,
    averaged over pixels and sources with the square of the source's contrast as weight. Constants are those of the
    field's toolbox (Liu et al., "Objective assessment of multiresolution image fusion algorithms for context
    enhancement in night vision", IEEE TPAMI 34(1), 2012).

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.
        convention (str): 'evaluator' brings every image to the whole range 0..255 first, as that toolbox does;
            'original' takes the levels as they are.

    Returns:
        Tensor: (B,) float64 in [0, 1]; 1 for three identical images. Where no image has contrast, none is lost.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The convention is unknown, or see :func:`as_images`.

    Example:
        >>> image = torch.arange(48.).mul(5).expand(1, 1, 48, 48)
        >>> contrast_preservation(image, image, image).round(decimals=6)
        tensor([1.], dtype=torch.float64)
    """
    seen_fused, *seen = (_seen_contrast(image) for image in _prepared(convention, fused=fused, ir=ir, vi=vi))
    weights = [_ratio(each.square(), seen[0].square() + seen[1].square(), 0.5) for each in seen]
    kept = [_ratio(torch.minimum(each, seen_fused), torch.maximum(each, seen_fused), 1.0) for each in seen]
    return (weights[0] * kept[0] + weights[1] * kept[1]).mean(dim=(1, 2, 3))


# Chen, Varshney ------------------------------------------------------------------------------------------------------
def _blocks(values: Tensor) -> Tensor:
    """Sums over blocks of 16x16 pixels (B, N), of what there is of those at the lower and right border."""
    height, width = values.shape[2:]
    values = F.pad(values, (0, -width % _BLOCK, 0, -height % _BLOCK))
    return F.avg_pool2d(values, _BLOCK).flatten(1) * _BLOCK**2


def _mannos_sakrison(cycles: Tensor) -> Tensor:
    """Sensitivity to cycles per image, four of which are one per degree."""
    frequency = 0.144 * cycles / 4
    return 2.6 * (0.0192 + frequency) * torch.exp(-(frequency**1.1))


def _strength(image: Tensor, padding: str) -> Tensor:
    right, down = sobel(image, padding)
    return (right.square() + down.square()).sqrt()


def perceived_difference(fused: Tensor, ir: Tensor, vi: Tensor, convention: str = 'original') -> Tensor:
    """Perceived difference of the fused image from the sources (Qcv, Chen-Varshney), the lower the better.

    Chen, Varshney, "A human perception inspired quality metric for image fusion based on regional information",
    Information Fusion 8(2), 2007: the difference of fused image and source, filtered by the contrast sensitivity of
    Mannos and Sakrison, squared and averaged in blocks of 16x16 pixels, averaged over blocks and sources with the
    salience of the source's block as weight, the sum of its Sobel strengths to the power of five.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.
        convention (str): 'original' replicates the border, so that the frame is no edge, and averages a block at the
            border over the pixels it has. 'evaluator' is the toolbox of Liu et al. (IEEE TPAMI 34(1), 2012): every
            image is brought to the whole range 0..255 first, with zeros around it, which also fill blocks.

    Returns:
        Tensor: (B,) float64, squared grey levels as perceived; 0 for three identical images. Of sources without any
        edge all blocks count alike.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The convention is unknown, or see :func:`as_images`.

    Example:
        >>> image = torch.arange(48.).mul(5).expand(1, 1, 48, 48)
        >>> perceived_difference(image, image, image)
        tensor([0.], dtype=torch.float64)
    """
    fused, *sources = _prepared(convention, fused=fused, ir=ir, vi=vi)
    pixels = _blocks(torch.ones_like(fused)) if convention == 'original' else float(_BLOCK**2)
    difference, salience = [], []
    for source in sources:
        # Four cycles per image for one per degree.
        seen = _filtered(
            source - fused, lambda r: 2.6 * (0.0192 + 0.144 * r / 4) * torch.exp(-((0.144 * r / 4) ** 1.1))
        )
        difference.append(_blocks(seen.square()) / pixels)
        salience.append(_blocks(_strength(source, _PADDING[convention]) ** _SALIENCE))
    differences, weights = torch.cat(difference, dim=1), torch.cat(salience, dim=1)
    weights = torch.where((weights == 0).all(dim=1, keepdim=True), torch.ones_like(weights), weights)
    return (weights * differences).sum(dim=1) / weights.sum(dim=1)
