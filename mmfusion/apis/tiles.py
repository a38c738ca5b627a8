"""Large pairs in tiles that overlap, for images that do not fit into memory as a whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.models.geometry import restore
from mmfusion.models.segmentors.fused_prediction import attach_classes

SMALLEST = 64
_BLENDED = ('fused_img', 'fusion_weights', 'seg_logits')


@dataclass(frozen=True)
class Tiling:
    """How a large image is cut.

    Args:
        size (int): Side of a tile in pixels, at least 64.
        overlap (int): Pixels that neighbours share, over which one fades into the other; at most half of the side.
            The farther a network sees, the more it takes.

    Raises:
        TypeError: Something else than whole numbers.
        ValueError: They are out of range.

    Examples:
        >>> Tiling(100, 20).starts(250)
        [0, 80, 150]
        >>> Tiling(100, 20).starts(90)
        [0]
    """

    size: int
    overlap: int

    def __post_init__(self) -> None:
        for name, value in (('tile', self.size), ('tile_overlap', self.overlap)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f'{name} is a number of pixels, got {value!r}')
        if self.size < SMALLEST:
            raise ValueError(f'tile is the side of a tile in pixels and must be at least {SMALLEST}, got {self.size}')
        if not 0 <= self.overlap <= self.size // 2:
            raise ValueError(
                f'tile_overlap must be between 0 and half of the tile, {self.size // 2} pixels, got {self.overlap}'
            )

    @classmethod
    def of(cls, size: int, overlap: int | None = None) -> 'Tiling':
        """With an overlap that most networks can do with.

        Args:
            size (int): Side of a tile.
            overlap (int, optional): 64 by default, or half of a smaller tile.

        Returns:
            Tiling: Checked.

        Examples:
            >>> Tiling.of(1024), Tiling.of(100)
            (Tiling(size=1024, overlap=64), Tiling(size=100, overlap=50))
        """
        return cls(size, min(64, int(size) // 2) if overlap is None else overlap)

    def fits(self, pair: Tensor) -> bool:
        """Whether a pair (4, H, W) is no larger than a tile."""
        return max(pair.shape[-2:]) <= self.size

    def starts(self, length: int) -> list[int]:
        """Where tiles begin along one axis.

        Args:
            length (int): Of the image, in pixels.

        Returns:
            list[int]: The last tile ends with the image, so that all are of one size.
        """
        last = max(length - self.size, 0)
        return [*range(0, last, self.size - self.overlap), last]

    def tiles(self, height: int, width: int) -> Iterator[tuple[slice, slice, Tensor]]:
        """The tiles of an image.

        Args:
            height (int): Of the image.
            width (int): Of the image.

        Yields:
            tuple[slice, slice, Tensor]: Rows, columns, and how much each of its pixels counts (h, w), in (0, 1].
        """
        for top in self.starts(height):
            for left in self.starts(width):
                rows, columns = (
                    slice(start, min(start + self.size, length)) for start, length in ((top, height), (left, width))
                )
                yield rows, columns, self._fade(rows, height)[:, None] * self._fade(columns, width)[None]

    def _fade(self, part: slice, length: int) -> Tensor:
        """Weights along one axis: towards a neighbour they fall, at the border of the image they do not."""
        places = torch.arange(part.stop - part.start, dtype=torch.float32)
        weight = torch.ones_like(places)
        if part.start > 0:
            weight = torch.minimum(weight, (places + 1) / (self.overlap + 1))
        if part.stop < length:
            weight = torch.minimum(weight, (len(places) - places) / (self.overlap + 1))
        return weight


def predict_in_tiles(
    step: Callable[[dict], list[SegDataSample]], packed: dict, tiling: Tiling, threshold: float | None = None
) -> SegDataSample:
    """Predict a large pair tile by tile.

    Args:
        step (Callable): ``test_step`` of the model.
        packed (dict): The pair as it leaves the pipeline: ``inputs`` (4, H, W) and ``data_samples``.
        tiling (Tiling): How it is cut.
        threshold (float, optional): Of a head with one channel.

    Returns:
        SegDataSample: Fused image, weights and, of a model that knows classes, scores and classes, on the CPU and at
        the original size. In the overlaps scores, images and weights are means, not classes.

    Examples:
        >>> def step(data):
        ...     return [SegDataSample(fused_img=PixelData(data=data['inputs'][0][3:] / 255))]
        >>> pair = torch.arange(4 * 64 * 200.0).view(4, 64, 200) % 256
        >>> whole = predict_in_tiles(step, dict(inputs=pair, data_samples=SegDataSample()), Tiling(64, 16))
        >>> torch.allclose(whole.fused_img.data, pair[3:] / 255)
        True
    """
    pair, sample = packed['inputs'], packed['data_samples']
    height, width = pair.shape[-2:]
    sums: dict[str, Tensor] = {}
    total = torch.zeros(height, width)
    for rows, columns, weight in tiling.tiles(height, width):
        tile = pair[:, rows, columns]
        meta = dict(sample.metainfo, ori_shape=tile.shape[1:], img_shape=tile.shape[1:])
        meta.update(flip=False, flip_direction=None)  # Undone at the end, once.
        (found,) = step(dict(inputs=[tile], data_samples=[SegDataSample(metainfo=meta)]))
        for name in _BLENDED:
            if name not in found:
                continue
            data = found.get(name).data.cpu().float()
            if name not in sums:
                sums[name] = torch.zeros(len(data), height, width)
            sums[name][:, rows, columns] += data * weight
        total[rows, columns] += weight
    return _joined(sums, total, sample, threshold)


def _joined(sums: dict[str, Tensor], total: Tensor, sample: SegDataSample, threshold: float | None) -> SegDataSample:
    """Means, at the size that the pair had before the pipeline."""
    found: Any = SegDataSample(metainfo=sample.metainfo)
    for name in list(sums):
        data = restore(sums.pop(name).div_(total), sample.metainfo)
        if name == 'seg_logits':
            attach_classes(found, data, threshold)
        else:
            found.set_data({name: PixelData(data=data)})
    return found
