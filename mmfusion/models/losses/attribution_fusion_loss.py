"""Fusion loss that follows the attribution weights."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmfusion.registry import MODELS

from ..precision import at_least_float32

FORMS = ('objective', 'released')


def check_loss_options(loss_weight: float, reduction: str) -> None:
    """Refuse what no loss of mmfusion takes.

    Args:
        loss_weight (float): Factor of a loss.
        reduction (str): How its pixels are put together.

    Raises:
        ValueError: A negative weight, or a reduction that is not 'mean', 'sum' or 'none'.

    Examples:
        >>> check_loss_options(0.5, 'mean')
        >>> check_loss_options(0.5, 'median')
        Traceback (most recent call last):
        ValueError: reduction must be 'mean', 'sum' or 'none', got 'median'
    """
    if not loss_weight >= 0:
        raise ValueError(f'loss_weight must not be negative, got {loss_weight}')
    if reduction not in ('mean', 'sum', 'none'):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def reduce_loss(values: Tensor, reduction: str) -> Tensor:
    """Mean, sum or the values themselves.

    Args:
        values (Tensor): Of any shape.
        reduction (str): 'mean', 'sum' or 'none'.

    Returns:
        Tensor: A scalar, or ``values``.

    Examples:
        >>> import torch
        >>> reduce_loss(torch.tensor([1.0, 2.0]), 'sum').item()
        3.0
    """
    return values if reduction == 'none' else getattr(values, reduction)()


def weighted_fidelity(fused: Tensor, source: Tensor, weight: Tensor, form: str = 'objective') -> Tensor:
    r"""Squared distance to one source, pixel by pixel.

    Args:
        fused (Tensor): Fused image (B, 1, H, W) in [0, 1].
        source (Tensor): Source image (B, 1, H, W) in [0, 1].
        weight (Tensor): Its weight (B, 1, H, W) in [0, 1].
        form (str): 'objective' is :math:`w (F - X)^2`, twice the data term of the fusion objective (UAAFusion, arXiv
            2502.01467). 'released' is :math:`(w (X - F))^2`, which squares the weight as well, so that an even share
            counts half as much as a clear one.

    Returns:
        Tensor: (B, 1, H, W), at least 0.

    Raises:
        ValueError: Unknown form, or tensors of different shapes.

    Examples:
        >>> import torch
        >>> fused, half = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.5)
        >>> weighted_fidelity(fused, half, half).item(), weighted_fidelity(fused, half, half, 'released').item()
        (0.125, 0.0625)
    """
    if form not in FORMS:
        raise ValueError(f'unknown form {form!r}; choose one of {", ".join(FORMS)}')
    if not fused.shape == source.shape == weight.shape:
        raise ValueError(
            'fused image, source and weight must have one shape, got '
            f'{tuple(fused.shape)}, {tuple(source.shape)} and {tuple(weight.shape)}'
        )
    square = F.mse_loss(at_least_float32(fused), at_least_float32(source), reduction='none')
    return (weight if form == 'objective' else weight.square()) * square


@MODELS.register_module()
class AttributionFusionLoss(nn.Module):
    """Weighted distance of the fused image to the two sources.

    Args:
        loss_weight (float): Factor of both terms.
        form (str): 'objective' or 'released'; see :func:`weighted_fidelity`.
        reduction (str): 'mean', 'sum' or 'none', over all pixels.

    Raises:
        ValueError: An option is unknown or out of range.

    Examples:
        >>> import torch
        >>> fused, ir, vi = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
        >>> losses = AttributionFusionLoss()(fused, ir, vi, 0.8 * ir, 0.2 * ir)
        >>> {name: round(value.item(), 3) for name, value in losses.items()}
        {'loss_ir': 0.2, 'loss_vi': 0.05}
    """

    def __init__(self, loss_weight: float = 1.0, form: str = 'objective', reduction: str = 'mean') -> None:
        super().__init__()
        check_loss_options(loss_weight, reduction)
        if form not in FORMS:
            raise ValueError(f'unknown form {form!r}; choose one of {", ".join(FORMS)}')
        self.loss_weight = loss_weight
        self.form = form
        self.reduction = reduction

    def forward(self, fused: Tensor, ir: Tensor, vi: Tensor, weight_ir: Tensor, weight_vi: Tensor) -> dict[str, Tensor]:
        """Compute both terms.

        Args:
            fused (Tensor): Fused image (B, 1, H, W) in [0, 1].
            ir (Tensor): Infrared image, likewise.
            vi (Tensor): Visible luminance, likewise.
            weight_ir (Tensor): Weight of the infrared image, likewise.
            weight_vi (Tensor): Weight of the visible image, likewise.

        Returns:
            dict[str, Tensor]: ``loss_ir`` and ``loss_vi``.
        """
        return {
            name: self.loss_weight * reduce_loss(weighted_fidelity(fused, source, weight, self.form), self.reduction)
            for name, source, weight in (('loss_ir', ir, weight_ir), ('loss_vi', vi, weight_vi))
        }
