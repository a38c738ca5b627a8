"""How sure a prediction is, and what becomes of pixels where it is not."""

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

IGNORED = 255
"""The label of no class, as in every data set here; losses and IoU leave it out."""


def confidence(scores: Tensor) -> Tensor:
    """Probability of the class that the scores tell.

    Args:
        scores (Tensor): Logits (C, H, W); the probability of the foreground where C is 1.

    Returns:
        Tensor: (H, W) in [0, 1].

    Examples:
        >>> [round(v, 3) for v in confidence(torch.tensor([[[0.0, 3.0]], [[0.0, 0.0]]])).flatten().tolist()]
        [0.5, 0.953]
        >>> confidence(torch.tensor([[[0.25, 0.5]]])).tolist()
        [[0.75, 0.5]]
    """
    if len(scores) == 1:
        return torch.maximum(scores[0], 1 - scores[0])
    return scores.softmax(0).amax(0)


def check_confidence(min_confidence: float | None, num_classes: int) -> None:
    """Refuse a threshold that is none, or has nothing to work on.

    Args:
        min_confidence (float, optional): A probability.
        num_classes (int): How many classes the model knows.

    Raises:
        ValueError: It is outside [0, 1], the model knows no classes, or so many that one has the id of no class.

    Examples:
        >>> check_confidence(0.8, num_classes=9)
        >>> check_confidence(80, num_classes=9)
        Traceback (most recent call last):
        ValueError: min_confidence is a probability in [0, 1], got 80
    """
    if min_confidence is None:
        return
    if not 0 <= min_confidence <= 1:
        raise ValueError(f'min_confidence is a probability in [0, 1], got {min_confidence}')
    if not 0 < num_classes <= IGNORED:
        raise ValueError(
            f'min_confidence={min_confidence} marks pixels with {IGNORED}, which takes a model of 1 to {IGNORED} '
            f'classes, and this one has {num_classes}; leave it out'
        )


def leave_unsure(sample: SegDataSample, min_confidence: float) -> None:
    """Take the class from pixels that are less sure of it.

    Args:
        sample (SegDataSample): A prediction with ``seg_logits`` and ``pred_sem_seg``, which is changed in place: to
            255, no class.
        min_confidence (float): The least probability of a pixel that keeps its class, in [0, 1].

    Examples:
        >>> from mmengine.structures import PixelData
        >>> scores = torch.tensor([[[0.0, 3.0]], [[0.1, 0.0]]])
        >>> sample = SegDataSample(
        ...     seg_logits=PixelData(data=scores), pred_sem_seg=PixelData(data=scores.argmax(0, keepdim=True))
        ... )
        >>> leave_unsure(sample, 0.9)
        >>> sample.pred_sem_seg.data.tolist()
        [[[255, 0]]]
    """
    unsure = confidence(sample.seg_logits.data.float()) < min_confidence
    found = sample.pred_sem_seg.data
    found[unsure[None]] = IGNORED
