"""Losses of the fusion, and what segmentors need that mmseg has not on every stack."""

from .attribution_fusion_loss import AttributionFusionLoss, weighted_fidelity
from .gradient_loss import JointGradientLoss, sobel_magnitude
from .weighted_cross_entropy import WeightedCrossEntropy

__all__ = ['AttributionFusionLoss', 'JointGradientLoss', 'WeightedCrossEntropy', 'sobel_magnitude', 'weighted_fidelity']
