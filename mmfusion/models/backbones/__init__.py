"""Backbones that mmseg does not have."""

from .dilated_mobilenet_v2 import DilatedMobileNetV2

__all__ = ['DilatedMobileNetV2']
