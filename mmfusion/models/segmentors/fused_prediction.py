"""From a batch of fused images to what a data sample carries."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from ..geometry import padding_of, restore, restore_logits


def padding_mask(metas: Sequence[Mapping[str, Any]], inputs: Tensor) -> Tensor | None:
    """Which pixels of a batch are padding.

    Args:
        metas (Sequence[Mapping]): Meta information, one per image.
        inputs (Tensor): The batch (B, C, H, W).

    Returns:
        Tensor | None: Booleans (B, H, W); None if there is no padding.

    Examples:
        >>> padding_mask([dict(padding_size=(0, 1, 0, 0))], torch.zeros(1, 4, 1, 3)).tolist()
        [[[False, False, True]]]
    """
    paddings = [padding_of(meta) for meta in metas]
    if not any(any(padding) for padding in paddings):
        return None
    height, width = inputs.shape[-2:]
    mask = torch.ones(len(metas), height, width, dtype=torch.bool, device=inputs.device)
    for row, (left, right, top, bottom) in zip(mask, paddings):
        row[top : height - bottom, left : width - right] = False
    return mask


def stretch_range(image: Tensor) -> Tensor:
    """Stretch an image to [0, 1] by its own minimum and maximum.

    Args:
        image (Tensor): (C, H, W); the extremes are those over all channels.

    Returns:
        Tensor: (C, H, W) in [0, 1]; zeros for a constant image.

    Examples:
        >>> stretch_range(torch.tensor([[[0.25, 0.5, 0.75]]])).tolist()
        [[[0.0, 0.5, 1.0]]]
    """
    low, high = image.aminmax()
    return (image - low) / (high - low).clamp(min=torch.finfo(image.dtype).tiny)


def attach_fusion(samples: list[SegDataSample], image: Tensor, weight_ir: Tensor, stretch: bool) -> list[SegDataSample]:
    """Give every data sample its fused image and weights.

    Args:
        samples (list[SegDataSample]): One per image; changed in place.
        image (Tensor): Fused images (B, 1 or 3, H, W) in [0, 1].
        weight_ir (Tensor): Weights of the infrared image (B, 1, H, W).
        stretch (bool): Stretch each image by its own range.

    Returns:
        list[SegDataSample]: The same, with ``fused_img`` and ``fusion_weights`` at the original size.

    Raises:
        ValueError: An image was flipped in an unknown direction.

    Examples:
        >>> sample = SegDataSample(metainfo=dict(padding_size=(0, 1, 0, 0)))
        >>> image, weight = torch.tensor([[[[0.25, 0.5, 0.0]]]]), torch.tensor([[[[1.0, 0.75, 0.5]]]])
        >>> (sample,) = attach_fusion([sample], image, weight, stretch=False)
        >>> sample.fused_img.data.tolist(), sample.fusion_weights.data.tolist()
        ([[[0.25, 0.5]]], [[[1.0, 0.75]]])
    """
    for sample, fused, weight in zip(samples, image.float(), weight_ir.float()):
        fused = restore(fused, sample.metainfo)
        sample.set_data(
            {
                'fused_img': PixelData(data=stretch_range(fused) if stretch else fused),
                'fusion_weights': PixelData(data=restore(weight, sample.metainfo)),
            }
        )
    return samples


def attach_segmentation(
    samples: list[SegDataSample], seg_logits: Tensor, align_corners: bool, threshold: float | None = None
) -> list[SegDataSample]:
    """Give every data sample its scores and the classes that they tell.

    Args:
        samples (list[SegDataSample]): One per image; changed in place.
        seg_logits (Tensor): Raw scores (B, C, H, W) at the size that the network saw.
        align_corners (bool): How they are resized.
        threshold (float, optional): For a single output channel: the probability from which on a pixel is foreground,
            one half where the head has none.

    Returns:
        list[SegDataSample]: The same, with ``seg_logits`` and ``pred_sem_seg`` at the original size.

    Raises:
        ValueError: An image was flipped in an unknown direction.

    Examples:
        >>> sample = SegDataSample(metainfo=dict(ori_shape=(1, 2), img_shape=(1, 2)))
        >>> scores = torch.tensor([[[[0.2, 0.9]], [[0.5, 0.1]]]])
        >>> attach_segmentation([sample], scores, align_corners=False)[0].pred_sem_seg.data.tolist()
        [[[1, 0]]]
    """
    for logits, sample in zip(seg_logits, samples):
        logits = restore_logits(logits, sample.metainfo, align_corners)
        attach_classes(sample, logits if len(logits) > 1 else logits.sigmoid(), threshold)
    return samples


def attach_classes(sample: SegDataSample, scores: Tensor, threshold: float | None = None) -> None:
    """Give a data sample scores at its size, and the classes that they tell.

    Args:
        sample (SegDataSample): Changed in place.
        scores (Tensor): (C, H, W); the probability of the foreground where C is 1.
        threshold (float, optional): For that: from which on a pixel is foreground; one half by default.
    """
    if len(scores) > 1:
        prediction = scores.argmax(0, keepdim=True)
    else:
        prediction = (scores > (0.5 if threshold is None else threshold)).to(scores)
    sample.set_data({'seg_logits': PixelData(data=scores), 'pred_sem_seg': PixelData(data=prediction)})
