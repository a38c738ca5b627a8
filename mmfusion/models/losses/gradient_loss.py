"""Gradient loss: the fused image keeps the stronger edge of the two sources."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmfusion.registry import MODELS

from ..precision import at_least_float32, without_autocast
from .attribution_fusion_loss import check_loss_options, reduce_loss

PADDINGS = ('replicate', 'zeros')


def sobel_magnitude(image: Tensor, padding: str = 'replicate') -> Tensor:
    """Sum of the absolute Sobel responses along both axes.

    Args:
        image (Tensor): (B, 1, H, W).
        padding (str): 'replicate', or 'zeros' (released), which sees an edge around the whole image.

    Returns:
        Tensor: (B, 1, H, W), at least 0; 4 on both sides of a straight step of height 1.

    Raises:
        ValueError: Unknown padding.

    Examples:
        >>> step = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
        >>> sobel_magnitude(step)[0, 0, 1].tolist()
        [0.0, 4.0, 4.0, 0.0]
    """
    if padding not in PADDINGS:
        raise ValueError(f'unknown padding {padding!r}; choose one of {", ".join(PADDINGS)}')
    padded = F.pad(image, (1, 1, 1, 1), mode='replicate' if padding == 'replicate' else 'constant')
    return F.conv2d(padded, _sobel_kernels(image)).abs().sum(1, keepdim=True)


def _sobel_kernels(like: Tensor) -> Tensor:
    """Kernels (2, 1, 3, 3) of the differences along x and along y.

    Computed where they are needed: a GPU would have to wait for a table copied from the host.
    """
    difference = torch.arange(-1, 2, dtype=like.dtype, device=like.device)  # -1, 0, 1
    smoothing = 2 - difference.abs()  # 1, 2, 1
    kernel = smoothing[:, None] * difference
    return torch.stack([kernel, kernel.T])[:, None]


@MODELS.register_module()
class JointGradientLoss(nn.Module):
    """Mean absolute difference between the fused image's gradient and the larger one of the sources.

    ``|G(F) - max(G(I), G(V))|`` with ``G = |sobel_x| + |sobel_y|`` (UAAFusion, arXiv 2502.01467).

    Args:
        loss_weight (float): Factor of the term.
        padding (str): 'replicate', or 'zeros' as released.
        reduction (str): 'mean', 'sum' or 'none', over all pixels.

    Raises:
        ValueError: An option is unknown or out of range.

    Examples:
        An even picture against an edge in one source: 4 on two of the four columns.

        >>> even, edge = torch.zeros(1, 1, 3, 4), torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
        >>> JointGradientLoss()(even, even, edge)['loss_grad'].item()
        2.0
    """

    def __init__(self, loss_weight: float = 1.0, padding: str = 'replicate', reduction: str = 'mean') -> None:
        super().__init__()
        check_loss_options(loss_weight, reduction)
        if padding not in PADDINGS:
            raise ValueError(f'unknown padding {padding!r}; choose one of {", ".join(PADDINGS)}')
        self.loss_weight = loss_weight
        self.padding = padding
        self.reduction = reduction

    def forward(self, fused: Tensor, ir: Tensor, vi: Tensor) -> dict[str, Tensor]:
        """Compute the term.

        Args:
            fused (Tensor): Fused image (B, 1, H, W) in [0, 1].
            ir (Tensor): Infrared image, likewise.
            vi (Tensor): Visible luminance, likewise.

        Returns:
            dict[str, Tensor]: ``loss_grad``.
        """
        # float32 also under autocast: differences of neighbouring grey levels vanish in half precision.
        with without_autocast(fused.device):
            of_fused, of_ir, of_vi = (
                sobel_magnitude(at_least_float32(image), self.padding) for image in (fused, ir, vi)
            )
        distance = (of_fused - torch.maximum(of_ir, of_vi)).abs()
        return {'loss_grad': self.loss_weight * reduce_loss(distance, self.reduction)}
