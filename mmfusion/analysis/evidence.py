"""The share of the infrared image per class, against what the data set states."""

import inspect
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from torch import Tensor

from mmfusion.attribution import Scorer, infrared_share, region_attribution
from mmfusion.models import FusionSegmentor, UAAFusion
from mmfusion.models.color import split_luminance
from mmfusion.models.fusion import FusionResult
from mmfusion.models.segmentors.fused_prediction import padding_mask

from .attribution_maps import fit_labels

IGNORE = 255
# Images per pass of the segmentor while it is attributed; all settings have the same, so that their times compare.
MAX_IMAGES = 32
TARGETS: dict[str, tuple[str, Callable[[float], bool]]] = {
    'infrared': ('> 0.6', lambda share: share > 0.6),
    'visible': ('< 0.2', lambda share: share < 0.2),
    'background': ('0.4..0.6', lambda share: 0.4 <= share <= 0.6),
}


@dataclass
class Batch:
    """Some scenes as the model gets them: B scenes, H x W pixels."""

    inputs: Tensor
    """Pairs (B, 4, H, W) in [0, 1]: red, green, blue, infrared."""
    labels: Tensor
    """Given class ids (B, H, W); 255 in the padding."""
    daytimes: list[str]
    padding: Tensor | None = None
    """Booleans (B, H, W); None if there is none."""

    @property
    def sources(self) -> tuple[Tensor, Tensor]:
        """tuple[Tensor, Tensor]: Infrared image and visible luminance (B, 1, H, W)."""
        return self.inputs[:, 3:], split_luminance(self.inputs[:, :3])[0]


@dataclass
class Stat:
    """Mean over scenes."""

    mean: float
    std: float | None
    """Sample standard deviation; None for a single scene."""
    scenes: int


Table = dict[str, list[Stat | None]]
"""By time of day, one entry per class; None for a class that no scene holds."""


@dataclass(frozen=True)
class Setting:
    """A way to tell the share; the options are those of region_attribution and infrared_share."""

    name: str
    score: str = 'softmax'
    """'softmax', 'sigmoid', 'logit', or 'log' for the logarithm of the probability."""
    baseline: str = 'blur'
    estimator: str = 'exact'
    rule: str = 'midpoint'
    steps: int = 5
    pairs: int = 2
    smoothing: float = 0.075
    region: str = 'sample'
    eps: float = 1e-8
    seed: int | None = None
    """Of random signs: the same signs for every batch, as the model has them when it predicts; None for other signs in
    every batch, so that a mean over the scenes does not hang on one draw."""

    def attribution(self) -> dict:
        """Options of region_attribution, as far as they have an effect; and, for random estimators, the seed."""
        options = dict(baseline=self.baseline, estimator=self.estimator, region=self.region)
        if self.estimator in ('exact', 'multiplexed'):
            options.update(rule=self.rule, steps=self.steps)
        if self.estimator == 'banzhaf':
            options.update(pairs=self.pairs)
        if self.estimator in ('multiplexed', 'banzhaf'):
            options.update(seed=self.seed)
        return options

    def how(self) -> str:
        """The estimator in words, such as 'exact, right 5'."""
        if self.estimator == 'banzhaf':
            return f'banzhaf, {self.pairs} pair{"s" * (self.pairs > 1)}'
        return self.estimator if self.estimator == 'endpoint' else f'{self.estimator}, {self.rule} {self.steps}'

    def share(self, evidence: Sequence[tuple[Tensor, Tensor]], batches: Sequence[Batch]) -> Tensor:
        """Shares (N, C) from attributions (B, C) of infrared and visible image, batch by batch."""
        return torch.cat(
            [
                infrared_share(
                    ir,
                    vi,
                    batch.labels,
                    estimator=self.estimator,
                    smoothing=self.smoothing,
                    eps=self.eps,
                    region=self.region,
                    ignore_index=IGNORE,
                )
                for (ir, vi), batch in zip(evidence, batches)
            ]
        )


