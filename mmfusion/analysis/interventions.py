"""Changes of the weights and the attention of a UAAFusion, and what they do to the image and the mIoU."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import dataset_config
from mmfusion.models import FusionSegmentor, UAAFusion
from mmfusion.models.fusion import FusionResult
from mmfusion.models.segmentors.fused_prediction import padding_mask, padding_of, restore
from mmfusion.registry import DATASETS

GREY_LEVELS = 255
RESAMPLES = 1000


@dataclass(frozen=True)
class Intervention:
    """A change of what reaches the unfolding head; the rest of the model is as it was."""

    name: str
    weight: Callable[[Tensor], Tensor] | None = None
    """New weight of the infrared image from the model's (B, 1, H, W); the visible image gets the rest."""
    attention: Callable[[Tensor], Tensor] | None = None
    """New attention of a stage from the model's (B, 1, H, W), for the iterate of that stage."""
    needs_neighbour: bool = False
    """Does nothing to a batch of one."""


def _constant(value: float) -> Callable[[Tensor], Tensor]:
    return lambda like: torch.full_like(like, value)


def _moved(attention: Tensor) -> Tensor:
    height, width = attention.shape[-2:]
    return attention.roll((height // 2, width // 2), (-2, -1))


NONE = Intervention('none')
ATTENTION_ZERO = Intervention('attention zero', attention=torch.zeros_like)
INTERVENTIONS = (
    NONE,
    Intervention('weights swapped', weight=lambda weight: 1 - weight),
    Intervention('weights 0.5', weight=_constant(0.5)),
    Intervention('weights all infrared', weight=_constant(1.0)),
    Intervention('weights all visible', weight=_constant(0.0)),
    ATTENTION_ZERO,
    Intervention('attention negated', attention=torch.neg),
    Intervention('attention moved', attention=_moved),
    Intervention('attention of neighbour', attention=lambda a: a.roll(1, 0), needs_neighbour=True),
    Intervention('weights 0.5, attention zero', weight=_constant(0.5), attention=torch.zeros_like),
)


@contextmanager
def intervene(head: nn.Module, intervention: Intervention) -> Iterator[None]:
    """Change what an unfolding head is called with, inside the context.

    Args:
        head (nn.Module): Called as ``head(ir, vi, weight_ir, weight_vi, attend)``; ``attend`` maps an iterate to its
            attention, or is None.
        intervention (Intervention): What to change.

    Raises:
        ValueError: Attention is to be changed where there is none.
        RuntimeError: The head was not called, so that nothing was changed.

    Examples:
        >>> class Head(nn.Module):
        ...     def forward(self, ir, vi, weight_ir, weight_vi, attend):
        ...         return weight_ir * ir + weight_vi * vi
        >>> head, x = Head(), torch.ones(1, 1, 1, 1)
        >>> with intervene(head, Intervention('swapped', weight=lambda weight: 1 - weight)):
        ...     head(4 * x, 0 * x, 0.25 * x, 0.75 * x, None).item()
        3.0
    """
    called = False

    def change(module: nn.Module, args: tuple) -> tuple:
        nonlocal called
        called = True
        ir, vi, weight_ir, weight_vi, attend = args
        if intervention.weight is not None:
            weight_ir = intervention.weight(weight_ir)
            weight_vi = 1 - weight_ir
        if intervention.attention is None:
            return ir, vi, weight_ir, weight_vi, attend
        if attend is None:
            raise ValueError(f'{intervention.name!r} changes the attention, but the fusion has none (attention=None)')
        return ir, vi, weight_ir, weight_vi, lambda fused: intervention.attention(attend(fused))

    handle = head.register_forward_pre_hook(change)
    try:
        yield
    finally:
        handle.remove()
    if not called:
        raise RuntimeError(f'{intervention.name!r} had no effect: the unfolding head was not called')


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Signs of the multiplexed estimator must not differ between what is compared."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def labels_at_input(sample: SegDataSample, size: tuple[int, int], ignore_index: int = 255) -> Tensor:
    """Ground truth, which is at the original size when testing, as large as the network's input.

    Args:
        sample (SegDataSample): With ``gt_sem_seg`` and the meta information of the preprocessor.
        size (tuple[int, int]): Height and width of the input in pixels.
        ignore_index (int): Label of the padding.

    Returns:
        Tensor: Class ids (1, H, W) int64.
    """
    meta, labels = sample.metainfo, sample.gt_sem_seg.data
    left, right, top, bottom = padding_of(meta)
    if meta.get('flip'):
        labels = labels.flip(-1 if meta.get('flip_direction') == 'horizontal' else -2)
    inside = (size[0] - top - bottom, size[1] - left - right)
    labels = F.interpolate(labels[None].float(), inside, mode='nearest-exact')[0].long()
    return F.pad(labels, (left, right, top, bottom), value=ignore_index)


def fuse(
    model: FusionSegmentor, inputs: Tensor, samples: list[SegDataSample], labels: str, ignore_index: int = 255
) -> tuple[Tensor, FusionResult]:
    """Fuse as :meth:`FusionSegmentor.predict` does, or with the true labels.

    Args:
        model (FusionSegmentor): With ``attribution_strength`` 1.
        inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
        samples (list[SegDataSample]): Of the pairs.
        labels (str): 'predicted' or 'given'.
        ignore_index (int): Ground truth of no class.

    Returns:
        tuple[Tensor, FusionResult]: As from :meth:`FusionSegmentor.fuse`.
    """
    mask = padding_mask([sample.metainfo for sample in samples], inputs)
    if labels == 'predicted':
        return model.fuse(inputs, ignore=mask)
    given = torch.cat([labels_at_input(sample, tuple(inputs.shape[-2:]), ignore_index) for sample in samples])
    return model.fuse(inputs, given.masked_fill(given == ignore_index, model.fusion.ignore_index), ignore=mask)


class Tally:
    """Segmentation and fused images under one intervention, over the whole of the test data.

    Args:
        num_classes (int): Classes C.
        ignore_index (int): Label that mIoU leaves out.
        nan_to_num (int, optional): See :class:`mmseg.evaluation.IoUMetric`.

    Attributes:
        areas (list): Per image the areas of intersection, union, prediction and label, each (C,) in pixels.
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

    def result(self) -> dict:
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
    """
    number = len(reference.areas)
    if number < 2:
        return math.nan
    draws = np.random.RandomState(0).multinomial(number, np.full(number, 1 / number), size=RESAMPLES)
    scores = []
    for tally in (ours, reference):
        intersect, union = (
            draws @ np.stack([np.asarray(areas[i], np.float64) for areas in tally.areas]) for i in (0, 1)
        )
        iou = np.divide(intersect, union, out=np.full_like(union, np.nan), where=union > 0)
        scores.append(np.nanmean(iou if tally.nan_to_num is None else np.nan_to_num(iou, nan=tally.nan_to_num), axis=1))
    return float((scores[0] - scores[1]).std(ddof=1) * 100)


def measure(
    model: FusionSegmentor,
    batches: Iterable[list[dict]],
    interventions: Sequence[Intervention],
    num_classes: int,
    labels: str = 'predicted',
    ignore_index: int = 255,
    nan_to_num: int | None = None,
) -> list[dict]:
    """Test a model under each intervention.

    Args:
        model (FusionSegmentor): In evaluation mode, with a UAAFusion.
        batches (Iterable[list[dict]]): Pairs with ground truth, as they leave the test pipeline.
        interventions (Sequence[Intervention]): Fused images are compared with those of the first.
        num_classes (int): Classes of the data.
        labels (str): 'predicted': the fusion attributes the regions that the segmentor predicts for the mean of the
            images, as in testing; 'given': the true ones.
        ignore_index (int): Label that mIoU leaves out.
        nan_to_num (int, optional): See :class:`mmseg.evaluation.IoUMetric`.

    Returns:
        list[dict]: Per intervention ``intervention``, its name, ``mIoU_difference`` to the first and its
        ``standard_error`` (see :func:`difference_error`), and what :meth:`Tally.result` gives.

    Raises:
        ValueError: There are no pairs, or a pair has no ground truth.
    """
    tallies = [Tally(num_classes, ignore_index, nan_to_num) for _ in interventions]
    number = 0
    for number, packed in enumerate(batches, 1):
        data = model.data_preprocessor(pseudo_collate(packed), False)
        inputs, samples = data['inputs'], data['data_samples']
        for sample in samples:
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    f'{sample.metainfo.get("img_path")} has no labels, so there is no mIoU; use test data '
                    'with labels, whose pipeline loads them'
                )
        reference = None
        for intervention, tally in zip(interventions, tallies):
            with torch.no_grad(), intervene(model.fusion.head, intervention), _repeatable(number):
                image, result = fuse(model, inputs, samples, labels, ignore_index)
            with torch.no_grad():
                logits = model.segmentor.inference(model.normalize(image), [dict(s.metainfo) for s in samples])
                samples = model.postprocess_result(logits, samples)
            fused = [restore(one, sample.metainfo)[0] for one, sample in zip(result.fused.float(), samples)]
            reference = fused if reference is None else reference
            for sample, ours, theirs in zip(samples, fused, reference):
                tally.add(sample.pred_sem_seg.data[0], sample.gt_sem_seg.data[0], ours, theirs)
    if not number:
        raise ValueError('there are no pairs to measure on: the test data is empty')
    rows = [dict(intervention=one.name, **tally.result()) for one, tally in zip(interventions, tallies)]
    errors = [math.nan, *(difference_error(tally, tallies[0]) for tally in tallies[1:])]
    for row, error in zip(rows, errors):
        row['mIoU_difference'] = row['mIoU'] - rows[0]['mIoU']
        row['standard_error'] = error
    return rows


def resized(packed: dict, size: int) -> dict:
    """A pair, as it leaves the pipeline, resized to a square.

    Args:
        packed (dict): ``inputs`` (4, H, W) on the 0..255 scale and ``data_samples``, with or without ground truth.
        size (int): Side in pixels.

    Returns:
        dict: A new one: the pair bilinear (with antialiasing where it shrinks), labels nearest neighbour.
    """
    image = packed['inputs'].float()[None]
    image = F.interpolate(image, (size, size), mode='bilinear', antialias=True, align_corners=False)[0]
    old = packed['data_samples']
    shapes = dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (size, size))
    sample = SegDataSample(metainfo={**old.metainfo, **shapes})
    if 'gt_sem_seg' in old:
        labels = F.interpolate(old.gt_sem_seg.data[None].float(), (size, size), mode='nearest-exact')[0].long()
        sample.gt_sem_seg = PixelData(data=labels)
    return dict(inputs=image.clamp(0, 255), data_samples=sample)


