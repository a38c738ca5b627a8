"""All fusion metrics in one call, under the convention of the papers or of the usual evaluator."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .common import as_images
from .contrast import average_gradient, spatial_frequency, standard_deviation
from .correlation import correlation_coefficient, sum_of_correlations_of_differences
from .error import mean_squared_error, peak_signal_to_noise_ratio
from .fmi import feature_mutual_information
from .information import entropy, mutual_information, normalized_mutual_information
from .nabf import fusion_artifacts
from .perception import contrast_preservation, perceived_difference
from .perceptual import learned_perceptual_distance, perceptual_index, require_packages
from .qabf import edge_preservation
from .ssim import fusion_multiscale_structural_similarity, fusion_structural_similarity
from .vif import fusion_visual_information_fidelity

CONVENTIONS = ('original', 'evaluator')
"""Names that ``fusion_metrics(convention=...)`` knows."""

_Metric = Callable[[Tensor, Tensor, Tensor], Tensor]


def _of_fused(function: Callable[..., Tensor], **options: Any) -> _Metric:
    return lambda fused, ir, vi: function(fused, **options)


def _of_all(function: Callable[..., Tensor], **options: Any) -> _Metric:
    return lambda fused, ir, vi: function(fused, ir, vi, **options)


def _both(metric: _Metric) -> dict[str, _Metric]:
    return dict.fromkeys(CONVENTIONS, metric)


FUSION_METRICS: dict[str, dict[str, _Metric]] = {
    'EN': _both(_of_fused(entropy)),
    'SD': _both(_of_fused(standard_deviation)),
    'SF': {'original': _of_fused(spatial_frequency), 'evaluator': _of_fused(spatial_frequency, per_difference=True)},
    'AG': {
        'original': _of_fused(average_gradient, gradient='forward'),
        'evaluator': _of_fused(average_gradient, gradient='central'),
    },
    'MI': {'original': _of_all(mutual_information, unit='bit'), 'evaluator': _of_all(mutual_information, unit='nat')},
    'SCD': _both(_of_all(sum_of_correlations_of_differences)),
    'VIF': _both(_of_all(fusion_visual_information_fidelity)),
    'Qabf': {name: _of_all(edge_preservation, convention=name) for name in CONVENTIONS},
    'SSIM': {
        'original': _of_all(fusion_structural_similarity, window='gaussian'),
        'evaluator': _of_all(fusion_structural_similarity, window='uniform'),
    },
    'CC': _both(_of_all(correlation_coefficient)),
    'PSNR': {
        'original': _of_all(peak_signal_to_noise_ratio, peak='white'),
        'evaluator': _of_all(peak_signal_to_noise_ratio, peak='fused'),
    },
    'MSE': _both(_of_all(mean_squared_error)),
    'NMI': {
        'original': _of_all(normalized_mutual_information),
        'evaluator': _of_all(normalized_mutual_information, stretch=True),
    },
    'Nabf': _both(_of_all(fusion_artifacts)),
    'FMI': _both(_of_all(feature_mutual_information)),
    'MS-SSIM': _both(_of_all(fusion_multiscale_structural_similarity)),
    'Qcb': {name: _of_all(contrast_preservation, convention=name) for name in CONVENTIONS},
    'Qcv': {name: _of_all(perceived_difference, convention=name) for name in CONVENTIONS},
    'LPIPS': _both(_of_all(learned_perceptual_distance)),
    'PI': _both(_of_fused(perceptual_index)),
}
"""Metric name to convention to ``function(fused, ir, vi) -> (B,)``; ``list(FUSION_METRICS)`` are the names."""

DEFAULT_METRICS = tuple(FUSION_METRICS)[:12]
"""Names of what is computed unless something else is asked for: what most papers report."""


def check_metric_names(metrics: Sequence[str], convention: str) -> tuple[str, ...]:
    """Check metric names and a convention, before any image is at hand.

    Args:
        metrics (Sequence[str]): Names out of ``FUSION_METRICS``, each once.
        convention (str): One of ``CONVENTIONS``.

    Returns:
        tuple[str, ...]: The names.

    Raises:
        TypeError: ``metrics`` is a single string.
        ValueError: A name or the convention is unknown, a name comes twice, or there is none.
        ModuleNotFoundError: A metric needs a package that is not installed; the message has the command.

    Example:
        >>> check_metric_names(['EN', 'Qabf'], 'original')
        ('EN', 'Qabf')
    """
    if isinstance(metrics, str):
        raise TypeError(f'metrics must be a sequence of names, but is the string {metrics!r}; write ({metrics!r},)')
    names = tuple(metrics)
    unknown = [name for name in names if name not in FUSION_METRICS]
    if unknown:
        raise ValueError(f'unknown metrics {unknown}; known are {list(FUSION_METRICS)}')
    if not names or len(set(names)) != len(names):
        raise ValueError(
            f'metrics must name at least one metric and each once, but is {names}; known are {list(FUSION_METRICS)}'
        )
    if convention not in CONVENTIONS:
        raise ValueError(f'unknown convention {convention!r}; known are {list(CONVENTIONS)}')
    require_packages(names)
    return names


@torch.no_grad()
def fusion_metrics(
    fused: Tensor,
    ir: Tensor,
    vi: Tensor,
    metrics: Sequence[str] = DEFAULT_METRICS,
    convention: str = 'original',
) -> dict[str, Tensor]:
    """Objective metrics of image fusion, image by image, in float64.

    Two conventions:

    - ``'original'``: each metric as its paper defines it. Images keep their fractions except where a histogram needs
      whole levels (EN, MI).
    - ``'evaluator'``: the evaluator that most recent fusion papers report. All images are rounded to whole grey levels
      first, as if read from 8-bit files.

    ==== ================================================ =====================================================
    name original                                         evaluator, where it differs
    ==== ================================================ =====================================================
    EN   entropy, bits
    SD   standard deviation, grey levels
    SF   divided by the number of pixels                  divided by the number of differences
    AG   forward differences                              central differences
    MI   bits, summed over the sources                    nats
    SCD  summed over the sources
    VIF  pixel domain, 4 scales, summed over the sources
    Qabf equal edges have ratio 1, angles modulo pi       see :func:`edge_preservation`
    SSIM 11x11 Gaussian window, summed over the sources   7x7 uniform window, sample variances
    CC   averaged over the sources
    PSNR peak 255, MSE averaged over the sources          peak is the maximum of the fused image
    MSE  averaged over the sources, squared grey levels
    ==== ================================================ =====================================================

    These twelve are the default. By name there are, more expensive or less common:

    ======= ============================================= =====================================================
    NMI     MI by the mean entropy, summed over sources   images stretched to 0..255 first
    Nabf    edges stronger than in both sources
    FMI     3x3 windows of the image (FMI_pixel)
    MS-SSIM five scales, averaged over the sources
    Qcb     contrast as seen, Chen-Blum                   images stretched to 0..255 first
    Qcv     difference as seen, Chen-Varshney             stretched; zeros around the image
    LPIPS   learned distance, averaged over the sources
    PI      perceptual index of the fused image
    ======= ============================================= =====================================================

    The last two are computed by packages that have to be installed, and download weights once; see
    :func:`learned_perceptual_distance` and :func:`perceptual_index`.

    Nabf, Qcv, LPIPS, PI and MSE are the better the lower they are, all others the higher.

    Undefined figures are never NaN: a correlation with a constant image counts as 0, VIF of a source without structure
    as 1, Qabf of sources without edges as 0. PSNR without error is infinite, and so is PI of an image without texture.

    Args:
        fused (Tensor): (B, 1, H, W), any float or integer dtype, in 0..255. Images in [0, 1] cannot be told from very
            dark ones; multiply them by 255.
        ir (Tensor): Infrared image, the same shape and range.
        vi (Tensor): Visible luminance, the same shape and range.
        metrics (Sequence[str]): Names out of ``FUSION_METRICS``.
        convention (str): 'original' or 'evaluator'.

    Returns:
        dict[str, Tensor]: Name to (B,) float64, in the order of ``metrics``, on the device of the images.

    Raises:
        TypeError: An image is no tensor, or bool or complex; ``metrics`` is a single string.
        ValueError: Unknown metric or convention; images of another rank or of different shapes, with NaN or infinite
            values, outside 0..255, or smaller than a metric needs (SSIM 11, evaluator 7; VIF 41; MS-SSIM 176; LPIPS 31;
            PI 104 pixels).
        ImportError, OSError: LPIPS or PI without what computes it; see there.

    Example:
        >>> ir = torch.arange(64.).view(1, 1, 8, 8)
        >>> figures = fusion_metrics((ir + ir.mT) / 2, ir, ir.mT, metrics=('EN', 'SCD', 'MSE'))
        >>> {name: round(value.item(), 3) for name, value in figures.items()}
        {'EN': 3.702, 'SCD': 1.228, 'MSE': 128.625}
    """
    metrics = check_metric_names(metrics, convention)
    images = as_images(fused=fused, ir=ir, vi=vi)
    if convention == 'evaluator':
        images = tuple(image.round().clamp(0, 255) for image in images)
    return {name: FUSION_METRICS[name][convention](*images) for name in metrics}
