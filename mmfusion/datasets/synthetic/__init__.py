"""Infrared-visible scenes that are drawn, not read: the dataset that needs no files."""

from .dataset import SyntheticThermalScenes
from .scene import SceneOptions, render_scene

__all__ = ['SceneOptions', 'SyntheticThermalScenes', 'render_scene']
