"""Where results go: arrays and files."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.engine.hooks.fusion_visualization_hook import panel_of
from mmfusion.visualization import colorize_weights, draw_overlay, to_uint8

KINDS = ('fused', 'weights', 'labels', 'panels', 'overlays')
"""What can be written of every pair, each to a folder of this name."""

OF_CLASSES = ('labels', 'overlays')
"""What there is only of a model that knows classes."""

FORMATS = ('png', 'jpg', 'tif', 'bmp')
"""Formats of pictures. Label maps are always PNG: no other keeps their ids for certain."""


def kinds_to_save(save: Sequence[str] | None, num_classes: int) -> tuple[str, ...]:
    """What is written of every pair.

    Args:
        save (Sequence[str], optional): Out of :data:`KINDS`; by default all that there is but overlays.
        num_classes (int): How many classes the model knows.

    Returns:
        tuple[str, ...]: As they were given.

    Raises:
        TypeError: A single string.
        ValueError: Unknown, none, or of classes where the model knows none.

    Examples:
        >>> kinds_to_save(None, num_classes=9), kinds_to_save(None, num_classes=0)
        (('fused', 'weights', 'labels', 'panels'), ('fused', 'weights', 'panels'))
    """
    if save is None:
        return tuple(kind for kind in KINDS[:4] if num_classes or kind not in OF_CLASSES)
    if isinstance(save, str):
        raise TypeError(f'save must be a sequence of names, but is the string {save!r}; write ({save!r},)')
    if not save or set(save) - set(KINDS):
        raise ValueError(f'save must name one or more of {", ".join(KINDS)}, but is {list(save)}')
    if not num_classes and set(save) & set(OF_CLASSES):
        raise ValueError(
            f'save={list(save)} takes a model that knows classes, and this one fuses only: give a config and a '
            f'checkpoint of a joint model, or leave out {", ".join(OF_CLASSES)}'
        )
    return tuple(save)


def arrays_of(sample: SegDataSample, num_classes: int) -> dict[str, np.ndarray]:
    """What a prediction holds, as arrays.

    Args:
        sample (SegDataSample): A prediction of :class:`~mmfusion.models.FusionSegmentor` or ``FusionModel``.
        num_classes (int): How many classes there are.

    Returns:
        dict[str, np.ndarray]: ``fused`` (H, W, 3) RGB or (H, W), uint8; ``weights`` of the infrared image (H, W)
        float32 in [0, 1]; where there are classes, ``labels`` (H, W), their ids in uint8, or in uint16 beyond 256.

    Examples:
        >>> import torch
        >>> from mmengine.structures import PixelData
        >>> sample = SegDataSample(
        ...     fused_img=PixelData(data=torch.full((3, 4, 6), 0.2)),
        ...     fusion_weights=PixelData(data=torch.tensor([0.75, 0.25])[:, None, None].expand(2, 4, 6)),
        ...     pred_sem_seg=PixelData(data=torch.ones(1, 4, 6, dtype=torch.long)),
        ... )
        >>> arrays = arrays_of(sample, num_classes=3)
        >>> arrays['fused'][0, 0].tolist(), arrays['weights'][0, 0].item(), arrays['labels'][0, 0].item()
        ([51, 51, 51], 0.75, 1)
        >>> arrays['fused'].shape, arrays['weights'].shape, arrays['labels'].dtype.name
        ((4, 6, 3), (4, 6), 'uint8')
    """
    found = dict(fused=to_uint8(sample.fused_img.data), weights=sample.fusion_weights.data[0].cpu().float().numpy())
    if num_classes:
        id_type = np.min_scalar_type(num_classes - 1)
        found['labels'] = sample.pred_sem_seg.data[0].cpu().numpy().astype(id_type)
    return found


def _refuse_doubled(names: Sequence[str]) -> None:
    doubled = [name for name, number in Counter(names).items() if number > 1]
    if doubled:
        raise ValueError(
            f'several pairs have one name and would be written to one file: {doubled[:5]}; fuse them '
            'in separate calls, or give folders'
        )


class ResultWriter:
    """Writes the results of a pair as images.

    Args:
        out_dir (str | os.PathLike): Files go to its folders ``fused``, ``weights`` (red for infrared, blue for
            visible), ``labels`` (class ids), ``panels`` and ``overlays`` (classes over the fused image), which are
            made.
        classes (Sequence[str]): Class names for legends.
        palette (Sequence[Sequence[int]]): R, G and B in 0..255 per class.
        save (Sequence[str], optional): Which of :data:`KINDS`; see :func:`kinds_to_save`.
        image_format (str): One of :data:`FORMATS`.

    Raises:
        TypeError: ``save`` is a single string.
        ValueError: Unknown kind or format, nothing to save, or classes of a model that knows none.

    Examples:
        >>> writer = ResultWriter('results', classes=('soil', 'crop'), palette=((0, 0, 0), (0, 255, 0)))
        >>> writer.check(['1', '2'], inputs=['field/vi', 'field/ir'], whole=True)
        >>> writer.check(['1', '1'], inputs=['monday', 'tuesday'], whole=False)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: several pairs have one name and would be written to one file: ['1']; fuse them in separate ...
        >>> writer.check(['1', '2'], inputs=['results/vi', 'results/ir'], whole=True)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: out_dir results holds or is inside of the input folder ...
    """

    def __init__(
        self,
        out_dir: str | os.PathLike,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        save: Sequence[str] | None = None,
        image_format: str = 'png',
    ) -> None:
        if image_format not in FORMATS:
            raise ValueError(f'image_format must be one of {", ".join(FORMATS)}, but is {image_format!r}')
        self.out_dir = Path(out_dir)
        self.classes = classes
        self.palette = palette
        self.save = kinds_to_save(save, len(classes))
        self.image_format = image_format

    def check(self, names: Sequence[str], inputs: Iterable[str | os.PathLike], whole: bool) -> None:
        """Refuse to write over inputs and labels, or two results to one file.

        Args:
            names (Sequence[str]): Names of all results.
            inputs (Iterable[str | os.PathLike]): Folders that input images are in.
            whole (bool): Whether these folders were given, rather than files in them.

        Raises:
            NotADirectoryError: ``out_dir`` is a file.
            ValueError: Two results have one name; ``out_dir`` lies inside of an input folder, whose images a later
                run would find there; or it is the folder around the input folders, whose ``labels`` are likely to be
                the data set's.
        """
        if self.out_dir.exists() and not self.out_dir.is_dir():
            raise NotADirectoryError(f'out_dir is a file: {self.out_dir}')
        _refuse_doubled(names)
        self._check_folders({Path(folder).resolve() for folder in inputs}, whole)

    def _check_folders(self, folders: set[Path], whole: bool) -> None:
        target = self.out_dir.resolve()
        # Two folders are those of a data set. Beside the files of a single folder results may lie, unless that folder
        # has the name of one of theirs.
        is_data_set = whole or len(folders) > 1
        for folder in folders:
            around = target == folder.parent and (is_data_set or folder.name in KINDS)
            inside = whole and target.is_relative_to(folder)
            if around or inside:
                raise ValueError(
                    f'out_dir {self.out_dir} holds or is inside of the input folder {folder}, so that '
                    'files of the data set could be overwritten; choose another folder'
                )

    def write(self, name: str, arrays: dict[str, np.ndarray], pair: Tensor, sample: SegDataSample) -> None:
        """Write the results of one pair.

        Args:
            name (str): Name of the files, without suffix; may have folders.
            arrays (dict[str, np.ndarray]): From :func:`arrays_of`.
            pair (Tensor): The pair as it left the pipeline (4, h, w).
            sample (SegDataSample): The prediction.

        Raises:
            OSError: A file could not be written.
        """
        draw = dict(
            fused=lambda: arrays['fused'],
            weights=lambda: colorize_weights(arrays['weights']),
            labels=lambda: arrays['labels'],
            panels=lambda: panel_of(pair, sample, self.classes, self.palette),
            overlays=lambda: draw_overlay(arrays['fused'], arrays['labels'], self.classes, self.palette),
        )
        for kind in self.save:
            picture = draw[kind]()
            path = self.out_dir / kind / f'{name}.{"png" if kind == "labels" else self.image_format}'
            # Red and blue change places: OpenCV writes B, G, R.
            if not mmcv.imwrite(picture[..., ::-1] if picture.ndim == 3 else picture, str(path)):
                raise OSError(f'could not write {path}')
