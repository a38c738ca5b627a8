"""Pairs of a data set as training or evaluation gets them, as pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed

from mmfusion.registry import DATASETS
from mmfusion.visualization import draw_pair

from .labels import resize_labels

SPLITS = ('train', 'val', 'test')
"""Data loaders of a config."""


def build_split(cfg: Config, split: str) -> BaseDataset:
    """The data set of a data loader of a config.

    Args:
        cfg (Config): With ``SPLIT_dataloader``.
        split (str): One of :data:`SPLITS`.

    Returns:
        BaseDataset: With its pipeline.

    Raises:
        FileNotFoundError: Its files are not there.
        ValueError: The config has no such data.
    """
    if split not in SPLITS:
        raise ValueError(f'split is one of {SPLITS}, not {split!r}')
    config = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    if not config:
        raise ValueError(f'the config has no data for {split} ({split}_dataloader.dataset)')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmfusion'):
        return DATASETS.build(config)


def choose(count: int, number: int, seed: int) -> list[int]:
    """Which pairs are looked at.

    Args:
        count (int): How many there are.
        number (int): How many are wanted; all, if it is more.
        seed (int): Of the drawing.

    Returns:
        list[int]: Without repetition, in rising order.

    Raises:
        ValueError: ``number`` is not positive.

    Examples:
        >>> choose(3, 9, seed=0), len(choose(100, 5, seed=0))
        ([0, 1, 2], 5)
    """
    if number < 1:
        raise ValueError(f'--number must be at least 1, got {number}')
    return sorted(np.random.RandomState(seed).permutation(count)[:number].tolist())


def picture_of(packed: dict, classes: Sequence[str], palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Draw a pair as it leaves the pipeline.

    Args:
        packed (dict): ``inputs`` (4, h, w): blue, green, red, infrared in 0..255, and ``data_samples``. Labels of
            another size, as evaluation has them behind ``Resize``, are brought to that of the pair.
        classes (Sequence[str]): Class names.
        palette (Sequence[Sequence[int]]): R, G and B in 0..255 per class.

    Returns:
        np.ndarray: (H', W', 3) RGB uint8.

    Examples:
        >>> import torch
        >>> from mmseg.structures import SegDataSample
        >>> picture_of(dict(inputs=torch.zeros(4, 30, 200), data_samples=SegDataSample()), [], []).shape
        (52, 404, 3)
    """
    image = packed['inputs'].permute(1, 2, 0).numpy()
    image = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    label = None
    if 'gt_sem_seg' in packed['data_samples']:
        label = resize_labels(packed['data_samples'].gt_sem_seg.data, image.shape[:2])[0].numpy()
    return draw_pair(np.ascontiguousarray(image[..., 2::-1]), image[..., 3], label, classes, palette)


def browse(dataset: BaseDataset, number: int = 8, seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Pairs of a data set, drawn at random, behind its pipeline.

    Args:
        dataset (BaseDataset): With its pipeline.
        number (int): How many.
        seed (int): Of what is chosen and of all augmentations.

    Yields:
        tuple[str, np.ndarray]: Name, which begins with the number of the pair, and picture (H', W', 3) RGB uint8.

    Raises:
        ValueError: ``number`` is not positive, or the data set is empty.
    """
    indices = choose(len(dataset), number, seed)
    if not indices:
        raise ValueError('the data set is empty')
    meta = dataset.metainfo or {}
    set_random_seed(seed)
    for index in indices:
        packed = dataset[index]
        stem = Path(packed['data_samples'].metainfo.get('img_path', 'pair')).stem
        yield f'{index:05d}_{stem}', picture_of(packed, meta.get('classes') or (), meta.get('palette') or ())
