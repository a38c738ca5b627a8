"""What all estimators share: what they are given, and how they ask the scorer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..isolation import Scorer
from ..quadrature import quadrature


@dataclass(frozen=True)
class Effort:
    """How much an estimator looks at. Each estimator reads what it needs."""

    steps: int = 5
    """Nodes of the path integral."""
    rule: str = 'midpoint'
    """Quadrature rule of the path integral."""
    pairs: int = 2
    """Pairs of images of 'banzhaf'."""
    max_batch: int | None = None
    """Largest number of images per call of the scorer; None for all at once."""
    generator: torch.Generator | None = None
    """Source of random signs; None for fresh, irreproducible ones."""

    def chunk_size(self, number: int) -> int:
        """Images per call of the scorer, of ``number`` images in all."""
        return self.max_batch or number

    def sign_generator(self) -> torch.Generator:
        """The source of random signs, or a fresh one.

        Examples:
            >>> given = torch.Generator()
            >>> Effort(generator=given).sign_generator() is given
            True
        """
        if self.generator is not None:
            return self.generator
        fresh = torch.Generator()
        fresh.seed()
        return fresh


def random_signs(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Signs +1 and -1, each with probability one half.

    Args:
        shape (Sequence[int]): Of the result.
        generator (torch.Generator): Draws on its own device.
        device (torch.device): Where the signs go, without waiting for it.

    Returns:
        Tensor: int64.

    Examples:
        >>> random_signs((2, 3), torch.Generator().manual_seed(0), torch.device('cpu')).abs().tolist()
        [[1, 1, 1], [1, 1, 1]]
    """
    flips = torch.randint(2, tuple(shape), generator=generator, device=generator.device)
    return move_without_waiting(2 * flips - 1, device)


def move_without_waiting(values: Tensor, device: torch.device) -> Tensor:
    """Copy a small tensor to a device; neither side waits for the other."""
    if values.device == device:
        return values
    if values.device.type == 'cpu' and device.type == 'cuda':
        values = values.pin_memory()  # A copy from ordinary memory would wait.
    return values.to(device, non_blocking=True)


def score_images(scorer: Scorer, images: Tensor, num_classes: int) -> Tensor:
    """Scores (N, C, H, W) of images (N, C', H, W), in the type of the images.

    Raises:
        ValueError: The scorer returns another shape.
    """
    scores = scorer(images)
    expected = (len(images), num_classes, *images.shape[-2:])
    if scores.shape != expected:
        raise ValueError(f'the scorer returned scores of shape {tuple(scores.shape)} where {expected} was expected')
    return scores.to(images.dtype)


@dataclass
class PathPoints:
    """Some points of the paths from baseline to image. N points."""

    rows: Tensor
    """(N,) which sample a point belongs to."""
    images: Tensor
    """(N, C', H, W), a leaf that gradients are taken of."""
    difference: Tensor
    """(N, C', H, W) image minus baseline."""
    factors: Tensor
    """(N, 1) quadrature weights."""


def walk_path(start: Tensor, end: Tensor, effort: Effort) -> Iterator[PathPoints]:
    """Points of straight paths, in portions of ``effort.max_batch``.

    All samples at the first node come first, so that ``max_batch`` equal to the batch walks node by node.

    Args:
        start (Tensor): Baselines (B, C', H, W).
        end (Tensor): Images, likewise.
        effort (Effort): ``steps``, ``rule`` and ``max_batch`` are used.

    Yields:
        PathPoints: The next portion.
    """
    batch = len(end)
    nodes, weights = (
        move_without_waiting(torch.tensor(values, dtype=end.dtype), end.device)
        for values in quadrature(effort.rule, effort.steps)
    )
    rows = torch.arange(batch, device=end.device).repeat(len(nodes))
    alphas = nodes.repeat_interleave(batch).view(-1, 1, 1, 1)
    factors = weights.repeat_interleave(batch).view(-1, 1)
    size = effort.chunk_size(len(rows))
    for chunk, alpha, factor in zip(rows.split(size), alphas.split(size), factors.split(size)):
        difference = end[chunk] - start[chunk]
        yield PathPoints(chunk, (start[chunk] + alpha * difference).requires_grad_(), difference, factor)