def own_setting(model: FusionSegmentor) -> Setting:
    """How the fusion of a model shares; UAAFusion's defaults for one that attributes nothing."""
    defaults = inspect.signature(UAAFusion).parameters
    names = dict(pairs='test_pairs')  # Of a prediction.
    names.update((name, name) for name in ('baseline', 'estimator', 'rule', 'steps', 'smoothing', 'region', 'eps'))
    options = {name: getattr(model.fusion, own, defaults[own].default) for name, own in names.items()}
    return Setting('this model', model.scorer().score, **options, seed=0)


def evidence_of(dataset: BaseDataset) -> list[str]:
    """Which sensor holds the evidence, per class of a data set: 'infrared', 'visible' or 'both'.

    Raises:
        ValueError: The data set does not say.
    """
    name, evidence = type(dataset).__name__, getattr(dataset, 'evidence', None)
    if not isinstance(evidence, dict):
        raise ValueError(
            f'{name} does not state where the evidence for its classes is (an attribute `evidence`: class '
            "to 'infrared', 'visible' or 'both'), so shares cannot be held against a truth; use a config "
            'that tests on SyntheticThermalScenes, or tools/analysis_tools/attribution_maps.py'
        )
    classes = dataset.metainfo['classes']
    unclear = [one for one in classes if evidence.get(one) not in ('infrared', 'visible', 'both')]
    if unclear:
        raise ValueError(
            f"the `evidence` of {name} must be 'infrared', 'visible' or 'both' for every class, but is "
            f'{[evidence.get(one) for one in unclear]} for {", ".join(unclear)}'
        )
    return [evidence[one] for one in classes]


def read_batches(
    model: FusionSegmentor, dataset: BaseDataset, scenes: int, batch_size: int, device: torch.device
) -> list[Batch]:
    """The first scenes of a data set, as the model gets them.

    Raises:
        ValueError: A scene has no labels, or the pipeline rejects it.
    """
    batches = []
    for first in range(0, scenes, batch_size):
        numbers = range(first, min(first + batch_size, scenes))
        packed = [dataset[i] for i in numbers]
        if any(one is None or 'gt_sem_seg' not in one['data_samples'] for one in packed):
            raise ValueError(
                f'scenes {numbers[0]} to {numbers[-1]} of the test data do not all have labels; end the '
                'test pipeline with PackFusionInputs and load labels'
            )
        given = [one['data_samples'].gt_sem_seg.data[0].cpu().numpy() for one in packed]
        data = model.data_preprocessor(pseudo_collate(packed), False)
        size = tuple(data['inputs'].shape[-2:])
        labels = [
            fit_labels(one, tuple(sample.img_shape[:2]), size) for one, sample in zip(given, data['data_samples'])
        ]
        daytimes = [dataset.get_data_info(i).get('daytime', 'all') for i in numbers]
        inputs = data['inputs'].to(device)
        padding = padding_mask([sample.metainfo for sample in data['data_samples']], inputs)
        batches.append(Batch(inputs, torch.cat(labels).to(device), daytimes, padding))
    return batches


