"""How good the fused images of models and of fixed rules are, without labels: metrics on folders of pairs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import list_pairs
from mmfusion.datasets import LoadPairFromFile, PackFusionInputs
from mmfusion.evaluation.metrics import FusionMetric
from mmfusion.models import AverageFusion, BaseFusion, LaplacianPyramidFusion, MaximumFusion, SalienceFusion
from mmfusion.models.color import merge_luminance, split_luminance

from .run_summary import format_cell, mean_and_spread
from .tables import Sheet

RULES: dict[str, type[BaseFusion]] = {
    'average': AverageFusion,
    'maximum': MaximumFusion,
    'laplacian-pyramid': LaplacianPyramidFusion,
    'salience': SalienceFusion,
}
METRICS = ('SD', 'AG', 'MI', 'SCD', 'VIF', 'Qabf', 'SSIM')

Fuse = Callable[[dict, Tensor], Tensor]
"""From where a pair lies and the pair itself (4, H, W), B, G, R and infrared in 0..255, to its fused image (3, H, W) or
(1, H, W) in [0, 1]."""


@dataclass(frozen=True)
class Quality:
    """Figures of one method on one folder."""

    method: str
    folder: str
    pairs: int
    figures: dict[str, list[float]]
    """Metric to its mean over the pairs, one value for each checkpoint."""


def pairs_of(folder: Path) -> list[dict]:
    """The pairs of a folder.

    Args:
        folder (Path): With sub-folders ``ir`` and ``vi``, whose files are matched by name.

    Returns:
        list[dict]: ``name``, ``vi_path`` and ``ir_path``.

    Raises:
        FileNotFoundError: There are no such sub-folders, or no images in them.
        ValueError: An image has no partner.
    """
    for name in ('ir', 'vi'):
        if not (folder / name).is_dir():
            raise FileNotFoundError(
                f'{folder} has no folder {name!r}; pairs are expected as ir/NAME.png and vi/NAME.png'
            )
    return list_pairs(folder / 'ir', folder / 'vi', False, {})


def by_rule(rule: BaseFusion) -> Fuse:
    """A rule for luminance; colour is that of the visible image.

    Args:
        rule (BaseFusion): Needs no segmentor.

    Returns:
        Fuse: The same for a pair in a file.

    Examples:
        >>> pair = torch.tensor([0.0, 0.0, 0.0, 102.0]).view(4, 1, 1)
        >>> round(by_rule(AverageFusion())({}, pair).mean().item(), 4)
        0.2
    """

    def fuse(item: dict, pair: Tensor) -> Tensor:
        luminance, chroma = split_luminance(pair[None, :3].flip(1).float() / 255)
        with torch.no_grad():
            fused = rule(pair[None, 3:].float() / 255, luminance).fused
        return merge_luminance(fused, chroma)[0]

    return fuse


def by_model(inferencer: FusionInferencer) -> Fuse:
    """A trained model.

    Args:
        inferencer (FusionInferencer): With its weights.

    Returns:
        Fuse: Its fused image, as it would be written to a file.
    """

    def fuse(item: dict, pair: Tensor) -> Tensor:
        image: np.ndarray = inferencer(ir=item['ir_path'], vi=item['vi_path'])['fused'][0]
        return torch.from_numpy(image.reshape(*image.shape[:2], -1)).permute(2, 0, 1).float() / 255

    return fuse


def measure(fuse: Fuse, pairs: Iterable[dict], metrics: Sequence[str] = METRICS) -> dict[str, float]:
    """Metrics of a fusion, the mean over pairs.

    Args:
        fuse (Fuse): The fusion.
        pairs (Iterable[dict]): Of :func:`pairs_of`.
        metrics (Sequence[str]): Out of ``mmfusion.evaluation.FUSION_METRICS``.

    Returns:
        dict[str, float]: Of images rounded to 8 bits, as those that are written to files.
    """
    load, pack, metric = LoadPairFromFile(), PackFusionInputs(), FusionMetric(metrics=metrics)
    number = 0
    for item in pairs:
        pair = pack(load(dict(item, seg_fields=[])))['inputs']
        fused = fuse(item, pair).mul(255).round().div(255).clamp(0, 1)
        metric.process(dict(inputs=[pair]), [dict(fused_img=dict(data=fused))])
        number += 1
    return {name.removeprefix('fusion/'): value for name, value in metric.evaluate(size=number).items()}


def compare_quality(
    methods: Mapping[str, Sequence[Fuse]], folders: Mapping[str, Path], metrics: Sequence[str] = METRICS
) -> list[Quality]:
    """Every method on every folder.

    Args:
        methods (Mapping[str, Sequence[Fuse]]): Name to fusions, such as one for each seed.
        folders (Mapping[str, Path]): Name to folder.
        metrics (Sequence[str]): Out of ``mmfusion.evaluation.FUSION_METRICS``.

    Returns:
        list[Quality]: Folder by folder, in the order of the methods.

    Raises:
        FileNotFoundError: A folder has no pairs.
    """
    listed = {name: pairs_of(folder) for name, folder in folders.items()}
    found = []
    for folder, pairs in listed.items():
        for method, fusions in methods.items():
            runs = [measure(fuse, pairs, metrics) for fuse in fusions]
            figures = {name: [run[name] for run in runs] for name in metrics}
            found.append(Quality(method, folder, len(pairs), figures))
    return found


def quality_sheets(found: Sequence[Quality]) -> list[Sheet]:
    """One table for each folder, a row for each method.

    Args:
        found (Sequence[Quality]): Of :func:`compare_quality`.

    Returns:
        list[Sheet]: Means over the pairs, ± sample standard deviation over the checkpoints where there are several.

    Examples:
        >>> quality_sheets([Quality('average', 'tno', 6, {'SD': [20.0, 22.0]})])[0].rows
        [['average', '21.00 ± 1.41']]
    """
    sheets = []
    for folder in dict.fromkeys(quality.folder for quality in found):
        rows = [quality for quality in found if quality.folder == folder]
        cells = [
            [row.method, *(format_cell(*mean_and_spread(values)) for values in row.figures.values())] for row in rows
        ]
        sheets.append(Sheet(f'{folder}, {rows[0].pairs} pairs', ['method', *rows[0].figures], cells))
    return sheets