def attention_effect(
    model: FusionSegmentor,
    pairs: Iterable[dict],
    normalization: str,
    labels: str = 'predicted',
    ignore_index: int = 255,
) -> dict[str, float]:
    """How much the attention of the iterates does.

    Args:
        model (FusionSegmentor): In evaluation mode, with a UAAFusion.
        pairs (Iterable[dict]): As they leave the pipeline.
        normalization (str): ``attention`` of the UAAFusion for this measurement.
        labels (str): 'predicted' or 'given'.
        ignore_index (int): Ground truth of no class.

    Returns:
        dict[str, float]: ``gate_std``, the standard deviation of the gate sigmoid(a_k) over the pixels, mean over the
        pairs and the stages k >= 1 (a_0 is zero by definition); ``change``, the mean absolute difference, in grey
        levels (0..255), of the fused luminance to that with attention zero. NaN without pairs or such stages.
    """
    deviations, changes = [], []
    for number, packed in enumerate(pairs):
        data = model.data_preprocessor(pseudo_collate([packed]), False)
        inputs, samples = data['inputs'], data['data_samples']
        results = []
        for intervention in (NONE, ATTENTION_ZERO):
            with (
                torch.no_grad(),
                mock.patch.object(model.fusion, 'attention', normalization),
                intervene(model.fusion.head, intervention),
                _repeatable(number),
            ):
                results.append(fuse(model, inputs, samples, labels, ignore_index)[1])
        left, right, top, bottom = padding_of(samples[0].metainfo)
        height, width = inputs.shape[-2:]
        inside = (0, 0, slice(top, height - bottom), slice(left, width - right))
        # In float64: the gate of the released attention differs from one half in the last bits of float32.
        gates = [attention[inside].double().sigmoid() for attention in results[0].attention[1:]]
        deviations += [gate.std(correction=0).item() for gate in gates]
        change = (results[0].fused[inside].double() - results[1].fused[inside].double()).abs().mean()
        changes.append(change.item() * GREY_LEVELS)
    return dict(
        gate_std=math.fsum(deviations) / len(deviations) if deviations else math.nan,
        change=math.fsum(changes) / len(changes) if changes else math.nan,
    )


