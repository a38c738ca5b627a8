"""True labels, brought to where the network sees its input: flipped, resized and padded as the image was."""

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample
from torch import Tensor

from mmfusion.models.geometry import padding_of, undo_flip

IGNORE = 255


def labels_at_input(sample: SegDataSample, size: tuple[int, int], ignore_index: int = IGNORE) -> Tensor:
    """Ground truth, which is at the original size when testing, as large as the network's input.

    Args:
        sample (SegDataSample): With ``gt_sem_seg`` and the meta information of the preprocessor.
        size (tuple[int, int]): Height and width of the input in pixels.
        ignore_index (int): Label of the padding.

    Returns:
        Tensor: Class ids (1, H, W) int64.

    Examples:
        >>> from mmengine.structures import PixelData
        >>> sample = SegDataSample(metainfo=dict(padding_size=(0, 1, 0, 0), flip=True, flip_direction='horizontal'))
        >>> sample.gt_sem_seg = PixelData(data=torch.tensor([[[0, 1]]]))
        >>> labels_at_input(sample, (1, 3)).tolist()
        [[[1, 0, 255]]]
    """
    meta, labels = sample.metainfo, sample.gt_sem_seg.data
    left, right, top, bottom = padding_of(meta)
    labels = undo_flip(labels, meta)  # Each flip is its own inverse.
    inside = (size[0] - top - bottom, size[1] - left - right)
    return F.pad(resize_labels(labels, inside), (left, right, top, bottom), value=ignore_index)


def fit_labels(labels: np.ndarray, image_size: tuple[int, int], input_size: tuple[int, int]) -> Tensor:
    """Labels as large as the network's input, of an image that was resized and padded, but not flipped.

    Args:
        labels (np.ndarray): Class ids (H, W) at the original size.
        image_size (tuple[int, int]): Height and width of the image in the network's input, in pixels.
        input_size (tuple[int, int]): Height and width of the input, in pixels: padded at the right and the bottom.

    Returns:
        Tensor: (1, H', W') int64; 255 in the padding.

    Examples:
        >>> fit_labels(np.array([[0, 1]]), (1, 4), (1, 5)).tolist()
        [[[0, 0, 1, 1, 255]]]
    """
    resized = resize_labels(torch.from_numpy(labels.astype(np.float32))[None], image_size)
    padding = (0, input_size[1] - image_size[1], 0, input_size[0] - image_size[0])
    return F.pad(resized, padding, value=IGNORE)


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest neighbours of class ids (1, H, W) at another size, int64.

    Examples:
        >>> resize_labels(torch.tensor([[[0, 7]]]), (1, 4)).tolist()
        [[[0, 0, 7, 7]]]
    """
    return F.interpolate(labels[None].float(), size, mode='nearest-exact')[0].long()
