"""Models: fusions, the segmentor that joins fusion and segmentation, losses and preprocessing."""

# mmseg's own models must be registered before a config with `default_scope = 'mmfusion'` asks for one: a registry
# imports its own locations by itself, but not those of its parent.
import mmseg.models  # noqa: F401

from .backbones import DilatedMobileNetV2
from .data_preprocessor import FusionDataPreProcessor
from .decode_heads import ReleasedDeepLabHead
from .fusion import (
    AverageFusion,
    BaseFusion,
    ConcatenationFusion,
    FusionResult,
    InfraredOnly,
    MaximumFusion,
    MemoryUnfoldingHead,
    UAAFusion,
    VisibleOnly,
)
from .losses import AttributionFusionLoss, JointGradientLoss
from .scorer import SegmentorScorer
from .segmentors import FusionSegmentor

__all__ = [
    'AttributionFusionLoss',
    'AverageFusion',
    'BaseFusion',
    'ConcatenationFusion',
    'DilatedMobileNetV2',
    'FusionDataPreProcessor',
    'FusionResult',
    'FusionSegmentor',
    'InfraredOnly',
    'JointGradientLoss',
    'MaximumFusion',
    'MemoryUnfoldingHead',
    'ReleasedDeepLabHead',
    'SegmentorScorer',
    'UAAFusion',
    'VisibleOnly',
]
