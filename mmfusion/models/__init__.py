"""Models: fusions, the segmentor that joins fusion and segmentation, backbones, losses and preprocessing."""

from typing import TYPE_CHECKING

# mmseg's own models must be registered before a config with `default_scope = 'mmfusion'` asks for one: a registry
# imports its own locations by itself, but not those of its parent.
import mmseg.models  # noqa: F401

from mmfusion.deprecation import moved_names

from .backbones import EfficientNetLite, TorchvisionMobileNetV2
from .data_preprocessor import FusionDataPreProcessor
from .fusion import (
    AverageFusion,
    BaseFusion,
    ConcatenationFusion,
    FusionGate,
    FusionResult,
    GateLoss,
    InfraredOnly,
    LaplacianPyramidFusion,
    MaximumFusion,
    MemoryUnfoldingHead,
    SalienceFusion,
    SalienceGate,
    UAAFusion,
    VisibleOnly,
)
from .fusion_model import FusionModel
from .losses import AttributionFusionLoss, JointGradientLoss, WeightedCrossEntropy
from .package_weights import find_in_package, load_from_package
from .refinement import DetailRefiner
from .scorer import SegmentorScorer
from .segmentors import FusionSegmentor, FusionTTAModel
from .sensor_dropout import SensorDropout
from .zoo_weights import find_in_zoo, load_from_mmseg

__all__ = [
    'AttributionFusionLoss',
    'AverageFusion',
    'BaseFusion',
    'ConcatenationFusion',
    'DetailRefiner',
    'EfficientNetLite',
    'FusionDataPreProcessor',
    'FusionGate',
    'FusionModel',
    'FusionResult',
    'FusionSegmentor',
    'FusionTTAModel',
    'GateLoss',
    'InfraredOnly',
    'JointGradientLoss',
    'LaplacianPyramidFusion',
    'MaximumFusion',
    'MemoryUnfoldingHead',
    'SalienceFusion',
    'SalienceGate',
    'SegmentorScorer',
    'SensorDropout',
    'TorchvisionMobileNetV2',
    'UAAFusion',
    'VisibleOnly',
    'WeightedCrossEntropy',
    'find_in_package',
    'find_in_zoo',
    'load_from_mmseg',
    'load_from_package',
]

if not TYPE_CHECKING:  # A type checker would take any name for one that is there.
    __getattr__ = moved_names(
        __name__, {'DilatedMobileNetV2': 'mmfusion.released', 'ReleasedDeepLabHead': 'mmfusion.released'}
    )
