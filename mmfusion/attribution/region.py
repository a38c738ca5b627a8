"""Region attribution: how much evidence for a class a source image holds inside that class's region."""
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .baseline import make_baseline
from .isolation import Scorer, isolated
from .quadrature import quadrature

ESTIMATORS = ('exact', 'multiplexed', 'endpoint')
REGIONS = ('sample', 'batch')


@dataclass
class _Regions:
    """The pixels of each class, as an index map and as inverse sizes."""

    index: Tensor
    """(B, H, W) class ids; pixels of no class point at an extra class ``num_classes`` of weight zero."""
    inverse: Tensor
    """(B, C + 1) one over the number of pixels of a region, 0 for a class that the sample does not have."""
    pooled: bool
    """Whether a region is the union over the batch."""

    @classmethod
    def from_labels(cls, labels: Tensor, num_classes: int, ignore_index: int, pooled: bool, dtype: torch.dtype):
        ignored = labels == ignore_index
        outside = ~ignored & ((labels < 0) | (labels >= num_classes))
        if outside.any():
            raise ValueError(f'labels hold the ids {labels[outside].unique().tolist()}, outside 0..{num_classes - 1} '
                             f'and not ignore_index={ignore_index}; set num_classes or map the labels')
        index = labels.long().masked_fill(ignored, num_classes)
        sizes = torch.zeros(len(labels), num_classes + 1, dtype=dtype, device=labels.device)
        sizes.scatter_add_(1, index.flatten(1), torch.ones_like(index, dtype=dtype).flatten(1))
        sizes[:, num_classes] = 0
        present = sizes > 0
        if pooled:
            sizes = sizes.sum(0, keepdim=True).expand_as(sizes)
        return cls(index, torch.where(present, 1 / sizes.clamp(min=1), torch.zeros_like(sizes)), pooled)

    def present(self) -> list[int]:
        """Classes that occur anywhere in the batch."""
        return (self.inverse > 0).any(0).nonzero().flatten().tolist()

    def collect(self, values: Tensor) -> Tensor:
        """Sum (B, H, W) values over each region and divide by its size: (B, C)."""
        sums = torch.zeros_like(self.inverse).scatter_add_(1, self.index.flatten(1),
                                                           values.to(self.inverse.dtype).flatten(1))
        return self.finish(sums)

    def finish(self, sums: Tensor) -> Tensor:
        """Region sums per sample (B, C + 1) to region means (B, C)."""
        if self.pooled:
            sums = sums.sum(0, keepdim=True).expand_as(sums)
        return (sums * self.inverse)[:, :-1]


