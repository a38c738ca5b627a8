"""Where in a source a data set begins, and which of its files belong together."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..paired import IMAGE_SUFFIXES, LABEL_SUFFIXES
from .sources import Source

_SHOWN = 5


@dataclass(frozen=True)
class Pair:
    """A pair in a source."""

    split: str
    """Its folder or list, such as ``train``."""
    stem: str
    """Name without suffix."""
    files: Mapping[str, str]
    """Names in the source by their role: ``vi``, ``ir``, ``labels``, and what else a recipe takes along."""


@dataclass
class Found:
    """What a layout finds in a source."""

    pairs: list[Pair]
    lists: dict[str, list[str]]
    """Name of a list, such as ``train``, to stems."""
    notes: list[str] = field(default_factory=list)
    """What is strange and does no harm."""


def listed(names: Iterable[str], shown: int = _SHOWN) -> str:
    """The first few of some names, and how many more there are.

    Examples:
        >>> listed('abcd', shown=2)
        'a, b and 2 more'
    """
    names = list(names)
    more = f' and {len(names) - shown} more' if len(names) > shown else ''
    return ', '.join(names[:shown]) + more


def find_root(source: Source, wanted: Sequence[str], title: str) -> str:
    """Where the layout begins: archives have the name of the data set above, at times twice.

    Args:
        source (Source): As it was downloaded.
        wanted (Sequence[str]): Folders and files that the layout has.
        title (str): Name of the data set, for messages.

    Returns:
        str: What stands before each of them; empty, or a folder with a slash.

    Raises:
        ValueError: Not all of them are there; the message has what is missing.
    """
    folders = {name[: position + 1] for name in source.names for position, char in enumerate(name) if char == '/'}
    known = {folder.rstrip('/') for folder in folders} | set(source.names)
    counts = Counter(
        place[: len(place) - len(want)] for want in wanted for place in known if f'/{place}'.endswith(f'/{want}')
    )
    root = min(counts, key=lambda place: (-counts[place], len(place), place), default='')
    missing = [want for want in wanted if root + want not in known]
    if missing:
        begins = f' below {root}' if root else ''
        tops = sorted({name.split('/')[0] for name in source.names})
        raise ValueError(
            f'{source.where} has not the layout of {title}: missing{begins} are {listed(missing, len(missing))}. '
            f'At its top are {listed(tops) or "no files"}'
        )
    return root


def stems_in(source: Source, folder: str, suffixes: Sequence[str]) -> dict[str, str]:
    """Files of a folder and the folders below it, by their stem.

    Args:
        source (Source): As it was downloaded.
        folder (str): With a slash at its end.
        suffixes (Sequence[str]): What a file has to end with, in upper or lower case.

    Returns:
        dict[str, str]: Stem, relative to the folder, to name in the source.

    Raises:
        ValueError: Two files have one stem.
    """
    found: dict[str, str] = {}
    for name in source.names:
        stem, dot, suffix = name.removeprefix(folder).rpartition('.')
        if not name.startswith(folder) or f'{dot}{suffix}'.lower() not in suffixes:
            continue
        if stem in found:
            raise ValueError(f'{source.where} holds {found[stem]} and {name}: remove the one that is not meant')
        found[stem] = name
    return found


def files_of(source: Source, folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Files of the folders of a layout.

    Args:
        source (Source): As it was downloaded.
        folders (Mapping[str, str]): Role to folder, with a slash at its end.

    Returns:
        dict[str, dict[str, str]]: Role to stem to name in the source.

    Raises:
        ValueError: Two files of a folder have one stem.
    """
    return {
        role: stems_in(source, folder, LABEL_SUFFIXES if role == 'labels' else IMAGE_SUFFIXES)
        for role, folder in folders.items()
    }


def complete_pairs(
    split: str, stems: Iterable[str], files: Mapping[str, Mapping[str, str]], allow_unpaired: bool
) -> tuple[list[Pair], list[str]]:
    """The pairs of a split.

    Args:
        split (str): Name of the split.
        stems (Iterable[str]): Which pairs it has, in their order.
        files (Mapping[str, Mapping[str, str]]): Role to stem to name.
        allow_unpaired (bool): Leave out what is incomplete.

    Returns:
        tuple[list[Pair], list[str]]: The pairs, and a note about what was left out.

    Raises:
        ValueError: A pair is incomplete, or there is none.

    Examples:
        >>> files = dict(vi={'1': 'vi/1.png', '2': 'vi/2.png'}, ir={'1': 'ir/1.png'}, labels={'1': 'labels/1.png'})
        >>> pairs, notes = complete_pairs('train', ['1', '2'], files, allow_unpaired=True)
        >>> [pair.stem for pair in pairs], notes
        (['1'], ['train: 1 left out without a file in ir, labels: 2'])
    """
    pairs: list[Pair] = []
    problems: dict[str, list[str]] = {}
    for stem in stems:
        lacking = [role for role in files if stem not in files[role]]
        if lacking:
            problems.setdefault(', '.join(lacking), []).append(stem)
        else:
            pairs.append(Pair(split, stem, {role: files[role][stem] for role in files}))
    if problems and not allow_unpaired:
        told = '; '.join(
            f'{len(names)} without a file in {lacking}: {listed(names)}' for lacking, names in problems.items()
        )
        raise ValueError(f'not every pair of {split} is complete: {told}. --allow-unpaired leaves them out')
    if not pairs:
        raise ValueError(f'there is no pair in {split}')
    notes = [
        f'{split}: {len(names)} left out without a file in {lacking}: {listed(names)}'
        for lacking, names in problems.items()
    ]
    return pairs, notes


def read_list(source: Source, name: str) -> list[str]:
    """The lines of a list of pairs.

    Args:
        source (Source): As it was downloaded.
        name (str): Of the list.

    Returns:
        list[str]: Stems: without suffixes, empty lines and repetitions.

    Raises:
        ValueError: It is no text, or names nothing.
    """
    try:
        lines = source.read(name).decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{name} of {source.where} is no text in UTF-8') from error
    stems = [without_suffix(line.strip()) for line in lines if line.strip()]
    if not stems:
        raise ValueError(f'{name} of {source.where} names no pair')
    return list(dict.fromkeys(stems))


def without_suffix(name: str, suffixes: Collection[str] = IMAGE_SUFFIXES) -> str:
    """A name without the suffix of an image, if it has one.

    Examples:
        >>> without_suffix('00001D.png'), without_suffix('v1.2')
        ('00001D', 'v1.2')
    """
    stem, dot, suffix = name.rpartition('.')
    return stem if f'{dot}{suffix}'.lower() in suffixes else name
