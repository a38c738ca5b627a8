"""Fusions: infrared and visible luminance in, fused luminance out."""

from .base import BaseFusion, FusionResult
from .baselines import (
    AverageFusion,
    ConcatenationFusion,
    InfraredOnly,
    LaplacianPyramidFusion,
    MaximumFusion,
    SalienceFusion,
    VisibleOnly,
)
from .gate import FusionGate, GateLoss, GateOutput
from .memory import ConvLSTMCell, ConvUnit
from .salience_gate import SalienceGate
from .uaafusion import UAAFusion
from .unfolding_head import MemoryUnfoldingHead

__all__ = [
    'AverageFusion',
    'BaseFusion',
    'ConcatenationFusion',
    'ConvLSTMCell',
    'ConvUnit',
    'FusionGate',
    'FusionResult',
    'GateLoss',
    'GateOutput',
    'InfraredOnly',
    'LaplacianPyramidFusion',
    'MaximumFusion',
    'MemoryUnfoldingHead',
    'SalienceFusion',
    'SalienceGate',
    'UAAFusion',
    'VisibleOnly',
]