def region_attribution(scorer: Scorer,
                       image: Tensor,
                       labels: Tensor,
                       num_classes: int,
                       *,
                       steps: int = 5,
                       rule: str = 'gauss_legendre',
                       baseline: str | Tensor = 'black',
                       estimator: str = 'exact',
                       region: str = 'sample',
                       max_batch: int | None = None,
                       ignore_index: int = 255,
                       generator: torch.Generator | None = None) -> Tensor:
    r"""Integrated gradients of each class's mean score, averaged over that class's region.

    With the score :math:`s_c(X) = \operatorname{mean}_{p \in R_c} S_c(X)(p)` and the baseline :math:`X_0`,

    .. math:: A_c = \max\Bigl(0, \operatorname{mean}_{q \in R_c} (X - X_0)(q)
        \int_0^1 \frac{\partial s_c}{\partial X(q)}\bigl(X_0 + a (X - X_0)\bigr) \, da\Bigr).

    Integrated gradients are due to Sundararajan et al., "Axiomatic Attribution for Deep Networks" (ICML 2017);
    restricting them to regions follows UAAFusion (arXiv 2502.01467).

    The scorer is looked at in evaluation mode, and its buffers, gradients, train flags and random number streams are
    left as they were, also under ``torch.no_grad()``. The images of all path points form one batch.

    Args:
        scorer (Callable): Images (N, C', H, W) to scores (N, ``num_classes``, H, W), each sample by itself.
            Probabilities are meant: logits of two sources are not comparable.
        image (Tensor): Source images (B, C', H, W). To attribute several sources at once, concatenate them (and their
            labels) along the batch.
        labels (Tensor): Class ids (B, H, W), integer.
        num_classes (int): Number of classes C.
        steps (int): Nodes of the path integral. Not used by 'endpoint'.
        rule (str): Quadrature rule: 'left', 'right', 'midpoint', 'trapezoid' or 'gauss_legendre'.
        baseline (str | Tensor): 'black', 'mean', 'blur' or a tensor like ``image``; see
            :func:`~mmfusion.attribution.baseline.make_baseline`.
        estimator (str): 'exact' takes one backward pass per class that is present. 'multiplexed' takes one for all
            classes: the classes' scores are added with random signs and each region's result is multiplied by its own
            sign; cross terms carry the product of two independent signs, so the pre-ReLU value is unbiased. 'endpoint'
            takes none: by completeness the attribution of the whole image is ``s_c(X) - s_c(X0)``, which is returned
            (after ReLU). It is not restricted to the region and not divided by its size, so it is on another scale;
            the ratio of two sources compares.
        region (str): 'sample' for regions of one sample, 'batch' for the union over the batch (the released network).
        max_batch (int, optional): Largest number of images per call of the scorer; limits memory. All at once by
            default.
        ignore_index (int): Label of pixels that belong to no region.
        generator (torch.Generator, optional): Source of the signs of 'multiplexed'. Fresh, irreproducible signs by
            default.

    Returns:
        Tensor: (B, C), at least 0, without gradient; 0 for a class that a sample does not have. float64 for a float64
        image, else float32.

    Raises:
        ValueError: Shapes do not fit, a label is outside the classes, or an option is unknown.

    Examples:
        For a linear scorer the integral is the product of weight and image:

        >>> image = torch.full((1, 1, 2, 2), 0.5)
        >>> labels = torch.tensor([[[0, 0], [1, 255]]])
        >>> scorer = lambda x: torch.cat([2 * x, -x], dim=1)
        >>> region_attribution(scorer, image, labels, num_classes=2)
        tensor([[0.5000, 0.0000]])
    """
    _check(image, labels, num_classes, estimator, region, max_batch)
    nodes, weights = quadrature(rule, steps)
    with isolated(scorer, image.device):
        # A copy: tensors made under inference_mode cannot take part in autograd.
        end = image.detach().clone().to(torch.promote_types(image.dtype, torch.float32))
        start = make_baseline(end, baseline).detach()
        regions = _Regions.from_labels(labels.detach().clone(), num_classes, ignore_index, region == 'batch', end.dtype)
        if estimator == 'endpoint':
            means = _endpoint(scorer, start, end, regions, max_batch)
        else:
            backward = _exact if estimator == 'exact' else _multiplexed
            sums = torch.zeros_like(regions.inverse)
            for rows, alphas, factors in _chunks(len(end), nodes, weights, max_batch, end):
                difference = end[rows] - start[rows]
                points = (start[rows] + alphas * difference).requires_grad_()
                scores = _scores(scorer, points, num_classes)
                part = _Regions(regions.index[rows], regions.inverse[rows], pooled=False)
                sums.index_add_(0, rows, backward(scores, points, difference, part, generator) * factors)
            means = regions.finish(sums)
    return means.clamp(min=0)


