"""Reading a label map and checking that it can be meant."""

import logging
from collections.abc import Mapping

import mmcv
import numpy as np
from mmengine import fileio
from mmengine.logging import print_log
from mmseg.datasets.transforms import LoadAnnotations

from mmfusion.registry import TRANSFORMS


def _check_ids(label: np.ndarray, path: str) -> None:
    """Refuse pictures that cannot be a map of 8-bit ids."""
    if label.ndim != 2:
        raise ValueError(
            f'A label map has one channel that holds class ids, but {path} has shape {label.shape}: '
            'it is a colour picture of the labels. Convert it to ids, or use '
            'imdecode_backend="pillow" if it is a palette image.'
        )
    if label.dtype.kind == 'f' or label.min() < 0 or label.max() > 255:
        raise ValueError(
            f'Class ids must be whole numbers in 0..255, but {path} holds {label.dtype} values from '
            f'{label.min()} to {label.max()}.'
        )


def _new_ids(reduce_zero_label: bool, label_map: Mapping[int, int] | None, ignore_index: int) -> np.ndarray:
    """What becomes of every id of a file, 256 entries: they replace mmseg's comparison of the map with every old id."""
    reduced = np.arange(256)
    if reduce_zero_label:
        reduced = np.where((reduced == 0) | (reduced == 255), ignore_index, reduced - 1)
    renamed = reduced.copy()
    for old, new in (label_map or {}).items():
        renamed[reduced == old] = new
    return renamed


class _Doubts:
    """What is strange about the labels of this process: told for the first few files, not for all of them."""

    def __init__(self, files: int = 3, alike: int = 20) -> None:
        self.files = files
        self.alike = alike
        self.told: set[str] = set()
        self.seen: set[str] = set()
        self.ids: set[int] = set()

    def look(self, path: str, present: np.ndarray, new_ids: np.ndarray, ignore_index: int) -> None:
        """Look at the ids of one file."""
        classes = [int(i) for i in present if new_ids[i] != ignore_index]
        ignored = [int(i) for i in present if new_ids[i] == ignore_index]
        if 255 in ignored and set(classes) <= {0}:
            if len(self.told) < self.files and path not in self.told:
                self.told.add(path)
                self._tell(
                    f'the label {path} holds the ids {", ".join(map(str, present))} only, and 255 is ignored: nothing '
                    'can be learned from it. A mask of 0 and 255 has to be converted to 0 and 1'
                )
            return
        if self.alike and path not in self.seen:
            self.seen.add(path)
            self.ids.update(classes)
            if len(self.ids) > 1:
                self.alike = 0  # They differ: nothing more to find out.
            elif len(self.seen) == self.alike:
                self._tell(
                    f'the first {self.alike} labels, such as {path}, hold the id {", ".join(map(str, self.ids))} only; '
                    'are these labels of classes?'
                )
                self.alike = 0

    @staticmethod
    def _tell(text: str) -> None:
        print_log(text, 'current', logging.WARNING)


_doubts = _Doubts()


