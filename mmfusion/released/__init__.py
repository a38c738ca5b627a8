"""All that exists only to reproduce the published code: its options, its weights, its segmentor, a slow reference.

This room may know the models. Nothing on a default path knows this room: it is imported by name, by
:meth:`mmfusion.models.UAAFusion.from_released`, and by the registry, which looks here for modules that a config names.
"""

from .backbone import DilatedMobileNetV2
from .decode_head import ReleasedDeepLabHead
from .fusion import build_released_fusion, convert_fusion_state_dict, strip_prefixes
from .options import RELEASED_FUSION, RELEASED_HEAD, RELEASED_LEARNING, RELEASED_MODEL
from .reference import ReleasedModel, ReleasedNetwork, ReleasedResult
from .segmentor import convert_segmentor_state_dict, segmentor_names

__all__ = [
    'RELEASED_FUSION',
    'RELEASED_HEAD',
    'RELEASED_LEARNING',
    'RELEASED_MODEL',
    'DilatedMobileNetV2',
    'ReleasedDeepLabHead',
    'ReleasedModel',
    'ReleasedNetwork',
    'ReleasedResult',
    'build_released_fusion',
    'convert_fusion_state_dict',
    'convert_segmentor_state_dict',
    'segmentor_names',
    'strip_prefixes',
]
