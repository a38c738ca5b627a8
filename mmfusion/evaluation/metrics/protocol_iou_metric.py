"""mIoU by the conventions of papers, each under a name that tells the convention."""

from typing import Any

import numpy as np
import torch

from mmfusion.registry import METRICS

from .per_class_iou_metric import PerClassIoUMetric

BACKGROUND = ('counted', 'excluded')
"""Whether the background's IoU is part of the mean."""

ABSENT = ('nan', 'zero', 'unlabelled_nan')
"""What a class counts that has no pixel."""

_DEFAULT_IGNORE_INDEX = 255


@METRICS.register_module()
class ProtocolIoUMetric(PerClassIoUMetric):
    """mmseg's IoU, and besides it the mean by another convention, whose name tells how it deviates.

    ``mIoU`` and ``mAcc`` stay what mmseg says, so that ``save_best='mIoU'`` and every table mean the same everywhere.
    With any switch there are also figures such as ``mIoU (no background, absent=0)``, made of the same areas.

    Conventions:

    * mmseg: every class counts, and one that is neither labelled nor predicted is left out (``nanmean``).
    * Fourteen classes of FMB with zeros: a data set of the fourteen, and ``absent='zero'``. Of a model with fifteen
      outputs: ``ignore_index=0, background='excluded', absent='zero'``.
    * Fifteen classes of FMB with nanmean: the defaults, so that ``mIoU`` is the figure.

    Args:
        background (str): ``'counted'`` as a class, or ``'excluded'`` from the mean. Its pixels still count as errors of
            other classes, unless ``ignore_index`` is the background too.
        background_id (int): Which class it is.
        absent (str): What a class counts that has no pixel. ``'nan'``: left out if it is neither labelled nor
            predicted, and 0 if it is only predicted. ``'zero'``: 0 in either case. ``'unlabelled_nan'``: left out if it
            is not labelled, even if it is predicted.
        **kwargs: See :class:`mmseg.evaluation.IoUMetric`. An ``ignore_index`` other than 255 is told in the name, and
            changes the plain ``mIoU`` as it does in mmseg.

    Raises:
        ValueError: An option is unknown, or ``nan_to_num`` is given, which would change ``mIoU`` without a word.

    Examples:
        >>> import logging
        >>> from mmengine.logging import MMLogger
        >>> MMLogger.get_current_instance().setLevel(logging.ERROR)  # Without mmseg's table.
        >>> metric = ProtocolIoUMetric(background='excluded', absent='zero')
        >>> metric.dataset_meta = dict(classes=('background', 'car', 'bicycle'))
        >>> label, prediction = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 0, 0, 1]])
        >>> metric.process({}, [dict(pred_sem_seg=dict(data=prediction), gt_sem_seg=dict(data=label))])
        >>> {name: round(float(value), 1) for name, value in metric.evaluate(size=1).items() if 'mIoU' in name}
        {'mIoU': 58.3, 'mIoU (no background, absent=0)': 25.0}
    """

    def __init__(self, background: str = 'counted', background_id: int = 0, absent: str = 'nan', **kwargs: Any) -> None:
        if background not in BACKGROUND:
            raise ValueError(f'background is one of {BACKGROUND}, not {background!r}')
        if absent not in ABSENT:
            raise ValueError(f'absent is one of {ABSENT}, not {absent!r}')
        if isinstance(background_id, bool) or not isinstance(background_id, int) or background_id < 0:
            raise ValueError(f'background_id is the id of a class, such as 0, not {background_id!r}')
        if kwargs.get('nan_to_num') is not None:
            raise ValueError("nan_to_num would change mIoU and not its name; use absent='zero'")
        super().__init__(**kwargs)
        self.background = background
        self.background_id = background_id
        self.absent = absent

    @property
    def convention(self) -> str:
        """What deviates from mmseg's default, as results are named; empty if nothing does.

        Examples:
            >>> ProtocolIoUMetric(ignore_index=0, absent='unlabelled_nan').convention
            'ignore_index=0, unlabelled=nan'
        """
        parts = []
        if self.ignore_index != _DEFAULT_IGNORE_INDEX:
            parts.append(f'ignore_index={self.ignore_index}')
        if self.background == 'excluded':
            parts.append('no background' if self.background_id == 0 else f'no class {self.background_id}')
        if self.absent != 'nan':
            parts.append('absent=0' if self.absent == 'zero' else 'unlabelled=nan')
        return ', '.join(parts)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics from the areas of all images.

        Args:
            results (list): Intersection, union, prediction and label areas per image.

        Returns:
            dict[str, float]: mmseg's figures, ``IoU/<class>``, and ``mIoU (...)`` and ``mAcc (...)`` by the convention,
            in percent.

        Raises:
            ValueError: There is no class of ``background_id``.
        """
        metrics = super().compute_metrics(results)
        if self.format_only or not self.convention:
            return metrics
        intersect, union, _, label = (sum(areas) for areas in zip(*results))
        counts = self._counted(label)
        for name, whole in (('mIoU', union), ('mAcc', label)):
            figures = self._with_absent((intersect / whole).double().numpy(), label.numpy())[counts]
            mean = np.nanmean(figures) if np.isfinite(figures).any() else np.nan
            metrics[f'{name} ({self.convention})'] = np.round(mean * 100, 2)
        return metrics

    def _counted(self, label: torch.Tensor) -> np.ndarray:
        """Which classes are part of the mean."""
        counts = np.ones(len(label), dtype=bool)
        if self.background == 'excluded':
            if self.background_id >= len(label):
                raise ValueError(f'background_id={self.background_id}, but the data set has {len(label)} classes')
            counts[self.background_id] = False
        return counts

    def _with_absent(self, figures: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Figures per class, where those that have no pixel are what the convention says."""
        if self.absent == 'zero':
            return np.nan_to_num(figures, nan=0.0)
        if self.absent == 'unlabelled_nan':
            return np.where(label > 0, figures, np.nan)
        return figures
