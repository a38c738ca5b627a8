"""Fusions to compare with: one line of a config instead of UAAFusion."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmfusion.attribution import Scorer
from mmfusion.registry import MODELS

from ..precision import at_least_float32
from .base import BaseFusion, FusionResult, constant_weights
from .memory import ConvUnit
from .salience_gate import SalienceGate


class _OfThePair(BaseFusion):
    """A fusion of the pair alone: it asks no segmentor, and nothing else has a say."""

    def forward(
        self,
        ir: Tensor,
        vi: Tensor,
        scorer: Scorer | None = None,
        labels: Tensor | None = None,
        *,
        strength: float = 1.0,
        ignore: Tensor | None = None,
    ) -> FusionResult:
        """Fuse a batch of pairs; scorer, labels, strength and ignore have no say. See :meth:`BaseFusion.forward`."""
        self.check_pair(ir, vi)
        return self.fuse(ir, vi)

    def fuse(self, ir: Tensor, vi: Tensor) -> FusionResult:
        """Fuse a batch of pairs that were checked."""
        raise TypeError(f'{type(self).__name__} does not say how it fuses')


class _PixelRule(_OfThePair):
    """A fusion by a fixed rule per pixel; it has no parameters."""

    def fuse(self, ir: Tensor, vi: Tensor) -> FusionResult:
        """The sum of both images by their weights."""
        weight_ir, weight_vi = self.weights(ir, vi)
        return FusionResult(weight_ir * ir + weight_vi * vi, weight_ir, weight_vi)

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, 1, H, W) of the infrared and the visible image."""
        raise TypeError(f'{type(self).__name__} defines no weights')


@MODELS.register_module()
class AverageFusion(_PixelRule):
    """The mean of both images.

    Examples:
        >>> ir, vi = torch.tensor([[[[0.0, 0.75]]]]), torch.tensor([[[[0.5, 0.25]]]])
        >>> AverageFusion()(ir, vi).fused.flatten().tolist()
        [0.25, 0.5]
    """

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """One half each."""
        return constant_weights(ir, 0.5)


@MODELS.register_module()
class MaximumFusion(_PixelRule):
    """The brighter of both images, pixel by pixel.

    Examples:
        >>> ir, vi = torch.tensor([[[[0.0, 0.75]]]]), torch.tensor([[[[0.5, 0.25]]]])
        >>> MaximumFusion()(ir, vi).fused.flatten().tolist()
        [0.5, 0.75]
    """

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """One for the brighter image; the visible one where they are equal."""
        weight_ir = (ir > vi).to(ir)
        return weight_ir, 1 - weight_ir


@MODELS.register_module()
class VisibleOnly(_PixelRule):
    """The visible image alone: what a segmentor does without the second sensor.

    Examples:
        >>> ir, vi = torch.tensor([[[[0.0, 0.75]]]]), torch.tensor([[[[0.5, 0.25]]]])
        >>> VisibleOnly()(ir, vi).fused.flatten().tolist()
        [0.5, 0.25]
    """

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """All for the visible image."""
        return constant_weights(ir, 0.0)


@MODELS.register_module()
class InfraredOnly(_PixelRule):
    """The infrared image alone.

    Examples:
        >>> ir, vi = torch.tensor([[[[0.0, 0.75]]]]), torch.tensor([[[[0.5, 0.25]]]])
        >>> InfraredOnly()(ir, vi).fused.flatten().tolist()
        [0.0, 0.75]
    """

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """All for the infrared image."""
        return constant_weights(ir, 1.0)


