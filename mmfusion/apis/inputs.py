"""What a user hands in, as a list of pairs, and the way of a pair to the model."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmengine.config import Config
from mmengine.dataset import Compose

from mmfusion.datasets import AlignPair, LoadPairFromFile, PairedSegDataset
from mmfusion.datasets.paired_pipeline import paired_pipeline
from mmfusion.datasets.transforms.load_pair import check_range, check_resize_to
from mmfusion.registry import TRANSFORMS

Image = str | os.PathLike | np.ndarray
"""A path or an array."""


class LoadPair(BaseTransform):
    """Load a pair of files, or join a pair of arrays by the same rules.

    Arrays of integers are taken as the content of a file. Arrays of floats are on the 0..255 scale, unless the loader
    has a range of its own.

    Args:
        loader (LoadPairFromFile): Does the work.

    Raises:
        ValueError: An array is no image, or its values are on another scale.

    Examples:
        >>> load = LoadPair(LoadPairFromFile())
        >>> names = dict(vi_name='vi', ir_name='ir')
        >>> load(dict(vi=np.full((2, 2), 7.5), ir=np.full((2, 2), 9, np.uint8), **names))['img'][0, 0].tolist()
        [7.5, 7.5, 7.5, 9.0]
        >>> load(dict(vi=np.full((2, 2), 0.5), ir=np.full((2, 2), 9, np.uint8), **names))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: vi holds values from 0.5 to 0.5, which would be black: an image of floats is on the 0..255 ...
    """

    def __init__(self, loader: LoadPairFromFile) -> None:
        self.loader = loader

    def transform(self, results: dict) -> dict:
        """Load or join.

        Args:
            results (dict): With ``vi_path`` and ``ir_path``; or with the arrays ``vi`` and ``ir`` and their names
                ``vi_name`` and ``ir_name``.

        Returns:
            dict: With ``img`` (H, W, 4) and its shapes.
        """
        if 'vi' not in results:
            return self.loader(results)
        vi, ir = results.pop('vi'), results.pop('ir')
        names = results.pop('vi_name'), results.pop('ir_name')
        for image, name, value_range in zip((vi, ir), names, (self.loader.vi_range, self.loader.ir_range)):
            self._check(image, name, isinstance(value_range, str))
        img = self.loader.join(vi, ir, *names, float_range=(0.0, 255.0))
        results.update(img=img, img_path=names[0], img_shape=img.shape[:2], ori_shape=img.shape[:2])
        return results

    @staticmethod
    def _check(image: np.ndarray, name: str, on_scale: bool) -> None:
        if image.size == 0:
            raise ValueError(f'{name} is empty: its shape is {image.shape}')
        if image.dtype.kind != 'f':
            return
        low, high = float(image.min()), float(image.max())  # both are NaN as soon as one pixel is
        if not -np.inf < low <= high < np.inf:
            raise ValueError(f'{name} holds NaN or infinite values')
        if on_scale and not 0 <= low <= high <= 255:
            raise ValueError(f'{name} holds values from {low:g} to {high:g}; an image of floats is on the 0..255 scale')
        if on_scale and 0 < high <= 1:
            raise ValueError(
                f'{name} holds values from {low:g} to {high:g}, which would be black: an image of floats '
                'is on the 0..255 scale. Multiply it by 255'
            )


def build_pipeline(
    cfg: Config,
    ir_range: str | Sequence[float] | None = None,
    resize_to: str | None = None,
    align: str | dict | None = None,
) -> Compose:
    """The test pipeline of a config, for pairs without labels.

    Label loading is left out. A config whose dataset draws its pairs has no loading at all; it gets the default one. A
    pipeline of mmseg's for single images is read as one for pairs, as the data sets do.

    Args:
        cfg (Config): With ``test_dataloader`` or ``test_pipeline``.
        ir_range (str | Sequence[float], optional): In the place of the loader's own; see ``LoadPairFromFile``.
        resize_to (str, optional): Likewise.
        align (str | dict, optional): Motion of an ``AlignPair`` behind the loader, or all of its options.

    Returns:
        Compose: From an item of :func:`list_pairs` to what the model takes.

    Raises:
        ValueError: The config has no test pipeline, or one that loads something else than a pair; an option is wrong.

    Examples:
        >>> types = ('LoadPairFromFile', 'LoadPairAnnotations', 'PackFusionInputs')
        >>> cfg = Config(dict(test_pipeline=[dict(type=name) for name in types]))
        >>> [type(transform).__name__ for transform in build_pipeline(cfg).transforms]
        ['LoadPair', 'PackFusionInputs']
    """
    pipeline = dataset_config(cfg).get('pipeline') or cfg.get('test_pipeline')
    if not pipeline:
        raise ValueError('the config has no test pipeline: neither test_dataloader.dataset.pipeline nor test_pipeline')
    steps = paired_pipeline(pipeline, 'the test pipeline of the config')
    transforms: list[Any] = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in steps]
    # mmseg's and ours are subclasses of mmcv's.
    transforms = [transform for transform in transforms if not isinstance(transform, MMCVLoadAnnotations)]
    if not any(isinstance(transform, LoadPairFromFile) for transform in transforms):
        transforms.insert(0, LoadPairFromFile())
    for position, transform in reversed(list(enumerate(transforms))):
        if not isinstance(transform, LoadPairFromFile):
            continue
        if ir_range is not None:
            transform.ir_range = check_range('ir_range', ir_range)
        if resize_to is not None:
            transform.resize_to = check_resize_to(resize_to)
        if align is not None:
            transforms.insert(position + 1, AlignPair(**align) if isinstance(align, dict) else AlignPair(align))
    return Compose([_for_arrays_too(transform) for transform in transforms])


def _for_arrays_too(transform: Callable) -> Callable:
    """The transform itself, but for what loads: that has to take arrays as well."""
    if isinstance(transform, LoadImageFromFile):
        raise ValueError(
            f'the test pipeline of the config loads single images by {type(transform).__name__}; a pair '
            'needs LoadPairFromFile'
        )
    return LoadPair(transform) if isinstance(transform, LoadPairFromFile) else transform


def dataset_config(cfg: Config) -> dict:
    """Config of the dataset that the config tests on; empty where there is none.

    Args:
        cfg (Config): With or without a ``test_dataloader``.

    Returns:
        dict: What the data set is built from.

    Examples:
        >>> dataset_config(Config(dict(test_dataloader=dict(dataset=dict(type='MSRSDataset')))))
        {'type': 'MSRSDataset'}
        >>> dataset_config(Config(dict(model=dict())))
        {}
    """
    return (cfg.get('test_dataloader') or {}).get('dataset') or {}


def _as_list(images: Image | Sequence[Image], name: str) -> tuple[list[Image], list[str]]:
    """Images and what messages call them."""
    if isinstance(images, (str, os.PathLike, np.ndarray)):
        listed, names = [images], [name]
    elif isinstance(images, (list, tuple)):
        listed, names = list(images), [f'{name}[{i}]' for i in range(len(images))]
    else:
        raise TypeError(f'{name} must be a path, an array, a list of them or a folder, got {type(images).__name__}')
    for image, image_name in zip(listed, names):
        if not isinstance(image, (str, os.PathLike, np.ndarray)):
            raise TypeError(f'{image_name} must be a path or an array, got {type(image).__name__}')
        if is_folder(image):
            raise ValueError(f'{image_name} is a folder: {image}. Give ir and vi as one folder each, or list files')
    return listed, names


def is_folder(images: Image | Sequence[Image]) -> TypeGuard[str | os.PathLike]:
    """Whether it is the path of a folder.

    Args:
        images (Image | Sequence[Image]): What a user handed in.

    Returns:
        bool: False also for a path that does not exist.

    Examples:
        >>> is_folder('.'), is_folder(['.', '.']), is_folder('no such folder'), is_folder(np.zeros((2, 2)))
        (True, False, False, False)
    """
    return isinstance(images, (str, os.PathLike)) and os.path.isdir(images)


def _list_folders(ir: str, vi: str, allow_unpaired: bool, suffixes: dict) -> list[dict]:
    dataset = PairedSegDataset(
        data_prefix=dict(vi_path=vi, ir_path=ir),
        test_mode=True,
        allow_unpaired=allow_unpaired,
        serialize_data=False,
        **suffixes,
    )
    items = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [
        dict(
            name=Path(os.path.relpath(item['vi_path'], vi)).with_suffix('').as_posix(),
            img_path=item['img_path'],
            vi_path=item['vi_path'],
            ir_path=item['ir_path'],
        )
        for item in items
    ]


def list_pairs(
    ir: Image | Sequence[Image], vi: Image | Sequence[Image], allow_unpaired: bool = False, suffixes: dict | None = None
) -> list[dict]:
    """Match infrared and visible images.

    Args:
        ir (Image | Sequence[Image]): A path, an array, a list of paths or arrays, or a folder.
        vi (Image | Sequence[Image]): The same.
        allow_unpaired (bool): Leave out what has no partner in the other folder, instead of raising.
        suffixes (dict, optional): ``vi_suffix`` and ``ir_suffix`` of :class:`~mmfusion.datasets.PairedSegDataset`,
            which matches folders.

    Returns:
        list[dict]: One item per pair, for the pipeline: ``name``, unique only in folders, and either ``vi_path`` and
        ``ir_path`` or the arrays. Files are not looked at.

    Raises:
        FileNotFoundError: A folder has no images.
        TypeError: Neither path, array nor list; or a pair of a path and an array.
        ValueError: Different numbers of images, a folder on one side only, or names without a partner.

    Examples:
        >>> [item['name'] for item in list_pairs(['ir/7.png', 'ir/8.png'], ['vi/7.png', 'vi/8.png'])]
        ['7', '8']
    """
    if is_folder(ir) and is_folder(vi):
        return _list_folders(os.fspath(ir), os.fspath(vi), allow_unpaired, suffixes or {})
    if is_folder(ir) or is_folder(vi):
        folder, other = ('ir', 'vi') if is_folder(ir) else ('vi', 'ir')
        told = ', '.join(
            f'{name}={str(value) if isinstance(value, (str, os.PathLike)) else type(value).__name__}'
            for name, value in (('ir', ir), ('vi', vi))
        )
        raise ValueError(f'{folder} is a folder, but {other} is none, or does not exist ({told}); give two, or files')
    if allow_unpaired:
        raise ValueError('allow_unpaired is for folders; in lists the n-th images belong together')
    return _list_images(ir, vi)


def _list_images(ir: Image | Sequence[Image], vi: Image | Sequence[Image]) -> list[dict]:
    ir_images, ir_names = _as_list(ir, 'ir')
    vi_images, vi_names = _as_list(vi, 'vi')
    if len(ir_images) != len(vi_images):
        raise ValueError(
            f'there are {len(ir_images)} infrared and {len(vi_images)} visible images; the n-th images of both lists '
            'are a pair'
        )
    if not ir_images:
        raise ValueError('there is nothing to fuse: the lists are empty')
    pairs = zip(ir_images, vi_images, ir_names, vi_names)
    return [_item(number, *pair) for number, pair in enumerate(pairs)]


def _item(number: int, ir: Image, vi: Image, ir_name: str, vi_name: str) -> dict:
    """One pair of two lists, for the pipeline."""
    if isinstance(ir, np.ndarray) and isinstance(vi, np.ndarray):
        return dict(name=f'{number:06}', vi=vi, ir=ir, vi_name=vi_name, ir_name=ir_name)
    if isinstance(ir, np.ndarray) or isinstance(vi, np.ndarray):
        raise TypeError(
            f'{ir_name} and {vi_name} are an array and a path; read the file with mmcv.imread(path, flag="unchanged")'
        )
    path = os.fspath(vi)
    return dict(name=Path(path).stem, img_path=path, vi_path=path, ir_path=os.fspath(ir))
