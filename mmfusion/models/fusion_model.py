"""A fusion by itself: trained on pairs without labels, and without a segmentor."""

from typing import Any

import torch
from mmengine.model import BaseModel
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmfusion.registry import MODELS

from .fusion import FusionResult
from .segmentors.equal_sizes import in_equal_sizes
from .segmentors.fused_prediction import attach_fusion
from .segmentors.fusion_losses import fusion_losses
from .segmentors.pair import COLORS, Pair

_PREPROCESSOR = dict(type='mmfusion.FusionDataPreProcessor')
_LOSS_FUSION = dict(type='mmfusion.AttributionFusionLoss')
_LOSS_GRADIENT = dict(type='mmfusion.JointGradientLoss')


@MODELS.register_module()
class FusionModel(BaseModel):
    """Fuses pairs, and learns it from the pairs alone.

    What :class:`FusionSegmentor` is without its segmentor: the same fusions, losses, data and predictions, but no
    classes. For pictures for people, for pairs without labels, and to go on with the fusion of a joint model on one's
    own pairs: their checkpoints have the same names for the weights of the fusion.

    Args:
        fusion (dict): Config of a fusion that asks no segmentor: ``UAAFusion(weights='gate')`` with a
            :class:`SalienceGate` or a gate that was trained, ``UAAFusion(weights='even', attention=None)``, or a rule.
        data_preprocessor (dict, optional): Config of the preprocessor. Default: ``FusionDataPreProcessor``.
        loss_fusion (dict, optional): Config of the loss of the weighted distances to both sources; None for none.
        loss_gradient (dict, optional): Config of the loss of the gradients; None for none.
        color (str): 'rgb' gives the fused image the chroma of the visible one, 'gray' none.
        init_cfg (dict, optional): mmengine's initialisation config.

    Attributes:
        num_classes (int): 0.

    Raises:
        ValueError: The fusion asks a segmentor, or the colour is unknown.

    Examples:
        >>> fusion = dict(type='UAAFusion', weights='gate', gate=dict(type='SalienceGate'), num_stages=2, channels=4)
        >>> model = FusionModel(fusion)
        >>> sorted(model.loss(torch.rand(2, 4, 32, 48)))
        ['fusion.loss_grad', 'fusion.loss_ir', 'fusion.loss_vi']
        >>> model.eval().predict(torch.rand(2, 4, 32, 48))[0].fused_img.data.shape
        torch.Size([3, 32, 48])
    """

    num_classes = 0

    def __init__(
        self,
        fusion: dict,
        data_preprocessor: dict | nn.Module | None = None,
        loss_fusion: dict | None = _LOSS_FUSION,
        loss_gradient: dict | None = _LOSS_GRADIENT,
        color: str = 'rgb',
        init_cfg: dict | None = None,
    ) -> None:
        if isinstance(data_preprocessor, nn.Module):
            preprocessor = data_preprocessor
        else:
            preprocessor = MODELS.build(data_preprocessor or _PREPROCESSOR)
        super().__init__(preprocessor, init_cfg)
        if color not in COLORS:
            raise ValueError(f'color must be one of {COLORS}, got {color!r}')
        self.color = color
        self.fusion = MODELS.build(fusion)
        if getattr(self.fusion, 'asks_segmentor', False):
            raise ValueError(
                f'the fusion {fusion["type"]} asks a segmentor, and FusionModel has none: take '
                "UAAFusion(weights='gate', gate=dict(type='SalienceGate')), or a FusionSegmentor"
            )
        self.loss_fusion = None if loss_fusion is None else MODELS.build(loss_fusion)
        self.loss_gradient = None if loss_gradient is None else MODELS.build(loss_gradient)

    def forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None, mode: str = 'tensor') -> Any:
        """Run in one of mmengine's modes.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1]: red, green, blue, infrared.
            data_samples (list[SegDataSample], optional): Meta information; labels have no say.
            mode (str): 'loss', 'predict' or 'tensor'.

        Returns:
            dict[str, Tensor] | list[SegDataSample] | Tensor: Losses, predictions, or fused images (B, 3 or 1, H, W).

        Raises:
            ValueError: Unknown mode.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.fuse(inputs)[0]
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def fuse(self, inputs: Tensor) -> tuple[Tensor, FusionResult]:
        """Fuse a batch.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].

        Returns:
            tuple[Tensor, FusionResult]: Fused images (B, 3 or 1, H, W) in [0, 1], and what led to them.
        """
        return self._fuse(Pair.split(inputs))

    def _fuse(self, pair: Pair) -> tuple[Tensor, FusionResult]:
        result = self.fusion(pair.ir, pair.luminance)
        return pair.colored(result.fused, self.color), result

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> dict[str, Tensor]:
        """Losses of the fusion.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            data_samples (list[SegDataSample], optional): Have no say.

        Returns:
            dict[str, Tensor]: ``fusion.loss_*``, as a joint model has them.

        Raises:
            ValueError: The fusion has nothing to learn.
        """
        pair = Pair.split(inputs)
        result = self._fuse(pair)[1]
        if not result.fused.requires_grad:
            raise ValueError(
                f'{type(self.fusion).__name__} has nothing to learn: it fuses by a rule, and is used without training'
            )
        return fusion_losses(result, pair, self.loss_fusion, self.loss_gradient)

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Fuse, for files and metrics.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1].
            data_samples (list[SegDataSample], optional): With the sizes to go back to.

        Returns:
            list[SegDataSample]: With ``fused_img`` and ``fusion_weights`` at the original size.
        """
        image, result = self.fuse(inputs)
        samples = [SegDataSample() for _ in image] if data_samples is None else data_samples
        return attach_fusion(samples, image, result.weight_ir, stretch=False)

    def test_step(self, data: dict | tuple | list) -> list:
        """Predict a batch as a data loader gives it; pairs of several sizes do not see each other's padding."""
        return in_equal_sizes(super().test_step, data)

    def val_step(self, data: dict | tuple | list) -> list:
        """As :meth:`test_step`."""
        return in_equal_sizes(super().val_step, data)
