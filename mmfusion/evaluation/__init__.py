"""Evaluation: fusion metrics as functions, and as a metric of the runner beside mmsegmentation's."""

# First, so that `IoUMetric` and the other metrics of mmsegmentation are found from a config of mmfusion's scope.
import mmseg.evaluation  # noqa: F401

from .functional import CONVENTIONS, DEFAULT_METRICS, FUSION_METRICS, fusion_metrics
from .fusion_evaluator import FusionEvaluator
from .metrics import FusionMetric, PerClassIoUMetric, ProtocolIoUMetric

__all__ = [
    'CONVENTIONS',
    'DEFAULT_METRICS',
    'FUSION_METRICS',
    'FusionEvaluator',
    'FusionMetric',
    'PerClassIoUMetric',
    'ProtocolIoUMetric',
    'fusion_metrics',
]
