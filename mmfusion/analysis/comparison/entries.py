"""What is compared: configs, read as methods on data sets by their names."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BASELINE_FOLDER = 'baselines'
_CROP = re.compile(r'\d+x\d+')


@dataclass(frozen=True)
class Entry:
    """A config of the comparison: one method on one data set."""

    path: Path
    method: str
    recipe: str
    """Model and schedule: the fields between method and data set."""
    dataset: str
    """Without its crop."""
    crop: str
    """Such as '160x192'; empty where the name has none."""
    is_baseline: bool

    @property
    def name(self) -> str:
        """str: Name of the config."""
        return self.path.stem

    @property
    def field(self) -> str:
        """str: Data set and crop, as the name of the config has them."""
        return f'{self.dataset}-{self.crop}' if self.crop else self.dataset


def read_entry(path: Path, baselines: Sequence[str] | None = None) -> Entry:
    """Read the name of a config: ``METHOD_MODEL_SCHEDULE_DATASET-CROP.py``.

    Args:
        path (Path): The config.
        baselines (Sequence[str], optional): Methods that are baselines. By default those in a folder ``baselines``.

    Returns:
        Entry: The method is the first field, the data set the last one.

    Raises:
        ValueError: The name has but one field.

    Examples:
        >>> entry = read_entry(Path('configs/baselines/early_unet-tiny_1xb4-300_weedmap-160x192.py'))
        >>> entry.method, entry.recipe, entry.dataset, entry.crop, entry.is_baseline
        ('early', 'unet-tiny_1xb4-300', 'weedmap', '160x192', True)
    """
    method, *middle, field = path.stem.split('_') if '_' in path.stem else ('', '')
    if not method or not field:
        raise ValueError(
            f'{path.name} does not say which method and which data set it is; name it METHOD_MODEL_SCHEDULE_DATASET.py'
        )
    dataset, _, crop = field.rpartition('-')
    if not dataset or not _CROP.fullmatch(crop):
        dataset, crop = field, ''
    is_baseline = path.parent.name == BASELINE_FOLDER if baselines is None else method in baselines
    return Entry(path, method, '_'.join(middle), dataset, crop, is_baseline)


def find_entries(patterns: Sequence[str], baselines: Sequence[str] | None = None) -> list[Entry]:
    """The configs that patterns name.

    Args:
        patterns (Sequence[str]): Paths, or patterns such as ``configs/baselines/*_weedmap-160x192.py``.
        baselines (Sequence[str], optional): See :func:`read_entry`.

    Returns:
        list[Entry]: Each config once, in the order of the patterns; baselines first.

    Raises:
        FileNotFoundError: A pattern matches no config.
        ValueError: Two configs are one method on one data set, or no config is of a method called a baseline.
    """
    paths: dict[Path, Path] = {}
    for pattern in patterns:
        found = sorted(glob.glob(pattern, recursive=True))
        if not found:
            raise FileNotFoundError(f'no config matches {pattern}; the configs of this project are in configs/')
        for name in found:
            paths.setdefault(Path(name).resolve(), Path(name))
    entries = [read_entry(path, baselines) for path in paths.values()]
    _refuse_doubles(entries)
    methods = {entry.method for entry in entries}
    for name in baselines or ():
        if name not in methods:
            raise ValueError(f'no config is of the baseline {name!r}; methods are {", ".join(sorted(methods))}')
    return sorted(entries, key=lambda entry: not entry.is_baseline)


def _refuse_doubles(entries: Sequence[Entry]) -> None:
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        other = seen.setdefault((entry.method, entry.field), entry)
        if other is not entry:
            raise ValueError(
                f'{other.path} and {entry.path} are both {entry.method} on {entry.field}, one cell of the table; '
                'compare one model and one schedule at a time'
            )


def column_names(entries: Sequence[Entry]) -> dict[str, str]:
    """How the columns are called.

    Args:
        entries (Sequence[Entry]): All of the comparison.

    Returns:
        dict[str, str]: By :attr:`Entry.field`, in order: the data set, with its crop only where there are several.

    Examples:
        >>> names = ('a_x_cwfid-128x160.py', 'a_x_cwfid-256x256.py', 'a_x_weedmap-160x192.py')
        >>> list(column_names([read_entry(Path(name)) for name in names]).values())
        ['cwfid-128x160', 'cwfid-256x256', 'weedmap']
    """
    fields = {entry.field: entry.dataset for entry in entries}
    datasets = list(fields.values())
    return {field: name if datasets.count(name) == 1 else field for field, name in fields.items()}


def differing_recipes(entries: Sequence[Entry]) -> list[str]:
    """Data sets on which methods differ in model or schedule too.

    Args:
        entries (Sequence[Entry]): All of the comparison.

    Returns:
        list[str]: A line for each such data set.

    Examples:
        >>> names = ('early_unet_300_weedmap.py', 'late_segformer_300_weedmap.py')
        >>> differing_recipes([read_entry(Path(name)) for name in names])
        ['weedmap: early unet_300; late segformer_300']
    """
    lines = []
    for field, column in column_names(entries).items():
        here = [entry for entry in entries if entry.field == field]
        if len({entry.recipe for entry in here}) > 1:
            lines.append(f'{column}: {"; ".join(f"{entry.method} {entry.recipe}" for entry in here)}')
    return lines


def entries_on(entries: Sequence[Entry], dataset: str | None = None) -> list[Entry]:
    """One config per method, all on one data set.

    Args:
        entries (Sequence[Entry]): All of the comparison.
        dataset (str, optional): With or without its crop. By default the one that most methods have a config for.

    Returns:
        list[Entry]: Methods without a config for it are left out.

    Raises:
        ValueError: No config is on it, or configs with several crops are.

    Examples:
        >>> names = ('early_unet_cwfid.py', 'early_unet_weedmap.py', 'late_unet_weedmap.py')
        >>> [entry.name for entry in entries_on([read_entry(Path(name)) for name in names])]
        ['early_unet_weedmap', 'late_unet_weedmap']
    """
    fields = [entry.field for entry in entries if dataset in (None, entry.dataset, entry.field)]
    if not fields:
        raise ValueError(f'no config is on {dataset!r}; they are on {", ".join(column_names(entries))}')
    if dataset is not None and len(set(fields)) > 1:
        raise ValueError(f'{dataset!r} is {" and ".join(dict.fromkeys(fields))}; name one of them')
    chosen = max(fields, key=fields.count)
    return [entry for entry in entries if entry.field == chosen]
