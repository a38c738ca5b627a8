"""Fused images of several methods side by side: one sheet to look at, beside the figures that may please too soon."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from mmfusion.datasets import LoadPairFromFile, PackFusionInputs
from mmfusion.visualization import to_uint8

from .fusion_quality import Fuse, pairs_of

_BAR, _GAP = 24, 4
_ROWS = 20  # A sheet stays short enough for every format and viewer.


def _cell(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture of that width, R, G and B."""
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    # Only the average over an area neither invents nor loses lines when pictures shrink.
    way = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    picture = cv2.resize(picture, (width, height), interpolation=way)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def _line(cells: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.full((cells[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([part for cell in cells for part in (cell, gap)][:-1])


def _heading(text: str, width: int) -> np.ndarray:
    bar = np.full((_BAR, width, 3), 255, np.uint8)
    # OpenCV's font has no other letters.
    plain = text.encode('ascii', 'replace').decode()
    cv2.putText(bar, plain, (2, _BAR - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return bar


def draw_sheet(rows: Mapping[str, Mapping[str, np.ndarray]], width: int = 320) -> np.ndarray:
    """Draw pictures of the same pairs, a row for each pair and a column for each method.

    Args:
        rows (Mapping[str, Mapping[str, np.ndarray]]): Name of the pair to name of the column to its picture, (H, W, 3)
            RGB or (H, W), uint8; the same columns in every row, and one size in each.
        width (int): Of a column in pixels.

    Returns:
        np.ndarray: The sheet (H', W', 3), RGB uint8.

    Raises:
        ValueError: There are no rows, or the columns differ.

    Examples:
        >>> grey = np.full((48, 64), 90, np.uint8)
        >>> draw_sheet({'001': dict(average=grey, maximum=grey)}, width=128).shape
        (144, 260, 3)
    """
    if not rows:
        raise ValueError('a sheet takes at least one row of pictures')
    columns = list(next(iter(rows.values())))
    lines = [_line([_heading(name, width) for name in columns])]
    for name, pictures in rows.items():
        if list(pictures) != columns:
            raise ValueError(f'all rows of a sheet have the same columns; {name} has {list(pictures)}, not {columns}')
        cells = [_cell(picture, width) for picture in pictures.values()]
        if len({cell.shape for cell in cells}) != 1:
            raise ValueError(f'all pictures of {name} must have one shape, got {[p.shape for p in pictures.values()]}')
        line = _line(cells)
        lines += [line, _heading(name, line.shape[1])]
    return np.vstack(lines)


def _fused_rows(methods: Mapping[str, Fuse], pairs: Sequence[dict]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    load, pack = LoadPairFromFile(), PackFusionInputs()
    for item in pairs:
        pair = pack(load(dict(item, seg_fields=[])))['inputs']
        pictures = {'visible': to_uint8(pair[:3].flip(0) / 255), 'infrared': to_uint8(pair[3:] / 255)}
        pictures.update({name: to_uint8(fuse(item, pair)) for name, fuse in methods.items()})
        yield item['name'], pictures


def write_sheets(
    methods: Mapping[str, Fuse], folders: Mapping[str, Path], out_dir: Path, width: int = 320
) -> list[Path]:
    """Write sheets of all pairs, each with its sources and what every method makes of them.

    Args:
        methods (Mapping[str, Fuse]): Name to fusion.
        folders (Mapping[str, Path]): Name to a folder with ``ir`` and ``vi``.
        out_dir (Path): Where ``NAME_1.png`` and so on go, twenty pairs each; made if need be.
        width (int): Of a picture in pixels.

    Returns:
        list[Path]: What was written.

    Raises:
        FileNotFoundError: A folder has no pairs.
        OSError: A file cannot be written.
        ValueError: The width is not positive.
    """
    if width < 1:
        raise ValueError(f'the width of a picture is a positive number of pixels, got {width}')
    listed = {name: pairs_of(folder) for name, folder in folders.items()}
    out_dir.mkdir(parents=True, exist_ok=True)
    written = []
    for folder, pairs in listed.items():
        for start in range(0, len(pairs), _ROWS):
            path = out_dir / f'{folder}_{start // _ROWS + 1}.png'
            rows = dict(_fused_rows(methods, pairs[start : start + _ROWS]))
            if not cv2.imwrite(str(path), draw_sheet(rows, width)[..., ::-1]):
                raise OSError(f'could not write {path}')
            written.append(path)
    return written
