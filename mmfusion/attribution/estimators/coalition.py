"""Which regions of an image are shown together, to tell what each of them is worth."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .common import move_without_waiting

# The hash works on numbers of 32 bits in int64: with a factor below 2^31 no product overflows.
_MASK = 0xFFFFFFFF
_FACTOR = 0x45D9F3B
_STRIDE = 0x9E3779B


def default_pairs(num_classes: int) -> int:
    """Pairs of images with which a single prediction comes close to many pairs.

    With two pairs, the share of the infrared image was within 0.025 of that of 64 pairs, on average over classes and
    images, for samples of up to seven classes, and 0.027 to 0.032 off for nine; with four pairs, 0.011 or less at nine
    and at fifteen (docs/attribution.md).

    Args:
        num_classes (int): Number of classes C of the task, at least 1. How many of them a sample has is not asked: the
            host would have to wait for the device, and the answer would differ within a batch.

    Returns:
        int: A power of two.

    Raises:
        ValueError: Fewer than one class.

    Examples:
        >>> [default_pairs(classes) for classes in (1, 2, 4, 7, 8, 15)]
        [1, 2, 2, 2, 4, 4]
    """
    if num_classes < 1:
        raise ValueError(f'num_classes must be at least 1, got {num_classes}')
    if num_classes == 1:
        return 1
    return 2 if num_classes <= 7 else 4


def coalition_signs(sizes: Tensor, pairs: int, generator: torch.Generator) -> Tensor:
    """Signs that say which regions show the image (+1) and which the baseline (-1).

    By itself every row of signs is uniformly random, so means over rows are unbiased. Together the rows are a factorial
    design (Box and Hunter, "The 2^(k-p) fractional factorial designs", Technometrics 1961) of ``2 * pairs`` images:

    - A class shows the image in half of the rows. So neither its score without its region, nor how another class
      changes its worth, is taken for its own worth.
    - P pairs, P a power of two, have ``2 P - 1`` orthogonal columns of signs: the effect of a class is not taken for
      that of one in another column. In the first P columns the second half of the rows is the complement of the first:
      if a sample has no more classes than that, neither is the interaction of two classes taken for a third one.
    - Classes take columns in the order of their sizes, to and fro. If there are more classes than columns, the largest
      regions, which reach into all others, so have a column for themselves or share it with the smallest.
    - Of two classes that share a column, one's effect on the score of the other is added to the other's worth, or
      subtracted. Which of the two is a coin whose toss follows from the sizes of all regions of the sample. So it
      evens out over samples, though the state of the generator be the same for all.

    The signs of a sample depend on its own regions and on the generator, not on what else is in the batch; two sources
    with the same labels are looked at in the same way, which keeps their comparison quieter. A single pair has only one
    column, and its coins are the generator's alone: it is for training, where every iteration draws anew.

    Args:
        sizes (Tensor): Pixels of each class of a sample, (B, C + 1) of any real type; 0 for a class that it does not
            have. The last one, of pixels of no class, always shows the image.
        pairs (int): Half the number of images, best a power of two. Other numbers, and those beyond the number of
            classes, are made up of several such designs; three are no better than two.
        generator (torch.Generator): Source of randomness.

    Returns:
        Tensor: Signs (``2 * pairs``, B, C + 1), int64: +1 or -1; 0 for the last class. A class's worth is the mean over
        the rows of twice its score times its sign.

    Raises:
        ValueError: ``pairs`` is less than 1.

    Examples:
        Three classes, two pairs, pairwise orthogonal and balanced:

        >>> sizes = torch.tensor([[500, 20, 80, 0]])
        >>> signs = coalition_signs(sizes, 2, torch.Generator().manual_seed(0))[:, 0, :3]
        >>> (signs.T @ signs).tolist(), signs.sum(0).tolist()
        ([[4, 0, 0], [0, 4, 0], [0, 0, 4]], [0, 0, 0])
    """
    if pairs < 1:
        raise ValueError(f'pairs must be at least 1, got {pairs}')
    sizes = sizes.long()
    classes = sizes.shape[1] - 1
    blocks = _blocks(pairs, classes)
    flips = torch.randint(2, (len(blocks), 1, classes + 1), generator=generator, device=generator.device)
    flips = move_without_waiting(flips, sizes.device)
    if pairs > 1:
        flips = flips ^ _coins(sizes, len(blocks))
    # A class's rank by size; the sort is stable, so that classes of one size keep their order.
    rank = sizes[:, :-1].argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    # A row of the design is turned over for a class whose coin says so.
    shown = torch.cat([_design(rank, block) ^ coin[..., :-1] for block, coin in zip(blocks, flips)])
    return F.pad(2 * shown - 1, (0, 1))


def _blocks(pairs: int, classes: int) -> list[int]:
    """Numbers of pairs of the designs, powers of two, that add up to ``pairs``."""
    largest = 1 << (classes - 1).bit_length()  # Everything is orthogonal; more of it would repeat itself.
    blocks = [largest] * (pairs // largest)
    rest = pairs % largest
    while rest:
        blocks.append(1 << (rest.bit_length() - 1))
        rest -= blocks[-1]
    return blocks


def _design(rank: Tensor, pairs: int) -> Tensor:
    """Bits (``2 * pairs``, B, C), 1 for the baseline, of classes of these ranks (B, C) by size."""
    columns = 2 * pairs - 1
    position = rank % columns
    column = torch.where(rank // columns % 2 == 0, position, columns - 1 - position)
    row = torch.arange(2 * pairs, device=rank.device).view(-1, 1, 1)
    # The first columns are the parities of a row's number with each subset of its bits, and turned over in the second
    # half; then come those of the non-empty subsets, and they are not.
    turned = (column < pairs) & (row >= pairs)
    subset = torch.where(column < pairs, column, column - pairs + 1)
    return _parity(row % pairs & subset) ^ turned.long()


def _coins(sizes: Tensor, blocks: int) -> Tensor:
    """Bits (``blocks``, B, C + 1) that look random and follow from the sizes (B, C + 1) alone."""
    numbers = torch.arange(sizes.shape[1], device=sizes.device)
    sample = _hash(sizes + numbers * _STRIDE).sum(1, keepdim=True)
    block = torch.arange(blocks, device=sizes.device).view(-1, 1, 1)
    return _hash(_hash(sample + numbers * _STRIDE) + block * _STRIDE) >> 16 & 1


def _hash(numbers: Tensor) -> Tensor:
    """Numbers of 32 bits that look random."""
    numbers = numbers & _MASK
    for _ in range(2):
        numbers = ((numbers >> 16) ^ numbers) * _FACTOR & _MASK
    return (numbers >> 16) ^ numbers


def _parity(numbers: Tensor) -> Tensor:
    """Whether the number of set bits is odd, 0 or 1."""
    for shift in (32, 16, 8, 4, 2, 1):
        numbers = numbers ^ (numbers >> shift)
    return numbers & 1
