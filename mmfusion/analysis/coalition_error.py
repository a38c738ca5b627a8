"""How far Banzhaf shares of few pairs of images are from those of many, by the number of classes that a scene has."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmfusion.attribution import Attribution, Scorer

from .evidence import presence
from .scenes import SceneBatch
from .share_settings import Setting, attribute

# Seed of the reference's signs; few pairs have 0, as in evaluation.
_REFERENCE_SEED = 1


@dataclass
class ShareError:
    """Absolute errors of the share of the infrared image."""

    present: int
    """Classes that the scenes have."""
    pairs: int
    """Pairs of images per source."""
    mean: float
    """Over the classes and scenes."""
    p90: float
    """90th percentile over the classes and scenes."""
    worst_class: float
    """Mean over the scenes, of the class where it is largest."""
    shares: int
    """How many shares were compared."""


def coalition_errors(
    scorer: Scorer,
    batches: Iterable[SceneBatch],
    options: Attribution,
    num_classes: int,
    pairs: Sequence[int] = (1, 2, 4, 8),
    reference_pairs: int = 64,
    tick: Callable[[], None] = lambda: None,
) -> list[ShareError]:
    """Compare few pairs, with the signs of evaluation, with many pairs of other signs.

    Args:
        scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
        batches (Iterable[SceneBatch]): Scenes and the labels whose regions are attributed.
        options (Attribution): How; the estimator is 'banzhaf' in any case.
        num_classes (int): Number of classes C.
        pairs (Sequence[int]): Numbers of pairs to look at.
        reference_pairs (int): Pairs that count as exact.
        tick (Callable): Called after every batch.

    Returns:
        list[ShareError]: By the number of classes present, then by pairs.

    Raises:
        ValueError: A number of pairs is less than 1.

    Examples:
        Where regions do not act on each other, one pair is exact:

        >>> inputs = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> batch = SceneBatch(inputs, torch.arange(64).view(1, 8, 8) // 32, ['all'])
        >>> found = coalition_errors(lambda x: torch.cat([x, 1 - x], dim=1), [batch], Attribution(), 2, pairs=[1])
        >>> [(error.present, error.pairs, round(error.mean, 4), error.shares) for error in found]
        [(2, 1, 0.0, 2)]
    """
    errors: dict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
    for batch in batches:
        held = presence(batch.labels, num_classes)
        reference = _shares(scorer, batch, options, num_classes, reference_pairs, _REFERENCE_SEED)
        for number in pairs:
            shares = _shares(scorer, batch, options, num_classes, number, seed=0)
            for sample, classes in enumerate(held):
                present = classes.nonzero().flatten().tolist()
                differences = (shares - reference)[sample].abs()
                errors[len(present), number] += [(c, differences[c].item()) for c in present]
        tick()
    return [_summarise(present, number, found) for (present, number), found in sorted(errors.items())]


def _shares(scorer: Scorer, batch: SceneBatch, options: Attribution, num_classes: int, pairs: int, seed: int) -> Tensor:
    varied = replace(options, estimator='banzhaf', test_pairs=pairs)
    with torch.no_grad():
        return attribute(scorer, batch, Setting('', varied, seed=seed), num_classes).share()


def _summarise(present: int, pairs: int, found: Sequence[tuple[int, float]]) -> ShareError:
    values = torch.tensor([error for _, error in found])
    by_class: dict[int, list[float]] = defaultdict(list)
    for c, error in found:
        by_class[c].append(error)
    return ShareError(
        present=present,
        pairs=pairs,
        mean=values.mean().item(),
        p90=values.quantile(0.9).item(),
        worst_class=max(statistics.fmean(errors) for errors in by_class.values()),
        shares=len(found),
    )
