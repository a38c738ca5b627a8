"""Configs of mmseg models, taken over as they are but for what another task needs."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import ConfigDict

from ..head_scores import MASK_HEADS

_HEADS = ('decode_head', 'auxiliary_head')
_PADDING = ('size', 'size_divisor', 'seg_pad_val', 'test_cfg')


def _heads(segmentor: Mapping[str, Any]) -> Iterator[ConfigDict]:
    for key in _HEADS:
        found = segmentor.get(key) or []
        yield from [found] if isinstance(found, Mapping) else found


def with_classes(segmentor: ConfigDict, num_classes: int | None) -> None:
    """Set the number of classes of every head, in place.

    Weights of classes belong to those of the former task: a loss's are left out if their number is another one, those
    of a mask classification head, which has one more for 'nothing', get as many entries as there are classes.

    Args:
        segmentor (ConfigDict): Config of an mmseg segmentor.
        num_classes (int, optional): None leaves everything as it is.

    Raises:
        ValueError: Less than 1, or not a whole number.

    Examples:
        >>> loss = dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0, 3.0])
        >>> model = ConfigDict(decode_head=dict(num_classes=3, loss_decode=loss), auxiliary_head=[dict(num_classes=3)])
        >>> with_classes(model, 9)
        >>> model.decode_head
        {'num_classes': 9, 'loss_decode': {'type': 'CrossEntropyLoss'}}
        >>> model.auxiliary_head
        [{'num_classes': 9}]
    """
    if num_classes is None:
        return
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f'num_classes must be a whole number of at least 1, got {num_classes!r}')
    for head in _heads(segmentor):
        former = head.get('num_classes')
        if former == num_classes:
            continue
        head.num_classes = num_classes
        if former is not None and head.get('out_channels') == former:
            head.out_channels = num_classes
        classifies_masks = str(head.get('type')).split('.')[-1] in MASK_HEADS
        _refit_class_weights(head, num_classes, and_nothing=classifies_masks)


def _refit_class_weights(part: Any, num_classes: int, and_nothing: bool) -> None:
    if isinstance(part, (list, tuple)):
        for each in part:
            _refit_class_weights(each, num_classes, and_nothing)
    if not isinstance(part, dict):
        return
    weights = part.get('class_weight')
    if isinstance(weights, (list, tuple)) and and_nothing:
        part['class_weight'] = [1.0] * num_classes + [weights[-1]]
    elif isinstance(weights, (list, tuple)) and len(weights) != num_classes:
        del part['class_weight']
    for each in list(part.values()):
        _refit_class_weights(each, num_classes, and_nothing)


def with_pretrained(segmentor: ConfigDict, pretrained: str | bool | None) -> None:
    """Choose the weights that the segmentor starts from, in place.

    Args:
        segmentor (ConfigDict): Config of an mmseg segmentor.
        pretrained (str | bool, optional): File or address of weights of the backbone, in the place of those that the
            config names; False for none of any part; None and True for what the config says.

    Examples:
        >>> weights = dict(type='Pretrained', checkpoint='https://host/resnet50.pth')
        >>> model = ConfigDict(backbone=dict(type='ResNetV1c', init_cfg=weights))
        >>> with_pretrained(model, 'resnet50.pth')
        >>> model.backbone.init_cfg
        {'type': 'Pretrained', 'checkpoint': 'resnet50.pth'}
        >>> with_pretrained(model, False)
        >>> model.backbone
        {'type': 'ResNetV1c'}
    """
    if pretrained is None or pretrained is True:
        return
    segmentor.pop('pretrained', None)
    if pretrained is False:
        _drop_pretrained(segmentor)
        return
    for name in [name for name in segmentor if name == 'backbone' or name.startswith('image_encoder')]:
        segmentor[name].pop('pretrained', None)
        segmentor[name].init_cfg = ConfigDict(type='Pretrained', checkpoint=pretrained)


def _drop_pretrained(part: Any) -> None:
    if isinstance(part, (list, tuple)):
        for each in part:
            _drop_pretrained(each)
    if not isinstance(part, dict):
        return
    part.pop('pretrained', None)
    initial = part.get('init_cfg')
    if isinstance(initial, Mapping) and initial.get('type') == 'Pretrained':
        del part['init_cfg']
    for each in list(part.values()):
        _drop_pretrained(each)


def pair_preprocessor(given: Mapping[str, Any] | None, expects: Mapping[str, Any]) -> tuple[dict, dict]:
    """Config of the preprocessor of pairs, and of what tells how the backbone wants its images.

    Args:
        given (Mapping, optional): Config of ``data_preprocessor``. One of mmseg's, such as an inherited one, tells
            sizes and statistics.
        expects (Mapping): Config of the segmentor's own preprocessor; empty if it has none.

    Returns:
        tuple[dict, dict]: Config to build, and ``expects``, or the one of mmseg's that was given.

    Examples:
        >>> own = dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=True, size=(64, 64))
        >>> pair_preprocessor(None, own)[0]
        {'type': 'FusionDataPreProcessor', 'size': (64, 64)}
        >>> pair_preprocessor(dict(type='FusionDataPreProcessor', size_divisor=32), own)[0]
        {'type': 'FusionDataPreProcessor', 'size_divisor': 32}
    """
    kind = str((given or {}).get('type', 'SegDataPreProcessor'))
    if given and kind.split('.')[-1] != 'SegDataPreProcessor':
        return dict(given), dict(expects)
    source = dict(expects, **(given or {}))
    wanted = {key: source[key] for key in _PADDING if source.get(key) is not None}
    if 'test_cfg' in wanted:
        wanted['test_cfg'] = {key: value for key, value in wanted['test_cfg'].items() if key.startswith('size')}
    if wanted.get('size') is not None:
        wanted.pop('size_divisor', None)
    return dict(type='FusionDataPreProcessor', **wanted), source
