"""Shares of the infrared image per class, against what the data set states about the sensors."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from mmengine.dataset import BaseDataset
from torch import Tensor

from mmfusion.attribution import LabelRegions, Scorer
from mmfusion.models import FusionSegmentor
from mmfusion.models.fusion import FusionResult
from mmfusion.models.scorer import plain_metas

from .labels import IGNORE
from .scenes import SceneBatch
from .share_settings import Setting, attribute, own_setting

TARGETS: dict[str, tuple[str, Callable[[float], bool]]] = {
    'infrared': ('> 0.6', lambda share: share > 0.6),
    'visible': ('< 0.2', lambda share: share < 0.2),
    'background': ('0.4..0.6', lambda share: 0.4 <= share <= 0.6),
}


# What the data set states -------------------------------------------------------------------------------------------
def evidence_of(dataset: BaseDataset) -> list[str]:
    """Which sensor holds the evidence, per class of a data set: 'infrared', 'visible' or 'both'.

    Raises:
        ValueError: The data set does not say.

    Examples:
        >>> from mmfusion.datasets import SyntheticThermalScenes
        >>> evidence_of(SyntheticThermalScenes(num_scenes=1))
        ['both', 'infrared', 'visible', 'both']
    """
    owner, evidence = type(dataset).__name__, getattr(dataset, 'evidence', None)
    if not isinstance(evidence, dict):
        raise ValueError(
            f'{owner} does not state where the evidence for its classes is (an attribute `evidence`: class '
            "to 'infrared', 'visible' or 'both'), so shares cannot be held against a truth; use a config "
            'that tests on SyntheticThermalScenes, or tools/analysis_tools/attribution_maps.py'
        )
    classes = dataset.metainfo['classes']
    unclear = [name for name in classes if evidence.get(name) not in ('infrared', 'visible', 'both')]
    if unclear:
        raise ValueError(
            f"the `evidence` of {owner} must be 'infrared', 'visible' or 'both' for every class, but is "
            f'{[evidence.get(name) for name in unclear]} for {", ".join(unclear)}'
        )
    return [evidence[name] for name in classes]


def target_of(name: str, evidence: str) -> str | None:
    """Key of TARGETS for a class; None for one whose share may be anything, such as an object that both show.

    Examples:
        >>> target_of('warm', 'infrared'), target_of('background', 'both'), target_of('vehicle', 'both')
        ('infrared', 'background', None)
    """
    if evidence != 'both':
        return evidence
    return 'background' if name == 'background' else None


# Scenes to tables ---------------------------------------------------------------------------------------------------
@dataclass
class Stat:
    """Mean over scenes."""

    mean: float
    std: float | None
    """Sample standard deviation; None for a single scene."""
    scenes: int


Table = dict[str, list[Stat | None]]
"""By time of day, one entry per class; None for a class that no scene holds."""


def presence(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes a scene holds: (B, H, W) class ids to booleans (B, C).

    Examples:
        >>> presence(torch.tensor([[[0, 2, 255]]]), 3)
        tensor([[ True, False,  True]])
    """
    return torch.stack([(labels == c).flatten(1).any(1) for c in range(num_classes)], dim=1)


