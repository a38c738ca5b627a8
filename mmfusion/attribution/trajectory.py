"""Attribution along the unfolding's own iterates (the pathway function of UAAFusion, arXiv 2502.01467)."""

import torch
from torch import Tensor

from .isolation import Scorer, isolated
from .label_regions import LabelRegions

NORMALIZATIONS = ('rms', 'none')


class TrajectoryAttribution:
    r"""Running attribution of the iterates :math:`F_0, F_1, \dots` of one forward pass.

    .. math:: a_k = \frac1k \sum_{j=1}^{k} \nabla m(F_j) \, (F_j - F_{j-1}), \qquad a_0 = 0,

    where :math:`m` is the label-selected score of the segmentor, added over the pixels. A running mean needs one
    gradient per stage. Iterates are looked at detached.

    Args:
        scorer (Callable): Images (B, 1, H, W) to scores (B, C, H, W).
        labels (Tensor | LabelRegions): Class ids (B, H, W), integer, or the regions made of them. Pixels outside the
            classes contribute nothing.
        ignore_index (int): Label of such pixels; not used with regions.
        normalization (str): 'rms' divides each sample's map by its root mean square, so that its effect does not depend
            on the size of the image or the number of classes. 'none' is the released network: there m is the *mean*
            over all pixels and classes, and the map is used as it is, about 1e-6.
        interval (int): A gradient is taken at the first iterate, and then at every so many; it stands for the whole way
            since the last one, and the map stays as it is in between.
        check_labels (bool): Refuse labels outside the classes that are not ``ignore_index``.

    Raises:
        ValueError: Unknown normalisation, or an interval below 1.
    """

    def __init__(
        self,
        scorer: Scorer,
        labels: Tensor | LabelRegions,
        ignore_index: int = 255,
        normalization: str = 'rms',
        interval: int = 1,
        check_labels: bool = False,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        if normalization not in NORMALIZATIONS:
            raise ValueError(f'unknown normalization {normalization!r}; choose one of {", ".join(NORMALIZATIONS)}')
        self.scorer = scorer
        self._labels = labels
        self._ignore_index = ignore_index
        self._check_labels = check_labels
        self.normalization = normalization
        self.interval = interval
        self._stage = -1
        self._weight = 0
        self._previous: Tensor | None = None
        self._mean: Tensor | None = None

    def update(self, fused: Tensor) -> Tensor:
        """Take in the next iterate.

        Args:
            fused (Tensor): :math:`F_k` (B, 1, H, W), for k = 0, 1, 2, ... in turn.

        Returns:
            Tensor: :math:`a_k` (B, 1, H, W), without gradient, normalised as asked for. Zero for the first iterate.

        Raises:
            ValueError: The iterate or the scores do not have the shape that goes with the labels.

        Examples:
            The score of the only class is the image, so the map is how the iterate moved:

            >>> labels = torch.zeros(1, 1, 2, dtype=torch.long)
            >>> trajectory = TrajectoryAttribution(lambda image: image, labels)
            >>> for iterate in (torch.tensor([[[[0.5, 0.5]]]]), torch.tensor([[[[0.7, 0.3]]]])):
            ...     print(trajectory.update(iterate))
            tensor([[[[0., 0.]]]])
            tensor([[[[ 1., -1.]]]])
        """
        shape = (self._labels.index if isinstance(self._labels, LabelRegions) else self._labels).shape
        if fused.ndim != 4 or shape != (len(fused), *fused.shape[-2:]):
            raise ValueError(
                f'an iterate (B, 1, H, W) goes with labels (B, H, W), got {tuple(fused.shape)} and {tuple(shape)}'
            )
        fused = fused.detach().to(torch.promote_types(fused.dtype, torch.float32))
        self._stage += 1
        if self._previous is None or self._mean is None:
            self._mean = torch.zeros_like(fused)
        elif (self._stage - 1) % self.interval:
            return self._normalized(self._mean)
        else:
            step = self._gradient(fused) * (fused - self._previous)
            self._mean = (self._mean * self._weight + step) / self._stage
            self._weight = self._stage
        self._previous = fused
        return self._normalized(self._mean)

    def _gradient(self, fused: Tensor) -> Tensor:
        with isolated(self.scorer, fused.device):
            images = fused.clone().requires_grad_()
            scores = self.scorer(images).to(images.dtype)
            if scores.ndim != 4 or scores.shape[0] != len(images) or scores.shape[-2:] != images.shape[-2:]:
                raise ValueError(
                    f'the scorer returned scores of shape {tuple(scores.shape)} for images of shape '
                    f'{tuple(images.shape)}; (B, C, H, W) of the same B, H and W was expected'
                )
            regions = self._regions(scores)
            total = (regions.select(scores) * regions.known).sum()
            (gradient,) = torch.autograd.grad(total, images)
        return gradient if self.normalization == 'rms' else gradient / scores.numel()

    def _regions(self, scores: Tensor) -> LabelRegions:
        if not isinstance(self._labels, LabelRegions):
            self._labels = LabelRegions.from_labels(
                self._labels, scores.shape[1], self._ignore_index, check=self._check_labels
            )
        return self._labels

    def _normalized(self, values: Tensor) -> Tensor:
        if self.normalization == 'none':
            return values
        # No evidence anywhere stays zero rather than 0 / 0.
        tiny = torch.finfo(values.dtype).tiny
        # By the peak first: gradients of a saturated softmax may be 1e-25, whose square is 0 in float32.
        values = values / values.abs().amax((1, 2, 3), keepdim=True).clamp(min=tiny)
        return values / values.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=tiny)
