"""Attribution analysis: where does a segmentation network find its evidence?

Pure torch, callables in and tensors out: this room knows neither mmengine nor any registry.
"""

from .baseline import BASELINES, make_baseline
from .isolation import Scorer, isolated
from .quadrature import RULES, quadrature
from .region import ESTIMATORS, region_attribution
from .shares import evidence_prior, infrared_share
from .trajectory import TrajectoryAttribution

__all__ = [
    'BASELINES',
    'ESTIMATORS',
    'RULES',
    'Scorer',
    'TrajectoryAttribution',
    'evidence_prior',
    'infrared_share',
    'isolated',
    'make_baseline',
    'quadrature',
    'region_attribution',
]
