"""The gate: a small network that learns from attribution where each source holds the evidence."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmfusion.attribution import Evidence
from mmfusion.attribution.baseline import box_blur
from mmfusion.registry import MODELS

from ..precision import at_least_float32
from ..processes import mean_over_processes

# Never changed.
_NORM = dict(type='BN')


class GateOutput(NamedTuple):
    """What a gate tells of a batch of pairs."""

    share: Tensor
    """Logit of the infrared image's share in the evidence, (B, 1, H, W)."""
    strength: Tensor
    """Logit of the evidence that there is in both sources together, (B, 1, H, W)."""


@MODELS.register_module()
class FusionGate(BaseModule):
    """Small network on the pair that says what attribution would say, smoothly and without a segmentor.

    Attribution needs labels and several passes of the segmentor. The gate sees the pair alone; while training it is
    taught what attribution finds in the true regions (:class:`GateLoss`). So the fused image is made in the same way in
    training and in deployment, and labels reach a loss only, never an image. Beside the luminance of both
    sources it sees their local contrast, since brightness by itself is no evidence. It works at half of the resolution.

    Args:
        channels (int): Feature channels.
        dilations (tuple[int, ...]): One convolution each; together they see some 60 pixels around.
        norm_cfg (dict, optional): Config of the norms behind the convolutions: batch norm by default, with which it
            learns in a few hundred iterations what takes it many more without. None for none: then a pair has the very
            same weights in training and in deployment, whatever else is in its batch.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: ``channels`` or a dilation is not positive.

    Examples:
        >>> gate = FusionGate(channels=8)
        >>> out = gate(torch.rand(2, 1, 20, 30), torch.rand(2, 1, 20, 30))
        >>> out.share.shape, out.share.sigmoid().mean().item()  # Undecided before it has learned anything.
        (torch.Size([2, 1, 20, 30]), 0.5)
    """

    def __init__(
        self,
        channels: int = 16,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        norm_cfg: dict | None = _NORM,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels < 1:
            raise ValueError(f'channels must be positive, got {channels}')
        if not dilations or min(dilations) < 1:
            raise ValueError(f'dilations must be positive, got {dilations!r}')
        widths = [4, *[channels] * len(dilations)]
        # With ReLU it stayed undecided between two classes with one seed in three.
        around = dict(padding_mode='replicate', norm_cfg=norm_cfg, act_cfg=dict(type='PReLU'))
        self.body = nn.Sequential(
            *(
                ConvModule(width, channels, 3, padding=dilation, dilation=dilation, **around)
                for width, dilation in zip(widths, dilations, strict=False)
            )
        )
        self.tell = nn.Conv2d(channels, 2, 1)
        nn.init.zeros_(self.tell.weight)
        assert self.tell.bias is not None
        nn.init.zeros_(self.tell.bias)

    def forward(self, ir: Tensor, vi: Tensor) -> GateOutput:
        """Look at a batch of pairs.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].

        Returns:
            GateOutput: Logits of the share and of the strength.
        """
        pair = torch.cat([ir, vi], dim=1)
        size = pair.shape[-2:]
        half = F.interpolate(pair, scale_factor=0.5, mode='bilinear', antialias=False) if min(size) > 1 else pair
        contrast = half - box_blur(half, 15)
        # Images are in [0, 1] and their contrast is small; both are brought to about one.
        told = self.tell(self.body(torch.cat([2 * half - 1, 5 * contrast], dim=1)))
        told = F.interpolate(at_least_float32(told), size=size, mode='bilinear', align_corners=False)
        return GateOutput(told[:, :1], told[:, 1:])


@MODELS.register_module()
class GateLoss(nn.Module):
    r"""What the gate says against what attribution found in the true regions.

    .. math:: \sum_{c} v_c \frac{1}{|R_c|} \sum_{q \in R_c} \mathrm{BCE}(g(q), s_c), \qquad
        s_c = \frac{E_I + \kappa}{E_I + E_V + 2 \kappa}, \qquad v_c \propto |R_c|^{1 - b}

    over the regions of the batch (of all processes together), with weights that add to one. With a balance b of 1 every
    region counts the same, whatever its size, with 0 every pixel. In between, small classes count and a large
    background is not taken for one of them. The strength is taught the evidence of both sources together,
    :math:`\min(E_I + E_V, 1)`, in the same way.

    Args:
        balance (float): The balance b, in [0, 1].
        loss_weight (float): Factor of the loss.

    Raises:
        ValueError: The weight is negative, or the balance outside [0, 1].

    Examples:
        >>> from mmfusion.attribution import LabelRegions
        >>> regions = LabelRegions.from_labels(torch.zeros(1, 2, 2, dtype=torch.long), num_classes=1)
        >>> evidence = Evidence(regions, torch.tensor([[0.5]]), torch.tensor([[0.5]]), torch.ones(1, 1))
        >>> undecided = GateOutput(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
        >>> {name: round(value.item(), 3) for name, value in GateLoss(loss_weight=1.0)(undecided, evidence).items()}
        {'loss_gate_share': 0.693, 'loss_gate_strength': 0.693}
    """

    def __init__(self, balance: float = 0.9, loss_weight: float = 3.0) -> None:
        super().__init__()
        if not 0 <= balance <= 1:
            raise ValueError(f'balance must be in [0, 1], got {balance}')
        self.balance = balance
        if not loss_weight >= 0:
            raise ValueError(f'loss_weight must not be negative, got {loss_weight}')
        self.loss_weight = loss_weight

    def forward(self, gate: GateOutput, evidence: Evidence) -> dict[str, Tensor]:
        """Compare.

        Args:
            gate (GateOutput): Of the gate.
            evidence (Evidence): Of attribution, in the true regions.

        Returns:
            dict[str, Tensor]: ``loss_gate_share`` and ``loss_gate_strength``.
        """
        total = ((evidence.ir + evidence.vi) * evidence.scale).clamp(0, 1)
        return {
            'loss_gate_share': self.loss_weight * region_bce(gate.share, evidence.share(), evidence, self.balance),
            'loss_gate_strength': self.loss_weight * region_bce(gate.strength, total, evidence, self.balance),
        }


def region_bce(logits: Tensor, target: Tensor, evidence: Evidence, balance: float = 1.0) -> Tensor:
    """Binary cross entropy, a mean over regions of the mean over their pixels.

    Several processes divide by the mean of their weights: the mean of what they find is that of the larger batch.

    Args:
        logits (Tensor): (B, 1, H, W).
        target (Tensor): One value in [0, 1] per class (B, C).
        evidence (Evidence): Tells the regions.
        balance (float): 1 if every region is to count the same, 0 for every pixel, or in between.

    Returns:
        Tensor: A scalar; 0 if there is no region.

    Examples:
        A region of three pixels and one of a single pixel count the same:

        >>> from mmfusion.attribution import LabelRegions
        >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 0, 1]]]), num_classes=2)
        >>> evidence = Evidence(regions, torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2))
        >>> logits = torch.tensor([[[[0.0, 0.0, 0.0, 20.0]]]])
        >>> round(region_bce(logits, torch.ones(1, 2), evidence).item(), 4)  # Half of log 2.
        0.3466
    """
    regions = evidence.regions
    wanted = regions.spread(target.to(logits), fill=0.5)
    loss = F.binary_cross_entropy_with_logits(logits, wanted, reduction='none')[:, 0]
    means = regions.finish(regions.sums(loss))
    weights = torch.where(regions.present, regions.sizes[:, :-1].to(loss) ** (1 - balance), torch.zeros_like(means))
    total = mean_over_processes(weights.sum())
    return (means * weights).sum() / total.clamp(min=torch.finfo(loss.dtype).tiny)
