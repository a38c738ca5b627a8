"""Fusion metrics as pure functions of tensors (B, 1, H, W) in 0..255."""

from .contrast import average_gradient, spatial_frequency, standard_deviation
from .correlation import correlation_coefficient, sum_of_correlations_of_differences
from .error import mean_squared_error, peak_signal_to_noise_ratio
from .fmi import feature_mutual_information
from .information import entropy, mutual_information, normalized_mutual_information
from .nabf import fusion_artifacts
from .perception import contrast_preservation, perceived_difference
from .perceptual import NEEDED_PACKAGES, learned_perceptual_distance, perceptual_index, require_packages
from .qabf import edge_preservation
from .ssim import (
    fusion_multiscale_structural_similarity,
    fusion_structural_similarity,
    multiscale_structural_similarity,
    structural_similarity,
)
from .suite import CONVENTIONS, DEFAULT_METRICS, FUSION_METRICS, check_metric_names, fusion_metrics
from .vif import fusion_visual_information_fidelity, visual_information_fidelity

__all__ = [
    'CONVENTIONS',
    'DEFAULT_METRICS',
    'FUSION_METRICS',
    'NEEDED_PACKAGES',
    'average_gradient',
    'check_metric_names',
    'contrast_preservation',
    'correlation_coefficient',
    'edge_preservation',
    'entropy',
    'feature_mutual_information',
    'fusion_artifacts',
    'fusion_metrics',
    'fusion_multiscale_structural_similarity',
    'fusion_structural_similarity',
    'fusion_visual_information_fidelity',
    'learned_perceptual_distance',
    'mean_squared_error',
    'multiscale_structural_similarity',
    'mutual_information',
    'normalized_mutual_information',
    'peak_signal_to_noise_ratio',
    'perceived_difference',
    'perceptual_index',
    'require_packages',
    'spatial_frequency',
    'standard_deviation',
    'structural_similarity',
    'sum_of_correlations_of_differences',
    'visual_information_fidelity',
]
