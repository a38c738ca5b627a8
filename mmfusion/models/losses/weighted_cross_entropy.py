"""Cross entropy with class weights and ignored pixels, on every stack."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmfusion.registry import MODELS

from ..processes import mean_over_processes


@MODELS.register_module()
class WeightedCrossEntropy(nn.Module):
    """Cross entropy, each pixel by the weight of its class, mean over the pixels that are not ignored.

    mmseg's own loss with ``class_weight`` fails on ignored pixels, on one stack or the other. It takes the place of
    that in a decode head's ``loss_decode``. Several processes count their pixels together: each weighs the same.

    Args:
        class_weight (Sequence[float], optional): One weight per class, at least 0; all 1 by default.
        loss_weight (float): Factor of the loss.
        loss_name (str): Its name in the log.

    Raises:
        ValueError: A weight is negative.

    Examples:
        A pixel of each class, told with probabilities of one half, and one that is ignored:

        >>> loss = WeightedCrossEntropy(class_weight=[1.0, 3.0])
        >>> round(loss(torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])).item(), 4)  # 2 log 2
        1.3863
    """

    class_weight: Tensor | None

    def __init__(
        self, class_weight: Sequence[float] | None = None, loss_weight: float = 1.0, loss_name: str = 'loss_ce'
    ) -> None:
        super().__init__()
        if class_weight is not None and min(class_weight) < 0:
            raise ValueError(f'class weights must not be negative, got {list(class_weight)}')
        if not loss_weight >= 0:
            raise ValueError(f'loss_weight must not be negative, got {loss_weight}')
        weights = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer('class_weight', weights, persistent=False)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """str: Name in the log; mmseg sums losses of one name."""
        return self._loss_name

    def forward(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255
    ) -> Tensor:
        """Compare scores with labels.

        Args:
            cls_score (Tensor): Logits (B, C, H, W).
            label (Tensor): Class ids (B, H, W).
            weight (Tensor, optional): A further weight per pixel (B, H, W).
            ignore_index (int): Label of pixels that do not count.

        Returns:
            Tensor: A scalar; 0 if every pixel is ignored.

        Raises:
            ValueError: There are not as many scores as class weights.
        """
        if self.class_weight is not None and len(self.class_weight) != cls_score.shape[1]:
            raise ValueError(
                f'{len(self.class_weight)} class weights, but {cls_score.shape[1]} classes; set '
                'loss_decode.class_weight for the classes of the data set'
            )
        class_weight = None if self.class_weight is None else self.class_weight.to(cls_score)
        losses = F.cross_entropy(cls_score, label, class_weight, ignore_index=ignore_index, reduction='none')
        if weight is not None:
            losses = losses * weight
        count = mean_over_processes((label != ignore_index).sum())
        return self.loss_weight * losses.sum() / count.clamp(min=torch.finfo(count.dtype).eps)
