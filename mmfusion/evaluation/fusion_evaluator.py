"""Several metrics where a config of mmseg has one."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric, Evaluator
from mmseg.evaluation import IoUMetric

from mmfusion.registry import EVALUATOR, METRICS


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
        super().__init__([_with_folder(metric, output_dir) for metric in metrics])
        self.keep_results = keep_results


def _with_folder(metric: Mapping[str, Any] | BaseMetric, folder: str | None) -> Mapping[str, Any] | BaseMetric:
    """The config of a metric, with the folder if it writes labels; a metric that was built has its own."""
    if folder is None or isinstance(metric, BaseMetric):
        return metric
    kind = METRICS.get(metric['type']) if isinstance(metric['type'], str) else metric['type']
    writes = isinstance(kind, type) and issubclass(kind, IoUMetric)
    return dict(metric, output_dir=folder) if writes else metric
