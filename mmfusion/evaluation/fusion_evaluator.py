"""Several metrics where a config of mmseg has one."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric, Evaluator
from mmseg.evaluation import IoUMetric

from mmfusion.registry import EVALUATOR, METRICS

# An evaluator without a type is mmengine's. Metrics may have `metrics` too, which are names.
_OF_SEVERAL = (None, 'Evaluator', 'FusionEvaluator')


@EVALUATOR.register_module()
class FusionEvaluator(Evaluator):
    """mmengine's evaluator, which takes what mmseg's ``tools/test.py --out`` writes into a single metric.

    That tool sets ``test_evaluator['output_dir']``, which a list of metrics has no place for.

    Args:
        metrics (Sequence[dict | BaseMetric]): Metrics or their configs, such as ``dict(type='IoUMetric')`` and
            ``dict(type='FusionMetric')``.
        output_dir (str, optional): Where the metrics of labels, which are ``IoUMetric`` and those derived of it, write
            predicted label maps.
        keep_results (bool): Set by mmseg's tool; without effect, as in its metric.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     evaluator = FusionEvaluator([dict(type='mmseg.IoUMetric', prefix='seg')], output_dir=folder)
        ...     evaluator.metrics[0].output_dir == folder
        True
    """

    def __init__(
        self,
        metrics: Sequence[Mapping[str, Any] | BaseMetric] | Mapping[str, Any] | BaseMetric,
        output_dir: str | None = None,
        keep_results: bool = False,
    ) -> None:
        if isinstance(metrics, (Mapping, BaseMetric)):
            metrics = [metrics]
        super().__init__([metric if output_dir is None else with_folder(metric, output_dir) for metric in metrics])
        self.keep_results = keep_results


def with_folder(metric: Mapping[str, Any] | BaseMetric, folder: str) -> Any:
    """The config of a metric, or of an evaluator of several, which writes predicted label maps where it can.

    Args:
        metric (Mapping | BaseMetric): One that was built has its own folder, and stays.
        folder (str): For ``IoUMetric`` and those derived of it.

    Returns:
        dict | BaseMetric: Of the same kind; what was given is not changed.

    Examples:
        >>> with_folder(dict(type='mmseg.IoUMetric'), 'labels')
        {'type': 'mmseg.IoUMetric', 'output_dir': 'labels'}
        >>> with_folder(dict(type='FusionMetric', metrics=('EN',)), 'labels')
        {'type': 'FusionMetric', 'metrics': ('EN',)}
    """
    if isinstance(metric, BaseMetric):
        return metric
    if metric.get('type') in _OF_SEVERAL:
        return dict(metric, metrics=[with_folder(each, folder) for each in metric['metrics']])
    kind = METRICS.get(metric['type']) if isinstance(metric['type'], str) else metric['type']
    writes = isinstance(kind, type) and issubclass(kind, IoUMetric)
    return dict(metric, output_dir=folder) if writes else metric
