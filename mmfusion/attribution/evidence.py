"""What attribution finds, and the weights that follow from it."""

from dataclasses import dataclass

from torch import Tensor

from .label_regions import LabelRegions


@dataclass(frozen=True)
class Evidence:
    r"""What a segmentor finds in two sources, class by class. B samples, C classes.

    The share of the infrared image in the evidence for a class is

    .. math:: \frac{E_I + \kappa}{E_I + E_V + 2 \kappa}

    with the evidence :math:`E` of a whole region in units of the score, which for probabilities is at most about one,
    and the smoothing :math:`\kappa` as evidence that each source is credited with in advance. Where both sources hold
    next to nothing (a background that the segmentor assumes anyway), the plain ratio is that of two rounding errors;
    smoothing leaves it at one half. With :math:`\kappa = 0` it is the ratio of UAAFusion (arXiv 2502.01467).

    Examples:
        A region of four pixels whose evidence is 0.4 in infrared and 0.1 in visible, told per pixel:

        >>> import torch
        >>> regions = LabelRegions.from_labels(torch.zeros(1, 2, 2, dtype=torch.long), num_classes=1)
        >>> found = Evidence(regions, torch.tensor([[0.1]]), torch.tensor([[0.025]]), scale=regions.sizes[:, :-1])
        >>> found.share(), found.smoothed(0.05).share()
        (tensor([[0.8000]]), tensor([[0.7500]]))
    """

    regions: LabelRegions
    """Whose evidence it is."""
    ir: Tensor
    """Attribution of the infrared image (B, C), at least 0, without gradient."""
    vi: Tensor
    """Attribution of the visible image (B, C)."""
    scale: Tensor
    """(B, C): attributions times this are in units of the score. 1 for differences of scores; the size of the region in
    pixels for means over its pixels."""
    smoothing: float = 0.0
    """Evidence, in units of the score, that each source is credited with in advance."""
    eps: float = 1e-8
    """Added to both attributions, so that no evidence at all is one half."""

    @property
    def prior(self) -> Tensor:
        """Tensor: The smoothing in units of the attributions (B, C).

        Examples:
            A region of two pixels, attributed per pixel:

            >>> import torch
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 255]]]), num_classes=1)
            >>> nothing = torch.zeros(1, 1)
            >>> Evidence(regions, nothing, nothing, regions.sizes[:, :-1], smoothing=0.5).prior
            tensor([[0.2500]])
        """
        return self.smoothing / self.scale.clamp(min=1)

    def smoothed(self, smoothing: float) -> 'Evidence':
        """The same evidence with another smoothing.

        Examples:
            >>> import torch
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 255]]]), num_classes=1)
            >>> found = Evidence(regions, torch.tensor([[0.6]]), torch.tensor([[0.2]]), torch.ones(1, 1))
            >>> found.smoothed(0.4).share()
            tensor([[0.6250]])
        """
        return Evidence(self.regions, self.ir, self.vi, self.scale, smoothing, self.eps)

    def share(self) -> Tensor:
        """Share of the infrared image in the evidence for each class: (B, C) in [0, 1].

        Examples:
            >>> import torch
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 255]]]), num_classes=1)
            >>> found = Evidence(regions, torch.tensor([[0.6]]), torch.tensor([[0.2]]), torch.ones(1, 1))
            >>> found.share()
            tensor([[0.7500]])
        """
        prior = self.eps + self.prior.to(self.ir)
        return (self.ir + prior) / (self.ir + self.vi + 2 * prior)

    def mean_share(self) -> Tensor:
        """Mean share (C,) over the samples that hold the class; NaN for a class that none holds.

        Examples:
            >>> import torch
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0]], [[0, 1]]]), num_classes=3)
            >>> ir = torch.tensor([[0.3, 0.0, 0.0], [0.1, 0.2, 0.0]])
            >>> Evidence(regions, ir, 0.4 - ir, torch.ones(2, 3)).mean_share()
            tensor([0.5000, 0.5000,    nan])
        """
        return self.share().masked_fill(~self.regions.present, float('nan')).nanmean(0)

    def weights(self, strength: float = 1.0) -> tuple[Tensor, Tensor]:
        """The shares, spread over the regions.

        Args:
            strength (float): How far the evidence moves the weights from one half, in [0, 1].

        Returns:
            tuple[Tensor, Tensor]: Weights of the infrared and the visible image, (B, 1, H, W) in [0, 1]; they add to 1
            and are one half at pixels of no class.

        Examples:
            >>> import torch
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 255]]]), num_classes=1)
            >>> found = Evidence(regions, torch.tensor([[0.6]]), torch.tensor([[0.2]]), torch.ones(1, 1))
            >>> found.weights()[0], found.weights(strength=0.5)[0]
            (tensor([[[[0.7500, 0.7500, 0.5000]]]]), tensor([[[[0.6250, 0.6250, 0.5000]]]]))
        """
        weight_ir = 0.5 + strength * (self.regions.spread(self.share(), fill=0.5) - 0.5)
        return weight_ir, 1 - weight_ir
