"""mIoU and change of the fused image over the whole of the test data."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmseg.evaluation import IoUMetric
from torch import Tensor

from mmfusion.apis import FusionInferencer

GREY_LEVELS = 255
RESAMPLES = 1000


@dataclass(frozen=True)
class MIoUOptions:
    """Options of :class:`mmseg.evaluation.IoUMetric` that change its value."""

    ignore_index: int = 255
    """Label that mIoU leaves out."""
    nan_to_num: int | None = None
    """What stands for the IoU of a class that does not occur."""


def miou_options(inferencer: FusionInferencer) -> MIoUOptions:
    """Options of the mIoU in the ``test_evaluator`` of a model's config.

    Args:
        inferencer (FusionInferencer): Its config is read.

    Returns:
        MIoUOptions: mmseg's defaults where the config says nothing.

    Examples:
        >>> from types import SimpleNamespace
        >>> miou_options(SimpleNamespace(cfg=dict(test_evaluator=dict(type='IoUMetric', ignore_index=9))))
        MIoUOptions(ignore_index=9, nan_to_num=None)
    """
    evaluators = inferencer.cfg.get('test_evaluator') or []
    if not isinstance(evaluators, list):
        evaluators = [evaluators]
    for evaluator in evaluators:
        if str(evaluator.get('type')).endswith('IoUMetric'):
            return MIoUOptions(evaluator.get('ignore_index', 255), evaluator.get('nan_to_num'))
    return MIoUOptions()


class Tally:
    """Segmentation and fused images under one intervention, over the whole of the test data.

    Args:
        num_classes (int): Classes C.
        ignore_index (int): Label that mIoU leaves out.
        nan_to_num (int, optional): See :class:`mmseg.evaluation.IoUMetric`.

    Attributes:
        areas (list): Per image the areas of intersection, union, prediction and label, each (C,) in pixels.

    Examples:
        One of two pixels is taken for the second class; the fused image is a fifth of the range brighter:

        >>> tally, labels = Tally(num_classes=2), torch.zeros(1, 2, dtype=torch.long)
        >>> tally.add(torch.tensor([[0, 1]]), labels, torch.full((1, 2), 0.4), torch.full((1, 2), 0.2))
        >>> result = tally.result()
        >>> result['IoU'], round(result['change'], 3)
        ([50.0, 0.0], 51.0)
    """

    def __init__(self, num_classes: int, ignore_index: int = 255, nan_to_num: int | None = None) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.nan_to_num = nan_to_num
        self.areas: list[tuple[Tensor, ...]] = []
        # Of the classes, and at last of all pixels.
        self._changes = torch.zeros(num_classes + 1, dtype=torch.float64)
        self._pixels = torch.zeros(num_classes + 1, dtype=torch.float64)

    def add(self, prediction: Tensor, labels: Tensor, fused: Tensor, reference: Tensor) -> None:
        """Take in one image.

        Args:
            prediction (Tensor): Class ids (H, W).
            labels (Tensor): True ones (H, W).
            fused (Tensor): Fused luminance (H, W) in [0, 1].
            reference (Tensor): The same without intervention.
        """
        labels = labels.to(prediction)
        self.areas.append(IoUMetric.intersect_and_union(prediction, labels, self.num_classes, self.ignore_index))
        change = (fused.double() - reference.double()).abs().flatten().cpu() * GREY_LEVELS
        labels = labels.flatten().long().cpu()
        inside = (labels != self.ignore_index) & (labels >= 0) & (labels < self.num_classes)
        self._changes[:-1] += torch.bincount(labels[inside], change[inside], self.num_classes)
        self._pixels[:-1] += torch.bincount(labels[inside], minlength=self.num_classes)
        self._changes[-1] += change.sum()
        self._pixels[-1] += change.numel()

    def result(self) -> dict[str, Any]:
        """All figures.

        Returns:
            dict: ``mIoU`` and ``IoU`` (a list, one per class) in percent, as :class:`mmseg.evaluation.IoUMetric` has
            them; ``change``, the mean absolute change of the fused luminance in grey levels (0..255), and
            ``change_by_class`` (a list) within the true regions. NaN for a class that does not occur.
        """
        totals = [sum(areas) for areas in zip(*self.areas)]
        # As in mmseg to the last bit: float32 areas, added up image after image.
        iou = IoUMetric.total_area_to_metrics(*totals, ['mIoU'], self.nan_to_num)['IoU']
        changes = (self._changes / self._pixels).tolist()
        return dict(
            mIoU=float(np.nanmean(iou) * 100),
            IoU=[float(value * 100) for value in iou],
            change=changes[-1],
            change_by_class=changes[:-1],
        )


def difference_error(ours: Tally, reference: Tally) -> float:
    """Standard error of a difference of mIoU, by bootstrap over the images (both measured on the same).

    Args:
        ours (Tally): Under an intervention.
        reference (Tally): Without.

    Returns:
        float: In percent; NaN for a single image. Efron, "Bootstrap Methods", Annals of Statistics 7 (1979).

    Examples:
        >>> tally, image = Tally(2), torch.zeros(1, 2)
        >>> for _ in range(2):
        ...     tally.add(torch.tensor([[0, 1]]), torch.zeros(1, 2), image, image)
        >>> difference_error(tally, tally)
        0.0
    """
    images = len(reference.areas)
    if images < 2:
        return math.nan
    draws = np.random.RandomState(0).multinomial(images, np.full(images, 1 / images), size=RESAMPLES)
    difference = _resampled_miou(ours, draws) - _resampled_miou(reference, draws)
    return float(difference.std(ddof=1) * 100)


def _resampled_miou(tally: Tally, draws: np.ndarray) -> np.ndarray:
    """The mIoU of each draw; a draw (a row) says how often it has each image."""
    intersect = draws @ np.stack([np.asarray(areas[0], np.float64) for areas in tally.areas])
    union = draws @ np.stack([np.asarray(areas[1], np.float64) for areas in tally.areas])
    iou = np.divide(intersect, union, out=np.full_like(union, np.nan), where=union > 0)
    if tally.nan_to_num is not None:
        iou = np.nan_to_num(iou, nan=tally.nan_to_num)
    return np.nanmean(iou, axis=1)
