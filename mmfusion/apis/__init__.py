"""Calls for users: fuse and segment pairs with a trained model."""

from .configs import config_names, load_config
from .inferencer import FusionInferencer

__all__ = ['FusionInferencer', 'config_names', 'load_config']
