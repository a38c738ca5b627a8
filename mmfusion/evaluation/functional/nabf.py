"""Edges that fusion invents."""

import math

import torch
from torch import Tensor

from .common import FLAT, as_images, preserved, sobel

# Constants of the measure: gain, slope and centre of the two sigmoids; from which strength on an edge weighs by its
# strength, and with which power; the weight of what is weaker.
_STRENGTH = (0.9999, -19.0, 0.5)
_ORIENTATION = (0.9995, -22.0, 0.5)
_VISIBLE = 2.0
_POWER = 1.5
_FAINT = 0.001


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Strength (grey levels per pixel) and orientation (radians, modulo pi) of every pixel's edge."""
    # A flat part is no edge, nor is what rounding leaves of it.
    right, down = (each.masked_fill(each.abs() < FLAT, 0.0) / 8 for each in sobel(image, 'reflect'))
    strength = (right.square() + down.square()).sqrt()
    angle = torch.atan(right / down.where(down != 0, torch.ones_like(down)))
    angle = angle.where(down != 0, right.sign() * math.pi / 2)
    return strength, angle


def _kept(source: tuple[Tensor, Tensor], fused: tuple[Tensor, Tensor]) -> Tensor:
    """How much of a source's edge is in the fused image."""
    (strength, angle), (strength_fused, angle_fused) = source, fused
    larger = torch.maximum(strength, strength_fused)
    ratio = torch.minimum(strength, strength_fused) / larger.where(larger > 0, torch.ones_like(larger))
    agreement = ((angle - angle_fused).abs() - math.pi / 2).abs() / (math.pi / 2)
    return (preserved(ratio, _STRENGTH) * preserved(agreement, _ORIENTATION)).sqrt()


def fusion_artifacts(fused: Tensor, ir: Tensor, vi: Tensor) -> Tensor:
    """Fusion artifacts (Nabf, N^{AB/F}): edges of the fused image that are stronger than those of both sources.

    Shreyamsha Kumar, "Multifocus and multispectral image fusion based on pixel significance using discrete cosine
    harmonic wavelet transform", Signal, Image and Video Processing 7, 2013, a modification of Petrovic and Xydeas,
    "Objective image fusion performance characterisation", ICCV 2005: with the edge preservation Q of every pixel and
    source (as in :func:`edge_preservation`, with constants of its own and a square root), the sum of ``(1 - Q) w`` over
    the pixels where the fused image's edge is stronger than both sources', by the sum of ``w`` over all pixels. An edge
    of a source weighs ``w = g^1.5`` from a strength g of 2 grey levels per pixel (Sobel by 8) on, and .001 below.
    Both conventions are this.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.

    Returns:
        Tensor: (B,) float64 in [0, 1], the lower the better; 0 where no edge is stronger than both sources'.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: See :func:`as_images`.

    Example:
        >>> image = torch.arange(16.).expand(1, 1, 16, 16) * 4
        >>> fusion_artifacts(image, image, image), fusion_artifacts(image * 2, image, image).round(decimals=3)
        (tensor([0.], dtype=torch.float64), tensor([0.2930], dtype=torch.float64))
    """
    edges_fused, *sources = (_edges(image) for image in as_images(fused=fused, ir=ir, vi=vi))
    invented = (edges_fused[0] > sources[0][0]) & (edges_fused[0] > sources[1][0])
    lost = torch.zeros(len(fused), dtype=torch.float64, device=fused.device)
    weights = torch.zeros_like(lost)
    for source in sources:
        weight = source[0].pow(_POWER).masked_fill(source[0] < _VISIBLE, _FAINT)
        lost = lost + ((1 - _kept(source, edges_fused)) * weight * invented).sum(dim=(1, 2, 3))
        weights = weights + weight.sum(dim=(1, 2, 3))
    return lost / weights