def distances(fused: Tensor, source: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean absolute difference of two images in each region.

    Args:
        fused (Tensor): (B, 1, H, W) in [0, 1].
        source (Tensor): Likewise.
        labels (Tensor): Class ids (B, H, W).
        num_classes (int): Number of classes C.

    Returns:
        Tensor: (B, C) in grey levels, 0..255; 0 for a class that a scene does not hold.

    Examples:
        >>> distances(torch.ones(1, 1, 1, 2), torch.tensor([[[[0.0, 0.5]]]]), torch.tensor([[[0, 0]]]), 2)
        tensor([[191.2500,   0.0000]])
    """
    masks = labels[:, None] == torch.arange(num_classes, device=labels.device).view(1, -1, 1, 1)
    return 255 * ((fused - source).abs() * masks).sum((2, 3)) / masks.sum((2, 3)).clamp(min=1)


def region_means(image: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean of an image in each region.

    Args:
        image (Tensor): (B, 1, H, W).
        labels (Tensor): Class ids (B, H, W).
        num_classes (int): Number of classes C.

    Returns:
        Tensor: (B, C); 0 for a class that a scene does not hold.

    Examples:
        >>> region_means(torch.tensor([[[[0.25, 0.75]]]]), torch.tensor([[[0, 0]]]), 2)
        tensor([[0.5000, 0.0000]])
    """
    regions = LabelRegions.from_labels(labels, num_classes, IGNORE, check=False)
    return regions.finish(regions.sums(image[:, 0]))


def tabulate(values: Tensor, present: Tensor, daytimes: Sequence[str]) -> Table:
    """Mean over the scenes of each time of day that hold the class.

    Args:
        values (Tensor): (N, C) of N scenes.
        present (Tensor): Booleans (N, C).
        daytimes (Sequence[str]): Of the scenes.

    Returns:
        Table: In the order of the times of day.

    Examples:
        >>> tabulate(torch.tensor([[1.0], [3.0]]), torch.tensor([[True], [True]]), ['day', 'day'])['day'][0].mean
        2.0
    """
    table = {}
    for daytime in dict.fromkeys(daytimes):
        of_daytime = torch.tensor([name == daytime for name in daytimes], device=values.device)
        columns = [values[of_daytime & present[:, c], c].tolist() for c in range(values.shape[1])]
        table[daytime] = [_statistic(column) for column in columns]
    return table


def _statistic(values: list[float]) -> Stat | None:
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Stat(statistics.fmean(values), spread, len(values))


def verdicts(table: Table, classes: Sequence[str], evidence: Sequence[str]) -> dict[str, list[bool | None]]:
    """Whether each mean share meets its target.

    Args:
        table (Table): Shares of the infrared image.
        classes (Sequence[str]): Names.
        evidence (Sequence[str]): Per class; see :func:`evidence_of`.

    Returns:
        dict[str, list[bool | None]]: By time of day; None where there is no target or no scene.

    Examples:
        >>> verdicts({'night': [Stat(0.7, None, 1), None]}, ['warm', 'printed'], ['infrared', 'visible'])
        {'night': [True, None]}
    """
    targets = [target_of(name, sensor) for name, sensor in zip(classes, evidence)]
    met: dict[str, list[bool | None]] = {}
    for daytime, row in table.items():
        met[daytime] = []
        for target, stat in zip(targets, row):
            if target is None or stat is None:
                met[daytime].append(None)
            else:
                met[daytime].append(TARGETS[target][1](stat.mean))
    return met


# What a model does --------------------------------------------------------------------------------------------------
@dataclass
class Observation:
    """What a model does on the scenes."""

    attributed: bool
    """Whether the fusion itself attributes; otherwise the shares are by the defaults of UAAFusion."""
    shares: dict[str, Table]
    """By 'given' and 'predicted' labels."""
    to_infrared: Table
    """Mean \\|F - I\\| in the regions of the given labels, in grey levels."""
    to_visible: Table
    """Mean \\|F - V\\|, likewise."""
    nearer: Table
    """Fraction of the scenes in which the fused image is nearer to the sensor that holds the evidence."""


@dataclass
class _Seen:
    """What fusing a batch shows. B scenes, C classes, H x W pixels."""

    fused: Tensor
    """(B, 1, H, W)."""
    attributed: bool
    shares: Tensor
    """(B, C)."""
    present: Tensor
    """Which classes the labels hold, booleans (B, C)."""


def observe(model: FusionSegmentor, batches: Iterable[SceneBatch], evidence: Sequence[str]) -> Observation:
    """Fuse all scenes with given and with predicted labels.

    Args:
        model (FusionSegmentor): In evaluation mode.
        batches (Iterable[SceneBatch]): The scenes.
        evidence (Sequence[str]): Per class.

    Returns:
        Observation: Random estimators start from the same seed every time.
    """
    setting, classes = own_setting(model), len(evidence)
    given: list[_Seen] = []
    predicted: list[_Seen] = []
    to_sources: list[tuple[Tensor, Tensor]] = []
    daytimes: list[str] = []
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for batch in batches:
            daytimes += batch.daytimes
            given.append(_look(model, batch, setting, classes, batch.labels))
            infrared, visible = batch.sources
            to_infrared = distances(given[-1].fused, infrared, batch.labels, classes)
            to_visible = distances(given[-1].fused, visible, batch.labels, classes)
            to_sources.append((to_infrared, to_visible))
            predicted.append(_look(model, batch, setting, classes, None))
    present = torch.cat([seen.present for seen in given])
    to_infrared, to_visible = (torch.cat(values) for values in zip(*to_sources))
    return Observation(
        attributed=given[0].attributed,
        shares=dict(given=_shares(given, daytimes), predicted=_shares(predicted, daytimes)),
        to_infrared=tabulate(to_infrared, present, daytimes),
        to_visible=tabulate(to_visible, present, daytimes),
        nearer=_nearer(to_infrared, to_visible, present, daytimes, evidence),
    )


def _look(model: FusionSegmentor, batch: SceneBatch, setting: Setting, num_classes: int, given: Tensor | None) -> _Seen:
    """Fuse one batch, with the labels that are given or with those that the model predicts."""
    result, labels = _fuse(model, batch, given)
    if result.gate is not None:  # Its weights are what it has learned the shares to be.
        shares = region_means(result.weight_ir, labels, num_classes)
        return _Seen(result.fused, True, shares, presence(labels, num_classes))
    found = result.evidence
    if found is None:
        found = attribute(model.scorer(), replace(batch, labels=labels), setting, num_classes)
    return _Seen(result.fused, result.evidence is not None, found.share(), presence(labels, num_classes))


def _fuse(model: FusionSegmentor, batch: SceneBatch, labels: Tensor | None) -> tuple[FusionResult, Tensor]:
    """What the fusion tells, and the labels (B, H, W) it took: those given, or predicted ones."""
    image, result = model.fuse(batch.inputs, labels, ignore=batch.padding)
    if labels is not None:
        return result, labels
    if result.labels is not None:
        return result, result.labels
    if result.gate is not None:
        labels = model.segment(batch.inputs, image, result, plain_metas(batch.inputs)).argmax(1)
        return result, labels if batch.padding is None else labels.masked_fill(batch.padding, IGNORE)
    # A fusion that needs none; these are what UAAFusion takes by default.
    return result, _predict_labels(model.scorer(), batch)


def _predict_labels(scorer: Scorer, batch: SceneBatch) -> Tensor:
    ir, vi = batch.sources
    labels = (scorer(ir) + scorer(vi)).argmax(1)
    return labels if batch.padding is None else labels.masked_fill(batch.padding, IGNORE)


def _shares(seen: Sequence[_Seen], daytimes: Sequence[str]) -> Table:
    shares = torch.cat([batch.shares for batch in seen])
    return tabulate(shares, torch.cat([batch.present for batch in seen]), daytimes)


def _nearer(
    to_infrared: Tensor, to_visible: Tensor, present: Tensor, daytimes: Sequence[str], evidence: Sequence[str]
) -> Table:
    device = to_infrared.device
    wants_infrared = torch.tensor([sensor == 'infrared' for sensor in evidence], device=device)
    one_sensor = torch.tensor([sensor != 'both' for sensor in evidence], device=device)
    nearer = torch.where(wants_infrared, to_infrared < to_visible, to_visible < to_infrared).float()
    return tabulate(nearer, present & one_sensor, daytimes)
