"""What a decode head says while a segmentor trains, and the losses of scores that were refined behind it."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..processes import mean_over_processes


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
        self._own = self.head.__dict__.get('forward')  # One that somebody compiled or wrapped.

        def noting(*args: Any, **kwargs: Any) -> Any:
            self.output = forward(*args, **kwargs)
            return self.output

        self.head.__dict__['forward'] = noting
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is None:
            del self.head.__dict__['forward']
        else:
            self.head.__dict__['forward'] = self._own

    def logits(self, channels: int) -> Tensor | None:
        """Scores of so many channels (B, C, h, w); None if the head said something else."""
        output = self.output
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] == channels:
            return output
        return None


def refined_losses(
    head: nn.Module, logits: Tensor, data_samples: list[SegDataSample], losses: Sequence[nn.Module] = ()
) -> dict[str, Tensor]:
    """Losses of refined scores.

    Args:
        head (nn.Module): The decode head.
        logits (Tensor): Refined scores (B, C, H, W).
        data_samples (list[SegDataSample]): With ``gt_sem_seg``.
        losses (Sequence[nn.Module]): Losses as of a decode head's ``loss_decode``. By default those of the head where
            it has ordinary ones, else cross entropy.

    Returns:
        dict[str, Tensor]: Under the losses' names, with the prefix ``refined.``.
    """
    last: Any = head[len(head) - 1] if isinstance(head, nn.ModuleList) else head
    if not losses and type(last).loss_by_feat is BaseDecodeHead.loss_by_feat:
        found = last.loss_by_feat(logits, data_samples)
    else:
        labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples]).squeeze(1)
        found = {}
        chosen: Sequence[Callable[..., Tensor]] = losses or [_plain_loss]
        for loss in chosen:
            name = getattr(loss, 'loss_name', 'loss_ce')
            value = loss(logits, labels, ignore_index=last.ignore_index)
            found[name] = found[name] + value if name in found else value
    return {f'refined.{name}': value for name, value in found.items()}


def without_empty(losses: Mapping[str, Any]) -> dict[str, Any]:
    """Losses of no value as zero: mmseg's Lovasz loss says nothing where every pixel is ignored, whose mean is NaN.

    Args:
        losses (Mapping[str, Any]): Tensors, or lists of them, by their names.

    Returns:
        dict[str, Any]: The same; still connected to what they were computed from.

    Examples:
        >>> without_empty({'loss_lovasz': torch.zeros(0, 3), 'loss_ce': torch.tensor(0.5)})
        {'loss_lovasz': tensor(0.), 'loss_ce': tensor(0.5000)}
    """

    def filled(value: Any) -> Any:
        return value.sum() if isinstance(value, Tensor) and not value.numel() else value

    return {
        name: [filled(each) for each in value] if isinstance(value, list) else filled(value)
        for name, value in losses.items()
    }


def _plain_loss(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Cross entropy, of two classes for a single channel; 0 if every pixel is ignored."""
    known = labels != ignore_index
    if logits.shape[1] > 1:
        losses = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction='none')
    else:
        wanted = labels.masked_fill(~known, 0).to(logits)
        losses = known * F.binary_cross_entropy_with_logits(logits[:, 0], wanted, reduction='none')
    count = mean_over_processes(known.sum())
    return losses.sum() / count.clamp(min=torch.finfo(count.dtype).eps)
