"""Calls for users: fuse and segment pairs with a trained model."""

from .configs import config_names, load_config
from .inferencer import FusionInferencer
from .tiles import Tiling
from .video import fuse_video

__all__ = ['FusionInferencer', 'Tiling', 'config_names', 'fuse_video', 'load_config']
