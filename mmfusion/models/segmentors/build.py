"""Building the parts of the joint model from their configs."""

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from mmfusion.registry import MODELS

from ..reading import Reading
from .recipe import with_classes, with_pretrained


def segmentor_config(
    config: Mapping[str, Any], num_classes: int | None = None, pretrained: str | bool | None = None
) -> tuple[ConfigDict, dict]:
    """Config of any mmseg segmentor, apart from that of its preprocessor.

    Args:
        config (Mapping): Inherited or written out; it is not changed.
        num_classes (int, optional): See :func:`~mmfusion.models.segmentors.recipe.with_classes`.
        pretrained (str | bool, optional): See :func:`~mmfusion.models.segmentors.recipe.with_pretrained`.

    Returns:
        tuple[ConfigDict, dict]: The segmentor's config, and that of its preprocessor, which tells how its backbone
        wants images normalised; empty if there is none.

    Raises:
        TypeError: It is no config.
        ValueError: The config has no decode head.

    Examples:
        >>> segmentor_config(dict(type='EncoderDecoder', backbone=dict()))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: the segmentor config has no decode_head (its keys: ['backbone', 'type']); give a whole mmseg ...
    """
    if not isinstance(config, Mapping):
        raise TypeError(f'segmentor must be the config of an mmseg model, such as _base_.model, got {config!r}')
    segmentor = ConfigDict(copy.deepcopy(dict(config)))
    if segmentor.get('decode_head') is None:
        raise ValueError(
            f'the segmentor config has no decode_head (its keys: {sorted(segmentor)}); give a whole '
            'mmseg model, such as segmentor=_base_.model'
        )
    with_classes(segmentor, num_classes)
    with_pretrained(segmentor, pretrained)
    return segmentor, segmentor.pop('data_preprocessor', None) or {}


def build_segmentor(segmentor: ConfigDict, **overrides: Any) -> Any:
    """Any mmseg segmentor.

    Args:
        segmentor (ConfigDict): From :func:`segmentor_config`.
        **overrides: ``train_cfg`` and ``test_cfg`` in the place of its own; None for none.

    Returns:
        nn.Module: The segmentor, without a preprocessor.
    """
    segmentor.update({key: value for key, value in overrides.items() if value is not None})
    segmentor.setdefault('test_cfg', ConfigDict(mode='whole'))
    # mmseg builds the parts of a segmentor from its own registry, which finds ours in a default scope only.
    scope = DefaultScope.get_current_instance()
    with DefaultScope.overwrite_default_scope(scope.scope_name if scope else 'mmfusion'):
        return MODELS.build(segmentor)


def build_refiner(config: Mapping[str, Any] | None, segmentor: Any, fusion: nn.Module) -> nn.Module | None:
    """The refiner, which fits the classes of the segmentor and the features of the fusion.

    Args:
        config (Mapping, optional): Its config; None for none.
        segmentor (nn.Module): Has ``out_channels``.
        fusion (nn.Module): May have ``feature_channels``.

    Returns:
        nn.Module | None: Built.

    Examples:
        >>> from types import SimpleNamespace
        >>> refine = build_refiner(dict(type='DetailRefiner'), SimpleNamespace(out_channels=3), nn.Identity())
        >>> refine.correct.out_channels  # Three scores for each of the four pixels of a square.
        12
    """
    if config is None:
        return None
    sizes = dict(num_classes=segmentor.out_channels, feature_channels=getattr(fusion, 'feature_channels', 0))
    return MODELS.build({**sizes, **config})


def refuse_blind_attention(fusion: nn.Module, reading: Reading) -> None:
    """Refuse an attention that asks for the attribution of iterates which the segmentor never sees.

    Args:
        fusion (nn.Module): May have an ``attention``.
        reading (Reading): What the segmentor reads.

    Raises:
        ValueError: The scores do not depend on the fused image; the message says what to set.

    Examples:
        >>> from types import SimpleNamespace
        >>> refuse_blind_attention(SimpleNamespace(attention='rms'), Reading('pair'))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: fusion.attention='rms' attributes the fused image, which a segmentor that reads 'pair' ...
    """
    attention = getattr(fusion, 'attention', None)
    if attention in (None, 'gate') or reading.uses_fused:
        return
    read = repr(reading.name) if reading.name != 'views' else ' and '.join(map(repr, reading.views))
    raise ValueError(
        f'fusion.attention={attention!r} attributes the fused image, which a segmentor that reads {read} does not see; '
        "set fusion.attention=None, or fusion.weights='gate' whose attention needs no segmentor"
    )
