"""How much the attention of the iterates does, and whether it does so at every image size."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from torch import Tensor

from mmfusion.apis import FusionInferencer
from mmfusion.datasets import SyntheticThermalScenes
from mmfusion.models import FusionSegmentor
from mmfusion.models.segmentors.fused_prediction import padding_of

from .fusion_options import attention_of, with_attention
from .interventions import ATTENTION_ZERO, NONE, fuse_with_labels, intervene, repeatable
from .scenes import build_dataset, read_scene, resized
from .tally import GREY_LEVELS

Progress = Callable[[Sequence, str], Iterable]
"""Items and a title to the same items, one after the other, for instance with a bar."""


def silent(items: Sequence, title: str) -> Iterable:
    """Progress that nobody sees.

    Examples:
        >>> list(silent(range(2), 'counting'))
        [0, 1]
    """
    return items


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
    deviations: list[float] = []
    changes: list[float] = []
    for number, packed in enumerate(pairs):
        data = model.data_preprocessor(pseudo_collate([packed]), False)
        inputs, samples = data['inputs'], data['data_samples']
        results = []
        for intervention in (NONE, ATTENTION_ZERO):
            with (
                torch.no_grad(),
                with_attention(model.fusion, normalization),
                intervene(model.fusion.unfolding, intervention),
                repeatable(number),
            ):
                results.append(fuse_with_labels(model, inputs, samples, labels, ignore_index)[1])
        attended, unattended = results
        meta = samples[0].metainfo
        # In float64: the gate of the released attention differs from one half in the last bits of float32.
        gates = [_inside(attention, meta).double().sigmoid() for attention in attended.attention[1:]]
        deviations += [gate.std(correction=0).item() for gate in gates]
        change = _inside(attended.fused, meta).double() - _inside(unattended.fused, meta).double()
        changes.append(change.abs().mean().item() * GREY_LEVELS)
    return dict(gate_std=_mean(deviations), change=_mean(changes))


def _inside(maps: Tensor, meta: dict) -> Tensor:
    """The only map (1, 1, H, W) without padding."""
    left, right, top, bottom = padding_of(meta)
    height, width = maps.shape[-2:]
    return maps[0, 0, top : height - bottom, left : width - right]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def measure_sizes(
    inferencer: FusionInferencer,
    dataset: BaseDataset,
    sizes: Sequence[int],
    scenes: int,
    labels: str,
    ignore_index: int = 255,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Effect of the attention by image size and normalisation.

    Args:
        inferencer (FusionInferencer): A trained model with a UAAFusion.
        dataset (BaseDataset): Its test data. Drawn scenes are also drawn at each size.
        sizes (Sequence[int]): Sides in pixels.
        scenes (int): The first so many pairs.
        labels (str): 'predicted' or 'given'.
        ignore_index (int): Ground truth of no class.
        progress (Callable): Shows how far it is.

    Returns:
        list[dict]: Per normalisation (the model's and 'none'), kind of scenes and size: ``scenes`` ('resized' or
        'drawn'), ``size``, ``attention`` (the normalisation), and what :func:`attention_effect` gives.
    """
    sources = ['resized']
    if isinstance(dataset, SyntheticThermalScenes):
        sources.append('drawn')
    rows = []
    for normalization in dict.fromkeys((attention_of(inferencer.model.fusion) or 'none', 'none')):
        for source in sources:
            for size in sizes:
                indices = progress(range(scenes), f'{normalization}, {source}, {size} pixels')
                pairs = _pairs_of_size(inferencer, dataset, source, size, scenes, indices)
                effect = attention_effect(inferencer.model, pairs, normalization, labels, ignore_index)
                rows.append(dict(scenes=source, size=size, attention=normalization, **effect))
    return rows


def _pairs_of_size(
    inferencer: FusionInferencer, dataset: BaseDataset, source: str, size: int, scenes: int, indices: Iterable[int]
) -> Iterable[dict]:
    if source == 'drawn':
        drawn = build_dataset(inferencer, size=(size, size), num_scenes=scenes, cache=False)
        return (read_scene(drawn, index) for index in indices)
    return (resized(read_scene(dataset, index), size) for index in indices)
