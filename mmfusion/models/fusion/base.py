"""What every fusion of an infrared and a visible image takes and gives."""

from abc import ABCMeta, abstractmethod
from dataclasses import dataclass, field

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmfusion.attribution import Evidence, Scorer

from .gate import GateOutput


@dataclass
class FusionResult:
    """The outcome of one fusion. B samples, C classes, H x W pixels.

    Examples:
        >>> from mmfusion.models import MaximumFusion
        >>> result = MaximumFusion()(torch.tensor([[[[0.2, 0.9]]]]), torch.tensor([[[[0.5, 0.5]]]]))
        >>> [round(value, 1) for value in result.fused.flatten().tolist()], result.weight_ir.flatten().tolist()
        ([0.5, 0.9], [0.0, 1.0])
        >>> result.region_ir is None, result.attention  # A fixed rule attributes nothing and has no stages.
        (True, [])
    """

    fused: Tensor
    """Fused luminance (B, 1, H, W) in [0, 1]."""
    weight_ir: Tensor
    """Weight of the infrared image (B, 1, H, W) in [0, 1]."""
    weight_vi: Tensor
    """Weight of the visible image (B, 1, H, W); the two weights add to 1."""
    evidence: Evidence | None = None
    """What attribution found; None where nothing was attributed."""
    attention: list[Tensor] = field(default_factory=list)
    """Attention per stage (B, 1, H, W), before the sigmoid; empty for fusions without stages."""
    labels: Tensor | None = None
    """Class ids (B, H, W) that the attribution used: given or predicted."""
    gate: GateOutput | None = None
    """What the gate told, for the loss that teaches it; None without a gate."""
    features: Tensor | None = None
    """What the unfolding knows of the pair: (B, C', H', W') at its features' resolution; None without an unfolding."""

    @property
    def region_ir(self) -> Tensor | None:
        """Tensor | None: Attribution of the infrared image per class (B, C), at least 0; None if there is none."""
        return None if self.evidence is None else self.evidence.ir

    @property
    def region_vi(self) -> Tensor | None:
        """Tensor | None: Attribution of the visible image per class (B, C)."""
        return None if self.evidence is None else self.evidence.vi


class BaseFusion(BaseModule, metaclass=ABCMeta):
    """A fusion: infrared and visible luminance in, fused luminance out.

    Examples:
        >>> class MinimumFusion(BaseFusion):  # All that a fusion of one's own has to bring.
        ...     def forward(self, ir, vi, scorer=None, labels=None, *, strength=1.0, ignore=None):
        ...         self.check_pair(ir, vi)
        ...         weight_ir = (ir < vi).to(ir)
        ...         return FusionResult(torch.minimum(ir, vi), weight_ir, 1 - weight_ir)
        >>> MinimumFusion()(torch.tensor([[[[0.25, 0.75]]]]), torch.tensor([[[[0.5, 0.5]]]])).fused.tolist()
        [[[[0.25, 0.5]]]]
    """

    @property
    def ignore_index(self) -> int:
        """int: Label of pixels of no class."""
        return 255

    @abstractmethod
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
        """Fuse a batch of pairs.

        Args:
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance (B, 1, H, W) in [0, 1].
            scorer (Callable, optional): The segmentor as a function of one luminance image, (B, 1, H, W) to scores
                (B, C, H, W).
            labels (Tensor, optional): Class ids (B, H, W). Predicted when absent.
            strength (float): How far the attribution moves the weights away from one half, in [0, 1].
            ignore (Tensor, optional): Pixels (B, H, W) that are padding, as booleans; used where labels are predicted.

        Returns:
            FusionResult: The fused image and what led to it.
        """

    @staticmethod
    def check_pair(ir: Tensor, vi: Tensor) -> None:
        """Refuse images that are no pair.

        Args:
            ir (Tensor): Infrared images.
            vi (Tensor): Visible luminance.

        Raises:
            ValueError: Not two (B, 1, H, W) float tensors of one shape.

        Examples:
            >>> BaseFusion.check_pair(torch.rand(1, 1, 2, 2), torch.rand(1, 1, 2, 2))
            >>> BaseFusion.check_pair(torch.rand(1, 1, 2, 2), torch.rand(1, 3, 2, 2))  # doctest: +ELLIPSIS
            Traceback (most recent call last):
            ValueError: infrared and visible luminance must be float tensors of one shape ...
        """
        if (
            ir.ndim != 4
            or ir.shape[1] != 1
            or ir.shape != vi.shape
            or not (ir.is_floating_point() and vi.is_floating_point())
        ):
            raise ValueError(
                'infrared and visible luminance must be float tensors of one shape (B, 1, H, W), got '
                f'{ir.dtype} {tuple(ir.shape)} and {vi.dtype} {tuple(vi.shape)}'
            )


def constant_weights(like: Tensor, infrared: float) -> tuple[Tensor, Tensor]:
    """Weights that are the same everywhere.

    Args:
        like (Tensor): Gives shape, device and type.
        infrared (float): Weight of the infrared image in [0, 1].

    Returns:
        tuple[Tensor, Tensor]: Weights of the infrared and the visible image, like ``like``.

    Examples:
        >>> weight_ir, weight_vi = constant_weights(torch.rand(1, 1, 1, 2), 0.25)
        >>> weight_ir.tolist(), weight_vi.tolist()
        ([[[[0.25, 0.25]]]], [[[[0.75, 0.75]]]])
    """
    return torch.full_like(like, infrared), torch.full_like(like, 1 - infrared)
