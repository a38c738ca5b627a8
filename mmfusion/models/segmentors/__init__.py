"""The model that joins fusion and segmentation."""

from .fusion_segmentor import FusionSegmentor

__all__ = ['FusionSegmentor']