LABELS = ('predicted', 'given')


def load(config: str, checkpoint: str, device: str | None) -> FusionInferencer:
    """A trained model with a UAAFusion.

    Raises:
        ValueError: The fusion is another one; or see :class:`FusionInferencer`.
    """
    loaded = FusionInferencer(config, checkpoint, device)
    if not isinstance(loaded.model.fusion, UAAFusion):
        raise ValueError(
            f'the fusion of the config is a {type(loaded.model.fusion).__name__}, which has no weights '
            'and no attention to change; give a config whose model.fusion is a UAAFusion'
        )
    return loaded


def build_dataset(loaded: FusionInferencer, **options: object) -> BaseDataset:
    """The test data set of the config, with some options replaced.

    Raises:
        ValueError: The config has none, or it is empty.
    """
    config = dataset_config(loaded.cfg)
    if not config:
        raise ValueError('the config has no test data (test_dataloader.dataset)')
    with DefaultScope.overwrite_default_scope(loaded.cfg.get('default_scope') or 'mmfusion'):
        dataset = DATASETS.build({**config, **options})
    if not len(dataset):
        raise ValueError('the test data of the config is empty')
    return dataset


def read(dataset: BaseDataset, index: int) -> dict:
    """One pair as it leaves the test pipeline.

    Raises:
        ValueError: The pipeline rejects it.
    """
    packed = dataset[index]
    if packed is None:
        raise ValueError(f'the test pipeline of the config rejects pair {index}')
    return packed


