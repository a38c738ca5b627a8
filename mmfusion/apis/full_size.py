"""Fused images at the size of their sources, whatever size a segmentor reads.

Most configs resize pairs for the segmentor. Labels are brought back by interpolation, which they can bear; a fused
image loses the detail of its sources by it (docs/results.md). So the fusion looks at the pair once more, as it is.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dataset import Compose, pseudo_collate
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.datasets import AlignPair, PackFusionInputs
from mmfusion.models import FusionModel, FusionSegmentor
from mmfusion.models.segmentors.equal_sizes import in_equal_sizes
from mmfusion.models.segmentors.fused_prediction import attach_fusion, padding_mask

from .inputs import LoadPair
from .tiles import Tiling, predict_in_tiles


def pack_pair(pipeline: Compose, item: dict) -> tuple[dict, dict | None]:
    """Take a pair through a pipeline, and keep what was loaded.

    Args:
        pipeline (Compose): Of :func:`~mmfusion.apis.inputs.build_pipeline`.
        item (dict): Of :func:`~mmfusion.apis.inputs.list_pairs`.

    Returns:
        tuple[dict, dict | None]: What the model takes; and the same of the pair as it was loaded (and aligned), or None
        where the pipeline has left it at that size.

    Raises:
        ValueError: The pipeline rejects the pair.
    """
    results: Any = dict(item, seg_fields=[])
    loaded = None
    for transform in pipeline.transforms:
        results = transform(results)
        if results is None:
            raise ValueError(
                f'the test pipeline of the config rejects the pair {item["name"]}; remove the transform that does so'
            )
        if isinstance(transform, (LoadPair, AlignPair)):
            loaded = results['img']
    inputs = results['inputs']
    if loaded is None or not isinstance(inputs, Tensor) or inputs.shape[-2:] == loaded.shape[:2]:
        return results, None
    size = loaded.shape[:2]
    whole = dict(img=loaded, img_path=item['name'], ori_shape=size, img_shape=size)
    return results, PackFusionInputs()(whole)


def fuse_step(model: FusionSegmentor | FusionModel, data: dict) -> list[SegDataSample]:
    """Fuse a batch as a data loader gives it, and segment nothing.

    Args:
        model (FusionSegmentor | FusionModel): In evaluation mode.
        data (dict): ``inputs`` and ``data_samples``; pairs of several sizes are fused one size at a time.

    Returns:
        list[SegDataSample]: With ``fused_img`` and ``fusion_weights``.
    """
    if isinstance(model, FusionModel):
        return model.test_step(data)

    def step(part: dict) -> list[SegDataSample]:
        part = model.data_preprocessor(part, False)
        inputs, samples = part['inputs'], part['data_samples']
        image, result = model.fuse(inputs, ignore=padding_mask([dict(each.metainfo) for each in samples], inputs))
        return attach_fusion(samples, image, result.weight_ir, stretch=model.stretch)

    return in_equal_sizes(step, data)


def fuse_whole(
    model: FusionSegmentor | FusionModel, wholes: Sequence[dict], tiling: Tiling | None
) -> list[SegDataSample]:
    """Fuse pairs as they were loaded.

    Args:
        model (FusionSegmentor | FusionModel): In evaluation mode.
        wholes (Sequence[dict]): Packed pairs, of :func:`pack_pair`.
        tiling (Tiling, optional): How pairs that are larger than a tile are cut.

    Returns:
        list[SegDataSample]: With ``fused_img`` and ``fusion_weights``, in the order of the pairs.
    """
    with torch.no_grad():
        if tiling is not None and not all(tiling.fits(whole['inputs']) for whole in wholes):
            return [predict_in_tiles(lambda data: fuse_step(model, data), whole, tiling) for whole in wholes]
        return fuse_step(model, pseudo_collate(list(wholes)))
