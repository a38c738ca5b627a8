"""Transforms of a pair held as ONE HxWx4 image: B, G, R, infrared, on the 0..255 scale.

Geometric transforms of mmcv and mmseg (``Resize``, ``RandomResize``, ``RandomCrop``, ``RandomFlip``, ``RandomRotate``,
``Pad``) then treat both modalities and the labels alike. Photometric ones belong into :class:`ApplyToModality`. One
trap of OpenCV: ``RandomRotate(pad_val=x)`` fills only the first channel with x and the others with 0, so leave it at 0.
"""

from .align_pair import AlignPair
from .apply_to_modality import ApplyToModality
from .degrade_sensor import DegradeSensor
from .load_pair import LoadPairFromFile
from .load_pair_annotations import LoadPairAnnotations
from .pack import PackFusionInputs
from .skip_low_contrast import SkipLowContrast
from .skip_unlabelled import SkipUnlabelled

__all__ = [
    'AlignPair',
    'ApplyToModality',
    'DegradeSensor',
    'LoadPairAnnotations',
    'LoadPairFromFile',
    'PackFusionInputs',
    'SkipLowContrast',
    'SkipUnlabelled',
]
