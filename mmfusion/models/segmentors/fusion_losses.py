"""Losses of a fused image against its two sources, with or without a segmentor behind it."""

from torch import Tensor, nn

from ..fusion import FusionResult
from .pair import Pair


def fusion_losses(
    result: FusionResult, pair: Pair, loss_fusion: nn.Module | None, loss_gradient: nn.Module | None
) -> dict[str, Tensor]:
    """What a fusion learns from the pair itself.

    Args:
        result (FusionResult): Of the fusion.
        pair (Pair): What was fused.
        loss_fusion (nn.Module, optional): Of the weighted distances to both sources.
        loss_gradient (nn.Module, optional): Of the gradients.

    Returns:
        dict[str, Tensor]: As ``fusion.loss_*``.

    Examples:
        >>> import torch
        >>> from mmfusion.models import AverageFusion, JointGradientLoss
        >>> pair = Pair.split(torch.rand(1, 4, 8, 8))
        >>> list(fusion_losses(AverageFusion()(pair.ir, pair.luminance), pair, None, JointGradientLoss()))
        ['fusion.loss_grad']
    """
    terms: dict[str, Tensor] = {}
    if loss_fusion is not None:
        # A gate must not choose the weights that make its own loss small.
        weights = result.weight_ir.detach(), result.weight_vi.detach()
        terms.update(loss_fusion(result.fused, pair.ir, pair.luminance, *weights))
    if loss_gradient is not None:
        terms.update(loss_gradient(result.fused, pair.ir, pair.luminance))
    return {f'fusion.{name}': value for name, value in terms.items()}
