"""Decode heads that mmseg does not have."""

from .released_head import ReleasedDeepLabHead

__all__ = ['ReleasedDeepLabHead']