def _check(image: Tensor, labels: Tensor, num_classes: int, estimator: str, region: str, max_batch: int | None) -> None:
    if image.ndim != 4 or not image.is_floating_point():
        raise ValueError(f'image must be a float tensor (B, C, H, W), got {image.dtype} of shape {tuple(image.shape)}')
    if labels.shape != (len(image), *image.shape[-2:]) or labels.is_floating_point():
        raise ValueError(f'labels must be integers of shape {(len(image), *image.shape[-2:])} to go with an image of '
                         f'shape {tuple(image.shape)}, got {labels.dtype} of shape {tuple(labels.shape)}')
    if num_classes < 1:
        raise ValueError(f'num_classes must be at least 1, got {num_classes}')
    if estimator not in ESTIMATORS:
        raise ValueError(f'unknown estimator {estimator!r}; choose one of {", ".join(ESTIMATORS)}')
    if region not in REGIONS:
        raise ValueError(f'unknown region {region!r}; choose one of {", ".join(REGIONS)}')
    if max_batch is not None and max_batch < 1:
        raise ValueError(f'max_batch must be at least 1 or None, got {max_batch}')


def _scores(scorer: Scorer, images: Tensor, num_classes: int) -> Tensor:
    scores = scorer(images)
    expected = (len(images), num_classes, *images.shape[-2:])
    if scores.shape != expected:
        raise ValueError(f'the scorer returned scores of shape {tuple(scores.shape)} where {expected} was expected')
    return scores.to(images.dtype)


def _chunks(batch: int, nodes: list[float], weights: list[float], max_batch: int | None,
            like: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Path points in portions: sample numbers (N,), path parameters (N, 1, 1, 1), quadrature weights (N, 1).

    All samples at the first node come first, so ``max_batch=batch`` walks node by node.
    """
    rows = torch.arange(batch, device=like.device).repeat(len(nodes))
    alphas = like.new_tensor(nodes).repeat_interleave(batch).view(-1, 1, 1, 1)
    factors = like.new_tensor(weights).repeat_interleave(batch).view(-1, 1)
    size = max_batch or len(rows)
    yield from zip(rows.split(size), alphas.split(size), factors.split(size))


def _exact(scores: Tensor, points: Tensor, difference: Tensor, regions: _Regions, generator: None) -> Tensor:
    """One backward pass per class; sums over each region (N, C + 1)."""
    sums = torch.zeros_like(regions.inverse)
    classes = regions.present()
    for i, c in enumerate(classes):
        mask = (regions.index == c).to(scores.dtype)
        score = (scores[:, c] * mask * regions.inverse[:, c, None, None]).sum()
        gradient, = torch.autograd.grad(score, points, retain_graph=i + 1 < len(classes))
        sums[:, c] = ((gradient * difference).sum(1) * mask).sum((1, 2))
    return sums


def _multiplexed(scores: Tensor, points: Tensor, difference: Tensor, regions: _Regions,
                 generator: torch.Generator | None) -> Tensor:
    """One backward pass for all classes; sums over each region (N, C + 1)."""
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    signs = torch.randint(2, regions.inverse.shape, generator=generator, device=generator.device)
    signs = (2 * signs - 1).to(scores)
    index = regions.index.flatten(1)
    # The extra class of ignored pixels has no score; it has weight zero, so any score will do.
    own = scores.flatten(2).gather(1, index.clamp(max=scores.shape[1] - 1)[:, None])[:, 0]
    gradient, = torch.autograd.grad((own * (signs * regions.inverse).gather(1, index)).sum(), points)
    products = (gradient * difference).sum(1).flatten(1)
    return torch.zeros_like(regions.inverse).scatter_add_(1, index, products) * signs


def _endpoint(scorer: Scorer, start: Tensor, end: Tensor, regions: _Regions, max_batch: int | None) -> Tensor:
    """Difference of the mean scores at the two ends of the path (B, C)."""
    num_classes = regions.inverse.shape[1] - 1
    index = regions.index.clamp(max=num_classes - 1)[:, None]
    with torch.no_grad():
        images = torch.cat([start, end])
        own = torch.cat([
            _scores(scorer, part, num_classes).gather(1, rows) for part, rows in zip(
                images.split(max_batch or len(images)),
                torch.cat([index, index]).split(max_batch or len(images)))
        ])
    before, after = own[:, 0].chunk(2)
    return regions.collect(after - before)
