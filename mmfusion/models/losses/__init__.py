"""Losses of the fusion; the segmentor brings its own."""

from .attribution_fusion_loss import AttributionFusionLoss, weighted_fidelity
from .gradient_loss import JointGradientLoss, sobel_magnitude

__all__ = ['AttributionFusionLoss', 'JointGradientLoss', 'sobel_magnitude', 'weighted_fidelity']
