"""Backbone of the released segmentor: MobileNetV2 that keeps its resolution as torchvision-based DeepLab code does."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.backbones import MobileNetV2

from mmfusion.registry import MODELS


@MODELS.register_module()
class DilatedMobileNetV2(MobileNetV2):
    """mmseg's MobileNetV2 with any number of input channels, and dilation of the later blocks of a group.

    mmseg dilates the first block of a group only. Code that turns a stride of a finished network into dilation, as the
    released segmentor of UAAFusion does, leaves the first block of that group undilated and dilates all others.

    Args:
        in_channels (int): Channels of the image.
        rest_dilations (Sequence[int]): Dilation of all blocks but the first, for each of the seven groups.
        **kwargs: See :class:`mmseg.models.backbones.MobileNetV2`; ``dilations`` there is that of the first blocks.

    Raises:
        ValueError: Not one dilation per group.

    Examples:
        >>> import torch
        >>> backbone = DilatedMobileNetV2(
        ...     in_channels=1,
        ...     widen_factor=0.25,
        ...     strides=(1, 2, 2, 2, 1, 1, 1),
        ...     dilations=(1, 1, 1, 1, 1, 1, 2),
        ...     rest_dilations=(1, 1, 1, 1, 1, 2, 1),
        ...     out_indices=(1, 6),
        ... )
        >>> [features.shape for features in backbone(torch.rand(2, 1, 64, 96))]  # a 4th and a 16th of the size
        [torch.Size([2, 8, 16, 24]), torch.Size([2, 80, 4, 6])]
    """

    conv1: ConvModule

    def __init__(
        self, in_channels: int = 3, rest_dilations: Sequence[int] = (1, 1, 1, 1, 1, 1, 1), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if len(rest_dilations) != len(self.layers):
            raise ValueError(
                f'rest_dilations needs one value for each of {len(self.layers)} groups, got {tuple(rest_dilations)}'
            )
        if in_channels != 3:
            stem = self.conv1.conv
            self.conv1 = ConvModule(
                in_channels,
                stem.out_channels,
                kernel_size=3,
                stride=2,
                padding=1,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
            )
        for name, dilation in zip(self.layers, rest_dilations):
            for block in list(getattr(self, name))[1:]:
                depthwise = block.conv[-2].conv
                depthwise.dilation = depthwise.padding = (dilation, dilation)
