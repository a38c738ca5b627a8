"""From an image as the network saw it back to the image as it was: padding, flip and size undone."""

from collections.abc import Mapping
from typing import Any

from mmseg.models.utils import resize
from torch import Tensor

# The axes that each direction turns around; mmcv's `RandomFlip` names the directions.
FLIPPED_AXES = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


def padding_of(meta: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Padding of an image, from its meta information.

    Args:
        meta (Mapping): Meta information of a data sample: ``img_padding_size``, or else ``padding_size``.

    Returns:
        tuple[int, int, int, int]: Left, right, top and bottom, in pixels; zeros if it tells of none.

    Examples:
        >>> padding_of(dict(padding_size=[0, 24, 0, 2]))
        (0, 24, 0, 2)
    """
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
    return left, right, top, bottom


def undo_padding(image: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Cut the padding off.

    Args:
        image (Tensor): (..., H, W) as the network saw it.
        meta (Mapping): Its meta information; see :func:`padding_of`.

    Returns:
        Tensor: (..., h, w), a view.

    Examples:
        >>> import torch
        >>> undo_padding(torch.tensor([[1, 2, 0], [0, 0, 0]]), dict(padding_size=(0, 1, 0, 1))).tolist()
        [[1, 2]]
    """
    left, right, top, bottom = padding_of(meta)
    height, width = image.shape[-2:]
    return image[..., top : height - bottom, left : width - right]


def undo_flip(image: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Flip an image back.

    Args:
        image (Tensor): (..., H, W), without padding: it stood outside the flip.
        meta (Mapping): Its meta information. If ``flip`` is true, ``flip_direction`` is 'horizontal' (left and right
            are exchanged), 'vertical' (top and bottom) or 'diagonal' (both).

    Returns:
        Tensor: (..., H, W); the image itself if it was not flipped.

    Raises:
        ValueError: It was flipped in an unknown direction.

    Examples:
        >>> import torch
        >>> flipped = torch.tensor([[4, 3], [2, 1]])
        >>> undo_flip(flipped, dict(flip=True, flip_direction='diagonal')).tolist()
        [[1, 2], [3, 4]]
    """
    if not meta.get('flip'):
        return image
    direction = meta.get('flip_direction')
    if direction not in FLIPPED_AXES:
        raise ValueError(
            f'flip_direction is {direction!r} for an image with flip={meta["flip"]!r}; it must be one of '
            f'{", ".join(FLIPPED_AXES)}, or flip be false'
        )
    return image.flip(FLIPPED_AXES[direction])


def restore(image: Tensor, meta: Mapping[str, Any], align_corners: bool = False) -> Tensor:
    """Undo padding, flip and resize of one image.

    Args:
        image (Tensor): (C, H, W) as the network saw it.
        meta (Mapping): Its meta information. Without ``ori_shape`` (height, width, ...) the size stays.
        align_corners (bool): Whether the centres of the corner pixels keep their places in the bilinear resize, rather
            than the corners of the image.

    Returns:
        Tensor: (C, H', W') at the original size.

    Raises:
        ValueError: It was flipped in an unknown direction.

    Examples:
        >>> import torch
        >>> seen = torch.tensor([[[2.0, 1.0, 0.0]]])  # one pixel of padding, at the right
        >>> restore(seen, dict(padding_size=(0, 1, 0, 0), flip=True, flip_direction='horizontal')).tolist()
        [[[1.0, 2.0]]]
    """
    image = undo_flip(undo_padding(image, meta), meta)
    size = tuple(meta.get('ori_shape', image.shape[-2:])[:2])
    if image.shape[-2:] != size:
        image = resize(image[None], size=size, mode='bilinear', align_corners=align_corners, warning=False)[0]
    return image


def restore_logits(logits: Tensor, meta: Mapping[str, Any], align_corners: bool) -> Tensor:
    """Class scores of one image at its original size.

    What mmseg's ``BaseSegmentor.postprocess_result`` does to the scores of an image, which knows no 'diagonal' flip.

    Args:
        logits (Tensor): (C, H, W) at the size that the network saw.
        meta (Mapping): Meta information of the image; see :func:`restore`.
        align_corners (bool): As the decode head resizes its scores.

    Returns:
        Tensor: (C, H', W') at the original size.

    Raises:
        ValueError: The image was flipped in an unknown direction.

    Examples:
        >>> import torch
        >>> logits = torch.arange(6.0).view(1, 2, 3)
        >>> restore_logits(logits, dict(flip=True, flip_direction='diagonal', ori_shape=(2, 3)), False).tolist()
        [[[5.0, 4.0, 3.0], [2.0, 1.0, 0.0]]]
    """
    return restore(logits, meta, align_corners)
