"""The options of a fusion that analysis reads and varies: the one place that knows where a fusion keeps them."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from mmfusion.models import UAAFusion

# Options of the attribution, and what UAAFusion calls them: of the two numbers of pairs, that of a prediction.
_NAMES = dict(
    baseline='baseline',
    estimator='estimator',
    rule='rule',
    steps='steps',
    pairs='test_pairs',
    smoothing='smoothing',
    region='region',
    eps='eps',
)


def attribution_of(fusion: nn.Module, **fallbacks: Any) -> dict[str, Any]:
    """How a fusion attributes when it predicts.

    Args:
        fusion (nn.Module): Any fusion.
        **fallbacks: What a fusion that attributes nothing is said to have, where it is not UAAFusion's default.

    Returns:
        dict[str, Any]: ``baseline``, ``estimator``, ``rule``, ``steps``, ``pairs``, ``smoothing``, ``region`` and
        ``eps``; see :class:`~mmfusion.models.UAAFusion`.

    Examples:
        >>> from mmfusion.models import AverageFusion
        >>> attribution_of(UAAFusion(num_stages=1, channels=4, estimator='endpoint'), estimator='exact')['estimator']
        'endpoint'
        >>> attribution_of(AverageFusion(), estimator='exact')['estimator']
        'exact'
    """
    defaults = inspect.signature(UAAFusion).parameters
    options = {}
    for name, attribute in _NAMES.items():
        fallback = fallbacks.get(name, defaults[attribute].default)
        options[name] = getattr(fusion, attribute, fallback)
    return options


def vary_attribution(fusion: nn.Module, **options: Any) -> None:
    """Set options of a fusion's attribution, for all that follows.

    Args:
        fusion (nn.Module): Any fusion; one that has no such option stays as it is.
        **options: Names as in :func:`attribution_of`.

    Examples:
        >>> fusion = UAAFusion(num_stages=1, channels=4)
        >>> vary_attribution(fusion, steps=7)
        >>> attribution_of(fusion)['steps']
        7
    """
    for name, value in options.items():
        if hasattr(fusion, _NAMES[name]):
            setattr(fusion, _NAMES[name], value)


def attention_of(fusion: nn.Module) -> str | None:
    """How a fusion normalises the attention of its iterates; None without attention.

    Examples:
        >>> attention_of(UAAFusion(num_stages=1, channels=4))
        'rms'
    """
    return getattr(fusion, 'attention', None)


def set_attention(fusion: nn.Module, normalization: str | None) -> None:
    """Set how a fusion normalises the attention of its iterates, for all that follows.

    Args:
        fusion (nn.Module): A UAAFusion.
        normalization (str, optional): 'rms', 'none', or None for no attention.

    Examples:
        >>> fusion = UAAFusion(num_stages=1, channels=4)
        >>> set_attention(fusion, None)
        >>> attention_of(fusion) is None
        True
    """
    fusion.attention = normalization  # type: ignore[assignment]  # torch says that modules hold tensors and modules.


@contextmanager
def with_attention(fusion: nn.Module, normalization: str | None) -> Iterator[None]:
    """Another normalisation of the attention inside the context.

    Args:
        fusion (nn.Module): A UAAFusion.
        normalization (str, optional): As for :func:`set_attention`.

    Yields:
        None

    Examples:
        >>> fusion = UAAFusion(num_stages=1, channels=4)
        >>> with with_attention(fusion, 'none'):
        ...     attention_of(fusion)
        'none'
        >>> attention_of(fusion)
        'rms'
    """
    before = attention_of(fusion)
    set_attention(fusion, normalization)
    try:
        yield
    finally:
        set_attention(fusion, before)


def label_source_of(fusion: nn.Module) -> str:
    """Where a fusion takes labels from that nobody gives: 'sources' or 'mean'.

    Examples:
        >>> label_source_of(UAAFusion(num_stages=1, channels=4, label_source='mean'))
        'mean'
    """
    return getattr(fusion, 'label_source', 'sources')


def ignored_label(fusion: nn.Module) -> int:
    """Label of the pixels that belong to no region.

    Examples:
        >>> ignored_label(UAAFusion(num_stages=1, channels=4, ignore_index=9))
        9
    """
    return getattr(fusion, 'ignore_index', 255)
