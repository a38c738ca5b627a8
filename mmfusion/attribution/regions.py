"""The pixels of each class, where sums and means over them are taken."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Regions:
    """The pixels of each class, as an index map and as inverse sizes."""

    index: Tensor
    """(B, H, W) class ids; pixels of no class point at an extra class ``num_classes`` of weight zero."""
    inverse: Tensor
    """(B, C + 1) one over the number of pixels of a region, 0 for a class that the sample does not have."""
    pooled: bool
    """Whether a region is the union over the batch."""

    @classmethod
    def from_labels(
        cls, labels: Tensor, num_classes: int, ignore_index: int, pooled: bool, dtype: torch.dtype
    ) -> 'Regions':
        """Find the regions of a label map (B, H, W).

        Raises:
            ValueError: A label is neither a class nor ``ignore_index``.
        """
        ignored = labels == ignore_index
        outside = ~ignored & ((labels < 0) | (labels >= num_classes))
        if outside.any():
            raise ValueError(
                f'labels hold the ids {labels[outside].unique().tolist()}, outside 0..{num_classes - 1} '
                f'and not ignore_index={ignore_index}; set num_classes or map the labels'
            )
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

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.inverse.shape[1] - 1

    def __getitem__(self, rows: Tensor) -> 'Regions':
        """Some samples, or some of them several times; sums over them are still to be finished by the whole."""
        return Regions(self.index[rows], self.inverse[rows], pooled=False)

    def own(self, scores: Tensor) -> Tensor:
        """Of scores (B, C, H, W), each pixel's score of its own class (B, H, W)."""
        # The extra class of ignored pixels has no score; it has weight zero, so any score will do.
        return scores.gather(1, self.index.clamp(max=self.num_classes - 1)[:, None])[:, 0]

    def sums(self, values: Tensor) -> Tensor:
        """Sum (B, H, W) values over each region: (B, C + 1)."""
        sums = torch.zeros_like(self.inverse)
        return sums.scatter_add_(1, self.index.flatten(1), values.to(sums.dtype).flatten(1))

    def finish(self, sums: Tensor) -> Tensor:
        """Region sums per sample (B, C + 1) to region means (B, C)."""
        if self.pooled:
            sums = sums.sum(0, keepdim=True).expand_as(sums)
        return (sums * self.inverse)[:, :-1]
