"""Edge information that fusion preserves."""

import math

import torch
from torch import Tensor

from .common import as_images, preserved, sobel

# Constants of the paper: gain, slope and centre of the two sigmoids.
_STRENGTH = (0.9994, -15.0, 0.5)
_ORIENTATION = (0.9879, -22.0, 0.8)
_PADDING = {'original': 'replicate', 'evaluator': 'constant'}


def _edges(image: Tensor, convention: str) -> tuple[Tensor, Tensor]:
    """Strength (grey levels, Sobel) and orientation (radians, in (-pi/2, pi/2]) of every pixel's edge."""
    right, down = sobel(image, _PADDING[convention])
    up = -down
    # Which of the two right angles a purely vertical gradient gets matters to the evaluator: the positive one, with an
    # orientation that counts counterclockwise as seen by the viewer.
    steep = right == 0
    angle = torch.atan(up / right.where(~steep, torch.ones_like(right)))
    return (right.square() + up.square()).sqrt(), angle.masked_fill(steep, math.pi / 2)


def _preservation(source: tuple[Tensor, Tensor], fused: tuple[Tensor, Tensor], convention: str) -> Tensor:
    (strength, angle), (strength_fused, angle_fused) = source, fused
    larger = torch.maximum(strength, strength_fused)
    ratio = torch.minimum(strength, strength_fused) / larger.where(larger > 0, torch.ones_like(larger))
    turn = (angle - angle_fused).abs()
    if convention == 'original':
        ratio = ratio.where(larger > 0, torch.ones_like(ratio))
        agreement = (turn - math.pi / 2).abs() / (math.pi / 2)
    else:
        ratio = torch.where(strength == strength_fused, strength_fused, ratio)
        agreement = 1 - turn / (math.pi / 2)
    return preserved(ratio, _STRENGTH) * preserved(agreement, _ORIENTATION)


def edge_preservation(fused: Tensor, ir: Tensor, vi: Tensor, convention: str = 'original') -> Tensor:
    """Edge preservation (Qabf, Q^{AB/F}): how much of the sources' edges is found in the fused image.

    Xydeas, Petrovic, "Objective image fusion performance measure", Electronics Letters 36(4), 2000. Per pixel and
    source, the ratio G of the two Sobel strengths (smaller over larger) and the agreement A of the orientations each
    pass a sigmoid; their product is averaged over pixels and sources with the strength of the source's edge as weight.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.
        convention (str): 'original' is the paper: equal strengths have the ratio 1, and
            ``A = | |a_S - a_F| - pi/2 | / (pi/2)``, so that edges at +89 and -89 degrees agree. The paper leaves the
            border of the image open; it is replicated, so that the frame itself is no edge. 'evaluator' is the usual
            evaluator: equal strengths have their own strength as the ratio (0 where both are flat),
            ``A = 1 - |a_S - a_F| / (pi/2)``, which turns negative, and zeros around the image, which make its frame
            the strongest edge of most images.

    Returns:
        Tensor: (B,) float64, at least 0. The sigmoids stop short of 1: three identical images reach 0.9748 ('evaluator'
        at most 0.9754). Sources without any edge have none to preserve: 0.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The convention is unknown, or see :func:`as_images`.

    Example:
        >>> image = torch.arange(16.).expand(1, 1, 16, 16)
        >>> edge_preservation(image, image, image).round(decimals=4)
        tensor([0.9748], dtype=torch.float64)
    """
    if convention not in _PADDING:
        raise ValueError(f'convention must be one of {sorted(_PADDING)}, but is {convention!r}')
    edges_fused, *sources = (_edges(image, convention) for image in as_images(fused=fused, ir=ir, vi=vi))
    kept = torch.zeros(len(fused), dtype=torch.float64, device=fused.device)
    weight = torch.zeros_like(kept)
    for strength, angle in sources:
        preserved = _preservation((strength, angle), edges_fused, convention)
        kept = kept + (preserved * strength).sum(dim=(1, 2, 3))
        weight = weight + strength.sum(dim=(1, 2, 3))
    return torch.where(weight > 0, kept / weight.where(weight > 0, torch.ones_like(weight)), torch.zeros_like(weight))
