"""All that is asked of the evidence on one trained model."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.dataset import BaseDataset

from mmfusion.apis import FusionInferencer
from mmfusion.models import FusionSegmentor

from .definitions import compare_definitions, scorer_of
from .evidence import Observation, Table, evidence_of, verdicts
from .fusion_options import attribution_of
from .scenes import SceneBatch, read_batches
from .share_settings import Setting


@dataclass
class Case:
    """A model, and scenes of which the data set states where the evidence is."""

    model: FusionSegmentor
    """In evaluation mode."""
    batches: list[SceneBatch]
    """The scenes."""
    classes: Sequence[str]
    """Names."""
    evidence: Sequence[str]
    """Sensor that holds the evidence, per class; see :func:`~mmfusion.analysis.evidence.evidence_of`."""


def read_case(inferencer: FusionInferencer, dataset: BaseDataset, scenes: int) -> Case:
    """The first scenes of the test data, in batches of the config's size.

    Args:
        inferencer (FusionInferencer): The model.
        dataset (BaseDataset): Its test data.
        scenes (int): How many.

    Returns:
        Case: Model and scenes.

    Raises:
        ValueError: The test data do not state where the evidence is, or do not go with the model.
    """
    evidence, classes = evidence_of(dataset), tuple(dataset.metainfo['classes'])
    model = inferencer.model
    if len(classes) != model.num_classes:
        raise ValueError(
            f'the model has {model.num_classes} classes, but the test data {len(classes)}: {", ".join(classes)}'
        )
    batch_size = inferencer.cfg.test_dataloader.get('batch_size') or 1
    return Case(model, read_batches(model, dataset, scenes, batch_size, inferencer.device), classes, evidence)


def evidence_report(case: Case, model_setting: Setting, observation: Observation) -> dict[str, Any]:
    """What was observed, in plain numbers.

    Args:
        case (Case): The classes.
        model_setting (Setting): How the model tells the share.
        observation (Observation): What it does on the scenes.

    Returns:
        dict: ``setting``, ``classes`` (name, evidence), the fields of the observation, and ``verdicts`` by 'given' and
        'predicted' labels.
    """
    met = {labels: verdicts(table, case.classes, case.evidence) for labels, table in observation.shares.items()}
    return dict(
        setting=model_setting.fields(),
        classes=[dict(name=name, evidence=sensor) for name, sensor in zip(case.classes, case.evidence)],
        **asdict(observation),
        verdicts=met,
    )


def compare_on(case: Case, settings: Sequence[Setting], nodes: int, tick: Callable[[], None]) -> list[dict[str, Any]]:
    """Ways to tell the share with the segmentor of a model; see :func:`~mmfusion.analysis.compare_definitions`.

    Args:
        case (Case): Model and scenes.
        settings (Sequence[Setting]): The ways.
        nodes (int): Nodes of the reference.
        tick (Callable): Called after every batch of every distinct attribution.

    Returns:
        list[dict]: Per setting.
    """

    def scorers(score: str) -> Any:
        return scorer_of(case.model, score)

    return compare_definitions(scorers, case.batches, settings, case.classes, case.evidence, nodes, tick)


def plain_table(table: Table) -> dict[str, list[dict[str, Any] | None]]:
    """A table as dicts and lists.

    Examples:
        >>> from mmfusion.analysis.evidence import Stat
        >>> plain_table({'day': [Stat(0.5, None, 1), None]})
        {'day': [{'mean': 0.5, 'std': None, 'scenes': 1}, None]}
    """
    return {daytime: [None if stat is None else asdict(stat) for stat in row] for daytime, row in table.items()}


def how_told(model: FusionSegmentor, model_setting: Setting, attributed: bool) -> str:
    """A sentence or two on how shares are told and where labels come from.

    Args:
        model (FusionSegmentor): The model.
        model_setting (Setting): How it tells the share.
        attributed (bool): Whether its fusion itself uses the shares.

    Returns:
        str: For readers of a table.
    """
    if getattr(model.fusion, 'gate', None) is not None:
        return "The gate's mean weight in the region; predicted labels are the model's own."
    used = 'as the fusion computes it'
    if not attributed:
        used = f'by the defaults of UAAFusion; {type(model.fusion).__name__} does not use it'
    options = model_setting.attribution
    how = f'{model_setting.score}, {options.baseline}, {model_setting.how()}, smoothing {options.smoothing:g}'
    from_mean = attribution_of(model.fusion).label_source == 'mean'
    predicted = 'the mean image' if from_mean else 'both images, by the mean of their scores'
    return f'Told {used}: {how}. Labels are predicted from {predicted}.'
