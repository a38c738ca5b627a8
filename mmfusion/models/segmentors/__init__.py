"""The model that joins fusion and segmentation."""

from .fusion_segmentor import FusionSegmentor
from .fusion_tta_model import FusionTTAModel

__all__ = ['FusionSegmentor', 'FusionTTAModel']
