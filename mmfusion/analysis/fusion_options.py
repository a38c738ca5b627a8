"""The options of a fusion that analysis reads and varies: the one place that knows where a fusion keeps them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from mmfusion.attribution import Attribution


def attribution_of(fusion: nn.Module) -> Attribution:
    """How a fusion attributes; the defaults for one that attributes nothing.

    Examples:
        >>> from mmfusion.models import AverageFusion, UAAFusion
        >>> attribution_of(UAAFusion(num_stages=1, channels=4, attribution=dict(estimator='endpoint'))).estimator
        'endpoint'
        >>> attribution_of(AverageFusion()) == Attribution()
        True
    """
    options = getattr(fusion, 'attribution', None)
    return options if isinstance(options, Attribution) else Attribution()


def vary_attribution(fusion: nn.Module, **options: Any) -> None:
    """Set options of a fusion's attribution, for all that follows.

    Args:
        fusion (nn.Module): Any fusion; one that attributes nothing stays as it is.
        **options: Of :class:`~mmfusion.attribution.Attribution`.

    Examples:
        >>> from mmfusion.models import UAAFusion
        >>> fusion = UAAFusion(num_stages=1, channels=4)
        >>> vary_attribution(fusion, steps=7)
        >>> attribution_of(fusion).steps
        7
    """
    if hasattr(fusion, 'attribution'):
        varied: Any = replace(attribution_of(fusion), **options)
        fusion.attribution = varied  # torch says that modules hold tensors and modules, hence Any.


def attention_of(fusion: nn.Module) -> str | None:
    """How a fusion normalises the attention of its iterates; None without attention.

    Examples:
        >>> from mmfusion.models import UAAFusion
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
        >>> from mmfusion.models import UAAFusion
        >>> fusion = UAAFusion(num_stages=1, channels=4)
        >>> set_attention(fusion, None)
        >>> attention_of(fusion) is None
        True
    """
    varied: Any = normalization
    fusion.attention = varied


@contextmanager
def with_attention(fusion: nn.Module, normalization: str | None) -> Iterator[None]:
    """Another normalisation of the attention inside the context.

    Args:
        fusion (nn.Module): A UAAFusion.
        normalization (str, optional): As for :func:`set_attention`.

    Yields:
        None

    Examples:
        >>> from mmfusion.models import UAAFusion
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
