"""Pairs to analyse: the test data of a config, as the model gets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import dataset_config
from mmfusion.datasets import LoadPairAnnotations
from mmfusion.models import FusionSegmentor
from mmfusion.models.color import split_luminance
from mmfusion.models.segmentors.fused_prediction import padding_mask
from mmfusion.registry import DATASETS

from .labels import fit_labels, resize_labels


def build_dataset(inferencer: FusionInferencer, **options: Any) -> BaseDataset:
    """The test data set of the config, with some options replaced.

    Args:
        inferencer (FusionInferencer): Its config names the data set.
        **options: Of the data set, instead of those in the config. ``lazy_init=True`` looks at no file.

    Returns:
        BaseDataset: At least one pair, unless it is lazy.

    Raises:
        ValueError: The config has none, or it is empty.
    """
    config = dataset_config(inferencer.cfg)
    if not config:
        raise ValueError('the config has no test data (test_dataloader.dataset)')
    with DefaultScope.overwrite_default_scope(inferencer.cfg.get('default_scope') or 'mmfusion'):
        dataset = DATASETS.build({**config, **options})
    if not options.get('lazy_init') and not len(dataset):
        raise ValueError('the test data of the config is empty')
    return dataset


def read_scene(dataset: BaseDataset, index: int) -> dict:
    """One pair as it leaves the test pipeline.

    Args:
        dataset (BaseDataset): Test data.
        index (int): Number of the pair.

    Returns:
        dict: ``inputs`` and ``data_samples``.

    Raises:
        ValueError: The pipeline rejects it.

    Examples:
        >>> read_scene([dict(inputs=1)], 0)
        {'inputs': 1}
    """
    packed = dataset[index]
    if packed is None:
        raise ValueError(f'the test pipeline of the config rejects pair {index}')
    return packed


def read_label_map(inferencer: FusionInferencer, path: str, sample: SegDataSample) -> np.ndarray:
    """A label map in a file, read as the test data of the config are.

    Args:
        inferencer (FusionInferencer): Its config says what the ids in the file mean.
        path (str): Class ids in one channel.
        sample (SegDataSample): Of the pair that the file belongs to.

    Returns:
        np.ndarray: Class ids (H, W) at the original size.

    Raises:
        ValueError: Other ids than those of the classes, or another size than the pair's.
    """
    dataset = build_dataset(inferencer, lazy_init=True)  # Its files need not be here.
    results = dict(
        seg_map_path=path,
        ori_shape=sample.ori_shape,
        img_path=sample.img_path,
        num_classes=len(inferencer.classes),
        label_map=dataset.label_map,
        reduce_zero_label=dataset.reduce_zero_label,
    )
    return LoadPairAnnotations().transform(results)['gt_seg_map']


def batch_ranges(scenes: int, batch_size: int) -> list[range]:
    """Numbers of the scenes of each batch, as a data loader makes them.

    Args:
        scenes (int): How many there are.
        batch_size (int): Scenes per batch.

    Returns:
        list[range]: A last single one joins the batch before, unless all are single: it needs a neighbour.

    Examples:
        >>> batch_ranges(5, 2), batch_ranges(2, 1)
        ([range(0, 2), range(2, 5)], [range(0, 1), range(1, 2)])
    """
    starts = list(range(0, scenes, batch_size))
    if batch_size > 1 and len(starts) > 1 and scenes - starts[-1] == 1:
        starts.pop()
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], scenes])]


@dataclass
class SceneBatch:
    """Some scenes as the model gets them: B scenes, H x W pixels."""

    inputs: Tensor
    """Pairs (B, 4, H, W) in [0, 1]: red, green, blue, infrared."""
    labels: Tensor
    """Given class ids (B, H, W); 255 in the padding."""
    daytimes: Sequence[str]
    """Time of day of each scene; 'all' where the data set has none."""
    padding: Tensor | None = None
    """Booleans (B, H, W); None if there is none."""

    @property
    def sources(self) -> tuple[Tensor, Tensor]:
        """tuple[Tensor, Tensor]: Infrared image and visible luminance (B, 1, H, W)."""
        return self.inputs[:, 3:], split_luminance(self.inputs[:, :3])[0]


def read_batches(
    model: FusionSegmentor, dataset: BaseDataset, scenes: int, batch_size: int, device: torch.device
) -> list[SceneBatch]:
    """The first scenes of a data set, as the model gets them.

    Args:
        model (FusionSegmentor): Its preprocessor makes the batches.
        dataset (BaseDataset): Test data with labels.
        scenes (int): How many.
        batch_size (int): Scenes per batch.
        device (torch.device): Where the batches are to be.

    Returns:
        list[SceneBatch]: In the order of the data set.

    Raises:
        ValueError: A scene has no labels, or the pipeline rejects it.
    """
    batches = []
    for first in range(0, scenes, batch_size):
        indices = range(first, min(first + batch_size, scenes))
        batches.append(_read_batch(model, dataset, indices, device))
    return batches


def _read_batch(model: FusionSegmentor, dataset: BaseDataset, indices: range, device: torch.device) -> SceneBatch:
    packed = [dataset[index] for index in indices]
    if any(scene is None or 'gt_sem_seg' not in scene['data_samples'] for scene in packed):
        raise ValueError(
            f'scenes {indices[0]} to {indices[-1]} of the test data do not all have labels; end the '
            'test pipeline with PackFusionInputs and load labels'
        )
    originals = [scene['data_samples'].gt_sem_seg.data[0].cpu().numpy() for scene in packed]
    data = model.data_preprocessor(pseudo_collate(packed), False)
    inputs, samples = data['inputs'].to(device), data['data_samples']
    size = tuple(inputs.shape[-2:])
    labels = [fit_labels(original, tuple(sample.img_shape[:2]), size) for original, sample in zip(originals, samples)]
    daytimes = [dataset.get_data_info(index).get('daytime', 'all') for index in indices]
    padding = padding_mask([sample.metainfo for sample in samples], inputs)
    return SceneBatch(inputs, torch.cat(labels).to(device), daytimes, padding)


def resized(packed: dict, side: int) -> dict:
    """A pair, as it leaves the pipeline, resized to a square.

    Args:
        packed (dict): ``inputs`` (4, H, W) on the 0..255 scale and ``data_samples``, with or without ground truth.
        side (int): In pixels.

    Returns:
        dict: A new one: the pair bilinear (with antialiasing where it shrinks), labels nearest neighbour.

    Examples:
        >>> pair = dict(inputs=torch.full((4, 2, 3), 7, dtype=torch.uint8), data_samples=SegDataSample())
        >>> square = resized(pair, 4)
        >>> square['inputs'].shape, square['inputs'].unique().tolist(), square['data_samples'].ori_shape
        (torch.Size([4, 4, 4]), [7.0], (4, 4))
    """
    image = packed['inputs'].float()[None]
    image = F.interpolate(image, (side, side), mode='bilinear', antialias=True, align_corners=False)[0]
    original = packed['data_samples']
    shapes = dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (side, side))
    sample = SegDataSample(metainfo={**original.metainfo, **shapes})
    if 'gt_sem_seg' in original:
        sample.gt_sem_seg = PixelData(data=resize_labels(original.gt_sem_seg.data, (side, side)))
    return dict(inputs=image.clamp(0, 255), data_samples=sample)
