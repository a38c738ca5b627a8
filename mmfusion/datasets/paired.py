"""Pairs of a visible and an infrared image with a label map, in three folders."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmengine import fileio
from mmengine.logging import print_log
from mmengine.utils import is_abs
from mmseg.datasets import BaseSegDataset

from mmfusion.registry import DATASETS

from .paired_pipeline import Step, paired_pipeline
from .splits import check_hold_out, part_of, stems_listed

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
LABEL_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')  # a lossy format would invent class ids
_PREFIX_KEYS = ('vi_path', 'ir_path', 'seg_map_path')
_SHOWN = 10


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first ten.

    Examples:
        >>> listed(['a', 'b']), listed([str(number) for number in range(12)])
        ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more')
    """
    more = f', and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more


def _as_suffixes(name: str, suffix: str | Sequence[str]) -> tuple[str, ...]:
    suffixes = (suffix,) if isinstance(suffix, str) else tuple(suffix)
    if not suffixes or not all(isinstance(ending, str) and ending for ending in suffixes):
        raise ValueError(
            f'{name} must be a non-empty string or a sequence of them, such as ".png" or '
            f'("_ir.png", "_ir.tif"), but is {suffix!r}.'
        )
    # '_ir.png' has to win over '.png', hence the longest first.
    return tuple(sorted(suffixes, key=len, reverse=True))


def stem_of(name: str, suffixes: Sequence[str]) -> str | None:
    """Name of a file without the suffix it ends with, in upper or lower case.

    Args:
        name (str): May have folders in front.
        suffixes (Sequence[str]): The first one that fits is taken.

    Returns:
        str | None: None when it ends with none of them.

    Examples:
        >>> stem_of('day/1_ir.PNG', ('_ir.png', '.png')), stem_of('notes.txt', ('.png',))
        ('day/1', None)
    """
    for suffix in suffixes:
        if name.lower().endswith(suffix.lower()):
            return name[: -len(suffix)]
    return None


def _files_by_stem(folder: str, key: str, suffixes: tuple[str, ...], backend_args: dict | None) -> dict[str, str]:
    """Files of a folder and its sub-folders: stem to path, both relative to the folder."""
    if not fileio.isdir(folder, backend_args=backend_args):
        raise FileNotFoundError(
            f'The folder of {key!r} does not exist: {folder}. Correct data_root or data_prefix[{key!r}].'
        )
    files: dict[str, str] = {}
    others: list[str] = []
    for name in sorted(fileio.list_dir_or_file(folder, list_dir=False, recursive=True, backend_args=backend_args)):
        stem = stem_of(name, suffixes)
        if stem is None:
            others.append(name)
        elif stem in files:
            raise ValueError(
                f'{folder} holds two files of the same name without suffix: {files[stem]} and {name}. '
                f'Remove one, or narrow {key.replace("_path", "_suffix")} (now {suffixes}).'
            )
        else:
            files[stem] = name
    if not files:
        found = f'it holds {len(others)} other files: {listed(others)}' if others else 'it is empty'
        raise FileNotFoundError(
            f'The folder of {key!r} has no file that ends with one of {suffixes}: {folder} '
            f'({found}). Correct the folder or {key.replace("_path", "_suffix")}.'
        )
    return files


