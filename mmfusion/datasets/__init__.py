"""Datasets of image pairs and their transforms."""

import contextlib
import io

# The fork's mmseg says "Could not import OneDL" with a plain print when its datasets are first imported, which would
# end up in the output of every tool. The import also registers mmseg's transforms, which pipelines mix with ours.
with contextlib.redirect_stdout(io.StringIO()):
    import mmseg.datasets  # noqa: F401

from .cwfid import CWFIDDataset
from .fmb import FMBDataset
from .mfnet import MFNetDataset
from .msrs import MSRSDataset
from .ombria import OmbriaDataset
from .paired import PairedSegDataset
from .pst900 import PST900Dataset
from .semanticrt import SemanticRTDataset
from .synthetic import SyntheticThermalScenes
from .transforms import (
    AlignPair,
    ApplyToModality,
    DegradeSensor,
    LoadPairAnnotations,
    LoadPairFromFile,
    PackFusionInputs,
    SkipLowContrast,
    SkipUnlabelled,
)
from .weedmap import WeedMapDataset

__all__ = [
    'AlignPair',
    'ApplyToModality',
    'CWFIDDataset',
    'DegradeSensor',
    'FMBDataset',
    'LoadPairAnnotations',
    'LoadPairFromFile',
    'MFNetDataset',
    'MSRSDataset',
    'OmbriaDataset',
    'PST900Dataset',
    'PackFusionInputs',
    'PairedSegDataset',
    'SemanticRTDataset',
    'SkipLowContrast',
    'SkipUnlabelled',
    'SyntheticThermalScenes',
    'WeedMapDataset',
]
