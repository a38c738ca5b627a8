"""Ways to tell the share of the infrared image in the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mmfusion.attribution import Attribution, Evidence, LabelRegions, Scorer
from mmfusion.models import FusionSegmentor

from .fusion_options import attribution_of
from .labels import IGNORE
from .scenes import SceneBatch

# Images per pass of the segmentor while it is attributed; all settings have the same, so that their times compare.
MAX_IMAGES = 32
# What decides the attributions themselves, by estimator; smoothing comes after them.
_DECISIVE = {
    'exact': ('baseline', 'estimator', 'region', 'rule', 'steps'),
    'multiplexed': ('baseline', 'estimator', 'region', 'rule', 'steps'),
    'endpoint': ('baseline', 'estimator', 'region'),
    'banzhaf': ('baseline', 'estimator', 'region', 'test_pairs'),
}
_RANDOM = ('multiplexed', 'banzhaf')


@dataclass(frozen=True)
class Setting:
    """A way to tell the share: a score, and how it is attributed."""

    name: str
    attribution: Attribution = field(default_factory=Attribution)
    """Its ``test_pairs`` are what is taken, since nothing is trained here."""
    score: str = 'softmax'
    """'softmax', 'sigmoid', 'logit', or 'log' for the logarithm of the probability."""
    seed: int | None = None
    """Of random signs: the same signs for every batch, as the model has them when it predicts; None for other signs in
    every batch, so that a mean over the scenes does not hang on one draw."""

    @classmethod
    def of(cls, name: str, score: str = 'softmax', seed: int | None = None, **options: Any) -> 'Setting':
        """A setting from options of the attribution.

        Examples:
            >>> Setting.of('mine', estimator='endpoint').attribution.estimator
            'endpoint'
        """
        return cls(name, Attribution(**options), score, seed)

    def vary(self, name: str = '', **options: Any) -> 'Setting':
        """The same with other options of the attribution, and without a name unless one is given.

        Examples:
            >>> Setting.of('mine', smoothing=0.0).vary(estimator='exact').how()
            'exact, midpoint 5'
        """
        return replace(self, name=name, attribution=replace(self.attribution, **options))

    def decisive(self) -> tuple:
        """What settings of the same attributions have in common.

        Examples:
            >>> Setting.of('', estimator='endpoint', smoothing=0.3).decisive()
            ('softmax', 'blur', 'endpoint', 'sample')
        """
        values = tuple(getattr(self.attribution, name) for name in _DECISIVE[self.attribution.estimator])
        return (self.score, *values, *((self.seed,) if self.attribution.estimator in _RANDOM else ()))

    def how(self) -> str:
        """The estimator in words.

        Examples:
            >>> Setting.of('', estimator='exact', rule='right').how(), Setting.of('', test_pairs=1).how()
            ('exact, right 5', 'banzhaf, 1 pair')
        """
        options = self.attribution
        if options.estimator == 'banzhaf' and isinstance(options.test_pairs, int):
            return f'banzhaf, {options.test_pairs} pair{"s" * (options.test_pairs > 1)}'
        if options.estimator in ('banzhaf', 'endpoint'):
            return options.estimator
        return f'{options.estimator}, {options.rule} {options.steps}'

    def fields(self) -> dict[str, Any]:
        """All that it consists of, by name, for a file.

        Examples:
            >>> Setting.of('mine', smoothing=0.2).fields()['smoothing']
            0.2
        """
        options = self.attribution
        return dict(
            name=self.name,
            score=self.score,
            baseline=options.baseline,
            estimator=options.estimator,
            rule=options.rule,
            steps=options.steps,
            pairs=options.test_pairs,
            smoothing=options.smoothing,
            region=options.region,
            eps=options.eps,
            seed=self.seed,
        )

    def share(self, found: Sequence[Evidence]) -> Tensor:
        """Shares of the infrared image, smoothed as this setting has it.

        Args:
            found (Sequence[Evidence]): By any setting of the same attributions, batch by batch.

        Returns:
            Tensor: (N, C) in [0, 1] of all N scenes.

        Examples:
            >>> batch = SceneBatch(torch.full((1, 4, 8, 8), 0.5), torch.zeros(1, 8, 8, dtype=torch.long), ['all'])
            >>> setting = Setting.of('', estimator='endpoint', baseline='black')
            >>> setting.share([attribute(lambda image: 2 * image, batch, setting, 1)])
            tensor([[0.5000]])
        """
        options = self.attribution
        smoothed = [replace(evidence, smoothing=options.smoothing, eps=options.eps) for evidence in found]
        return torch.cat([evidence.share() for evidence in smoothed])


def own_setting(model: FusionSegmentor) -> Setting:
    """How the fusion of a model shares when it predicts; the defaults for one that attributes nothing."""
    options, scorer = attribution_of(model.fusion), model.scorer()
    options = replace(options, test_pairs=options.pairs_in_evaluation(scorer.num_classes))
    return Setting('this model', options, scorer.score, seed=0)


def attribute(scorer: Scorer, batch: SceneBatch, setting: Setting, num_classes: int, number: int = 0) -> Evidence:
    """Evidence in both sources, as UAAFusion finds it.

    Args:
        scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
        batch (SceneBatch): The scenes.
        setting (Setting): How.
        num_classes (int): Number of classes C.
        number (int): Number of the batch, which makes its random signs if the setting has no seed.

    Returns:
        Evidence: Of the given labels.

    Examples:
        A linear scorer of one class, with the whole image for its region:

        >>> batch = SceneBatch(torch.full((1, 4, 8, 8), 0.5), torch.zeros(1, 8, 8, dtype=torch.long), ['all'])
        >>> setting = Setting.of('', baseline='black', estimator='endpoint')
        >>> found = attribute(lambda image: 2 * image, batch, setting, 1)
        >>> found.ir, found.vi
        (tensor([[1.]]), tensor([[1.]]))
    """
    options = replace(setting.attribution, max_batch=MAX_IMAGES)
    generator = torch.Generator().manual_seed(number if setting.seed is None else setting.seed)
    infrared, visible = batch.sources
    regions = LabelRegions.from_labels(batch.labels, num_classes, IGNORE, pooled=options.region == 'batch')
    return options.evidence(scorer, infrared, visible, regions, generator=generator)
