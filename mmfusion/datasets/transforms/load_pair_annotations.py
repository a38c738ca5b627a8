"""Reading a label map and checking that it can be meant."""

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations

from mmfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPairAnnotations(LoadAnnotations):
    """mmseg's ``LoadAnnotations`` that refuses labels which cannot be right.

    A label map of the wrong size, in colour or with ids that no class has ends, in mmseg, as an error far from its
    cause (an assertion on the GPU) or as a wrong figure. Here the file is named.

    The size is compared with ``ori_shape``, because in test pipelines labels are loaded after ``Resize`` and stay as
    they are. Load the pair first.

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
        # 8-bit ids: a table of 256 entries replaces mmseg's comparison of the whole map with every old id.
        table = np.arange(256)
        reduced = bool(results.get('reduce_zero_label', False))
        if reduced:
            table = np.where((table == 0) | (table == 255), ignore_index, table - 1)
        label_map = results.get('label_map')
        if label_map is not None:
            renamed = table.copy()
            for old, new in label_map.items():
                renamed[table == old] = new
            table = renamed

        num_classes = results.get('num_classes') if self.num_classes is None else self.num_classes
        if num_classes is not None:
            present = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
            wrong = [int(i) for i in present if table[i] != ignore_index and not 0 <= table[i] < num_classes]
            if wrong:
                raise ValueError(
                    f'The label {path} holds the id(s) {wrong}, which no class has: allowed are 0..{num_classes - 1} '
                    f'and the ignore index {ignore_index}, after reduce_zero_label='
                    f'{reduced} and label_map={label_map}. Correct the '
                    'classes or reduce_zero_label of the dataset, or convert the labels.'
                )
        results['gt_seg_map'] = table.astype(np.uint8)[label]
        results.setdefault('seg_fields', []).append('gt_seg_map')

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_classes={self.num_classes}, ignore_index={self.ignore_index}, '
            f'imdecode_backend={self.imdecode_backend!r}, backend_args={self.backend_args})'
        )
