from .fusion_metric import FusionMetric
from .per_class_iou_metric import PerClassIoUMetric
from .protocol_iou_metric import ProtocolIoUMetric

__all__ = ['FusionMetric', 'PerClassIoUMetric', 'ProtocolIoUMetric']
