from .fusion_metric import FusionMetric
from .per_class_iou_metric import PerClassIoUMetric

__all__ = ['FusionMetric', 'PerClassIoUMetric']
