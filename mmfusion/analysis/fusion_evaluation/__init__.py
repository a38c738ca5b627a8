"""Fused images of any method, judged by a segmentor that is trained on them."""

from .fused_folder import FusedFolder, find_fused
from .measured_images import image_quality
from .pair_folders import PairFolder, pair_folders, split_names
from .protocol import PROTOCOL, method_name, on_fused_images, write_config
from .rules import rule_fusions, write_by_rule

__all__ = [
    'PROTOCOL',
    'FusedFolder',
    'PairFolder',
    'find_fused',
    'image_quality',
    'method_name',
    'on_fused_images',
    'pair_folders',
    'rule_fusions',
    'split_names',
    'write_by_rule',
    'write_config',
]
