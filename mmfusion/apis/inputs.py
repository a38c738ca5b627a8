"""What a user hands in, as a list of pairs, and the way of a pair to the model."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmengine.config import Config
from mmengine.dataset import Compose

from mmfusion.datasets import LoadPairFromFile, PairedSegDataset
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
            self._check(image, name, value_range == 'dtype')
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


def build_pipeline(cfg: Config) -> Compose:
    """The test pipeline of a config, for pairs without labels.

    Label loading is left out. A config whose dataset draws its pairs has no loading at all; it gets the default one.

    Args:
        cfg (Config): With ``test_dataloader`` or ``test_pipeline``.

    Returns:
        Compose: From an item of :func:`list_pairs` to what the model takes.

    Raises:
        ValueError: The config has no test pipeline, or one that loads something else than a pair.
    """
    pipeline = dataset_config(cfg).get('pipeline') or cfg.get('test_pipeline')
    if not pipeline:
        raise ValueError('the config has no test pipeline: neither test_dataloader.dataset.pipeline nor test_pipeline')
    transforms = [TRANSFORMS.build(one) if isinstance(one, dict) else one for one in pipeline]
    # mmseg's own and ours are subclasses of mmcv's.
    transforms = [one for one in transforms if not isinstance(one, MMCVLoadAnnotations)]
    for one in transforms:
        if isinstance(one, LoadImageFromFile):
            raise ValueError(
                f'the test pipeline of the config loads single images by {type(one).__name__}; a pair '
                'needs LoadPairFromFile'
            )
    if not any(isinstance(one, LoadPairFromFile) for one in transforms):
        transforms.insert(0, LoadPairFromFile())
    return Compose([LoadPair(one) if isinstance(one, LoadPairFromFile) else one for one in transforms])


def dataset_config(cfg: Config) -> dict:
    """Config of the dataset that the config tests on; empty where there is none."""
    return (cfg.get('test_dataloader') or {}).get('dataset') or {}


def _as_list(images: Image | Sequence[Image], name: str) -> tuple[list[Image], list[str]]:
    """Images and what messages call them."""
    if isinstance(images, (str, os.PathLike, np.ndarray)):
        images, names = [images], [name]
    elif isinstance(images, (list, tuple)):
        names = [f'{name}[{i}]' for i in range(len(images))]
    else:
        raise TypeError(f'{name} must be a path, an array, a list of them or a folder, got {type(images).__name__}')
    for image, one in zip(images, names):
        if not isinstance(image, (str, os.PathLike, np.ndarray)):
            raise TypeError(f'{one} must be a path or an array, got {type(image).__name__}')
        if not isinstance(image, np.ndarray) and os.path.isdir(image):
            raise ValueError(f'{one} is a folder: {image}. Give ir and vi as one folder each, or list files')
    return list(images), names


def is_folder(images: Image | Sequence[Image]) -> bool:
    """Whether it is the path of a folder."""
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
        vi (Image | Sequence[Image]): The same kind of thing.
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
    folders = is_folder(ir), is_folder(vi)
    if all(folders):
        return _list_folders(os.fspath(ir), os.fspath(vi), allow_unpaired, suffixes or {})
    if any(folders):
        folder, other = ('ir', 'vi') if folders[0] else ('vi', 'ir')
        raise ValueError(f'{folder} is a folder, but {other} is not, or does not exist; give two folders, or files')
    if allow_unpaired:
        raise ValueError('allow_unpaired is for folders; in lists the n-th images belong together')
    (ir, ir_names), (vi, vi_names) = _as_list(ir, 'ir'), _as_list(vi, 'vi')
    if len(ir) != len(vi):
        raise ValueError(
            f'there are {len(ir)} infrared and {len(vi)} visible images; the n-th images of both lists are a pair'
        )
    if not ir:
        raise ValueError('there is nothing to fuse: the lists are empty')
    items = []
    for i, (one_ir, one_vi) in enumerate(zip(ir, vi)):
        arrays = isinstance(one_ir, np.ndarray), isinstance(one_vi, np.ndarray)
        if any(arrays) != all(arrays):
            raise TypeError(
                f'{ir_names[i]} and {vi_names[i]} are an array and a path; read the file with '
                'mmcv.imread(path, flag="unchanged")'
            )
        if all(arrays):
            items.append(dict(name=f'{i:06}', vi=one_vi, ir=one_ir, vi_name=vi_names[i], ir_name=ir_names[i]))
        else:
            path = os.fspath(one_vi)
            items.append(dict(name=Path(path).stem, img_path=path, vi_path=path, ir_path=os.fspath(one_ir)))
    return items
