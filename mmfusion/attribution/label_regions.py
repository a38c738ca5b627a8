"""The pixels of each class, derived once from a label map: where sums and means over regions are taken."""

from dataclasses import dataclass

import torch
from torch import Tensor


def refuse_unknown_labels(labels: Tensor, num_classes: int, *ignored: int) -> None:
    """Refuse labels that no class has. On the CPU only: elsewhere looking would wait for the device.

    Args:
        labels (Tensor): Class ids of any shape, integer.
        num_classes (int): Number of classes C.
        *ignored (int): Ids that are allowed besides.

    Raises:
        ValueError: The message lists the ids.

    Examples:
        >>> refuse_unknown_labels(torch.tensor([0, 2, 255]), 3, 255)
        >>> refuse_unknown_labels(torch.tensor([0, 3, 255]), 3, 255)
        Traceback (most recent call last):
        ValueError: labels hold the ids [3], outside 0..2 and not ignore_index=255; set num_classes or map the labels
    """
    if labels.device.type != 'cpu':
        return
    outside = (labels < 0) | (labels >= num_classes)
    for label in ignored:
        outside = outside & (labels != label)
    if outside.any():
        raise ValueError(
            f'labels hold the ids {labels[outside].unique().tolist()}, outside 0..{num_classes - 1} and not '
            f'ignore_index={" or ".join(map(str, dict.fromkeys(ignored)))}; set num_classes or map the labels'
        )


