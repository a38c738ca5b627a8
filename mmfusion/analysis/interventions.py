"""Changes of the weights and the attention of a UAAFusion, and what they do to the image and the mIoU."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmfusion.apis import FusionInferencer
from mmfusion.models import FusionSegmentor, UAAFusion
from mmfusion.models.fusion import FusionResult
from mmfusion.models.segmentors.fused_prediction import padding_mask, restore

from .fusion_options import attention_of
from .labels import labels_at_input
from .tally import Tally, difference_error


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


def possible_interventions(fusion: nn.Module, batches: Sequence[range]) -> list[Intervention]:
    """Interventions that can do something: attention may be switched off, and a single pair has no neighbour.

    Args:
        fusion (nn.Module): A UAAFusion.
        batches (Sequence[range]): Numbers of the pairs of each batch.

    Returns:
        list[Intervention]: In the order of ``INTERVENTIONS``.

    Examples:
        >>> blind = UAAFusion(num_stages=1, channels=4, attention=None)
        >>> [intervention.name for intervention in possible_interventions(blind, [range(2)])][:3]
        ['none', 'weights swapped', 'weights 0.5']
        >>> len(possible_interventions(UAAFusion(num_stages=1, channels=4), [range(1)])), len(INTERVENTIONS)
        (9, 10)
    """
    single = any(len(batch) < 2 for batch in batches)
    possible = []
    for intervention in INTERVENTIONS:
        blind = intervention.attention is not None and attention_of(fusion) is None
        alone = intervention.needs_neighbour and single
        if not blind and not alone:
            possible.append(intervention)
    return possible


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
        if intervention.attention is not None:
            attend = _changed_attention(intervention, attend)
        return ir, vi, weight_ir, weight_vi, attend

    handle = head.register_forward_pre_hook(change)
    try:
        yield
    finally:
        handle.remove()
    if not called:
        raise RuntimeError(f'{intervention.name!r} had no effect: the unfolding head was not called')


def _changed_attention(
    intervention: Intervention, attend: Callable[[Tensor], Tensor] | None
) -> Callable[[Tensor], Tensor]:
    change = intervention.attention
    if attend is None or change is None:
        raise ValueError(f'{intervention.name!r} changes the attention, but the fusion has none (attention=None)')
    return lambda fused: change(attend(fused))


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """The same random numbers inside the context, every time; outside nobody notices.

    Signs of random estimators must not differ between what is compared.

    Args:
        seed (int): Another one gives other numbers.

    Yields:
        None

    Examples:
        >>> drawn = []
        >>> for _ in range(2):
        ...     with repeatable(3):
        ...         drawn.append(torch.rand(1).item())
        >>> drawn[0] == drawn[1]
        True
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def load_uaafusion(config: str, checkpoint: str, device: str | None) -> FusionInferencer:
    """A trained model with a UAAFusion.

    Args:
        config (str): Path or name of a config.
        checkpoint (str): File of its weights.
        device (str, optional): Default: the GPU, if there is one.

    Returns:
        FusionInferencer: In evaluation mode.

    Raises:
        ValueError: The fusion is another one; or see :class:`FusionInferencer`.
    """
    inferencer = FusionInferencer(config, checkpoint, device)
    if not isinstance(inferencer.model.fusion, UAAFusion):
        raise ValueError(
            f'the fusion of the config is a {type(inferencer.model.fusion).__name__}, which has no weights '
            'and no attention to change; give a config whose model.fusion is a UAAFusion'
        )
    return inferencer


def fuse_with_labels(
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
    height, width = inputs.shape[-2:]
    given = torch.cat([labels_at_input(sample, (height, width), ignore_index) for sample in samples])
    given = given.masked_fill(given == ignore_index, model.fusion.ignore_index)
    return model.fuse(inputs, given, ignore=mask)


def measure_interventions(
    model: FusionSegmentor,
    batches: Iterable[list[dict]],
    interventions: Sequence[Intervention],
    num_classes: int,
    labels: str = 'predicted',
    ignore_index: int = 255,
    nan_to_num: int | None = None,
) -> list[dict[str, Any]]:
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
        ``standard_error`` (see :func:`~mmfusion.analysis.tally.difference_error`), and what :meth:`Tally.result` gives.

    Raises:
        ValueError: There are no pairs, or a pair has no ground truth.
    """
    tallies = [Tally(num_classes, ignore_index, nan_to_num) for _ in interventions]
    number = 0
    for number, packed in enumerate(batches, 1):
        data = model.data_preprocessor(pseudo_collate(packed), False)
        inputs, samples = data['inputs'], data['data_samples']
        _check_labels(samples)
        reference = None
        for intervention, tally in zip(interventions, tallies):
            with intervene(model.fusion.unfolding, intervention), repeatable(number):
                fused = _fuse_and_segment(model, inputs, samples, labels, ignore_index)
            reference = fused if reference is None else reference
            for sample, image, unchanged in zip(samples, fused, reference):
                tally.add(sample.pred_sem_seg.data[0], sample.gt_sem_seg.data[0], image, unchanged)
    if not number:
        raise ValueError('there are no pairs to measure on: the test data is empty')
    return _rows(interventions, tallies)


def _check_labels(samples: list[SegDataSample]) -> None:
    for sample in samples:
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                f'{sample.metainfo.get("img_path")} has no labels, so there is no mIoU; use test data '
                'with labels, whose pipeline loads them'
            )


@torch.no_grad()
def _fuse_and_segment(
    model: FusionSegmentor, inputs: Tensor, samples: list[SegDataSample], labels: str, ignore_index: int
) -> list[Tensor]:
    """Give the samples their prediction; returns the fused luminance (H, W) of each at its original size."""
    image, result = fuse_with_labels(model, inputs, samples, labels, ignore_index)
    logits = model.segment(inputs, image, result, [dict(sample.metainfo) for sample in samples])
    model.postprocess_result(logits, samples)
    return [restore(fused, sample.metainfo)[0] for fused, sample in zip(result.fused.float(), samples)]


def _rows(interventions: Sequence[Intervention], tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for intervention, tally in zip(interventions, tallies):
        row = dict(intervention=intervention.name, **tally.result())
        first = rows[0] if rows else row
        row['mIoU_difference'] = row['mIoU'] - first['mIoU']
        row['standard_error'] = difference_error(tally, tallies[0]) if rows else math.nan
        rows.append(row)
    return rows
