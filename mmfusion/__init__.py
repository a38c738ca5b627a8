"""mmfusion: task-driven infrared and visible image fusion for mmsegmentation."""

from .compat import allow_mmengine_checkpoints, check_stack, check_versions, enable_mmseg_bases
from .version import __version__

STACK = check_stack()
"""Module name to the distribution that provides it, for mmengine, mmcv and mmseg."""
check_versions(STACK)
enable_mmseg_bases()
allow_mmengine_checkpoints()

__all__ = ['STACK', '__version__']
