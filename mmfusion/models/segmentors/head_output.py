"""What a decode head says while a segmentor trains, and the losses of scores that were refined behind it."""

from types import TracebackType
from typing import Any

import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn


class HeadOutput:
    """Context in which the output of a decode head is noted, so that nobody has to compute it twice.

    Args:
        head (nn.Module): A decode head, or the list of heads of a cascade, whose last one counts.

    Examples:
        >>> import torch
        >>> head = nn.Conv2d(2, 3, 1)
        >>> with HeadOutput(head) as output:
        ...     _ = head(torch.zeros(1, 2, 4, 4))
        >>> output.logits(3).shape, output.logits(4)  # Other channels are no scores of the classes.
        (torch.Size([1, 3, 4, 4]), None)
    """

    def __init__(self, head: nn.Module) -> None:
        self.head = head[len(head) - 1] if isinstance(head, nn.ModuleList) else head
        self.output: Any = None

    def __enter__(self) -> 'HeadOutput':
        # mmseg's heads call their own `forward`, past the hooks of a module.
        forward = self.head.forward

        def noting(*args: Any, **kwargs: Any) -> Any:
            self.output = forward(*args, **kwargs)
            return self.output

        self.head.__dict__['forward'] = noting
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self.head.__dict__['forward']

    def logits(self, channels: int) -> Tensor | None:
        """Scores of so many channels (B, C, h, w); None if the head said something else."""
        output = self.output
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] == channels:
            return output
        return None


def refined_losses(head: nn.Module, logits: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
    """Losses of refined scores: those of the head where it has ordinary ones, else cross entropy.

    Args:
        head (nn.Module): The decode head.
        logits (Tensor): Refined scores (B, C, H, W).
        data_samples (list[SegDataSample]): With ``gt_sem_seg``.

    Returns:
        dict[str, Tensor]: Under the head's names, with the prefix ``refined.``.
    """
    last: Any = head[len(head) - 1] if isinstance(head, nn.ModuleList) else head
    if type(last).loss_by_feat is BaseDecodeHead.loss_by_feat:
        found = last.loss_by_feat(logits, data_samples)
    else:
        labels = last._stack_batch_gt(data_samples).squeeze(1)
        if logits.shape[1] == 1:
            known = labels != last.ignore_index
            found = {'loss_ce': F.binary_cross_entropy_with_logits(logits[:, 0][known], labels[known].to(logits))}
        else:
            found = {'loss_ce': F.cross_entropy(logits, labels, ignore_index=last.ignore_index)}
    return {f'refined.{name}': value for name, value in found.items()}