@dataclass(frozen=True)
class LabelRegions:
    """The regions of the classes in a batch of label maps. B samples, C classes, H x W pixels.

    Which pixels belong to a class, how many there are, and which pixels belong to none is asked at several places of
    one fusion (estimators, shares, weights, attention); all of them read it here.
    """

    index: Tensor
    """(B, H, W), int64: class ids; pixels of no class point at an extra class C."""
    sizes: Tensor
    """(B, C + 1) pixels per region, of the union over the batch where ``pooled``; 0 for the extra class."""
    inverse: Tensor
    """(B, C + 1) one over the size; 0 for a class that the sample does not have."""
    pooled: bool = False
    """Whether a region is the union over the batch (the released network)."""

    @classmethod
    def from_labels(
        cls,
        labels: Tensor,
        num_classes: int,
        ignore_index: int = 255,
        *,
        pooled: bool = False,
        dtype: torch.dtype = torch.float32,
        check: bool = True,
    ) -> 'LabelRegions':
        """Find the regions of a label map.

        Ids are looked at where that costs nothing: on the CPU. On an accelerator it would wait for the device in every
        iteration; there an id that no class has counts as a pixel of no class, and
        :class:`~mmfusion.datasets.LoadPairAnnotations` has refused it when the file was read.

        Args:
            labels (Tensor): Class ids (B, H, W), integer.
            num_classes (int): Number of classes C.
            ignore_index (int): Label of pixels that belong to no region.
            pooled (bool): Let regions run over the whole batch.
            dtype (torch.dtype): Of the sizes.
            check (bool): Refuse ids that no class has; otherwise such pixels belong to no class everywhere.

        Returns:
            LabelRegions: Usable with autograd, also where this is called under ``torch.inference_mode()``.

        Raises:
            ValueError: On the CPU, a label is neither a class nor ``ignore_index``; or the labels are no integers.

        Examples:
            >>> labels = torch.tensor([[[0, 0, 0], [1, 255, 255]]])
            >>> regions = LabelRegions.from_labels(labels, num_classes=3)
            >>> regions.sizes[:, :-1], regions.present
            (tensor([[3., 1., 0.]]), tensor([[ True,  True, False]]))
        """
        if labels.ndim != 3 or labels.is_floating_point():
            raise ValueError(f'labels must be integers (B, H, W), got {labels.dtype} of shape {tuple(labels.shape)}')
        # A copy: tensors made under inference_mode cannot take part in autograd.
        with torch.inference_mode(False), torch.no_grad():
            labels = labels.detach().clone().long()
            if check:
                refuse_unknown_labels(labels, num_classes, ignore_index)
            known = (labels != ignore_index) & (labels >= 0) & (labels < num_classes)
            index = labels.masked_fill(~known, num_classes)
            sizes = torch.zeros(len(labels), num_classes + 1, dtype=dtype, device=labels.device)
            sizes.scatter_add_(1, index.flatten(1), torch.ones_like(index, dtype=dtype).flatten(1))
            sizes[:, num_classes] = 0
            present = sizes > 0
            if pooled:
                sizes = sizes.sum(0, keepdim=True).expand_as(sizes)
            inverse = torch.where(present, 1 / sizes.clamp(min=1), torch.zeros_like(sizes))
        return cls(index, sizes, inverse, pooled)

    @property
    def num_classes(self) -> int:
        """int: Number of classes C.

        Examples:
            >>> LabelRegions.from_labels(torch.tensor([[[0, 255]]]), num_classes=3).num_classes
            3
        """
        return self.inverse.shape[1] - 1

    @property
    def present(self) -> Tensor:
        """Tensor: Which classes a sample has, booleans (B, C).

        Examples:
            >>> LabelRegions.from_labels(torch.tensor([[[1, 1]], [[0, 1]]]), num_classes=2).present
            tensor([[False,  True],
                    [ True,  True]])
        """
        return self.inverse[:, :-1] > 0

    @property
    def known(self) -> Tensor:
        """Tensor: Which pixels belong to a class, booleans (B, H, W).

        Examples:
            >>> LabelRegions.from_labels(torch.tensor([[[0, 255]]]), num_classes=1).known
            tensor([[[ True, False]]])
        """
        return self.index < self.num_classes

    def present_in_batch(self) -> list[int]:
        """Classes that occur anywhere in the batch. Waits for the device.

        Examples:
            >>> LabelRegions.from_labels(torch.tensor([[[1, 1]], [[3, 255]]]), num_classes=4).present_in_batch()
            [1, 3]
        """
        return self.present.any(0).nonzero().flatten().tolist()

    def labels(self, ignore_index: int = 255) -> Tensor:
        """Class ids (B, H, W) int64, with ``ignore_index`` for pixels of no class.

        Examples:
            >>> LabelRegions.from_labels(torch.tensor([[[0, 9]]]), 1, ignore_index=9).labels(255).tolist()
            [[[0, 255]]]
        """
        return self.index.masked_fill(~self.known, ignore_index)

    def __len__(self) -> int:
        """Number of samples B."""
        return len(self.index)

    def __getitem__(self, rows: Tensor) -> 'LabelRegions':
        """Some samples, or some of them several times; sums over them are still to be finished by the whole."""
        return LabelRegions(self.index[rows], self.sizes[rows], self.inverse[rows])

    def repeat(self, times: int) -> 'LabelRegions':
        """The whole batch several times over, as for several sources with the same labels.

        Raises:
            ValueError: Regions run over the batch, so those of the copies would run over the sources as well.

        Examples:
            >>> LabelRegions.from_labels(torch.tensor([[[0, 1]]]), num_classes=2).repeat(2).index.tolist()
            [[[0, 1]], [[0, 1]]]
        """
        if self.pooled:
            raise ValueError('regions that run over the batch cannot be repeated: attribute one source after the other')
        return LabelRegions(self.index.repeat(times, 1, 1), self.sizes.repeat(times, 1), self.inverse.repeat(times, 1))

    def select(self, scores: Tensor) -> Tensor:
        """Of scores (B, C, H, W), each pixel's score of its own class (B, H, W).

        Pixels of no class get the score of any class; sums over regions leave them out.

        Examples:
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 1]]]), num_classes=2)
            >>> regions.select(torch.tensor([[[[0.9, 0.2]], [[0.1, 0.8]]]]))
            tensor([[[0.9000, 0.8000]]])
        """
        return scores.gather(1, self.index.clamp(max=self.num_classes - 1)[:, None])[:, 0]

    def sums(self, values: Tensor) -> Tensor:
        """Sum (B, H, W) values over each region: (B, C + 1), the last one over the pixels of no class.

        Examples:
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 255]]]), num_classes=1)
            >>> regions.sums(torch.tensor([[[1.0, 3.0, 5.0]]]))
            tensor([[4., 5.]])
        """
        sums = torch.zeros_like(self.inverse)
        return sums.scatter_add_(1, self.index.flatten(1), values.to(sums.dtype).flatten(1))

    def finish(self, sums: Tensor) -> Tensor:
        """Region sums per sample (..., B, C + 1) to region means (..., B, C).

        Examples:
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 0, 255]]]), num_classes=2)
            >>> regions.finish(regions.sums(torch.tensor([[[1.0, 3.0, 5.0]]])))
            tensor([[2., 0.]])
        """
        if self.pooled:
            sums = sums.sum(-2, keepdim=True).expand_as(sums)
        return (sums * self.inverse)[..., :-1]

    def spread(self, values: Tensor, fill: float) -> Tensor:
        """Paint a value per class (B, C) into its region: (B, 1, H, W), with ``fill`` at pixels of no class.

        Examples:
            >>> regions = LabelRegions.from_labels(torch.tensor([[[0, 255]]]), num_classes=1)
            >>> regions.spread(torch.tensor([[0.9]]), fill=0.5)
            tensor([[[[0.9000, 0.5000]]]])
        """
        extended = torch.cat([values, torch.full_like(values[:, :1], fill)], dim=1)
        return extended.gather(1, self.index.flatten(1)).view(len(self), 1, *self.index.shape[1:])
