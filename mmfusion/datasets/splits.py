"""Which pairs of a list belong to a split: some held out by a rule, some left out by name."""

from collections.abc import Collection, Iterable, Iterator, Sequence

PARTS = ('train', 'held_out')
"""The two parts of a list from which pairs are held out."""


def check_hold_out(hold_out: int | None, part: str) -> None:
    """Refuse what is no rule.

    Args:
        hold_out (int, optional): Every so many-th is held out; None for nothing.
        part (str): ``'train'`` or ``'held_out'``.

    Raises:
        TypeError: ``hold_out`` is no whole number.
        ValueError: It is below 2, the part is unknown, or nothing is held out of which there could be a part.

    Examples:
        >>> check_hold_out(5, 'held_out')
        >>> check_hold_out(None, 'held_out')
        Traceback (most recent call last):
        ValueError: part='held_out' needs hold_out, such as hold_out=5 for every fifth pair
    """
    if part not in PARTS:
        raise ValueError(f'part is one of {PARTS}, not {part!r}')
    if hold_out is None:
        if part == 'held_out':
            raise ValueError("part='held_out' needs hold_out, such as hold_out=5 for every fifth pair")
        return
    if isinstance(hold_out, bool) or not isinstance(hold_out, int):
        raise TypeError(f'hold_out is a whole number, such as 5 for every fifth pair, or None, not {hold_out!r}')
    if hold_out < 2:
        raise ValueError(f'hold_out={hold_out} leaves nothing to train with: give 2 or more, or None')


def part_of(names: Sequence[str], hold_out: int | None, part: str) -> list[str]:
    """One part of a list: every ``hold_out``-th entry, counted from 1, or all others, in their order.

    Args:
        names (Sequence[str]): The list.
        hold_out (int, optional): 5 holds out the 5th, the 10th and so on; None nothing.
        part (str): ``'train'`` or ``'held_out'``.

    Returns:
        list[str]: The part, at times an empty one.

    Raises:
        TypeError, ValueError: See :func:`check_hold_out`.

    Examples:
        >>> part_of('abcdefg', 3, 'held_out'), part_of('abcdefg', 3, 'train')
        (['c', 'f'], ['a', 'b', 'd', 'e', 'g'])
    """
    check_hold_out(hold_out, part)
    if hold_out is None:
        return list(names)
    wants_held_out = part == 'held_out'
    return [name for number, name in enumerate(names, start=1) if (number % hold_out == 0) == wants_held_out]


def stems_listed(stems: Iterable[str], lines: Collection[str], folder: str) -> set[str]:
    """Pairs that a list names, with or without the folders above them.

    Several splits can share a list: ``test/0349`` is the pair 0349 below a folder ``test`` and no other one.

    Args:
        stems (Iterable[str]): Pairs, by the path inside of the folder of visible images, without a suffix.
        lines (Collection[str]): The list.
        folder (str): Folder of the visible images, with slashes.

    Returns:
        set[str]: Those of the stems that are named.

    Examples:
        >>> sorted(stems_listed(['1', '2', 'day/2', '3'], ['2', 'test/1', 'train/3'], 'data/mine/test/vi'))
        ['1', '2']
    """
    wanted = set(lines)
    return {stem for stem in stems if not wanted.isdisjoint(_names_of(stem, folder))}


def _names_of(stem: str, folder: str) -> Iterator[str]:
    """What a list may call a pair: its stem behind any number of the folders above, with or without the last (vi)."""
    yield stem
    above = folder.replace('\\', '/').rstrip('/').split('/')
    for folders in (above, above[:-1]):
        for start in range(len(folders)):
            yield '/'.join([*folders[start:], stem])
