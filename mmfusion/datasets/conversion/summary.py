"""What a data set holds: pairs, sizes, classes, infrared values; every file is decoded and checked on the way."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import mmcv
import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from ..transforms.load_pair import split_four_channels

IGNORED = 255


def decode(content: bytes, name: str, backend: str = 'cv2') -> np.ndarray:
    """An image file as it is.

    Args:
        content (bytes): Of the file.
        name (str): What messages call it.
        backend (str): ``'cv2'``, or ``'pillow'``, which gives the ids of a label map with a palette.

    Returns:
        np.ndarray: (H, W) or (H, W, C), raw values.

    Raises:
        ValueError: It is no image.
    """
    try:
        image = mmcv.imfrombytes(content, flag='unchanged', backend=backend) if content else None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f'{name} cannot be read: {error}') from error
    if image is None:
        raise ValueError(f'{name} cannot be read: it is {"damaged or no image" if content else "an empty file"}')
    return image


def decode_pair(contents: Mapping[str, bytes], names: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visible image, infrared image and labels of a pair.

    Args:
        contents (Mapping[str, bytes]): Role to content.
        names (Mapping[str, str]): Role to what messages call the file; the same name is the same file.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: (H, W, ...), (H, W, ...) and (H, W).

    Raises:
        ValueError: A file is no image, labels are no map of ids, or the sizes differ.
    """
    vi = decode(contents['vi'], names['vi'])
    if names['vi'] == names['ir']:
        vi, ir = split_four_channels(vi, names['vi'])
    else:
        ir = decode(contents['ir'], names['ir'])
    labels = decode(contents['labels'], names['labels'], 'pillow')
    if labels.ndim != 2 or labels.dtype.kind not in 'ui' or labels.max() > 255:
        raise ValueError(f'{names["labels"]} is no map of class ids: {labels.dtype} values of shape {labels.shape}')
    sizes = {names[role]: image.shape[:2] for role, image in (('vi', vi), ('ir', ir), ('labels', labels))}
    if len(set(sizes.values())) > 1:
        told = ', '.join(f'{name} {height}x{width}' for name, (height, width) in sizes.items())
        raise ValueError(f'the files of a pair differ in size (height x width): {told}')
    return vi, ir, labels


@dataclass
class SplitSummary:
    """Figures of one split."""

    pairs: int = 0
    sizes: Counter = field(default_factory=Counter)
    """Height and width to number of pairs."""
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, dtype=np.int64))
    """Of every id."""
    infrared: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Type of the infrared images to their least and their largest value."""

    def add(self, ir: np.ndarray, labels: np.ndarray) -> None:
        """Count a pair.

        Args:
            ir (np.ndarray): Infrared image (H, W, ...), raw values.
            labels (np.ndarray): Ids (H, W).

        Examples:
            >>> split = SplitSummary()
            >>> split.add(np.array([[3, 9]], np.uint8), np.array([[0, 1]], np.uint8))
            >>> split.pairs, split.infrared, split.pixels[:3].tolist()
            (1, {'uint8': (3, 9)}, [1, 1, 0])
        """
        self.pairs += 1
        self.sizes[labels.shape] += 1
        self.pixels += np.bincount(labels.ravel(), minlength=256)
        low, high = self.infrared.get(ir.dtype.name, (ir.min(), ir.max()))
        self.infrared[ir.dtype.name] = int(min(low, ir.min())), int(max(high, ir.max()))


class Summary:
    """Figures of a data set.

    Args:
        title (str): Name of the data set.
        classes (Sequence[str]): Class names.
        notes (Sequence[str]): Told below the tables.
    """

    def __init__(self, title: str, classes: Sequence[str], notes: Sequence[str] = ()) -> None:
        self.title = title
        self.classes = tuple(classes)
        self.notes = list(notes)
        self.splits: dict[str, SplitSummary] = {}

    def add(self, split: str, contents: Mapping[str, bytes], names: Mapping[str, str]) -> None:
        """Decode, check and count a pair.

        Args:
            split (str): Where it belongs.
            contents (Mapping[str, bytes]): Role to content.
            names (Mapping[str, str]): Role to what messages call the file.

        Raises:
            ValueError: As in :func:`decode_pair`, or a label holds an id that no class has.
        """
        _, ir, labels = decode_pair(contents, names)
        wrong = [int(i) for i in np.unique(labels) if i >= len(self.classes) and i != IGNORED]
        if wrong:
            raise ValueError(
                f'{names["labels"]} holds the id(s) {wrong}, which no class of {self.title} has: allowed are '
                f'0..{len(self.classes) - 1} and {IGNORED}, which is ignored'
            )
        self.splits.setdefault(split, SplitSummary()).add(ir, labels)

    def shares(self, split: str) -> dict[str, float]:
        """Part of the pixels that each class has, and those that are ignored.

        Args:
            split (str): One of ``splits``.

        Returns:
            dict[str, float]: Name of a class to percent; ``ignored`` where there are such pixels.

        Examples:
            >>> summary = Summary('Mine', ['soil', 'crop'])
            >>> summary.splits['train'] = SplitSummary()
            >>> summary.splits['train'].add(np.zeros((1, 4), np.uint8), np.array([[0, 0, 1, 255]], np.uint8))
            >>> summary.shares('train')
            {'soil': 50.0, 'crop': 25.0, 'ignored': 25.0}
        """
        pixels = self.splits[split].pixels
        total = pixels.sum()
        shares = {name: float(100 * pixels[number] / total) for number, name in enumerate(self.classes)}
        if pixels[IGNORED]:
            shares['ignored'] = float(100 * pixels[IGNORED] / total)
        return shares

    def to_rich(self) -> RenderableType:
        """Tables for the terminal: splits, then classes, then notes."""
        return Group(self._split_table(), self._class_table(), *self.notes)

    def _split_table(self) -> Table:
        total = sum(split.pairs for split in self.splits.values())
        table = Table('split', title=f'{self.title}: {total} pairs', title_justify='left')
        for heading in ('pairs', 'height x width', 'infrared values'):
            table.add_column(heading, justify='right')
        for name, split in self.splits.items():
            table.add_row(name, str(split.pairs), ', '.join(_sizes(split)), ', '.join(_ranges(split)))
        return table

    def _class_table(self) -> Table:
        table = Table('id', 'class', title='pixels in %', title_justify='left')
        for name in self.splits:
            table.add_column(name, justify='right')
        shares = {name: self.shares(name) for name in self.splits}
        rows = [*self.classes]
        if any('ignored' in share for share in shares.values()):
            rows.append('ignored')
        for number, name in enumerate(rows):
            figures = (share.get(name, 0.0) for share in shares.values())
            table.add_row(str(number if name != 'ignored' else IGNORED), name, *map(_percent, figures))
        return table


def _percent(value: float) -> str:
    """With two digits, and so that little is not nothing."""
    return '0' if value == 0 else '<0.01' if value < 0.01 else f'{value:.2f}'


def _sizes(split: SplitSummary, shown: int = 3) -> Iterator[str]:
    one = len(split.sizes) == 1
    for (height, width), count in split.sizes.most_common(shown):
        yield f'{height}x{width}' if one else f'{height}x{width} ({count})'
    if len(split.sizes) > shown:
        yield f'{len(split.sizes) - shown} more'


def _ranges(split: SplitSummary) -> Iterator[str]:
    for kind, (low, high) in split.infrared.items():
        yield f'{low} to {high} ({kind})'
