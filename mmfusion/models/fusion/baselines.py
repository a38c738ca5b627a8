"""Fusions to compare with: one line of a config instead of UAAFusion."""

import torch
from torch import Tensor

from mmfusion.registry import MODELS

from ..precision import at_least_float32
from .base import BaseFusion, FusionResult, constant_weights
from .memory import ConvUnit


class _PixelRule(BaseFusion):
    """A fusion by a fixed rule per pixel; it needs no segmentor and has no parameters."""

    def forward(self, ir, vi, scorer=None, labels=None, *, strength=1.0, ignore=None) -> FusionResult:
        """Fuse a batch of pairs; scorer, labels, strength and ignore have no say. See :meth:`BaseFusion.forward`."""
        self.check_pair(ir, vi)
        weight_ir, weight_vi = self.weights(ir, vi)
        return FusionResult(weight_ir * ir + weight_vi * vi, weight_ir, weight_vi)

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, 1, H, W) of the infrared and the visible image."""
        raise TypeError(f'{type(self).__name__} defines no weights')


@MODELS.register_module()
class AverageFusion(_PixelRule):
    """The mean of both images."""

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """One half each."""
        return constant_weights(ir, 0.5)


@MODELS.register_module()
class MaximumFusion(_PixelRule):
    """The brighter of both images, pixel by pixel."""

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """One for the brighter image; the visible one where they are equal."""
        weight_ir = (ir > vi).to(ir)
        return weight_ir, 1 - weight_ir


@MODELS.register_module()
class VisibleOnly(_PixelRule):
    """The visible image alone: what a segmentor does without the second sensor."""

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """All for the visible image."""
        return constant_weights(ir, 0.0)


@MODELS.register_module()
class InfraredOnly(_PixelRule):
    """The infrared image alone."""

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """All for the infrared image."""
        return constant_weights(ir, 1.0)


@MODELS.register_module()
class ConcatenationFusion(BaseFusion):
    """Early concatenation: two convolutions from the stacked pair to one image, learned from the losses alone.

    Its weights are reported as one half, since it has none.

    Args:
        channels (int): Channels between the two convolutions.
        init_cfg (dict, optional): mmengine's initialisation config.
    """

    def __init__(self, channels: int = 16, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if channels < 1:
            raise ValueError(f'channels must be positive, got {channels}')
        self.unit = ConvUnit(2, channels, 1)

    def forward(self, ir, vi, scorer=None, labels=None, *, strength=1.0, ignore=None) -> FusionResult:
        """Fuse a batch of pairs; scorer, labels, strength and ignore have no say. See :meth:`BaseFusion.forward`."""
        self.check_pair(ir, vi)
        fused = at_least_float32(self.unit(torch.cat([ir, vi], dim=1))).sigmoid()
        return FusionResult(fused, *constant_weights(ir, 0.5))