@TRANSFORMS.register_module()
class LoadPairAnnotations(LoadAnnotations):
    """mmseg's ``LoadAnnotations`` that refuses labels which cannot be right.

    A label map of the wrong size, in colour or with ids that no class has ends, in mmseg, as an error far from its
    cause (an assertion on the GPU) or as a wrong figure. Here the file is named.

    The size is compared with ``ori_shape``, because in test pipelines labels are loaded after ``Resize`` and stay as
    they are. Load the pair first.

    Labels of 0 and 255 only (a mask as pictures have it, where 255 is ignored), and a data set whose first labels all
    hold one and the same id, are mentioned in the log.

    Required keys: ``seg_map_path``, ``ori_shape``; and what the dataset says: ``reduce_zero_label``, ``label_map``,
    ``num_classes``, ``ignore_index``. Added: ``gt_seg_map`` (H, W) uint8, also named in ``seg_fields``.

    Args:
        num_classes (int, optional): Ids must be below it (after ``reduce_zero_label`` and ``label_map``). Default: what
            the dataset says. If that names no classes either, ids are not checked.
        ignore_index (int, optional): The id that is allowed besides. Default: what the dataset says, else 255.
        imdecode_backend (str): ``'pillow'`` (reads a palette image as ids) or another one of mmcv.
        backend_args (dict, optional): Arguments of mmengine's file backend.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is no label map, or does not fit the pair or the classes.

    Examples:
        >>> import cv2, tempfile
        >>> from pathlib import Path
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = str(Path(folder.name, 'label.png'))
        >>> cv2.imwrite(path, np.array([[0, 1], [2, 255]], np.uint8))
        True
        >>> item = dict(seg_map_path=path, ori_shape=(2, 2), num_classes=3)
        >>> LoadPairAnnotations()(dict(item, reduce_zero_label=True))['gt_seg_map'].tolist()  # 0 is no class then.
        [[255, 0], [1, 255]]
        >>> LoadPairAnnotations(num_classes=2)(item)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: The label ...label.png holds the id(s) [2], which no class has: allowed are 0..1 and ...
        >>> folder.cleanup()
    """

    def __init__(
        self,
        num_classes: int | None = None,
        ignore_index: int | None = None,
        imdecode_backend: str = 'pillow',
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(imdecode_backend=imdecode_backend, backend_args=backend_args)
        if num_classes is not None and not 1 <= num_classes <= 256:
            raise ValueError(f'num_classes must be in 1..256 (labels have 8 bit), but is {num_classes}.')
        if ignore_index is not None and not 0 <= ignore_index <= 255:
            raise ValueError(f'ignore_index must be in 0..255 (labels have 8 bit), but is {ignore_index}.')
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def _read(self, path: str) -> np.ndarray:
        """Ids of a label file (H, W) uint8."""
        try:
            content = fileio.get(path, backend_args=self.backend_args)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise FileNotFoundError(f'The label file does not exist: {path}.') from error
        if not content:
            raise ValueError(f'The label file is empty (0 bytes): {path}.')
        try:
            label = mmcv.imfrombytes(content, flag='unchanged', backend=self.imdecode_backend)
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f'The label file cannot be read: {path} ({error}).') from error
        if label is None:
            raise ValueError(f'The label file cannot be read: {path} (unknown format, or the file is damaged).')
        _check_ids(label, path)
        return label.astype(np.uint8)

    def _load_seg_map(self, results: dict) -> None:
        path = results.get('seg_map_path')
        if path is None:
            raise ValueError(
                f'There is no label for {results.get("img_path")}: remove LoadPairAnnotations from the '
                "pipeline, or give the dataset a data_prefix['seg_map_path']."
            )
        if 'ori_shape' not in results:
            raise ValueError('LoadPairAnnotations compares the label with the pair: put LoadPairFromFile before it.')
        label = self._read(path)
        if label.shape != tuple(results['ori_shape'][:2]):
            height, width = results['ori_shape'][:2]
            raise ValueError(
                f'The label {path} has {label.shape[0]}x{label.shape[1]} pixels (height x width), but its '
                f'image {results.get("img_path")} has {height}x{width}. Resize the label with '
                'nearest-neighbour interpolation, or correct the pairing.'
            )

        ignore_index = results.get('ignore_index', 255) if self.ignore_index is None else self.ignore_index
        new_ids = _new_ids(bool(results.get('reduce_zero_label', False)), results.get('label_map'), ignore_index)
        self._check_known(label, new_ids, ignore_index, results)
        results['gt_seg_map'] = new_ids.astype(np.uint8)[label]
        results.setdefault('seg_fields', []).append('gt_seg_map')

    def _check_known(self, label: np.ndarray, new_ids: np.ndarray, ignore_index: int, results: dict) -> None:
        """Refuse ids of no class, where the number of classes is known."""
        num_classes = results.get('num_classes') if self.num_classes is None else self.num_classes
        if num_classes is None:
            return
        present = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
        _doubts.look(results['seg_map_path'], present, new_ids, ignore_index)
        wrong = [int(i) for i in present if new_ids[i] != ignore_index and not 0 <= new_ids[i] < num_classes]
        if wrong:
            raise ValueError(
                f'The label {results["seg_map_path"]} holds the id(s) {wrong}, which no class has: allowed are '
                f'0..{num_classes - 1} and the ignore index {ignore_index}, after reduce_zero_label='
                f'{bool(results.get("reduce_zero_label", False))} and label_map={results.get("label_map")}. Correct '
                'the classes or reduce_zero_label of the dataset, or convert the labels.'
            )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_classes={self.num_classes}, ignore_index={self.ignore_index}, '
            f'imdecode_backend={self.imdecode_backend!r}, backend_args={self.backend_args})'
        )
