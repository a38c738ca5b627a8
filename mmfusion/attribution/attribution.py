"""Attribution as an object: its options, in one home."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .baseline import BASELINES
from .estimators import ESTIMATORS, Effort, estimate, estimate_jointly, get_estimator
from .estimators.coalition import default_pairs
from .evidence import Evidence
from .isolation import PairScorer, Scorer, isolated
from .label_regions import LabelRegions
from .quadrature import quadrature

REGIONS = ('sample', 'batch')
LABEL_SOURCES = ('sources', 'mean')
# How many images per pair go through the scorer at once.
_IMAGES_PER_PAIR = {'auto': 4, 'batch': 1}


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices.

    Raises:
        ValueError: The message names the value and the choices.
    """
    if value not in choices:
        raise ValueError(f'unknown {name} {value!r}; choose one of {", ".join(choices)}')


@dataclass(frozen=True)
class Attribution:
    """How a segmentor is asked where it finds its evidence: the options, and the one home of their defaults.

    It holds no state and no network: :meth:`evidence` takes any scorer. What the defaults rest on is measured in
    docs/attribution.md.

    Attributes:
        estimator (str): 'banzhaf', 'exact', 'multiplexed' or 'endpoint'; see
            :func:`~mmfusion.attribution.region_attribution`.
        baseline (str): What an image without evidence looks like: 'blur', 'mean' or 'black'. A black one prefers
            whatever is bright.
        steps (int): Nodes of the path integral per source, for 'exact' and 'multiplexed'.
        rule (str): Quadrature rule: 'left', 'right', 'midpoint', 'trapezoid' or 'gauss_legendre'. Along the path the
            gradient is a narrow bump somewhere, which equally spaced nodes meet more surely than those of Gauss.
        pairs (int): Pairs of images per source of 'banzhaf' while training. One draw is noisy, but training sees many.
        test_pairs (int | str): The same in evaluation, where there is one draw only. ``'auto'`` is two for up to seven
            classes and four for more; see :func:`~mmfusion.attribution.estimators.coalition.default_pairs`.
        smoothing (float): Evidence, in units of the score, that each source is credited with in advance; 0 as in the
            paper. See :class:`Evidence`.
        eps (float): Keeps sources without any evidence at one half each.
        region (str): 'sample', or 'batch' for regions that run over the whole batch (released).
        label_source (str): Where labels come from if none are given: 'sources' are the most likely classes by the mean
            of the scores of the two images, 'mean' those of the mean image (released). What only one sensor sees pales
            in the mean image.
        max_batch (int | str, optional): Largest number of images in one pass of the scorer. ``'auto'`` is four times
            the number of pairs, ``'batch'`` the number of pairs itself (released), None all at once.
        ignore_index (int): Label of pixels of no class; they get weights of one half.
        num_classes (int, optional): Number of classes C. Found out from the scorer when absent.

    Raises:
        ValueError: An option is unknown or out of range.

    Examples:
        >>> scorer = lambda x: torch.cat([x, 1 - x], dim=1)  # a segmentor of two classes
        >>> ir, vi = torch.rand(1, 1, 16, 24), torch.rand(1, 1, 16, 24)
        >>> found = Attribution(estimator='endpoint').evidence(scorer, ir, vi)
        >>> found.share().shape, found.weights()[0].shape
        (torch.Size([1, 2]), torch.Size([1, 1, 16, 24]))
    """

    estimator: str = 'banzhaf'
    baseline: str = 'blur'
    steps: int = 5
    rule: str = 'midpoint'
    pairs: int = 1
    test_pairs: int | Literal['auto'] = 'auto'
    smoothing: float = 0.075
    eps: float = 1e-8
    region: str = 'sample'
    label_source: str = 'sources'
    max_batch: int | Literal['auto', 'batch'] | None = 'auto'
    ignore_index: int = 255
    num_classes: int | None = None

    def __post_init__(self) -> None:
        quadrature(self.rule, self.steps)  # Refuses what does not go together before the first batch.
        check_choice('baseline', self.baseline, BASELINES)
        check_choice('estimator', self.estimator, ESTIMATORS)
        check_choice('region', self.region, REGIONS)
        check_choice('label_source', self.label_source, LABEL_SOURCES)
        if isinstance(self.max_batch, str):
            check_choice('max_batch', self.max_batch, tuple(_IMAGES_PER_PAIR))
        elif self.max_batch is not None and self.max_batch < 1:
            raise ValueError(f"max_batch must be positive, 'auto', 'batch' or None, got {self.max_batch}")
        if self.pairs < 1:
            raise ValueError(f'pairs must be at least 1, got {self.pairs}')
        if isinstance(self.test_pairs, str):
            check_choice('test_pairs', self.test_pairs, ('auto',))
        elif self.test_pairs < 1:
            raise ValueError(f"test_pairs must be at least 1, or 'auto', got {self.test_pairs}")
        if not self.smoothing >= 0:
            raise ValueError(f'smoothing must not be negative, got {self.smoothing}')
        if self.num_classes is not None and self.num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, or None to ask the scorer, got {self.num_classes}')
        if not self.eps > 0:
            raise ValueError(f'eps must be positive so that sources without evidence share equally, got {self.eps}')

    # Regions -------------------------------------------------------------------------------------------------------
    def regions(
        self, scorer: Scorer, ir: Tensor, vi: Tensor, labels: Tensor | None = None, ignore: Tensor | None = None
    ) -> LabelRegions:
        """The regions whose evidence is asked for.

        Args:
            scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance, likewise.
            labels (Tensor, optional): Class ids (B, H, W), integer. Predicted when absent.
            ignore (Tensor, optional): Pixels (B, H, W) that are padding, as booleans; used where labels are predicted.

        Returns:
            LabelRegions: Of the given or the predicted labels.

        Raises:
            ValueError: Labels do not fit the images or hold other ids than those of classes.

        Examples:
            The class of most evidence in both images together, where nobody gives labels:

            >>> ir, vi = torch.tensor([[[[0.9, 0.1]]]]), torch.tensor([[[[0.3, 0.2]]]])
            >>> Attribution().regions(lambda x: torch.cat([x, 1 - x], dim=1), ir, vi).labels().tolist()
            [[[0, 1]]]
        """
        if labels is None:
            return self._regions_of_scores(self._predict(scorer, ir.detach(), vi.detach()), ir, ignore)
        return self._regions_of_labels(labels, self._count_classes(scorer, ir), ir)

    def _regions_of_scores(self, scores: Tensor, ir: Tensor, ignore: Tensor | None) -> LabelRegions:
        """Regions of the most likely classes."""
        labels = scores.argmax(1)
        if ignore is not None:
            labels = labels.masked_fill(ignore, self.ignore_index)
        return self._regions_of_labels(labels, self.num_classes or scores.shape[1], ir)

    def _regions_of_labels(self, labels: Tensor, num_classes: int, ir: Tensor) -> LabelRegions:
        if labels.shape != (len(ir), *ir.shape[-2:]):
            raise ValueError(
                f'labels of shape {(len(ir), *ir.shape[-2:])} go with images of shape {tuple(ir.shape)}, '
                f'got {tuple(labels.shape)}'
            )
        dtype = torch.promote_types(ir.dtype, torch.float32)
        return LabelRegions.from_labels(
            labels, num_classes, self.ignore_index, pooled=self.region == 'batch', dtype=dtype
        )

    def joint_evidence(
        self,
        scorer: PairScorer,
        ir: Tensor,
        vi: Tensor,
        labels: Tensor | LabelRegions | None = None,
        *,
        training: bool = False,
        ignore: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Evidence:
        """Attribute both sources in a network that reads them together.

        There is one path from both baselines to both images, or one game in which both sources play, so that nobody has
        to train the network on single sensors. Whatever both say only together, such as a relation of two bands, counts
        half for each. The parts of the path integral, and of the 'endpoint' (Shapley values), add up to the difference
        of the scores of both images and of both baselines.

        Args:
            scorer (Callable): Infrared images (B, 1, H, W) and visible ones (B, C', H, W) to scores (B, C, H, W).
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible images (B, C', H, W) in [0, 1].
            labels (Tensor | LabelRegions, optional): Class ids (B, H, W), integer, or their regions. Predicted when
                absent.
            training (bool): As for :meth:`evidence`.
            ignore (Tensor, optional): Padding (B, H, W), as booleans; used where labels are predicted.
            generator (torch.Generator, optional): Source of the signs instead.

        Returns:
            Evidence: Of the two sources.

        Raises:
            ValueError: Labels do not fit, or the scorer returns another shape.

        Examples:
            A class that only the product of both shows: each has half of the evidence, however bright it is.

            >>> ir, vi = torch.ones(1, 1, 8, 8), torch.full((1, 1, 8, 8), 0.5)
            >>> options = Attribution(estimator='endpoint', baseline='black', smoothing=0.0)
            >>> found = options.joint_evidence(lambda i, v: i * v, ir, vi, torch.zeros(1, 8, 8, dtype=torch.long))
            >>> found.ir, found.vi
            (tensor([[0.2500]]), tensor([[0.2500]]))
        """
        if not isinstance(labels, LabelRegions):
            labels = self.joint_regions(scorer, ir, vi, labels, ignore)
        regions = labels
        effort = self._effort(regions, training, generator, sources=2)
        both = estimate_jointly(scorer, ir, vi, regions, self.estimator, self.baseline, effort)
        of_ir, of_vi = both.clamp(min=0)
        return Evidence(regions, of_ir, of_vi, self.scale_of(regions), self.smoothing, self.eps)

    def joint_regions(
        self, scorer: PairScorer, ir: Tensor, vi: Tensor, labels: Tensor | None = None, ignore: Tensor | None = None
    ) -> LabelRegions:
        """The regions whose evidence is asked for, of a network that reads both sources; see :meth:`regions`.

        Examples:
            >>> ir, vi = torch.tensor([[[[0.9, 0.1]]]]), torch.tensor([[[[0.3, 0.2]]]])
            >>> scorer = lambda i, v: torch.cat([i + v, 1 - i - v], dim=1)
            >>> Attribution().joint_regions(scorer, ir, vi).labels().tolist()
            [[[0, 1]]]
        """
        if labels is not None:
            return self._regions_of_labels(labels, self._count_classes(scorer, ir, vi), ir)
        with isolated(scorer, ir.device), torch.no_grad():
            scores = scorer(ir.detach(), vi.detach())
        return self._regions_of_scores(scores, ir, ignore)

    def _predict(self, scorer: Scorer, ir: Tensor, vi: Tensor) -> Tensor:
        """Scores (B, C, H, W) whose largest one tells the class."""
        with isolated(scorer, ir.device), torch.no_grad():
            if self.label_source == 'mean':
                return scorer((ir + vi) / 2)
            of_ir, of_vi = scorer(torch.cat([ir, vi])).chunk(2)
            return of_ir + of_vi

    def _count_classes(self, scorer: Callable[..., Tensor], *images: Tensor) -> int:
        """Classes of a scorer of so many images."""
        num_classes = self.num_classes or getattr(scorer, 'num_classes', None)
        if num_classes is None:
            with isolated(scorer, images[0].device), torch.no_grad():
                num_classes = scorer(*(image[:1].detach() for image in images)).shape[1]
        return num_classes

    # Evidence ------------------------------------------------------------------------------------------------------
    def evidence(
        self,
        scorer: Scorer,
        ir: Tensor,
        vi: Tensor,
        labels: Tensor | LabelRegions | None = None,
        *,
        training: bool = False,
        ignore: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Evidence:
        """Attribute both sources.

        Args:
            scorer (Callable): Images (B, 1, H, W) in [0, 1] to scores (B, C, H, W), each sample by itself.
            ir (Tensor): Infrared images (B, 1, H, W) in [0, 1].
            vi (Tensor): Visible luminance, likewise.
            labels (Tensor | LabelRegions, optional): Class ids (B, H, W), integer, or what :meth:`regions` made of
                them. Predicted when absent.
            training (bool): Take ``pairs`` instead of ``test_pairs``, and random signs that follow PyTorch's global
                stream, so that a seeded run repeats itself. Otherwise the signs are always the same, so that a
                prediction repeats itself.
            ignore (Tensor, optional): Padding (B, H, W), as booleans; used where labels are predicted.
            generator (torch.Generator, optional): Source of the signs instead.

        Returns:
            Evidence: Of the two sources, in float32 (float64 for float64 images).

        Raises:
            ValueError: Labels do not fit, or the scorer returns another shape.

        Examples:
            One class, of which infrared shows all and the visible image half:

            >>> ir, vi = torch.ones(1, 1, 8, 8), torch.full((1, 1, 8, 8), 0.5)
            >>> labels = torch.zeros(1, 8, 8, dtype=torch.long)
            >>> found = Attribution(baseline='black', smoothing=0.0).evidence(lambda x: x, ir, vi, labels)
            >>> found.ir, found.vi, found.share()
            (tensor([[1.]]), tensor([[0.5000]]), tensor([[0.6667]]))
        """
        regions = labels if isinstance(labels, LabelRegions) else self.regions(scorer, ir, vi, labels, ignore)
        effort = self._effort(regions, training, generator)
        if regions.pooled:  # A region must not run over the two sources as well.
            of_ir, of_vi = (
                estimate(scorer, image, regions, self.estimator, self.baseline, effort) for image in (ir, vi)
            )
        else:
            both = estimate(scorer, torch.cat([ir, vi]), regions.repeat(2), self.estimator, self.baseline, effort)
            of_ir, of_vi = both.chunk(2)
        return Evidence(regions, of_ir, of_vi, self.scale_of(regions), self.smoothing, self.eps)

    def scale_of(self, regions: LabelRegions) -> Tensor:
        """What attributions (B, C) are multiplied by to be in units of the score; see :class:`Evidence`.

        Examples:
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 0]]]), num_classes=1)
            >>> Attribution(estimator='exact').scale_of(regions), Attribution(estimator='banzhaf').scale_of(regions)
            (tensor([[3.]]), tensor([[1.]]))
        """
        sizes = regions.sizes[:, :-1]
        return sizes if get_estimator(self.estimator).per_pixel else torch.ones_like(sizes)

    def pairs_in_evaluation(self, num_classes: int) -> int:
        """Pairs of images that a prediction of so many classes takes.

        Examples:
            >>> Attribution().pairs_in_evaluation(4), Attribution(test_pairs=3).pairs_in_evaluation(4)
            (2, 3)
        """
        return default_pairs(num_classes) if isinstance(self.test_pairs, str) else self.test_pairs

    def _effort(
        self, regions: LabelRegions, training: bool, generator: torch.Generator | None, sources: int = 1
    ) -> Effort:
        if generator is None and get_estimator(self.estimator).random:
            generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())) if training else 0)
        max_batch = self.max_batch
        if isinstance(max_batch, str):
            max_batch = _IMAGES_PER_PAIR[max_batch] * len(regions)
        pairs = self.pairs if training else self.pairs_in_evaluation(sources * regions.num_classes)
        return Effort(self.steps, self.rule, pairs, max_batch, generator)
