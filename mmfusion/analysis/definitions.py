"""Several ways to tell the share of the infrared image, side by side."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from mmfusion.attribution import Scorer
from mmfusion.models import FusionSegmentor
from mmfusion.models.scorer import SegmentorScorer

from .evidence import Batch, Setting, attribute, presence, tabulate, verdicts

# Probabilities below are as good as 0, where the logarithm would be of any size.
SMALLEST_PROBABILITY = 1e-6


def settings_to_compare(own: Setting, logits: bool = True) -> list[Setting]:
    """The model's own way, the released one, and what lies between and beside them.

    Args:
        own (Setting): Comes first. Its score is used throughout, if it is a probability.
        logits (bool): Whether the segmentor has logits that differ from probabilities.

    Returns:
        list[Setting]: Regions are those of one scene, also in the released definition.
    """
    score = own.score if own.score == 'sigmoid' else 'softmax'
    plain = Setting('', score, smoothing=0.0)
    smoothed = replace(plain, smoothing=0.075)
    released = replace(plain, name='released definition', baseline='black', rule='right')
    rows = [
        own,
        released,
        replace(plain, baseline='mean'),
        plain,
        smoothed,
        replace(smoothed, rule='right'),
        replace(smoothed, rule='gauss_legendre'),
        replace(smoothed, rule='gauss_legendre', steps=3),
        replace(smoothed, estimator='multiplexed'),
        replace(plain, estimator='endpoint'),
        replace(smoothed, estimator='endpoint'),
        *(replace(smoothed, estimator='banzhaf', pairs=pairs) for pairs in (1, 2, 4)),
        replace(plain, estimator='banzhaf', pairs=4),
    ]
    if logits:
        rows.append(replace(smoothed, score='logit'))
    return [*rows, replace(smoothed, score='log')]


class ScoreView:
    """A scorer whose passes are counted, and of whose probabilities the logarithm may be taken.

    Args:
        scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
        log (bool): Take the logarithm.

    Attributes:
        forward_images (int): Images scored.
        backward_images (int): Images that a gradient came back from, counted again for every backward pass.
    """

    def __init__(self, scorer: Scorer, log: bool = False) -> None:
        self.scorer = scorer
        self.log = log
        self.module = scorer if isinstance(scorer, nn.Module) else getattr(scorer, 'module', None)
        self.forward_images = self.backward_images = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Score one batch."""
        scores = self.scorer(images)
        self.forward_images += len(images)
        if self.log:
            scores = scores.clamp(min=SMALLEST_PROBABILITY).log()
        if scores.requires_grad:
            scores.register_hook(lambda gradient: self._came_back(len(images)))
        return scores

    def _came_back(self, images: int) -> None:
        self.backward_images += images


def scorer_of(model: FusionSegmentor, score: str) -> ScoreView:
    """The segmentor of a model with another score than its own."""
    own = model.scorer().score
    probability = 'sigmoid' if own == 'sigmoid' else 'softmax'
    kind = probability if score == 'log' else score
    return ScoreView(SegmentorScorer(model.segmentor, model.normalize, kind), log=score == 'log')


@dataclass
class _Measured:
    """An attribution of all scenes."""

    evidence: list[tuple[Tensor, Tensor]]
    """Of infrared and visible image (B, C), batch by batch."""
    seconds: float
    scorer: ScoreView


def _key(setting: Setting) -> tuple:
    """What settings of the same attribution have in common; smoothing comes after it."""
    return (setting.score, *setting.attribution().items())


def _reference(setting: Setting, nodes: int) -> Setting:
    return replace(setting, name='reference', estimator='exact', rule='midpoint', steps=nodes)


def distinct_attributions(settings: Sequence[Setting], reference_nodes: int) -> int:
    """How many attributions :func:`compare` takes of each batch."""
    return len({_key(one) for setting in settings for one in (setting, _reference(setting, reference_nodes))})


def compare(
    scorers: Callable[[str], ScoreView],
    batches: Sequence[Batch],
    settings: Sequence[Setting],
    classes: Sequence[str],
    evidence: Sequence[str],
    reference_nodes: int = 64,
    tick: Callable[[], None] = lambda: None,
) -> list[dict]:
    """Several ways to tell the share, by given labels, on the same scenes.

    Args:
        scorers (Callable): Score ('softmax', ..., 'log') to a scorer.
        batches (Sequence[Batch]): The scenes.
        settings (Sequence[Setting]): Times are told relative to the first.
        classes (Sequence[str]): Names.
        evidence (Sequence[str]): Per class.
        reference_nodes (int): Nodes of the midpoint rule of the reference: the exact estimator with the score, the
            baseline and the smoothing of the setting.
        tick (Callable): Called after every batch of every distinct attribution.

    Returns:
        list[dict]: Per setting: its fields; ``shares`` (:data:`Table`), ``met`` and ``targets`` (numbers of cells),
        ``seconds``, ``times`` (relative to the first setting), ``forward_images`` and ``backward_images`` (per scene),
        ``difference`` (mean absolute difference of the share to the reference).
    """
    daytimes = [one for batch in batches for one in batch.daytimes]
    present = torch.cat([presence(batch.labels, len(classes)) for batch in batches])
    known: dict[tuple, _Measured] = {}

    def measure(setting: Setting) -> _Measured:
        key = _key(setting)
        if key not in known:
            scorer, parts, started = scorers(setting.score), [], time.perf_counter()
            for i, batch in enumerate(batches):
                parts.append(attribute(scorer, batch, setting, len(classes), i))
                tick()
            parts[-1][0].sum().item()  # A GPU is done with it now.
            known[key] = _Measured(parts, time.perf_counter() - started, scorer)
        return known[key]

    attribute(scorers(settings[0].score), batches[0], settings[0], len(classes))  # Not timed: the first pass is slow.
    rows = []
    for setting in settings:
        measured, reference = measure(setting), _reference(setting, reference_nodes)
        shares = setting.share(measured.evidence, batches)
        difference = (shares - reference.share(measure(reference).evidence, batches)).abs()[present].mean()
        table = tabulate(shares, present, daytimes)
        cells = [cell for row in verdicts(table, classes, evidence).values() for cell in row if cell is not None]
        rows.append(
            dict(
                asdict(setting),
                how=setting.how(),
                shares=table,
                met=sum(cells),
                targets=len(cells),
                seconds=measured.seconds,
                times=measured.seconds / measure(settings[0]).seconds,
                forward_images=measured.scorer.forward_images / len(present),
                backward_images=measured.scorer.backward_images / len(present),
                difference=difference.item(),
            )
        )
    return rows
