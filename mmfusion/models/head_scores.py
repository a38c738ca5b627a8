"""What the scores of a decode head are, and heads that answer differently each time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

MASK_HEADS = ('MaskFormerHead', 'Mask2FormerHead', 'SideAdapterCLIPHead')
"""They classify masks: their scores are sums of probabilities, at least 0, and no logits."""
_TINY = 1e-6


def gives_masses(head: nn.Module | None) -> bool:
    """Whether scores of a head are sums of probabilities, as of masks that are classified (MaskFormer and its kind).

    Args:
        head (nn.Module, optional): A decode head, or the list of heads of a cascade, whose last one counts.

    Returns:
        bool: False for scores that are logits.

    Examples:
        >>> gives_masses(nn.Conv2d(3, 2, 1)), gives_masses(type('Mask2FormerHead', (nn.Module,), {})())
        (False, True)
    """
    last = head[len(head) - 1] if isinstance(head, nn.ModuleList) else head
    return any(kind.__name__ in MASK_HEADS for kind in type(last).__mro__)


def probabilities_of_masses(masses: Tensor) -> Tensor:
    """Probabilities of classes from sums over masks.

    Every query tells how probable a class is for it and how much a pixel belongs to it; the products are summed
    (MaskFormer, arXiv 2107.06278, section 3.4). Where several queries claim a pixel the sums exceed one and are
    divided; where none does, there is little probability of anything.

    Args:
        masses (Tensor): (B, C, H, W), at least 0.

    Returns:
        Tensor: (B, C, H, W), in [0, 1]; at most 1 together.

    Examples:
        >>> probabilities_of_masses(torch.tensor([1.5, 0.5]).view(1, 2, 1, 1)).flatten().tolist()
        [0.75, 0.25]
        >>> probabilities_of_masses(torch.tensor([0.5, 0.25]).view(1, 2, 1, 1)).flatten().tolist()
        [0.5, 0.25]
    """
    masses = masses.clamp(min=0)
    return masses / masses.sum(1, keepdim=True).clamp(min=1)


def logits_of_masses(masses: Tensor) -> Tensor:
    """Logits whose softmax is in proportion to sums over masks.

    Args:
        masses (Tensor): (B, C, H, W), at least 0.

    Returns:
        Tensor: (B, C, H, W).

    Examples:
        >>> probabilities = logits_of_masses(torch.tensor([1.5, 0.5]).view(1, 2, 1, 1)).softmax(1)
        >>> [round(value, 3) for value in probabilities.flatten().tolist()]
        [0.75, 0.25]
    """
    return masses.clamp(min=_TINY).log()


@contextmanager
def steady_bases(segmentor: nn.Module) -> Iterator[None]:
    """Let heads that factorise features from random bases (mmseg's ham, of SegNeXt) start from the same ones.

    Otherwise an image has another prediction each time, and images of a batch cannot be compared.

    Args:
        segmentor (nn.Module): Any; in training mode nothing is changed, for there mmseg draws new bases on purpose.

    Yields:
        None
    """
    random_parts: list[Any] = [
        part
        for part in segmentor.modules()
        if getattr(part, 'rand_init', False) is True and hasattr(part, '_build_bases') and not part.training
    ]
    for part in random_parts:
        part.__dict__['_build_bases'] = _same_for_all(part._build_bases)
    try:
        yield
    finally:
        for part in random_parts:
            del part.__dict__['_build_bases']


def _same_for_all(build: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def bases(batch: int, *sizes: int, device: Any = None) -> Tensor:
        with torch.random.fork_rng(devices=[]):  # mmseg draws on the CPU.
            torch.manual_seed(0)
            return build(1, *sizes, device=device).repeat(batch, 1, 1)

    return bases
