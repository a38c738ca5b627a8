"""The pairs that a config trains and evaluates on, folder by folder."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmfusion.datasets import PairedSegDataset
from mmfusion.datasets.paired import stem_of
from mmfusion.registry import DATASETS

from ..comparison.plan import LOADERS


@dataclass(frozen=True)
class PairFolder:
    """Pairs of one data set of a config.

    Examples:
        >>> PairFolder('test_dataloader.dataset', dict(vi_path='data/cwfid/test/vi'), {}).visible.name
        'vi'
    """

    key: str
    """Where the config has it, such as 'test_dataloader.dataset'."""
    prefix: dict[str, str]
    """``vi_path``, ``ir_path`` and, with labels, ``seg_map_path``: its folders."""
    pairs: dict[str, dict[str, str]]
    """Name of the pair, without suffix, to its ``vi_path`` and ``ir_path``; in the order of the data set."""

    @property
    def visible(self) -> Path:
        """Path: Folder of the visible images."""
        return Path(self.prefix['vi_path'])

    def belongs_to(self, loader: str) -> bool:
        """Whether a loader such as 'test_dataloader' reads these pairs."""
        return self.key.startswith(f'{loader}.')


def pair_folders(cfg: Config) -> list[PairFolder]:
    """The pairs of all loaders.

    Args:
        cfg (Config): Of a model that reads pairs from files.

    Returns:
        list[PairFolder]: One for each paired data set, also below wrappers such as ``RepeatDataset``.

    Raises:
        FileNotFoundError: A folder of the config does not exist.
        ValueError: A loader has no paired data set.
    """
    found = []
    for loader in LOADERS:
        of_loader = list(_paired(f'{loader}.dataset', (cfg.get(loader) or {}).get('dataset')))
        if not of_loader:
            raise ValueError(
                f'{loader} has no pairs in folders (a PairedSegDataset, or one of its kind): there is nothing whose '
                'place the fused images could take. Choose a config for pairs in files'
            )
        found += [_read(key, options) for key, options in of_loader]
    return found


def _paired(key: str, options: Any) -> Iterator[tuple[str, dict]]:
    """Paired data sets among nested configs, with their dotted keys."""
    if isinstance(options, (list, tuple)):
        for position, entry in enumerate(options):
            yield from _paired(f'{key}.{position}', entry)
    if not isinstance(options, Mapping):
        return
    kind = options.get('type')
    with DefaultScope.overwrite_default_scope('mmfusion'):
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type) and issubclass(kind, PairedSegDataset):
        yield key, dict(options)
        return
    for name in ('dataset', 'datasets'):
        yield from _paired(f'{key}.{name}', options.get(name))


def _read(key: str, options: dict) -> PairFolder:
    with DefaultScope.overwrite_default_scope('mmfusion'):
        # What is done to the pairs does not matter here.
        dataset = DATASETS.build({**options, 'pipeline': [], 'lazy_init': False})
    pairs = {}
    for item in map(dataset.get_data_info, range(len(dataset))):
        relative = Path(os.path.relpath(item['vi_path'], dataset.data_prefix['vi_path'])).as_posix()
        pairs[stem_of(relative, dataset.vi_suffix) or relative] = {key: item[key] for key in ('vi_path', 'ir_path')}
    return PairFolder(key, dict(dataset.data_prefix), pairs)


def sources_digest(folders: Sequence[PairFolder]) -> str:
    """Changes when the pairs do: their names, places, sizes in bytes or times.

    Args:
        folders (Sequence[PairFolder]): Of :func:`pair_folders`.

    Returns:
        str: 16 hexadecimal digits.
    """
    found = hashlib.sha256()
    for folder in folders:
        for name, item in folder.pairs.items():
            status = [os.stat(item[key]) for key in ('vi_path', 'ir_path')]
            places = [os.path.abspath(item[key]) for key in ('vi_path', 'ir_path')]
            found.update(repr((name, places, [(each.st_size, each.st_mtime_ns) for each in status])).encode())
    return found.hexdigest()[:16]


def split_names(folders: Sequence[PairFolder]) -> dict[Path, list[str]]:
    """Under which sub-folders images of every visible folder may lie, the most special first.

    Args:
        folders (Sequence[PairFolder]): Of :func:`pair_folders`.

    Returns:
        dict[Path, list[str]]: Visible folder to paths relative to a folder of fused images.

    Examples:
        >>> train, test = (PairFolder('', dict(vi_path=f'data/cwfid/{split}/vi'), {}) for split in ('train', 'test'))
        >>> split_names([train, test])[test.visible]
        ['test/fused', 'test/vi', 'test']
        >>> split_names([train])[train.visible]
        ['fused', '.']
    """
    visible = list(dict.fromkeys(folder.visible for folder in folders))
    shared = os.path.commonpath(visible)
    relative = {path: path.relative_to(shared) for path in visible}
    # train/vi and test/vi: the split is what differs.
    of_one_name = len({path.name for path in relative.values()}) == 1 and all(
        len(path.parts) > 1 for path in relative.values()
    )
    names = {}
    for path, below in relative.items():
        split = below.parent if of_one_name else below
        # fuse.py has weights and labels beside its fused images, in a folder of their own.
        candidates = (split / 'fused', below, split)
        names[path] = list(dict.fromkeys(candidate.as_posix() for candidate in candidates))
    return names
