"""Metrics from grey level histograms: entropy and mutual information."""

import math

import torch
from torch import Tensor

from .common import as_images, stretched

_LEVELS = 256
_UNITS = {'bit': math.log(2), 'nat': 1.0}


def _levels(image: Tensor) -> Tensor:
    return image.round().clamp(0, _LEVELS - 1).long().flatten(1)


def _joint_entropy(index: Tensor, cells: int) -> Tensor:
    """Shannon entropy in nats of the cell numbers (B, N) in 0..cells-1, sample by sample."""
    batch, count = index.shape
    offset = torch.arange(batch, device=index.device)[:, None] * cells
    histogram = torch.bincount((index + offset).flatten(), minlength=batch * cells).view(batch, cells)
    share = histogram.double() / count
    return torch.special.entr(share).sum(dim=1)


def entropy(image: Tensor) -> Tensor:
    """Entropy (EN) of the grey level histogram in bits: how evenly an image uses its 256 levels.

    Roberts, van Aardt, Ahmed, "Assessment of image fusion procedures using entropy, image quality, and multispectral
    classification", J. Appl. Remote Sens. 2008: ``- sum_l p_l log2 p_l``. The usual evaluator computes the same. Values
    are rounded to whole grey levels, since a histogram needs them; 0 for a constant image, at most 8.

    Args:
        image (Tensor): (B, 1, H, W) in 0..255.

    Returns:
        Tensor: (B,) float64, bits.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> entropy(torch.tensor([[[[0., 0.], [255., 255.]]]]))
        tensor([1.], dtype=torch.float64)
    """
    (image,) = as_images(image=image)
    return _joint_entropy(_levels(image), _LEVELS) / _UNITS['bit']


def mutual_information(fused: Tensor, ir: Tensor, vi: Tensor, unit: str = 'bit') -> Tensor:
    """Mutual information (MI) of the fused image with the two sources, summed.

    Qu, Zhang, Yan, "Information measure for performance of image fusion", Electronics Letters 38(7), 2002:
    ``I(F; IR) + I(F; VI)`` from joint histograms of 256 x 256 levels. In bits it is on the scale of :func:`entropy`:
    three identical images give twice their EN. The usual evaluator gives nats, that is 0.693 times the bits.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255, rounded to whole grey levels here.
        ir (Tensor): The same.
        vi (Tensor): The same.
        unit (str): 'bit' or 'nat'.

    Returns:
        Tensor: (B,) float64, in that unit; 0 when an image is constant.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The unit is unknown, or see :func:`as_images`.

    Example:
        >>> image = torch.tensor([[[[0., 0.], [255., 255.]]]])
        >>> mutual_information(image, image, image)
        tensor([2.], dtype=torch.float64)
    """
    if unit not in _UNITS:
        raise ValueError(f'unit must be one of {sorted(_UNITS)}, but is {unit!r}')
    fused, ir, vi = (_levels(image) for image in as_images(fused=fused, ir=ir, vi=vi))
    total = torch.zeros(len(fused), dtype=torch.float64, device=fused.device)
    fused_entropy = _joint_entropy(fused, _LEVELS)
    for source in (ir, vi):
        shared = fused_entropy + _joint_entropy(source, _LEVELS) - _joint_entropy(fused * _LEVELS + source, _LEVELS**2)
        total = total + shared.clamp(min=0)  # never negative but for rounding
    return total / _UNITS[unit]


def normalized_mutual_information(fused: Tensor, ir: Tensor, vi: Tensor, stretch: bool = False) -> Tensor:
    """Normalised mutual information (NMI, Q_MI) of the fused image with the two sources, summed.

    Hossny, Nahavandi, Creighton, "Comments on 'Information measure for performance of image fusion'", Electronics
    Letters 44(18), 2008: ``2 I(F; S) / (H(F) + H(S))``, summed over both sources S, so that a source of much entropy
    does not count more by that alone.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255, rounded to whole grey levels here.
        ir (Tensor): The same.
        vi (Tensor): The same.
        stretch (bool): Whether every image is brought to the whole range 0..255 first, as the field's toolbox does (Liu
            et al., IEEE TPAMI 34(1), 2012): the convention 'evaluator'. Otherwise the levels are as they are.

    Returns:
        Tensor: (B,) float64 in [0, 2]; 2 for three identical images. A constant image shares nothing with any other.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> image = torch.tensor([[[[0., 0.], [255., 255.]]]])
        >>> normalized_mutual_information(image, image, 255 - image)
        tensor([2.], dtype=torch.float64)
    """
    images = as_images(fused=fused, ir=ir, vi=vi)
    fused, *sources = (_levels(stretched(image) if stretch else image) for image in images)
    entropy_fused = _joint_entropy(fused, _LEVELS)
    total = torch.zeros_like(entropy_fused)
    for source in sources:
        both = entropy_fused + _joint_entropy(source, _LEVELS)
        shared = (both - _joint_entropy(fused * _LEVELS + source, _LEVELS**2)).clamp(min=0)
        total = total + torch.where(both > 0, 2 * shared / both.where(both > 0, torch.ones_like(both)), 0.0)
    return total