def chunk(number: int, size: int) -> list[range]:
    """Indices of batches, as a data loader makes them.

    Args:
        number (int): Pairs.
        size (int): Pairs per batch.

    Returns:
        list[range]: A last single one joins the batch before, unless all are single: it needs a neighbour.

    Examples:
        >>> chunk(5, 2), chunk(2, 1)
        ([range(0, 2), range(2, 5)], [range(0, 1), range(1, 2)])
    """
    starts = list(range(0, number, size))
    if size > 1 and len(starts) > 1 and number - starts[-1] == 1:
        starts.pop()
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], number])]


def possible(fusion: UAAFusion, batches: Sequence[range]) -> list[Intervention]:
    """Interventions that can do something: attention may be switched off, and a single pair has no neighbour."""
    single = any(len(batch) < 2 for batch in batches)
    return [
        one
        for one in INTERVENTIONS
        if not (one.attention and fusion.attention is None) and not (one.needs_neighbour and single)
    ]


def evaluator_options(loaded: FusionInferencer) -> dict:
    """Options of the config's mIoU that change its value."""
    evaluators = loaded.cfg.get('test_evaluator') or []
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if str(evaluator.get('type')).endswith('IoUMetric'):
            return {key: evaluator[key] for key in ('ignore_index', 'nan_to_num') if key in evaluator}
    return {}
