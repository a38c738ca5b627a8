"""Which regions of an image are shown together, to tell what each of them is worth."""

import torch
from torch import Tensor

from .common import move_without_waiting


def coalition_signs(present: Tensor, pairs: int, generator: torch.Generator) -> Tensor:
    """Signs that say which regions show the image (+1) and which the baseline (-1).

    By itself every row of signs is uniformly random, so means over rows are unbiased. Together the rows are a factorial
    design: with the complement of every row (a foldover) no interaction of two regions is taken for the effect of one,
    and the signs of two classes of a sample are orthogonal over a power of two of rows that is at least the number of
    classes that the sample has, so that the effect of one class is not taken for that of another (Box and Hunter, "The
    2^(k-p) fractional factorial designs", Technometrics 1961).

    A class has the same random part in every sample: signs do not depend on what else is in the batch, and two sources
    with the same labels are looked at in the same way, which keeps their comparison quieter.

    Args:
        present (Tensor): Which classes a sample has, booleans (B, C + 1); the last one, of pixels of no class, always
            shows the image.
        pairs (int): Rows of signs.
        generator (torch.Generator): Source of randomness.

    Returns:
        Tensor: Signs (``pairs``, B, C + 1), int64: +1 or -1; 0 for the last class.

    Examples:
        Four classes, four rows, pairwise orthogonal:

        >>> present = torch.tensor([[True, True, True, True, False]])
        >>> signs = coalition_signs(present, 4, torch.Generator().manual_seed(0))[:, 0, :4]
        >>> (signs.T @ signs).tolist()
        [[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 4]]
    """
    classes = present.shape[1] - 1
    block = 1 << (classes - 1).bit_length()
    # A class's column in the design is its rank among the classes of the sample.
    column = present.cumsum(1).sub(1).clamp(min=0)
    rows = torch.arange(pairs, device=present.device).view(-1, 1, 1) % block
    signs = 1 - 2 * _parity(rows & column)
    # Fresh random parts wherever the design starts again.
    flips = torch.randint(2, (-(-pairs // block), 1, classes + 1), generator=generator, device=generator.device)
    flips = move_without_waiting(2 * flips - 1, signs.device).repeat_interleave(block, dim=0)[:pairs]
    signs = signs * flips
    signs[..., -1] = 0
    return signs


def _parity(numbers: Tensor) -> Tensor:
    """Whether the number of set bits is odd, 0 or 1."""
    for shift in (32, 16, 8, 4, 2, 1):
        numbers = numbers ^ (numbers >> shift)
    return numbers & 1
