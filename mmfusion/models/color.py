"""Luminance and chroma (ITU-R BT.601, full range)."""

import torch
from torch import Tensor

# Weights of R, G and B in the luminance, and the largest difference of B and R to it.
_KR, _KG, _KB = 0.299, 0.587, 0.114


def split_luminance(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Split a colour image into luminance and chroma.

    Args:
        rgb (Tensor): (B, 3, H, W) in [0, 1].

    Returns:
        tuple[Tensor, Tensor]: Luminance (B, 1, H, W) in [0, 1], chroma Cb and Cr (B, 2, H, W) in [-0.5, 0.5].

    Raises:
        ValueError: Not three channels.

    Examples:
        >>> y, chroma = split_luminance(torch.tensor([1., 0., 0.]).view(1, 3, 1, 1))
        >>> [round(v, 3) for v in (y.item(), *chroma.flatten().tolist())]
        [0.299, -0.169, 0.5]
    """
    if rgb.ndim != 4 or rgb.shape[1] != 3:
        raise ValueError(f'a colour image (B, 3, H, W) is needed, got shape {tuple(rgb.shape)}')
    r, g, b = rgb.split(1, dim=1)
    y = _KR * r + _KG * g + _KB * b
    return y, torch.cat([(b - y) / (2 - 2 * _KB), (r - y) / (2 - 2 * _KR)], dim=1)


def merge_luminance(luminance: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of :func:`split_luminance`, clipped to [0, 1].

    Args:
        luminance (Tensor): (B, 1, H, W).
        chroma (Tensor): Cb and Cr (B, 2, H, W).

    Returns:
        Tensor: (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: Not one and two channels.

    Examples:
        >>> y, chroma = split_luminance(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1))
        >>> [round(v, 3) for v in merge_luminance(y, chroma).flatten().tolist()]
        [1.0, 0.0, 0.0]
    """
    if luminance.ndim != 4 or luminance.shape[1] != 1 or chroma.ndim != 4 or chroma.shape[1] != 2:
        raise ValueError(
            'luminance (B, 1, H, W) and chroma (B, 2, H, W) are needed, got shapes '
            f'{tuple(luminance.shape)} and {tuple(chroma.shape)}'
        )
    cb, cr = chroma.split(1, dim=1)
    r = luminance + (2 - 2 * _KR) * cr
    b = luminance + (2 - 2 * _KB) * cb
    g = (luminance - _KR * r - _KB * b) / _KG
    return torch.cat([r, g, b], dim=1).clamp(0, 1)
