"""A batch of pairs in its parts."""

from dataclasses import dataclass

from torch import Tensor

from ..color import merge_luminance, split_luminance

COLORS = ('rgb', 'gray')
"""Whether a fused image has the chroma of the visible one."""


@dataclass
class Pair:
    """A batch of pairs, split once for all who need a part of it.

    Examples:
        >>> import torch
        >>> pair = Pair.split(torch.tensor([1.0, 1.0, 1.0, 0.25]).view(1, 4, 1, 1))
        >>> pair.ir.item(), round(pair.luminance.item(), 6)
        (0.25, 1.0)
    """

    visible: Tensor
    """Visible images (B, 3, H, W) in [0, 1]: red, green, blue."""
    ir: Tensor
    """Infrared images (B, 1, H, W) in [0, 1]."""
    luminance: Tensor
    """Visible luminance (B, 1, H, W) in [0, 1]."""
    chroma: Tensor
    """Visible Cb and Cr (B, 2, H, W) in [-0.5, 0.5]."""

    @classmethod
    def split(cls, inputs: Tensor) -> 'Pair':
        """Take a batch apart.

        Args:
            inputs (Tensor): Pairs (B, 4, H, W) in [0, 1]: red, green, blue, infrared.

        Returns:
            Pair: Its parts.

        Raises:
            ValueError: Not four channels.
        """
        if inputs.ndim != 4 or inputs.shape[1] != 4:
            raise ValueError(
                'a batch of pairs has 4 channels (B, 4, H, W): red, green, blue, infrared; got shape '
                f'{tuple(inputs.shape)}'
            )
        return cls(inputs[:, :3], inputs[:, 3:], *split_luminance(inputs[:, :3]))

    def colored(self, luminance: Tensor, color: str) -> Tensor:
        """A fused image as it is shown and segmented.

        Args:
            luminance (Tensor): Fused luminance (B, 1, H, W) in [0, 1].
            color (str): One of :data:`COLORS`.

        Returns:
            Tensor: (B, 3, H, W) with the chroma of the visible image, or the luminance itself.
        """
        return merge_luminance(luminance, self.chroma) if color == 'rgb' else luminance
