"""Fusion metrics of images in files, measured once."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor

from ..fusion_quality import Quality, measure
from ..report_files import json_text, write_text
from .fused_folder import FusedFolder
from .pair_folders import PairFolder, sources_digest


def _from_file(item: dict, pair: Tensor) -> Tensor:
    image = cv2.imread(str(item['fused_path']), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f'{item["fused_path"]} is no image that can be read')
    if image.shape[:2] != tuple(pair.shape[1:]):
        height, width = pair.shape[1:]
        raise ValueError(
            f'{item["fused_path"]} is {image.shape[1]}x{image.shape[0]}, its pair {width}x{height}; fused images have '
            'the size of their pair'
        )
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1).float() / 255


def image_quality(fused: FusedFolder, pairs: Sequence[PairFolder], metrics: Sequence[str], cache: Path) -> Quality:
    """Metrics of the fused images of some pairs.

    Args:
        fused (FusedFolder): The images, 8 bit.
        pairs (Sequence[PairFolder]): Those that count, such as those of the test.
        metrics (Sequence[str]): Out of ``mmfusion.evaluation.FUSION_METRICS``.
        cache (Path): JSON file of an earlier call; what it has of the same images and pairs is not measured again.

    Returns:
        Quality: One value for each metric, the mean over the pairs.

    Raises:
        ValueError: An image cannot be read, or has another size than its pair.
    """
    items = [
        dict(item, fused_path=fused.images[folder.visible][stem])
        for folder in pairs
        for stem, item in folder.pairs.items()
    ]
    counted = dict(fused=fused.digest(), sources=sources_digest(pairs))
    known = _known(cache, counted)
    missing = [name for name in metrics if name not in known]
    if missing:
        known.update(measure(_from_file, items, missing))
        write_text(cache, json_text(dict(counted, figures=known)))
    return Quality(fused.name, 'fused images', len(items), {name: [known[name]] for name in metrics})


def _known(cache: Path, counted: dict) -> dict[str, float]:
    """Figures of the same images; none where there is no file, or one that cannot be read."""
    try:
        content = json.loads(cache.read_text('utf-8'))
        return content['figures'] if {key: content[key] for key in counted} == counted else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
