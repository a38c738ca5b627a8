"""Decoder of the released UAAFusion segmentor."""

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmfusion.registry import MODELS


@MODELS.register_module()
class ReleasedDeepLabHead(BaseDecodeHead):
    """DeepLabV3+ style decoder without spatial pyramid: high-level features, low-level features, two convolutions.

    The facts are those of the code released with arXiv 2502.01467. It puts a sigmoid behind its scores; as with every
    mmseg head the scores themselves are returned here, so a scorer for it takes ``score='sigmoid'``.

    Args:
        in_channels (Sequence[int]): Channels of low- and high-level features. Default: (24, 320).
        in_index (Sequence[int]): Which features of the backbone these are. Default: (0, 1).
        channels (int): Channels of the two convolutions.
        shortcut_channels (int): Channels that the low-level features are reduced to.
        mid_dropout_ratio (float): Dropout between the two convolutions.
        dropout_ratio (float): Dropout before the classifier.
        align_corners (bool): Of both resizings.
        **kwargs: See :class:`mmseg.models.decode_heads.decode_head.BaseDecodeHead`.

    Examples:
        >>> head = ReleasedDeepLabHead(in_channels=(8, 80), channels=16, num_classes=15)
        >>> head([torch.rand(2, 8, 16, 24), torch.rand(2, 80, 8, 12)]).shape
        torch.Size([2, 15, 16, 24])
    """

    dropout: nn.Module | None

    def __init__(
        self,
        in_channels: tuple[int, int] = (24, 320),
        in_index: tuple[int, int] = (0, 1),
        channels: int = 256,
        shortcut_channels: int = 48,
        mid_dropout_ratio: float = 0.5,
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault('norm_cfg', dict(type='BN'))
        super().__init__(
            in_channels=list(in_channels),
            in_index=list(in_index),
            input_transform='multiple_select',
            channels=channels,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            **kwargs,
        )
        options = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg, bias=True)
        low, high = in_channels
        self.shortcut = ConvModule(low, shortcut_channels, 1, **options)
        self.merge = ConvModule(high + shortcut_channels, channels, 3, padding=1, **options)
        self.mid_dropout = nn.Dropout(mid_dropout_ratio)
        self.refine = ConvModule(channels, channels, 3, padding=1, **options)
        if self.dropout is not None:
            self.dropout = nn.Dropout(dropout_ratio)  # Of single values, where mmseg drops whole channels.

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Features of the backbone to scores.

        Args:
            inputs (tuple[Tensor, ...]): Feature maps of the backbone.

        Returns:
            Tensor: (B, ``out_channels``, h, w) at the size of the low-level features.
        """
        low, high = self._transform_inputs(inputs)
        high = resize(high, size=low.shape[2:], mode='bilinear', align_corners=self.align_corners)
        merged = self.merge(torch.cat([high, self.shortcut(low)], dim=1))
        return self.cls_seg(self.refine(self.mid_dropout(merged)))
