"""Layers that compute sizes as plain numbers, put into a form whose graph holds for other sizes."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmseg.models.utils import Upsample
from torch import Tensor, nn


class Enlarged(nn.Module):
    """mmseg's ``Upsample`` by a whole factor.

    mmseg turns heights and widths into plain numbers (``int``), which a graph then has as constants.

    Args:
        layer (Upsample): With a whole ``scale_factor``.

    Examples:
        >>> import torch
        >>> layer, image = Upsample(scale_factor=2, mode='bilinear', align_corners=False), torch.rand(1, 1, 3, 4)
        >>> torch.equal(Enlarged(layer)(image), layer(image))
        True
    """

    def __init__(self, layer: Upsample) -> None:
        super().__init__()
        self.factor = int(layer.scale_factor)
        self.options = dict(mode=layer.mode, align_corners=layer.align_corners)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge a map (B, C, H, W)."""
        size = [self.factor * side for side in x.shape[-2:]]
        return F.interpolate(x, size=size, **self.options)


class PaddedConvolution(nn.Module):
    """mmcv's ``Conv2dAdaptivePadding`` for sides that its stride divides, where the padding is the same for all sizes.

    Args:
        layer (Conv2dAdaptivePadding): Its weights are shared.

    Examples:
        >>> import torch
        >>> layer, image = Conv2dAdaptivePadding(1, 2, 3, stride=2), torch.rand(1, 1, 6, 8)
        >>> torch.equal(PaddedConvolution(layer)(image), layer(image))
        True
    """

    def __init__(self, layer: Conv2dAdaptivePadding) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.options: dict[str, Any] = dict(stride=layer.stride, dilation=layer.dilation, groups=layer.groups)
        height, width = (
            max((kernel - 1) * dilation + 1 - stride, 0)
            for kernel, dilation, stride in zip(layer.kernel_size, layer.dilation, layer.stride)
        )
        # What is odd has its greater half at the right and the bottom, as in TensorFlow.
        self.padding = (width // 2, width - width // 2, height // 2, height - height // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a map (B, C, H, W)."""
        return F.conv2d(F.pad(x, self.padding), self.weight, self.bias, **self.options)


class Attention(nn.Module):
    """``torch.nn.MultiheadAttention`` without masks, of whose reshapes the exporter of ONNX makes numbers.

    Args:
        layer (nn.MultiheadAttention): Of queries, keys and values of one width. Its weights are shared.

    Examples:
        >>> import torch
        >>> layer = nn.MultiheadAttention(8, 2).eval()
        >>> x, y = torch.rand(5, 2, 8), torch.rand(3, 2, 8)  # places, batch, width
        >>> torch.allclose(Attention(layer)(x, y, y)[0], layer(x, y, y)[0], atol=1e-6)
        True
    """

    def __init__(self, layer: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.batch_first = layer.num_heads, layer.batch_first
        self.in_weight, self.in_bias, self.out = layer.in_proj_weight, layer.in_proj_bias, layer.out_proj

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: None = None, key_padding_mask: None = None
    ) -> tuple[Tensor, None]:
        """Attend; (L, N, E) or, ``batch_first``, (N, L, E). Weights of the attention are not told.

        Raises:
            ValueError: There is a mask.
        """
        if attn_mask is not None or key_padding_mask is not None:
            raise ValueError('attention with a mask has no form for any size')
        biases = [None] * 3 if self.in_bias is None else self.in_bias.chunk(3)
        parts: list[Tensor] = []
        for x, weight, bias in zip((query, key, value), self.in_weight.chunk(3), biases):
            x = F.linear(x if self.batch_first else x.transpose(0, 1), weight, bias)
            parts.append(x.reshape(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2))
        queries, keys, values = parts
        attended = self.out(F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2))
        return attended if self.batch_first else attended.transpose(0, 1), None


def _in_place_of(layer: nn.Module) -> Callable[[Any], nn.Module] | None:
    """What makes the form for any size; None for a layer that stays."""
    if isinstance(layer, Conv2dAdaptivePadding):
        return PaddedConvolution
    if isinstance(layer, nn.MultiheadAttention):
        return Attention if layer.in_proj_weight is not None and layer.bias_k is None else None
    if isinstance(layer, Upsample) and not layer.size and isinstance(layer.scale_factor, float):
        return Enlarged if layer.scale_factor.is_integer() else None
    return None


def replace_layers(module: nn.Module) -> None:
    """Replace the layers inside of a module that tie a graph to the size it was made at.

    Which are known is a matter of experience. Whatever else there is, an export finds out by comparing.

    Args:
        module (nn.Module): Changed in place.

    Examples:
        >>> module = nn.Sequential(Upsample(scale_factor=2), nn.Sequential(Conv2dAdaptivePadding(1, 1, 3)))
        >>> replace_layers(module)
        >>> [type(layer).__name__ for layer in (module[0], module[1][0])]
        ['Enlarged', 'PaddedConvolution']
    """
    for name, child in module.named_children():
        make = _in_place_of(child)
        if make is None:
            replace_layers(child)
        else:
            setattr(module, name, make(child))
