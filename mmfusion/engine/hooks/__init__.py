"""Hooks of the training and test loops."""

# mmseg's hooks must be registered before a config asks for one; see mmfusion.models.
import mmseg.engine.hooks  # noqa: F401

from .attribution_fusion_loss_hook import AttributionFusionLossHook
from .checkpoint_architecture_hook import CheckpointArchitectureHook
from .data_check_hook import DataCheckHook
from .fused_image_hook import FusedImageHook
from .fusion_visualization_hook import FusionVisualizationHook
from .iter_seed_hook import IterSeedHook
from .safe_checkpoint_hook import SafeCheckpointHook

__all__ = [
    'AttributionFusionLossHook',
    'CheckpointArchitectureHook',
    'DataCheckHook',
    'FusedImageHook',
    'FusionVisualizationHook',
    'IterSeedHook',
    'SafeCheckpointHook',
]
