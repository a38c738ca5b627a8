"""Calls for users: fuse and segment pairs with a trained model."""

from .configs import config_names, load_config
from .inferencer import FusionInferencer
from .tiles import Tiling

__all__ = ['FusionInferencer', 'Tiling', 'config_names', 'load_config']
