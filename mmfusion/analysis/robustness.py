"""What the mIoU of trained models becomes when a sensor fails or sees badly."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmfusion.apis import FusionInferencer, load_config
from mmfusion.datasets import DegradeSensor, LoadPairFromFile
from mmfusion.models import FusionSegmentor
from mmfusion.registry import METRICS, TRANSFORMS

from .quiet import quiet
from .run_summary import format_cell, mean_and_spread
from .tables import Sheet

INTACT = 'both sensors'
DEGRADATIONS = ('infrared:black', 'visible:black', 'infrared:blur', 'visible:blur')


@dataclass(frozen=True)
class Row:
    """Figures of one model."""

    name: str
    figures: dict[str, list[float]]
    """Degradation to mIoU in %, one for each checkpoint; what is intact comes first."""


def parse_degradation(text: str) -> DegradeSensor:
    """A degradation from a word of the command line.

    Args:
        text (str): ``SENSOR:KIND`` or ``SENSOR:KIND=AMOUNT``.

    Returns:
        DegradeSensor: The transform.

    Raises:
        ValueError: It is none.

    Examples:
        >>> parse_degradation('visible:dark=0.5')
        DegradeSensor(modality='visible', kind='dark', amount=0.5)
    """
    sensor, separator, rest = text.partition(':')
    kind, _, amount = rest.partition('=')
    if not separator:
        raise ValueError(f'a degradation is SENSOR:KIND or SENSOR:KIND=AMOUNT, such as infrared:black, got {text!r}')
    try:
        return DegradeSensor(sensor, kind, float(amount) if amount else None)
    except ValueError as error:
        raise ValueError(f'{text}: {error}') from error


def degradable_config(config: str | PathLike | Config, data_root: str | None = None) -> Config:
    """The config of a test that can be degraded.

    Args:
        config (str | PathLike | Config): A path, a name of :func:`~mmfusion.apis.config_names`, or a config.
        data_root (str, optional): Where the test data are, if not where the config says.

    Returns:
        Config: A copy.

    Raises:
        ValueError: It has no test pipeline, or no metric of IoU.
    """
    cfg = load_config(config)
    if not ((cfg.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline'):
        raise ValueError('the config has no test_dataloader.dataset.pipeline, where sensors would be degraded')
    evaluators = cfg.get('test_evaluator') or []
    evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
    cfg.test_evaluator = [evaluator for evaluator in evaluators if evaluator['type'].endswith('IoUMetric')]
    if not cfg.test_evaluator:
        raise ValueError('test_evaluator has no metric of IoU, such as PerClassIoUMetric')
    if data_root is not None:
        cfg.test_dataloader.dataset.data_root = data_root
    return cfg


def mean_iou(model: FusionSegmentor, cfg: Config, degradation: DegradeSensor | None = None) -> float:
    """How well a model does on the test pairs of a config.

    Args:
        model (FusionSegmentor): In evaluation mode.
        cfg (Config): Of :func:`degradable_config`.
        degradation (DegradeSensor, optional): Applied to each pair as soon as it is loaded.

    Returns:
        float: mIoU in %.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmfusion'):
        loader_config = copy.deepcopy(cfg.test_dataloader)
        steps = [TRANSFORMS.build(step) for step in loader_config.dataset.pipeline]
        if degradation is not None:
            # In front where the data set draws its pairs.
            behind = [number for number, step in enumerate(steps, start=1) if isinstance(step, LoadPairFromFile)]
            steps.insert(behind[0] if behind else 0, degradation)
        loader_config.dataset.pipeline = steps
        loader = Runner.build_dataloader(loader_config, seed=0)
        metric = METRICS.build(cfg.test_evaluator[0])
    metric.dataset_meta = loader.dataset.metainfo
    with torch.no_grad():
        for batch in loader:
            samples = model.test_step(batch)
            metric.process(batch, [sample.to_dict() for sample in samples])
    return float(metric.evaluate(size=len(loader.dataset))['mIoU'])


def measure_robustness(
    models: Mapping[str, tuple[str, Sequence[str]]],
    degradations: Sequence[str] = DEGRADATIONS,
    data_root: str | None = None,
    device: str | None = None,
) -> list[Row]:
    """Every model with both sensors as they are, and with every degradation.

    Args:
        models (Mapping[str, tuple[str, Sequence[str]]]): Name to config and checkpoints, such as one for each seed.
        degradations (Sequence[str]): See :func:`parse_degradation`.
        data_root (str, optional): Where the test data are, if not where the configs say.
        device (str, optional): Where the models run.

    Returns:
        list[Row]: In the order of the models.
    """
    parsed = {INTACT: None} | {text: parse_degradation(text) for text in degradations}
    configs = {name: degradable_config(config, data_root) for name, (config, _) in models.items()}
    rows = []
    for name, (_, checkpoints) in models.items():
        figures: dict[str, list[float]] = {text: [] for text in parsed}
        for checkpoint in checkpoints:
            with quiet():
                model = FusionInferencer(configs[name], checkpoint, device).model
                for text, degradation in parsed.items():
                    figures[text].append(mean_iou(model, configs[name], degradation))
        rows.append(Row(name, figures))
    return rows


def robustness_sheet(rows: Sequence[Row]) -> Sheet:
    """A table with a row for each model.

    Args:
        rows (Sequence[Row]): Of :func:`measure_robustness`.

    Returns:
        Sheet: mIoU in %, ± sample standard deviation over the checkpoints where there are several.

    Examples:
        >>> robustness_sheet([Row('early', {INTACT: [70.0, 72.0], 'infrared:black': [40.0, 50.0]})]).rows
        [['early', '71.00 ± 1.41', '45.00 ± 7.07']]
    """
    cells = [[row.name, *(format_cell(*mean_and_spread(values)) for values in row.figures.values())] for row in rows]
    return Sheet('mIoU in % with a sensor degraded', ['model', *rows[0].figures], cells)