@MODELS.register_module()
class SalienceFusion(_PixelRule):
    """Each place from the source that stands out there; see :class:`SalienceGate`. What fuses before any training.

    Args:
        contrast (float): The factor of local contrast against brightness.
        sharpness (float): How far the weights go towards 0 and 1 for a difference.
        sigma (float): Extent of a patch in pixels.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: An option is out of range.

    Examples:
        >>> ir, vi = torch.full((1, 1, 8, 8), 0.75), torch.full((1, 1, 8, 8), 0.25)
        >>> round(SalienceFusion()(ir, vi).fused.mean().item(), 3)
        0.75
    """

    def __init__(
        self, contrast: float = 1.0, sharpness: float = 100.0, sigma: float = 2.0, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.gate = SalienceGate(contrast, sharpness, sigma)

    def weights(self, ir: Tensor, vi: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the gate."""
        weight_ir = self.gate(ir, vi).share.sigmoid().to(ir)
        return weight_ir, 1 - weight_ir


@MODELS.register_module()
class LaplacianPyramidFusion(_OfThePair):
    """Details of whichever image has the stronger ones, level by level of a Laplacian pyramid; the mean of the rest.

    The classical rule that learned fusions are to beat (P. J. Burt and E. H. Adelson, "The Laplacian pyramid as a
    compact image code", 1983; P. J. Burt and R. J. Kolczynski, "Enhanced image capture through fusion", 1993). Its
    weights are reported as one half, since it has none per pixel.

    Args:
        levels (int): Levels of detail, at least 1; fewer where an image is too small.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: ``levels`` is not positive.

    Examples:
        >>> ir, vi = torch.rand(2, 1, 1, 33, 47)
        >>> torch.allclose(LaplacianPyramidFusion()(ir, ir).fused, ir, atol=1e-6)
        True
    """

    def __init__(self, levels: int = 4, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if levels < 1:
            raise ValueError(f'levels must be at least 1, got {levels}')
        self.levels = levels

    def fuse(self, ir: Tensor, vi: Tensor) -> FusionResult:
        """See the class."""
        details: list[Tensor] = []
        of_ir, of_vi = at_least_float32(ir), at_least_float32(vi)
        # The filter reaches two pixels beyond the border.
        while len(details) < self.levels and min(of_ir.shape[-2:]) > 2:
            pair = []
            for image in (of_ir, of_vi):
                smaller = _halve(image)
                pair.append((smaller, image - _resize_as(smaller, image)))
            (of_ir, detail_ir), (of_vi, detail_vi) = pair
            details.append(torch.where(detail_ir.abs() > detail_vi.abs(), detail_ir, detail_vi))
        fused = (of_ir + of_vi) / 2
        for detail in reversed(details):
            fused = _resize_as(fused, detail) + detail
        return FusionResult(fused.clamp(0, 1), *constant_weights(ir, 0.5))


def _halve(image: Tensor) -> Tensor:
    """Binomial filter of five pixels, and every second pixel: OpenCV's pyrDown."""
    taps = image.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    padded = F.pad(image, (2, 2, 2, 2), mode='reflect')
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[..., ::2, ::2]


def _resize_as(image: Tensor, other: Tensor) -> Tensor:
    return F.interpolate(image, size=other.shape[-2:], mode='bilinear', align_corners=False)


@MODELS.register_module()
class ConcatenationFusion(_OfThePair):
    """Early concatenation: two convolutions from the stacked pair to one image, learned from the losses alone.

    Its weights are reported as one half, since it has none.

    Args:
        channels (int): Channels between the two convolutions.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: ``channels`` is not positive.

    Examples:
        >>> fusion = ConcatenationFusion(channels=16)
        >>> result = fusion(torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8))
        >>> sum(weights.numel() for weights in fusion.parameters()), result.fused.shape, result.weight_ir.unique()
        (450, torch.Size([2, 1, 8, 8]), tensor([0.5000]))
    """

    def __init__(self, channels: int = 16, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if channels < 1:
            raise ValueError(f'channels must be positive, got {channels}')
        self.unit = ConvUnit(2, channels, 1)

    def fuse(self, ir: Tensor, vi: Tensor) -> FusionResult:
        """See the class."""
        fused = at_least_float32(self.unit(torch.cat([ir, vi], dim=1))).sigmoid()
        return FusionResult(fused, *constant_weights(ir, 0.5))
