"""UAAFusion: unfolding attribution analysis fusion, the preprocessor in front of any segmentor."""

import torch
from torch import Tensor

from mmfusion.attribution import (
    BASELINES,
    ESTIMATORS,
    Scorer,
    TrajectoryAttribution,
    infrared_share,
    isolated,
    region_attribution,
)
from mmfusion.attribution.quadrature import quadrature
from mmfusion.attribution.region import REGIONS
from mmfusion.attribution.trajectory import NORMALIZATIONS
from mmfusion.registry import MODELS

from .base import BaseFusion, FusionResult, constant_weights

LABEL_SOURCES = ('sources', 'mean')
# How many images per pair go through the segmentor at once.
_CHUNKS = {'auto': 4, 'batch': 1}


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f'unknown {name} {value!r}; choose one of {", ".join(map(repr, choices))}')


@MODELS.register_module()
class UAAFusion(BaseFusion):
    r"""Fusion whose objective and attention come from attribution analysis of the segmentor.

    The attribution :math:`A_c` of each class in each source
    (:func:`~mmfusion.attribution.region_attribution`) is spread over the label map and normalised to weights

    .. math:: w_I = \frac{W_I + \epsilon}{W_I + W_V + 2 \epsilon}, \qquad w_V = 1 - w_I

    (smoothed; see :func:`~mmfusion.attribution.infrared_share`), which set the target of the unfolding's data steps;
    the attribution of the unfolding's own iterates gates the stages. Source: Bai et al., "Deep Unfolding Multi-modal
    Image Fusion Network via Attribution Analysis", IEEE TCSVT 2025, arXiv 2502.01467. The defaults correct what cancels
    itself in the released network; see :meth:`from_released` for that.

    Args:
        num_stages (int): Stages of the unfolding.
        channels (int): Feature channels of the unfolding, even.
        steps (int): Nodes of the path integral per source, for 'exact' and 'multiplexed'.
        rule (str): Quadrature rule: 'left', 'right', 'midpoint', 'trapezoid' or 'gauss_legendre'. Along the path the
            gradient is a narrow bump somewhere, which equally spaced nodes meet more surely than those of Gauss; see
            docs/attribution.md.
        baseline (str): Start of the path: 'blur', 'mean' or 'black'. A black one prefers whatever is bright.
        estimator (str): 'banzhaf', 'exact', 'multiplexed' or 'endpoint'; see
            :func:`~mmfusion.attribution.region_attribution`. While training, the signs of the random ones follow
            PyTorch's global stream; in evaluation mode they are always the same, so that a prediction repeats itself.
        pairs (int): Pairs of images per source of 'banzhaf' while training. One draw is noisy, but training sees many.
        test_pairs (int): The same in evaluation mode, where there is one draw only.
        smoothing (float): Evidence, in units of the score, that each source is credited with in advance; 0 as in the
            paper.
        region (str): 'sample', or 'batch' for regions that run over the whole batch (released).
        attribution (bool): Weigh the sources by attribution; one half each otherwise.
        attention (str, optional): How the attribution of the iterates is normalised before it gates the stages: 'rms',
            or 'none' (released: a gate that is one half everywhere). None switches it off, and spares a pass of the
            segmentor per stage.
        attention_interval (int): The attribution of the iterates is renewed at every so many stages and stands for
            those up to the next; each renewal is a pass of the segmentor forward and backward.
        label_source (str): Where labels come from if none are given: 'sources' are the most likely classes by the mean
            of the scores of the two images, 'mean' those of the mean image (released). What only one sensor sees pales
            in the mean image.
        max_batch (int | str, optional): Largest number of images in one pass of the segmentor while it is attributed.
            ``'auto'`` is four times the number of pairs, ``'batch'`` the number of pairs itself (released), None all at
            once.
        eps (float): :math:`\epsilon` above, which keeps sources without any evidence at one half each.
        ignore_index (int): Label of pixels of no class; they get weights of one half.
        num_classes (int, optional): Number of classes C. Found out from the scorer when absent.
        head (dict, optional): Config of the unfolding head; ``num_stages`` and ``channels`` above go into it.
        init_cfg (dict, optional): mmengine's initialisation config.

    Raises:
        ValueError: An option is unknown or out of range.

    Examples:
        >>> fusion = UAAFusion(num_stages=2, channels=4, steps=2)
        >>> ir, vi = torch.rand(1, 1, 16, 24), torch.rand(1, 1, 16, 24)
        >>> scorer = lambda x: torch.cat([x, 1 - x], dim=1)  # a segmentor of two classes
        >>> result = fusion(ir, vi, scorer)
        >>> result.fused.shape, result.region_ir.shape, len(result.attention)
        (torch.Size([1, 1, 16, 24]), torch.Size([1, 2]), 2)
    """

    def __init__(
        self,
        num_stages: int = 5,
        channels: int = 32,
        steps: int = 5,
        rule: str = 'midpoint',
        baseline: str = 'blur',
        estimator: str = 'banzhaf',
        pairs: int = 1,
        test_pairs: int = 2,
        smoothing: float = 0.075,
        region: str = 'sample',
        attribution: bool = True,
        attention: str | None = 'rms',
        attention_interval: int = 2,
        label_source: str = 'sources',
        max_batch: int | str | None = 'auto',
        eps: float = 1e-8,
        ignore_index: int = 255,
        num_classes: int | None = None,
        head: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        quadrature(rule, steps)  # Refuses what does not go together before the first batch.
        _check_choice('baseline', baseline, BASELINES)
        _check_choice('estimator', estimator, ESTIMATORS)
        _check_choice('region', region, REGIONS)
        if attention is not None:
            _check_choice('attention', attention, NORMALIZATIONS)
        _check_choice('label_source', label_source, LABEL_SOURCES)
        if isinstance(max_batch, str):
            _check_choice('max_batch', max_batch, ('auto', 'batch'))
        elif max_batch is not None and max_batch < 1:
            raise ValueError(f"max_batch must be positive, 'auto', 'batch' or None, got {max_batch}")
        for name, value in (('pairs', pairs), ('test_pairs', test_pairs), ('attention_interval', attention_interval)):
            if value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        if not smoothing >= 0:
            raise ValueError(f'smoothing must not be negative, got {smoothing}')
        if num_classes is not None and num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, or None to ask the scorer, got {num_classes}')
        if not eps > 0:
            raise ValueError(f'eps must be positive so that sources without evidence share equally, got {eps}')
        self.steps = steps
        self.rule = rule
        self.baseline = baseline
        self.estimator = estimator
        self.pairs = pairs
        self.test_pairs = test_pairs
        self.smoothing = smoothing
        self.region = region
        self.attribution = attribution
        self.attention = attention
        self.attention_interval = attention_interval
        self.label_source = label_source
        self.max_batch = max_batch
        self.eps = eps
        self.ignore_index = ignore_index
        self.num_classes = num_classes
        self.head = MODELS.build(
            {
                'type': 'mmfusion.MemoryUnfoldingHead',  # The prefix, for configs of mmseg's scope.
                'num_stages': num_stages,
                'channels': channels,
                **(head or {}),
            }
        )

    @classmethod
    def from_released(cls, state_dict: dict, steps: int = 5) -> 'UAAFusion':
        """The released network, with its behaviour, from a published state dict.

        Args:
            state_dict (dict): Released layout (``model_f``), with or without a ``module.`` prefix, or the checkpoint
                that holds it under ``model_f``.
            steps (int): Nodes of the right-hand rule.

        Returns:
            UAAFusion: In evaluation mode.

        Raises:
            ValueError: The state dict is of another architecture; the message lists the keys.
        """
        from mmfusion.released import build_released_fusion  # Only here: no default path knows the release.

        return build_released_fusion(state_dict, steps, cls)

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
        """Fuse a batch of pairs; see :meth:`BaseFusion.forward`.

        Raises:
            ValueError: The images are no pair, the strength is outside [0, 1], or attribution is asked for without a
                scorer.
        """
        self.check_pair(ir, vi)
        if not 0 <= strength <= 1:
            raise ValueError(f'strength moves the weights from one half and must be in [0, 1], got {strength}')
        attributed = self.attribution and strength > 0
        region_ir = region_vi = attend = None
        weight_ir, weight_vi = constant_weights(ir, 0.5)
        if attributed or self.attention is not None:
            if scorer is None:
                raise ValueError(
                    'UAAFusion attributes a segmentor: pass a scorer, or switch attribution and attention '
                    'off (attribution=False, attention=None)'
                )
            if labels is None:
                labels = self._predict_labels(scorer, ir, vi, ignore)
        if attributed:
            region_ir, region_vi = self._region_attribution(scorer, ir, vi, labels)
            weight_ir = self._spread(region_ir, region_vi, labels).to(ir)
            weight_ir = 0.5 + strength * (weight_ir - 0.5)
            weight_vi = 1 - weight_ir
        if self.attention is not None:
            attend = TrajectoryAttribution(
                scorer, labels, self.ignore_index, self.attention, interval=self.attention_interval
            ).update
        fused, attention = self.head(ir, vi, weight_ir, weight_vi, attend)
        return FusionResult(fused, weight_ir, weight_vi, region_ir, region_vi, attention, labels)

    def _predict_labels(self, scorer: Scorer, ir: Tensor, vi: Tensor, ignore: Tensor | None) -> Tensor:
        """Most likely classes (B, H, W)."""
        ir, vi = ir.detach(), vi.detach()
        with isolated(scorer, ir.device), torch.no_grad():
            if self.label_source == 'mean':
                scores = scorer((ir + vi) / 2)
            else:
                scores = sum(scorer(torch.cat([ir, vi])).chunk(2))
        labels = scores.argmax(1)
        return labels if ignore is None else labels.masked_fill(ignore, self.ignore_index)

    def _count_classes(self, scorer: Scorer, image: Tensor) -> int:
        classes = self.num_classes or getattr(scorer, 'num_classes', None)
        if classes is None:
            with isolated(scorer, image.device), torch.no_grad():
                classes = scorer(image[:1].detach()).shape[1]
        return classes

    def _region_attribution(self, scorer: Scorer, ir: Tensor, vi: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        options = dict(
            num_classes=self._count_classes(scorer, ir),
            steps=self.steps,
            rule=self.rule,
            baseline=self.baseline,
            estimator=self.estimator,
            pairs=self.pairs if self.training else self.test_pairs,
            region=self.region,
            max_batch=_CHUNKS[self.max_batch] * len(ir) if self.max_batch in _CHUNKS else self.max_batch,
            ignore_index=self.ignore_index,
            generator=self._generator(),
        )
        if self.region == 'batch':  # A region must not run over the two sources as well.
            return tuple(region_attribution(scorer, image, labels, **options) for image in (ir, vi))
        both = region_attribution(scorer, torch.cat([ir, vi]), torch.cat([labels, labels]), **options)
        return both.chunk(2)

    def _generator(self) -> torch.Generator | None:
        """Signs follow the global stream while training, so a seeded run repeats itself, and are fixed otherwise."""
        if self.estimator not in ('multiplexed', 'banzhaf'):
            return None
        return torch.Generator().manual_seed(int(torch.randint(2**62, ())) if self.training else 0)

    def _spread(self, region_ir: Tensor, region_vi: Tensor, labels: Tensor) -> Tensor:
        """Weight of the infrared image (B, 1, H, W) from attributions (B, C) and labels (B, H, W)."""
        share = infrared_share(
            region_ir,
            region_vi,
            labels,
            estimator=self.estimator,
            smoothing=self.smoothing,
            eps=self.eps,
            region=self.region,
            ignore_index=self.ignore_index,
        )
        # One more class for pixels of none.
        share = torch.cat([share, torch.full_like(share[:, :1], 0.5)], dim=1)
        index = labels.long().masked_fill(labels == self.ignore_index, share.shape[1] - 1)
        return share.gather(1, index.flatten(1)).view(len(index), 1, *index.shape[1:])
