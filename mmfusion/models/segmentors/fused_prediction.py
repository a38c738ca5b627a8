"""From a batch of fused images to what a data sample carries."""

import torch
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor


def padding_of(meta: dict) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom) of an image in pixels, from its meta information."""
    return tuple(meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0))))


def padding_mask(metas: list[dict], inputs: Tensor) -> Tensor | None:
    """Which pixels of a batch are padding.

    Args:
        metas (list[dict]): Meta information, one per image.
        inputs (Tensor): The batch (B, C, H, W).

    Returns:
        Tensor | None: Booleans (B, H, W); None if there is no padding.
    """
    paddings = [padding_of(meta) for meta in metas]
    if not any(any(padding) for padding in paddings):
        return None
    height, width = inputs.shape[-2:]
    mask = torch.ones(len(metas), height, width, dtype=torch.bool, device=inputs.device)
    for row, (left, right, top, bottom) in zip(mask, paddings):
        row[top : height - bottom, left : width - right] = False
    return mask


def restore(image: Tensor, meta: dict) -> Tensor:
    """Undo padding, flip and resize of one image.

    Args:
        image (Tensor): (C, H, W) as the network saw it.
        meta (dict): Its meta information.

    Returns:
        Tensor: (C, H', W') at the original size.
    """
    left, right, top, bottom = padding_of(meta)
    height, width = image.shape[-2:]
    image = image[:, top : height - bottom, left : width - right]
    if meta.get('flip'):
        image = image.flip(-1 if meta.get('flip_direction') == 'horizontal' else -2)
    size = tuple(meta.get('ori_shape', image.shape[-2:])[:2])
    if image.shape[-2:] != size:
        image = resize(image[None], size=size, mode='bilinear', align_corners=False)[0]
    return image


def stretch_range(image: Tensor) -> Tensor:
    """Stretch an image to [0, 1] by its own minimum and maximum, over all channels; a constant one becomes 0."""
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
        list[SegDataSample]: The same, with ``fused_img`` and ``fusion_weights``.
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