def presence(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes a scene holds: (B, H, W) class ids to booleans (B, C)."""
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
    """
    masks = labels[:, None] == torch.arange(num_classes, device=labels.device).view(1, -1, 1, 1)
    return 255 * ((fused - source).abs() * masks).sum((2, 3)) / masks.sum((2, 3)).clamp(min=1)


def tabulate(values: Tensor, present: Tensor, daytimes: Sequence[str]) -> Table:
    """Mean of (N, C) values over the scenes of each time of day that hold the class."""
    table = {}
    for daytime in dict.fromkeys(daytimes):
        rows = torch.tensor([one == daytime for one in daytimes], device=values.device)
        columns = [values[rows & present[:, c], c].tolist() for c in range(values.shape[1])]
        table[daytime] = [
            Stat(statistics.fmean(column), statistics.stdev(column) if len(column) > 1 else None, len(column))
            if column
            else None
            for column in columns
        ]
    return table


def target_of(name: str, evidence: str) -> str | None:
    """Key of TARGETS for a class; None for one whose share may be anything, such as an object that both show."""
    if evidence != 'both':
        return evidence
    return 'background' if name == 'background' else None


def verdicts(table: Table, classes: Sequence[str], evidence: Sequence[str]) -> dict[str, list[bool | None]]:
    """Whether each mean meets its target, by time of day; None where there is no target or no scene."""
    targets = [target_of(*both) for both in zip(classes, evidence)]
    return {
        daytime: [
            None if target is None or stat is None else TARGETS[target][1](stat.mean)
            for target, stat in zip(targets, row)
        ]
        for daytime, row in table.items()
    }


def attribute(scorer: Scorer, batch: Batch, setting: Setting, num_classes: int, number: int = 0) -> tuple[Tensor, ...]:
    """Attributions (B, C) of infrared and visible image, as UAAFusion computes them.

    Args:
        scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
        batch (Batch): The scenes.
        setting (Setting): How.
        num_classes (int): Number of classes C.
        number (int): Number of the batch, which makes its random signs if the setting has no seed.

    Returns:
        tuple[Tensor, Tensor]: Of the infrared and of the visible image.
    """
    labels, options = batch.labels, setting.attribution()
    seed = options.pop('seed', None)
    options.update(
        max_batch=MAX_IMAGES,
        ignore_index=IGNORE,
        generator=torch.Generator().manual_seed(number if seed is None else seed),
    )
    if setting.region == 'batch':  # A region must not run over the two sources as well.
        return tuple(region_attribution(scorer, image, labels, num_classes, **options) for image in batch.sources)
    both = region_attribution(scorer, torch.cat(batch.sources), torch.cat([labels, labels]), num_classes, **options)
    return both.chunk(2)


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


def observe(model: FusionSegmentor, batches: Iterable[Batch], evidence: Sequence[str]) -> Observation:
    """Fuse all scenes with given and with predicted labels.

    Args:
        model (FusionSegmentor): In evaluation mode.
        batches (Iterable[Batch]): The scenes.
        evidence (Sequence[str]): Per class.

    Returns:
        Observation: Random estimators start from the same seed every time.
    """
    setting, classes = own_setting(model), len(evidence)
    parts: dict[str, list[Tensor]] = defaultdict(list)
    daytimes: list[str] = []
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for batch in batches:
            daytimes += batch.daytimes
            for key, given in (('given', batch.labels), ('predicted', None)):
                result, labels = _fuse(model, batch, given)
                relabelled = replace(batch, labels=labels)
                pair, attributed = (result.region_ir, result.region_vi), result.region_ir is not None
                if not attributed:
                    pair = attribute(model.scorer(), relabelled, setting, classes)
                parts[key].append(setting.share([pair], [relabelled]))
                parts[f'{key} held'].append(presence(labels, classes))
                if key == 'given':
                    for source, image in zip(('infrared', 'visible'), batch.sources):
                        parts[source].append(distances(result.fused, image, labels, classes))
    values = {key: torch.cat(tensors) for key, tensors in parts.items()}
    to_infrared, to_visible = values['infrared'], values['visible']
    wants_infrared = torch.tensor([one == 'infrared' for one in evidence], device=to_infrared.device)
    one_sensor = torch.tensor([one != 'both' for one in evidence], device=to_infrared.device)
    nearer = torch.where(wants_infrared, to_infrared < to_visible, to_visible < to_infrared).float()
    held = values['given held']
    return Observation(
        attributed=attributed,
        shares={key: tabulate(values[key], values[f'{key} held'], daytimes) for key in ('given', 'predicted')},
        to_infrared=tabulate(to_infrared, held, daytimes),
        to_visible=tabulate(to_visible, held, daytimes),
        nearer=tabulate(nearer, held & one_sensor, daytimes),
    )


def _fuse(model: FusionSegmentor, batch: Batch, labels: Tensor | None) -> tuple[FusionResult, Tensor]:
    """What the fusion tells, and the labels (B, H, W) it took: those given, or predicted ones."""
    result = model.fuse(batch.inputs, labels, ignore=batch.padding)[1]
    labels = result.labels if labels is None else labels
    if labels is None:  # A fusion that needs none; these are what UAAFusion takes by default.
        labels = sum(model.scorer()(image) for image in batch.sources).argmax(1)
        labels = labels if batch.padding is None else labels.masked_fill(batch.padding, IGNORE)
    return result, labels
