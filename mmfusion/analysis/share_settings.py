"""Ways to tell the share of the infrared image in the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmfusion.attribution import Scorer, infrared_share, region_attribution
from mmfusion.models import FusionSegmentor

from .fusion_options import attribution_of
from .labels import IGNORE
from .scenes import SceneBatch

# Images per pass of the segmentor while it is attributed; all settings have the same, so that their times compare.
MAX_IMAGES = 32


@dataclass(frozen=True)
class Setting:
    """A way to tell the share; the options are those of region_attribution and infrared_share."""

    name: str
    score: str = 'softmax'
    """'softmax', 'sigmoid', 'logit', or 'log' for the logarithm of the probability."""
    baseline: str = 'blur'
    estimator: str = 'exact'
    rule: str = 'midpoint'
    steps: int = 5
    pairs: int = 2
    smoothing: float = 0.075
    region: str = 'sample'
    eps: float = 1e-8
    seed: int | None = None
    """Of random signs: the same signs for every batch, as the model has them when it predicts; None for other signs in
    every batch, so that a mean over the scenes does not hang on one draw."""

    def attribution(self) -> dict[str, Any]:
        """Options of region_attribution, as far as they have an effect; and, for random estimators, the seed.

        Examples:
            >>> Setting('mine', estimator='endpoint').attribution()
            {'baseline': 'blur', 'estimator': 'endpoint', 'region': 'sample'}
        """
        options: dict[str, Any] = dict(baseline=self.baseline, estimator=self.estimator, region=self.region)
        if self.estimator in ('exact', 'multiplexed'):
            options.update(rule=self.rule, steps=self.steps)
        if self.estimator == 'banzhaf':
            options.update(pairs=self.pairs)
        if self.estimator in ('multiplexed', 'banzhaf'):
            options.update(seed=self.seed)
        return options

    def how(self) -> str:
        """The estimator in words.

        Examples:
            >>> Setting('', rule='right').how(), Setting('', estimator='banzhaf', pairs=1).how()
            ('exact, right 5', 'banzhaf, 1 pair')
        """
        if self.estimator == 'banzhaf':
            return f'banzhaf, {self.pairs} pair{"s" * (self.pairs > 1)}'
        return self.estimator if self.estimator == 'endpoint' else f'{self.estimator}, {self.rule} {self.steps}'

    def share(self, attributions: Sequence[tuple[Tensor, Tensor]], batches: Sequence[SceneBatch]) -> Tensor:
        """Shares of the infrared image.

        Args:
            attributions (Sequence[tuple[Tensor, Tensor]]): Of infrared and visible image (B, C), batch by batch.
            batches (Sequence[SceneBatch]): What they are of.

        Returns:
            Tensor: (N, C) in [0, 1] of all N scenes.

        Examples:
            >>> batch = SceneBatch(torch.zeros(1, 4, 1, 2), torch.tensor([[[0, 0]]]), ['all'])
            >>> pair = torch.tensor([[0.3]]), torch.tensor([[0.1]])
            >>> Setting('', smoothing=0.0).share([pair], [batch])
            tensor([[0.7500]])
        """
        shares = []
        for (ir, vi), batch in zip(attributions, batches):
            share = infrared_share(
                ir,
                vi,
                batch.labels,
                estimator=self.estimator,
                smoothing=self.smoothing,
                eps=self.eps,
                region=self.region,
                ignore_index=IGNORE,
            )
            shares.append(share)
        return torch.cat(shares)


def own_setting(model: FusionSegmentor) -> Setting:
    """How the fusion of a model shares; UAAFusion's defaults for one that attributes nothing."""
    return Setting('this model', model.scorer().score, **attribution_of(model.fusion), seed=0)


def attribute(
    scorer: Scorer, batch: SceneBatch, setting: Setting, num_classes: int, number: int = 0
) -> tuple[Tensor, Tensor]:
    """Attributions of the infrared and of the visible image, as UAAFusion computes them.

    Args:
        scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
        batch (SceneBatch): The scenes.
        setting (Setting): How.
        num_classes (int): Number of classes C.
        number (int): Number of the batch, which makes its random signs if the setting has no seed.

    Returns:
        tuple[Tensor, Tensor]: Of the infrared and of the visible image, (B, C) each.

    Examples:
        A linear scorer of one class, with the whole image for its region:

        >>> batch = SceneBatch(torch.full((1, 4, 8, 8), 0.5), torch.zeros(1, 8, 8, dtype=torch.long), ['all'])
        >>> ir, vi = attribute(lambda image: 2 * image, batch, Setting('', baseline='black', estimator='endpoint'), 1)
        >>> ir, vi
        (tensor([[1.]]), tensor([[1.]]))
    """
    labels, options = batch.labels, setting.attribution()
    seed = options.pop('seed', None)
    options.update(
        max_batch=MAX_IMAGES,
        ignore_index=IGNORE,
        generator=torch.Generator().manual_seed(number if seed is None else seed),
    )
    if setting.region == 'batch':  # A region must not run over the two sources as well.
        ir, vi = (region_attribution(scorer, image, labels, num_classes, **options) for image in batch.sources)
        return ir, vi
    both = region_attribution(scorer, torch.cat(batch.sources), torch.cat([labels, labels]), num_classes, **options)
    ir, vi = both.chunk(2)
    return ir, vi
