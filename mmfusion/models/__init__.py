"""Models: fusions, the segmentor that joins fusion and segmentation, losses and preprocessing."""
# mmseg's own models must be registered before a config with `default_scope = 'mmfusion'` asks for one: a registry
# imports its own locations by itself, but not those of its parent.
import mmseg.models  # noqa: F401

from .fusion import *  # noqa: F403
from .losses import *  # noqa: F403
