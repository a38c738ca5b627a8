"""Attribution analysis: where does a segmentation network find its evidence?

Pure torch, callables in and tensors out: this room knows neither mmengine nor any registry.
"""

from .attribution import LABEL_SOURCES, REGIONS, Attribution
from .baseline import BASELINES, make_baseline
from .estimators import ESTIMATORS
from .evidence import Evidence
from .isolation import PairScorer, Scorer, isolated
from .label_regions import LabelRegions
from .quadrature import RULES, quadrature
from .region import region_attribution
from .shares import evidence_prior, infrared_share
from .trajectory import NORMALIZATIONS, TrajectoryAttribution

__all__ = [
    'BASELINES',
    'ESTIMATORS',
    'LABEL_SOURCES',
    'NORMALIZATIONS',
    'REGIONS',
    'RULES',
    'Attribution',
    'Evidence',
    'LabelRegions',
    'PairScorer',
    'Scorer',
    'TrajectoryAttribution',
    'evidence_prior',
    'infrared_share',
    'isolated',
    'make_baseline',
    'quadrature',
    'region_attribution',
]
