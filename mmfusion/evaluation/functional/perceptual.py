"""Metrics that were learned from human judgement; each is computed by packages of its own, imported when asked for."""

import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.error import URLError

import torch
from torch import Tensor

from .common import as_images

NEEDED_PACKAGES = {'LPIPS': ('torchmetrics', 'torchvision'), 'PI': ('pyiqa',)}
"""Metric name to the packages that compute it. Nothing else needs them, and none is imported before."""

_INSTALL = {
    'LPIPS': "pip install 'mmfusion[perceptual]' (or torchmetrics torchvision)",
    'PI': 'pip install pyiqa (large, and licensed for noncommercial use only)',
}
_SMALLEST = {
    'LPIPS': 31,  # AlexNet's second pooling still has three places.
    'PI': 104,  # One block of NIQE, 96 pixels, inside the frame of four that is cut off.
}


def require_packages(metrics: Iterable[str]) -> None:
    """Refuse metrics whose packages are not installed; nothing is imported.

    Args:
        metrics (Iterable[str]): Names out of ``FUSION_METRICS``; most need nothing.

    Raises:
        ModuleNotFoundError: A package is missing; the message names the metric and the command that installs it.

    Example:
        >>> require_packages(['EN', 'Qabf'])
    """
    for metric in metrics:
        missing = [name for name in NEEDED_PACKAGES.get(metric, ()) if importlib.util.find_spec(name) is None]
        if missing:
            raise ModuleNotFoundError(
                f'the metric {metric} needs {" and ".join(missing)}, not installed here: {_INSTALL[metric]}',
                name=missing[0],
            )


@contextmanager
def _explained(metric: str) -> Iterator[None]:
    """What is wrong where a package is there and does not work."""
    try:
        yield
    except (URLError, ConnectionError, TimeoutError) as error:
        raise OSError(
            f'{metric} needs weights that are downloaded once, which failed: {error}. Try again with a network, or '
            f'bring them from a machine that has them; they are kept in {torch.hub.get_dir()}'
        ) from error
    except (OSError, RuntimeError) as error:
        raise ImportError(
            f'{metric} is computed by {" and ".join(NEEDED_PACKAGES[metric])}, which cannot be loaded: {error}. '
            f'They have to be builds that belong to torch {torch.__version__}'
        ) from error


# Once per process and device.
@cache
def _lpips_network(device: torch.device) -> Callable[..., Tensor]:
    require_packages(['LPIPS'])
    with _explained('LPIPS'):
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        # Without the metric around it, which averages over a batch and keeps the figures of all that it has seen.
        network = LearnedPerceptualImagePatchSimilarity(net_type='alex').net
    return network.to(device)


@cache
def _pi_metric(device: torch.device) -> Callable[[Tensor], Tensor]:
    require_packages(['PI'])
    with _explained('PI'):
        from pyiqa import create_metric

        return create_metric('pi', device=device)


def _check_size(metric: str, image: Tensor) -> None:
    smallest = _SMALLEST[metric]
    if min(image.shape[2:]) < smallest:
        raise ValueError(
            f'{metric} needs images of at least {smallest}x{smallest} pixels, but got {tuple(image.shape[2:])}; use '
            'larger images or leave the metric out'
        )


def _as_colour(image: Tensor) -> Tensor:
    """Three equal channels (B, 3, H, W) in [0, 1], float32."""
    return (image / 255).clamp(0, 1).float().expand(-1, 3, -1, -1)


@torch.no_grad()
def learned_perceptual_distance(fused: Tensor, ir: Tensor, vi: Tensor) -> Tensor:
    """Learned perceptual distance (LPIPS) of the fused image to the sources, averaged over them, the lower the better.

    Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
    2018: squared differences of AlexNet's features, normalised at every place, weighted by what was learned from human
    judgement (version 0.1) and averaged over the places. Computed by torchmetrics in float32, of grey images as three
    equal channels; AlexNet's weights (233 MB) are downloaded once, by torchvision. Both conventions are this.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.
        ir (Tensor): The same.
        vi (Tensor): The same.

    Returns:
        Tensor: (B,) float64, at least 0; 0 for three identical images.

    Raises:
        ImportError: torchmetrics or torchvision is not installed, or does not work with this torch.
        OSError: The weights cannot be downloaded.
        TypeError: See :func:`as_images`.
        ValueError: An image is smaller than 31x31 pixels, or see :func:`as_images`.

    Example:
        >>> image = torch.zeros(1, 1, 30, 64)
        >>> learned_perceptual_distance(image, image, image)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: LPIPS needs images of at least 31x31 pixels, but got (30, 64); ...
    """
    images = as_images(fused=fused, ir=ir, vi=vi)
    _check_size('LPIPS', images[0])
    network = _lpips_network(images[0].device)
    fused, *sources = (_as_colour(image) for image in images)
    distances = [network(fused, source, normalize=True).flatten().double() for source in sources]
    return (distances[0] + distances[1]) / 2


@torch.no_grad()
def perceptual_index(fused: Tensor) -> Tensor:
    """Perceptual index (PI) of the fused image alone, without reference, the lower the better.

    Blau, Mechrez, Timofte, Michaeli, Zelnik-Manor, "The 2018 PIRM Challenge on Perceptual Image Super-Resolution", ECCV
    Workshops 2018: ``((10 - Ma) + NIQE) / 2``, of Ma et al., "Learning a no-reference quality metric for single-image
    super-resolution", CVIU 158, 2017, and Mittal, Soundararajan, Bovik, "Making a completely blind image quality
    analyzer", IEEE Signal Process. Lett. 20(3), 2013. Computed by pyiqa in whole grey levels of the video range
    (16..235), without a frame of four pixels; its parameters are downloaded once. pyiqa is licensed for noncommercial
    use only. Both conventions are this.

    Args:
        fused (Tensor): (B, 1, H, W) in 0..255.

    Returns:
        Tensor: (B,) float64, without bounds. An image without texture, such as a constant one or a ramp, has no
        statistics to compare: infinite.

    Raises:
        ImportError: pyiqa is not installed, or does not work with this torch.
        OSError: The parameters cannot be downloaded.
        TypeError: See :func:`as_images`.
        ValueError: An image is smaller than 104x104 pixels, or see :func:`as_images`.

    Example:
        >>> perceptual_index(torch.zeros(1, 1, 103, 200))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: PI needs images of at least 104x104 pixels, but got (103, 200); ...
    """
    (image,) = as_images(fused=fused)
    _check_size('PI', image)
    metric = _pi_metric(image.device)
    # One by one: what cannot be told of one image is not to take the others along.
    figures = [_index_of_one(metric, single) for single in _as_colour(image).split(1)]
    return torch.tensor(figures, dtype=torch.float64, device=image.device)


def _index_of_one(metric: Callable[[Tensor], Tensor], image: Tensor) -> float:
    try:
        return metric(image).item()
    except torch.linalg.LinAlgError:
        # NIQE has looked for a covariance where no block has any.
        return math.inf
