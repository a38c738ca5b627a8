"""Pictures of what fusion and segmentation did."""

# mmseg's visualizer must be registered before a config asks for it; see mmfusion.models.
import mmseg.visualization  # noqa: F401

from .panel import colorize_labels, colorize_weights, draw_overlay, draw_pair, draw_panel, to_uint8

__all__ = ['colorize_labels', 'colorize_weights', 'draw_overlay', 'draw_pair', 'draw_panel', 'to_uint8']
