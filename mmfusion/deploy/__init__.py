"""Trained models outside of this package: the deployed path as one module, as ONNX and as a program of torch.export.

It knows models, and of engine how files are written; it is called with a model that somebody else has loaded.
"""

from .agreement import TOLERANCE, Run, differences
from .deployed_fusion import PARTS, DeployedFusion, checked_size
from .export import FORMATS, SMALLEST_SIDE, export_onnx, export_program, onnx_runner, trace_onnx

__all__ = [
    'FORMATS',
    'PARTS',
    'SMALLEST_SIDE',
    'TOLERANCE',
    'DeployedFusion',
    'Run',
    'checked_size',
    'differences',
    'export_onnx',
    'export_program',
    'onnx_runner',
    'trace_onnx',
]
