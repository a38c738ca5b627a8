"""Backbones that mmseg lacks, or whose weights it cannot read."""

from .efficientnet_lite import EfficientNetLite
from .torchvision_mobilenet_v2 import TorchvisionMobileNetV2

__all__ = ['EfficientNetLite', 'TorchvisionMobileNetV2']
