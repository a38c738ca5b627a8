"""Mutual information of what small windows hold."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .common import as_images

_WINDOW = 3
_CELLS = _WINDOW**2
_CHUNK = 1 << 16  # Windows at a time: a joint distribution of 81 cells each.
_FEATURES = ('pixel', 'gradient', 'strength')


def _feature(image: Tensor, feature: str) -> Tensor:
    if feature == 'pixel':
        return image
    right = torch.gradient(image, dim=3)[0]
    if feature == 'gradient':
        return right
    return (right.square() + torch.gradient(image, dim=2)[0].square()).sqrt()


def _windows(image: Tensor) -> Tensor:
    """Values (N, 9) of every window of a batch, column by column, as the authors read them."""
    return F.unfold(image, _WINDOW).mT.unflatten(2, (_WINDOW, _WINDOW)).mT.flatten(2).flatten(0, 1)


def _distribution(windows: Tensor) -> Tensor:
    """The values, stretched to 0..1, as shares of their sum; even where a window is flat."""
    low, high = (bound[:, None] for bound in windows.aminmax(dim=1))
    flat = high == low
    stretched = torch.where(flat, 1.0, (windows - low) / torch.where(flat, 1.0, high - low))
    return stretched / stretched.sum(dim=1, keepdim=True)


def _entropy(shares: Tensor) -> Tensor:
    # Extrapolated beyond the bound of Frechet, some shares are negative; the authors take the real part.
    return -torch.xlogy(shares, shares.abs()).sum(dim=1)


def _spread(shares: Tensor) -> Tensor:
    """Standard deviation of the number of the cell."""
    numbers = torch.arange(1, _CELLS + 1, dtype=shares.dtype, device=shares.device)
    mean = (shares * numbers).sum(dim=1)
    return ((shares * numbers.square()).sum(dim=1) - mean.square()).clamp(min=0).sqrt()


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    first, second = (each - each.mean(dim=1, keepdim=True) for each in (first, second))
    product = (first * second).sum(dim=1)
    norm = (first.square().sum(dim=1) * second.square().sum(dim=1)).sqrt()
    return torch.where(norm > 0, product / norm.where(norm > 0, torch.ones_like(norm)), torch.zeros_like(norm))


def _joint(first: Tensor, second: Tensor) -> Tensor:
    """A joint distribution (N, 9, 9) of two (N, 9): between independence and the bound of Frechet that fits.

    As far from independence as the two are correlated.
    """
    independent = first[:, :, None] * second[:, None, :]
    one, other = first.cumsum(dim=1)[:, :, None], second.cumsum(dim=1)[:, None, :]
    correlation = _correlation(first, second)
    bound = torch.where((correlation >= 0)[:, None, None], torch.minimum(one, other), (one + other - 1).clamp(min=0))
    spread = _spread(first) * _spread(second)
    reach = (bound - one * other).sum(dim=(1, 2))
    usable = (spread > 0) & (reach != 0)
    share = torch.where(usable, correlation * spread / reach.where(usable, torch.ones_like(reach)), 0.0)
    padded = F.pad(bound, (1, 0, 1, 0))
    extreme = padded[:, 1:, 1:] - padded[:, :-1, 1:] - padded[:, 1:, :-1] + padded[:, :-1, :-1]
    share = share[:, None, None]
    return share * extreme + (1 - share) * independent


def _shared(first: Tensor, second: Tensor) -> Tensor:
    """Mutual information of windows (N, 9) of two images by the mean of their entropies; 1 where they are the same."""
    same = (first == second).all(dim=1)
    first, second = _distribution(first), _distribution(second)
    entropies = _entropy(first) + _entropy(second)
    shared = entropies - _entropy(_joint(first, second).flatten(1))
    normed = 2 * shared / entropies.where(entropies > 0, torch.ones_like(entropies))
    return torch.where(same, 1.0, torch.where(entropies > 0, normed, torch.zeros_like(normed)))


def feature_mutual_information(fused: Tensor, ir: Tensor, vi: Tensor, feature: str = 'pixel') -> Tensor:
    """Feature mutual information (FMI) of the fused image with the two sources, averaged.

    Haghighat, Aghagolzadeh, Seyedarabi, "A non-reference image fusion metric based on mutual information of image
    features", Computers and Electrical Engineering 37(5), 2011, in the fast form of Haghighat, Razian, "Fast-FMI", AICT
    2014: the nine values of every 3x3 window, stretched to 0..1, are read as a distribution; the joint one of a window
    of the fused image and of a source is as far between independence and the bound of Frechet as the two correlate;
    their mutual information, by the mean of both entropies, is averaged over windows and sources. Both conventions are
    this, with the image itself as the feature (FMI_pixel).

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.
        feature (str): 'pixel', the image; 'gradient', its horizontal central difference, which is what the authors'
            option of this name takes; 'strength', the length of both differences.

    Returns:
        Tensor: (B,) float64; 1 for three identical images. A window that is flat in one image and not in the other, or
        flat in both at different levels, shares nothing.

    Raises:
        TypeError: See :func:`as_images`.
        ValueError: The feature is unknown, an image is smaller than 3x3, or see :func:`as_images`.

    Example:
        >>> image = torch.arange(36.).view(1, 1, 6, 6)
        >>> feature_mutual_information(image, image, image)
        tensor([1.], dtype=torch.float64)
    """
    if feature not in _FEATURES:
        raise ValueError(f'feature must be one of {_FEATURES}, but is {feature!r}')
    images = as_images(fused=fused, ir=ir, vi=vi)
    if min(fused.shape[2:]) < _WINDOW:
        raise ValueError(
            f'FMI needs images of at least {_WINDOW}x{_WINDOW} pixels, but got {tuple(fused.shape[2:])}; use larger '
            'images or leave the metric out'
        )
    of_fused, *of_sources = (_windows(_feature(image, feature)) for image in images)
    parts = of_fused.split(_CHUNK)
    maps = [torch.cat([_shared(*pair) for pair in zip(parts, source.split(_CHUNK))]) for source in of_sources]
    return torch.stack(maps).mean(dim=0).view(len(fused), -1).mean(dim=1)
