"""mmfusion: task-driven infrared and visible image fusion for mmsegmentation."""

from .compat import check_stack, check_versions, enable_mmseg_bases, ignore_what_nobody_can_mend
from .version import __version__

STACK = check_stack()
"""Module name to the distribution that provides it, for mmengine, mmcv and mmseg."""
check_versions(STACK)
enable_mmseg_bases()
ignore_what_nobody_can_mend()

from .engine.safe_loading import load_data_only  # noqa: E402  Only after the stack was found to be whole.

load_data_only()

from . import registry  # noqa: E402  mmsegmentation's registries know ours from here on.

__all__ = ['STACK', '__version__', 'registry']
