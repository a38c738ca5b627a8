"""Baselines of integrated gradients: what an image without evidence looks like."""

import torch.nn.functional as F
from torch import Tensor

BASELINES = ('black', 'mean', 'blur')


def box_blur(image: Tensor, kernel_size: int) -> Tensor:
    """Mean filter whose window is cut off at the border.

    Args:
        image (Tensor): (B, C, H, W).
        kernel_size (int): Odd side of the window in pixels.

    Returns:
        Tensor: (B, C, H, W).

    Raises:
        ValueError: ``kernel_size`` is even or less than 1.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f'the blur kernel must be odd and positive, got {kernel_size}')
    half = kernel_size // 2
    # A box is separable, and so is the count of pixels inside the image.
    rows = F.avg_pool2d(image, (kernel_size, 1), stride=1, padding=(half, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, kernel_size), stride=1, padding=(0, half), count_include_pad=False)


def make_baseline(image: Tensor, baseline: str | Tensor) -> Tensor:
    """The start of the integration path.

    A black baseline credits a source for being bright. A baseline that keeps the brightness and removes the structure
    ('mean', 'blur') credits it for what can be seen in it. The window of 'blur' is about a third of the shorter side
    (31 pixels at 96 pixels): as wide as the larger objects, at any image size.

    Args:
        image (Tensor): (B, C, H, W).
        baseline (str | Tensor): 'black' (zeros), 'mean' (each image's own mean), 'blur' (a blurred copy), or a
            tensor that broadcasts to the image.

    Returns:
        Tensor: Like ``image``.

    Raises:
        ValueError: Unknown name, or a tensor whose shape does not fit.
        TypeError: Neither a string nor a tensor.

    Examples:
        >>> import torch
        >>> make_baseline(torch.full((1, 1, 4, 4), 0.5), 'mean').unique().item()
        0.5
    """
    if isinstance(baseline, Tensor):
        try:
            return baseline.to(image).expand_as(image)
        except RuntimeError as error:
            raise ValueError(
                f'a baseline of shape {tuple(baseline.shape)} does not broadcast to an image of shape '
                f'{tuple(image.shape)}'
            ) from error
    if not isinstance(baseline, str):
        raise TypeError(f'baseline must be a name or a tensor, got {type(baseline).__name__}')
    if baseline == 'black':
        return image.new_zeros(()).expand_as(image)
    if baseline == 'mean':
        return image.mean(dim=(1, 2, 3), keepdim=True).expand_as(image)
    if baseline == 'blur':
        return box_blur(image, kernel_size=max(3, (min(image.shape[-2:]) // 3 - 1) | 1))
    raise ValueError(f'unknown baseline {baseline!r}; choose one of {", ".join(BASELINES)} or pass a tensor')
