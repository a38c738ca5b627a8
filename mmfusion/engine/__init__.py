"""What runs around the loops."""

from .safe_loading import CheckpointError, only_weights, trust_checkpoints

__all__ = ['CheckpointError', 'only_weights', 'trust_checkpoints']
