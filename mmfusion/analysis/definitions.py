"""Several ways to tell the share of the infrared image, side by side."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mmfusion.attribution import Attribution, Evidence, Scorer
from mmfusion.models import FusionSegmentor
from mmfusion.models.scorer import SegmentorScorer

from .evidence import Table, presence, tabulate, verdicts
from .scenes import SceneBatch
from .share_settings import Setting, attribute

# Probabilities below are as good as 0, where the logarithm would be of any size.
SMALLEST_PROBABILITY = 1e-6


def settings_to_compare(model_setting: Setting, logits: bool = True) -> list[Setting]:
    """The model's own way, the released one, and what lies between and beside them.

    Args:
        model_setting (Setting): Comes first. Its score is used throughout, if it is a probability.
        logits (bool): Whether the segmentor has logits that differ from probabilities.

    Returns:
        list[Setting]: Regions are those of one scene, also in the released definition.

    Examples:
        >>> [setting.name for setting in settings_to_compare(Setting.of('mine'))[:2]]
        ['mine', 'released definition']
    """
    score = model_setting.score if model_setting.score == 'sigmoid' else 'softmax'
    plain = Setting.of('', score, estimator='exact', smoothing=0.0)
    smoothed = plain.vary(smoothing=Attribution.smoothing)
    released = plain.vary('released definition', baseline='black', rule='right')
    settings = [
        model_setting,
        released,
        plain.vary(baseline='mean'),
        plain,
        smoothed,
        smoothed.vary(rule='right'),
        smoothed.vary(rule='gauss_legendre'),
        smoothed.vary(rule='gauss_legendre', steps=3),
        smoothed.vary(estimator='multiplexed'),
        plain.vary(estimator='endpoint'),
        smoothed.vary(estimator='endpoint'),
        *(smoothed.vary(estimator='banzhaf', test_pairs=pairs) for pairs in (1, 2, 4)),
        plain.vary(estimator='banzhaf', test_pairs=4),
    ]
    if logits:
        settings.append(replace(smoothed, score='logit'))
    return [*settings, replace(smoothed, score='log')]


class ScoreView:
    """A scorer whose passes are counted, and of whose probabilities the logarithm may be taken.

    Args:
        scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
        log (bool): Take the logarithm.

    Attributes:
        forward_images (int): Images scored.
        backward_images (int): Images that a gradient came back from, counted again for every backward pass.

    Examples:
        >>> view = ScoreView(lambda image: image, log=True)
        >>> view(torch.ones(3, 1, 1, 1)).sum().item(), view.forward_images
        (0.0, 3)
    """

    def __init__(self, scorer: Scorer, log: bool = False) -> None:
        self.scorer = scorer
        self.log = log
        self.module = scorer if isinstance(scorer, nn.Module) else getattr(scorer, 'module', None)
        self.forward_images = 0
        self.backward_images = 0

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
    """The segmentor of a model with another score than its own.

    Args:
        model (FusionSegmentor): In evaluation mode.
        score (str): 'softmax', 'sigmoid', 'logit', or 'log' for the logarithm of the model's own probability.

    Returns:
        ScoreView: With counters at 0.
    """
    log = score == 'log'
    if log:
        score = 'sigmoid' if model.scorer().score == 'sigmoid' else 'softmax'
    return ScoreView(SegmentorScorer(model.segmentor, model.normalize, score), log=log)


@dataclass
class _Measured:
    """An attribution of all scenes."""

    found: list[Evidence]
    """Batch by batch."""
    seconds: float
    scorer: ScoreView


def _reference(setting: Setting, nodes: int) -> Setting:
    return setting.vary('reference', estimator='exact', rule='midpoint', steps=nodes)


def distinct_attributions(settings: Sequence[Setting], reference_nodes: int) -> int:
    """How many attributions :func:`compare_definitions` takes of each batch.

    Examples:
        Smoothing comes after the attribution, and the reference is one for both:

        >>> distinct_attributions([Setting.of('a', smoothing=0.0), Setting.of('b')], 64)
        2
    """
    keys: set[tuple] = set()
    for setting in settings:
        keys.update((setting.decisive(), _reference(setting, reference_nodes).decisive()))
    return len(keys)


class _Attributions:
    """Attributions of the same scenes by several settings; each distinct one is taken once.

    Args:
        scorers (Callable): Score to a scorer.
        batches (Sequence[SceneBatch]): The scenes.
        num_classes (int): Number of classes.
        tick (Callable): Called after every batch.
    """

    def __init__(
        self,
        scorers: Callable[[str], ScoreView],
        batches: Sequence[SceneBatch],
        num_classes: int,
        tick: Callable[[], None],
    ) -> None:
        self.scorers = scorers
        self.batches = batches
        self.num_classes = num_classes
        self.tick = tick
        self._known: dict[tuple, _Measured] = {}

    def measure(self, setting: Setting) -> _Measured:
        key = setting.decisive()
        if key not in self._known:
            self._known[key] = self._take(setting)
        return self._known[key]

    def _take(self, setting: Setting) -> _Measured:
        scorer, found = self.scorers(setting.score), []
        started = time.perf_counter()
        for number, batch in enumerate(self.batches):
            found.append(attribute(scorer, batch, setting, self.num_classes, number))
            self.tick()
        found[-1].ir.sum().item()  # A GPU is done with it now.
        return _Measured(found, time.perf_counter() - started, scorer)


def compare_definitions(
    scorers: Callable[[str], ScoreView],
    batches: Sequence[SceneBatch],
    settings: Sequence[Setting],
    classes: Sequence[str],
    evidence: Sequence[str],
    reference_nodes: int = 64,
    tick: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Several ways to tell the share, by given labels, on the same scenes.

    Args:
        scorers (Callable): Score ('softmax', ..., 'log') to a scorer.
        batches (Sequence[SceneBatch]): The scenes.
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

    Examples:
        A black infrared image holds no evidence:

        >>> inputs = torch.cat([torch.ones(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)], dim=1)
        >>> batch = SceneBatch(inputs, torch.zeros(1, 8, 8, dtype=torch.long), ['day'])
        >>> settings = [Setting.of('', estimator='exact', baseline='black', smoothing=0.0)]
        >>> row = compare_definitions(lambda score: ScoreView(lambda x: x), [batch], settings, ['ink'], ['visible'])[0]
        >>> round(row['shares']['day'][0].mean, 3), row['met'], row['targets']
        (0.0, 1, 1)
    """
    # Not timed: the first pass is slow.
    attribute(scorers(settings[0].score), batches[0], settings[0], len(classes))
    taken = _Attributions(scorers, batches, len(classes), tick)
    daytimes = [daytime for batch in batches for daytime in batch.daytimes]
    present = torch.cat([presence(batch.labels, len(classes)) for batch in batches])
    rows = []
    for setting in settings:
        measured, reference = taken.measure(setting), _reference(setting, reference_nodes)
        shares = setting.share(measured.found)
        reference_shares = reference.share(taken.measure(reference).found)
        table = tabulate(shares, present, daytimes)
        row = dict(
            setting.fields(),
            how=setting.how(),
            shares=table,
            **_count_met(table, classes, evidence),
            seconds=measured.seconds,
            times=measured.seconds / taken.measure(settings[0]).seconds,
            forward_images=measured.scorer.forward_images / len(present),
            backward_images=measured.scorer.backward_images / len(present),
            difference=(shares - reference_shares).abs()[present].mean().item(),
        )
        rows.append(row)
    return rows


def _count_met(table: Table, classes: Sequence[str], evidence: Sequence[str]) -> dict[str, int]:
    cells = [met for row in verdicts(table, classes, evidence).values() for met in row if met is not None]
    return dict(met=sum(cells), targets=len(cells))
