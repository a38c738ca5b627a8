"""Pairs of images to compute on: upright stripes, one for every class."""

from dataclasses import dataclass

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.models.color import split_luminance


@dataclass
class StripedBatch:
    """Pairs and their labels."""

    inputs: Tensor
    """(B, 4, H, W) in [0, 1]: red, green, blue, infrared."""
    samples: list[SegDataSample]
    """With ``gt_sem_seg``."""

    @property
    def labels(self) -> Tensor:
        """Tensor: Class ids (B, H, W)."""
        return torch.cat([sample.gt_sem_seg.data for sample in self.samples])

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Infrared (B, 1, H, W), luminance (B, 1, H, W) and chroma (B, 2, H, W).

        Examples:
            >>> [image.shape[1] for image in make_batch(2, (4, 6), 3, torch.device('cpu')).split()]
            [1, 1, 2]
        """
        return self.inputs[:, 3:], *split_luminance(self.inputs[:, :3])


def striped_labels(batch_size: int, size: tuple[int, int], classes: int) -> Tensor:
    """Upright stripes of the classes 0, 1, ..., every sample shifted by half a stripe.

    Args:
        batch_size (int): Samples B.
        size (tuple[int, int]): Height and width in pixels.
        classes (int): Classes in every sample.

    Returns:
        Tensor: Class ids (B, H, W), int64.

    Raises:
        ValueError: Fewer columns than classes.

    Examples:
        >>> striped_labels(2, (1, 8), 2).tolist()
        [[[0, 0, 0, 0, 1, 1, 1, 1]], [[1, 1, 0, 0, 0, 0, 1, 1]]]
    """
    height, width = size
    if not 1 <= classes <= width:
        raise ValueError(f'{classes} stripes do not fit on {width} columns; ask for 1 to {width} classes')
    row = torch.arange(width) * classes // width
    rows = torch.stack([row.roll(i * width // (2 * classes)) for i in range(batch_size)])
    return rows[:, None].expand(-1, height, -1).contiguous()


def make_batch(batch_size: int, size: tuple[int, int], classes: int, device: torch.device) -> StripedBatch:
    """Pairs in which every class has a colour and a temperature of its own, under noise; always the same ones.

    Args:
        batch_size (int): Samples B.
        size (tuple[int, int]): Height and width in pixels.
        classes (int): Classes in every sample.
        device (torch.device): Where the batch is to be.

    Returns:
        StripedBatch: With the labels of :func:`striped_labels`.

    Raises:
        ValueError: Fewer columns than classes.

    Examples:
        >>> batch = make_batch(2, (4, 6), 3, torch.device('cpu'))
        >>> batch.inputs.shape, batch.labels.unique().tolist()
        (torch.Size([2, 4, 4, 6]), [0, 1, 2])
    """
    generator = torch.Generator().manual_seed(0)
    labels = striped_labels(batch_size, size, classes)
    shades = torch.rand(classes, 4, generator=generator)
    inputs = shades[labels].permute(0, 3, 1, 2) + 0.1 * torch.randn(batch_size, 4, *size, generator=generator)
    samples = []
    for label in labels:
        sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, pad_shape=size))
        sample.gt_sem_seg = PixelData(data=label[None].to(device))
        samples.append(sample)
    return StripedBatch(inputs.clamp(0, 1).contiguous().to(device), samples)