@DATASETS.register_module()
class PairedSegDataset(BaseSegDataset):
    """Registered infrared-visible pairs with semantic labels, one folder for each.

    A pair is matched by its file name without the suffix; sub-folders are kept::

        data_root/vi/day/0001.png  data_root/ir/day/0001.png  data_root/labels/day/0001.png

    Everything that is missing is reported at once when the dataset is initialised, not when a worker comes across it.
    Labels that belong to no image are ignored.

    Each item handed to the pipeline has ``img_path`` and ``vi_path`` (the visible image: mmseg's hooks look for
    ``img_path``), ``ir_path``, ``seg_map_path`` (with labels), ``label_map``, ``reduce_zero_label``, ``seg_fields``,
    ``num_classes`` (after ``label_map``; None when the dataset names no classes) and ``ignore_index``.

    Classes come from ``METAINFO`` of a subclass or from ``metainfo=dict(classes=..., palette=...)``. A subset of a
    subclass's classes is possible: mmseg then gives the remaining ones new ids in the order asked for, and pixels of
    the others become ``ignore_index``.

    Args:
        ann_file (str): A text file with one stem a line (a suffix is tolerated), relative to ``data_root``. Only these
            pairs are used, in this order. Default: every pair of the folders, sorted.
        exclude_file (str): A text file of the same kind; its pairs are left out. A line may begin with folders above
            the pair, so that one list serves several splits: ``test/0349`` is 0349 below ``test`` only. Lines that name
            pairs elsewhere are passed over, but a file that names none of the pairs is refused.
        hold_out (int, optional): 5 takes every 5th pair (the 5th, the 10th ...) off the list for validation. It is
            counted after ``ann_file`` and ``exclude_file``, and before anything is looked for: a dataset with
            ``part='train'`` and one with ``part='held_out'`` share no pair as long as those two and the images agree.
        part (str): ``'train'``: what is not held out, or everything without ``hold_out``; ``'held_out'``: the rest.
        vi_suffix (str | Sequence[str]): What a visible file ends with, in upper or lower case.
        ir_suffix (str | Sequence[str]): The same for infrared files, such as ``'_ir.png'``.
        seg_map_suffix (str | Sequence[str]): The same for label files.
        data_prefix (dict, optional): Folders relative to ``data_root`` under ``vi_path``, ``ir_path`` and, with labels,
            ``seg_map_path``. Default: :attr:`DEFAULT_PREFIX`.
        require_labels (bool, optional): Whether there are labels. Default: yes in training (``test_mode=False``); in
            testing if ``data_prefix`` has a ``seg_map_path``. False allows training without labels.
        allow_unpaired (bool): Use the complete pairs and only log what is incomplete, instead of raising.
        pipeline (Sequence[dict | Callable]): Transforms. Those of an inherited recipe for single images are read as
            transforms of pairs; see :func:`~mmfusion.datasets.paired_pipeline.paired_pipeline`.
        **kwargs: ``data_root``, ``metainfo``, ``indices``, ``test_mode``, ``lazy_init``,
            ``serialize_data``, ``reduce_zero_label``, ``ignore_index``, ``backend_args`` ... as in mmseg's
            ``BaseSegDataset``.

    Raises:
        FileNotFoundError: A folder or a list of pairs does not exist, or a folder has no matching file.
        ValueError: Pairs are incomplete, a stem is ambiguous, no pair is left, or arguments contradict each other.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = tempfile.TemporaryDirectory()  # Files are only listed here, so that empty ones do.
        >>> for name in ('vi/day/1.png', 'ir/day/1.tif', 'labels/day/1.png'):
        ...     path = Path(folder.name, name)
        ...     path.parent.mkdir(parents=True)
        ...     path.touch()
        >>> names = dict(classes=('soil', 'crop'), palette=[[0, 0, 0], [0, 255, 0]])
        >>> item = PairedSegDataset(data_root=folder.name, metainfo=names).get_data_info(0)
        >>> Path(item['ir_path']).relative_to(folder.name).as_posix(), item['num_classes'], item['ignore_index']
        ('ir/day/1.tif', 2, 255)

        A pair without its label is an error as soon as the data set is made, not hours later:

        >>> Path(folder.name, 'labels/day/1.png').rename(Path(folder.name, 'labels/day/2.png')).name
        '2.png'
        >>> PairedSegDataset(data_root=folder.name)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: PairedSegDataset: not every pair is complete.
          1 without a label in ...labels: day/1
        ...
        >>> folder.cleanup()
    """

    DEFAULT_PREFIX: dict = dict(vi_path='vi', ir_path='ir', seg_map_path='labels')

    def __init__(
        self,
        ann_file: str = '',
        vi_suffix: str | Sequence[str] = IMAGE_SUFFIXES,
        ir_suffix: str | Sequence[str] = IMAGE_SUFFIXES,
        seg_map_suffix: str | Sequence[str] = LABEL_SUFFIXES,
        data_prefix: Mapping[str, str] | None = None,
        require_labels: bool | None = None,
        allow_unpaired: bool = False,
        metainfo: Mapping | None = None,
        test_mode: bool = False,
        exclude_file: str = '',
        hold_out: int | None = None,
        part: str = 'train',
        pipeline: Sequence[Step] = (),
        **kwargs: Any,
    ) -> None:
        if 'img_suffix' in kwargs:
            raise TypeError('A pair has no img_suffix: use vi_suffix and ir_suffix.')
        self.vi_suffix = _as_suffixes('vi_suffix', vi_suffix)
        self.ir_suffix = _as_suffixes('ir_suffix', ir_suffix)
        check_hold_out(hold_out, part)
        self.exclude_file, self.hold_out, self.part = exclude_file, hold_out, part
        self.allow_unpaired = allow_unpaired
        folders = self._named_folders(data_prefix, require_labels)
        self.with_labels = self._expects_labels(folders, require_labels, test_mode)
        if test_mode and not (metainfo or self.METAINFO).get('classes'):
            if self.with_labels:
                raise ValueError(
                    f'{type(self).__name__} has labels but no class names, which testing needs: give '
                    "metainfo=dict(classes=(...)), or leave out data_prefix['seg_map_path']."
                )
            # mmseg insists on class names in testing; for fusion alone there is nothing to name.
            metainfo = dict(metainfo or {}, classes=(), palette=[])
        super().__init__(
            ann_file=ann_file,
            seg_map_suffix=_as_suffixes('seg_map_suffix', seg_map_suffix),
            data_prefix=folders,
            metainfo=metainfo,
            test_mode=test_mode,
            pipeline=paired_pipeline(pipeline, type(self).__name__),
            **kwargs,
        )

    def _named_folders(self, data_prefix: Mapping[str, str] | None, require_labels: bool | None) -> dict[str, str]:
        """The folders by their keys: those given, or the default ones."""
        if data_prefix is None:
            data_prefix = dict(self.DEFAULT_PREFIX)
            if require_labels is False:
                del data_prefix['seg_map_path']
        folders = {key: folder for key, folder in data_prefix.items() if folder is not None}
        unknown = sorted(set(folders) - set(_PREFIX_KEYS))
        if unknown:
            raise ValueError(
                f'Unknown key(s) {unknown} in data_prefix. Known are {list(_PREFIX_KEYS)}; a visible '
                "image's folder is 'vi_path', not 'img_path'."
            )
        absent = [key for key in ('vi_path', 'ir_path') if key not in folders]
        if absent:
            raise ValueError(
                f'data_prefix lacks {absent}: both modalities need a folder, such as '
                "dict(vi_path='vi', ir_path='ir', seg_map_path='labels')."
            )
        return folders

    def _expects_labels(self, folders: Mapping[str, str], require_labels: bool | None, test_mode: bool) -> bool:
        """Whether there are labels, by what was said and by whether they have a folder."""
        has_folder = 'seg_map_path' in folders
        if require_labels is None:
            require_labels = has_folder or not test_mode
        if require_labels and not has_folder:
            raise ValueError(
                f"{type(self).__name__} needs labels, but data_prefix has no 'seg_map_path'. Add the "
                'folder, or set require_labels=False to do without labels.'
            )
        if has_folder and not require_labels:
            raise ValueError(
                f"require_labels=False contradicts data_prefix['seg_map_path'] = "
                f'{folders["seg_map_path"]!r}: leave out one of the two.'
            )
        return require_labels

    def _join_prefix(self) -> None:
        """Paths below ``data_root``, as mmengine joins them, and that of ``exclude_file``."""
        super()._join_prefix()
        if self.exclude_file and not is_abs(self.exclude_file):
            self.exclude_file = fileio.join_path(self.data_root, self.exclude_file)

    def _read_stems(self, argument: str, known: Collection[str], otherwise: str) -> list[str]:
        """Stems in the file of an argument, in its order."""
        path = getattr(self, argument)
        if not fileio.exists(path, backend_args=self.backend_args):
            raise FileNotFoundError(
                f'The list of pairs does not exist: {path}. Correct {argument} or leave it out {otherwise}.'
            )
        lines = fileio.get_text(path, backend_args=self.backend_args).splitlines()
        stems = []
        for line in filter(None, map(str.strip, lines)):
            bare = stem_of(line, (*self.vi_suffix, *self.ir_suffix))
            stems.append(bare if line not in known and bare is not None else line)
        if not stems:
            raise ValueError(f'{argument} names no pair: {path}.')
        return stems

    def _check_complete(self, problems: dict[str, list[str]], complete: int) -> None:
        problems = {what: names for what, names in problems.items() if names}
        if not problems:
            return
        text = '\n'.join(f'  {len(names)} {what}: {listed(names)}' for what, names in problems.items())
        if self.allow_unpaired and complete:
            print_log(
                f'{type(self).__name__} leaves out incomplete pairs and uses {complete}:\n{text}',
                'current',
                logging.WARNING,
            )
            return
        use_rest = f'set allow_unpaired=True to use only the {complete} complete pairs'
        remedy = use_rest if complete else 'check the folders'
        raise ValueError(
            f'{type(self).__name__}: not every pair is complete.\n{text}\nPairs are matched by the file name without '
            f'its suffix (vi_suffix={self.vi_suffix}, ir_suffix={self.ir_suffix}, '
            f'seg_map_suffix={self.seg_map_suffix}). Add the files, correct the suffixes, or {remedy}.'
        )

    def load_data_list(self) -> list[dict]:
        """Match the files of the folders.

        Returns:
            list[dict]: One item for every pair, see the class.
        """
        files = self._find_files()
        stems = self._wanted_stems(files)
        complete = [stem for stem in stems if all(stem in found for found in files.values())]
        self._check_complete(self._incomplete(stems, files), len(complete))

        shared = self._shared_by_all_items()
        items = []
        for stem in complete:
            paths = {
                key: fileio.join_path(self.data_prefix[key], found[stem], backend_args=self.backend_args)
                for key, found in files.items()
            }
            items.append(dict(img_path=paths['vi_path'], **paths, **shared, seg_fields=[]))
        return items

    def _find_files(self) -> dict[str, dict[str, str]]:
        """Per key of the folders: stem to file."""
        suffixes = dict(vi_path=self.vi_suffix, ir_path=self.ir_suffix, seg_map_path=self.seg_map_suffix)
        return {
            key: _files_by_stem(self.data_prefix[key], key, suffixes[key], self.backend_args)
            for key in _PREFIX_KEYS
            if key in self.data_prefix
        }

    def _wanted_stems(self, files: Mapping[str, Collection[str]]) -> list[str]:
        """Stems of the split file in its order, or those that have an image, sorted; without what is in no use here."""
        with_image = {*files['vi_path'], *files['ir_path']}
        stems = sorted(with_image)
        if self.ann_file:
            stems = self._read_stems('ann_file', with_image, 'to use every pair of the folders')
        if self.exclude_file:
            stems = self._without_excluded(stems, with_image)
        part = part_of(stems, self.hold_out, self.part)
        if not part:
            raise ValueError(
                f'No pair is left of {len(stems)} with hold_out={self.hold_out!r}, part={self.part!r} and '
                f'exclude_file={self.exclude_file!r}.'
            )
        return part

    def _without_excluded(self, stems: Sequence[str], with_image: Collection[str]) -> list[str]:
        """Stems that ``exclude_file`` does not name."""
        lines = self._read_stems('exclude_file', with_image, 'to leave out nothing')
        excluded = stems_listed({*stems, *with_image}, lines, self.data_prefix['vi_path'])
        if not excluded:
            raise ValueError(
                f'exclude_file {self.exclude_file} names none of the pairs in {self.data_prefix["vi_path"]}: '
                f'{listed(lines)}. Correct it, or leave it out.'
            )
        return [stem for stem in stems if stem not in excluded]

    def _incomplete(self, stems: Sequence[str], files: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
        """What is missing, in words, to the stems that miss it. A pair without a visible image is named once."""
        folders = self.data_prefix
        with_visible = [stem for stem in stems if stem in files['vi_path']]
        labelled = files.get('seg_map_path', files['vi_path'])
        wanted = 'listed' if self.ann_file else 'infrared'
        return {
            f'{wanted} without a visible image in {folders["vi_path"]}': [
                stem for stem in stems if stem not in files['vi_path']
            ],
            f'visible without an infrared image in {folders["ir_path"]}': [
                stem for stem in with_visible if stem not in files['ir_path']
            ],
            f'without a label in {folders.get("seg_map_path")}': [
                stem for stem in with_visible if stem not in labelled
            ],
        }

    def _shared_by_all_items(self) -> dict[str, Any]:
        """What the pipeline has to know about the classes."""
        label_map = self.label_map
        if label_map is not None:
            # mmseg writes 255 for classes that are left out, whatever the ignore index is.
            label_map = {old: self.ignore_index if new == 255 else new for old, new in label_map.items()}
        return dict(
            label_map=label_map,
            reduce_zero_label=self.reduce_zero_label,
            num_classes=len(self._metainfo.get('classes') or ()) or None,
            ignore_index=self.ignore_index,
        )
