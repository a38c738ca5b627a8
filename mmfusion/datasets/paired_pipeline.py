"""A pipeline of mmseg for single images, as one for pairs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

# What the place of mmseg's transforms is taken by, and the arguments that go over.
_TAKES_PLACE = {
    'LoadImageFromFile': ('LoadPairFromFile', ('to_float32', 'imdecode_backend', 'backend_args')),
    'LoadAnnotations': ('LoadPairAnnotations', ('imdecode_backend', 'backend_args')),
    'PackSegInputs': ('PackFusionInputs', ()),
}
_NEEDS_COLOURS = ('PhotoMetricDistortion', 'RGB2Gray', 'RandomGrayscale')
_PHOTOMETRIC = (*_NEEDS_COLOURS, 'CLAHE', 'AdjustGamma', 'Rerange')

Step = Mapping[str, Any] | Callable


def _name(step: Any) -> str:
    """Type of a transform's config, without a scope."""
    kind = step.get('type', '') if isinstance(step, Mapping) else step
    return (kind if isinstance(kind, str) else type(kind).__name__).split('.')[-1]


def _names(steps: Any) -> list[str]:
    """Types of transforms, and of those inside of them but for what is wrapped for one image."""
    if isinstance(steps, (list, tuple)):
        return [name for step in steps for name in _names(step)]
    if not isinstance(steps, Mapping):
        return []
    name = _name(steps)
    return [name] if name == 'ApplyToModality' else [name, *_names(steps.get('transforms', ()))]


def paired_pipeline(pipeline: Sequence[Step], owner: str = 'the data set') -> list[Step]:
    """Take over a pipeline that was written for single images.

    A pipeline with ``LoadImageFromFile`` is one of mmseg's, inherited with a recipe. Its loading and packing become
    those of pairs, and photometric transforms are wrapped for the visible image; what moves pixels stays as it is, for
    it treats both images alike. What ``LoadAnnotations`` says of label 0 belongs to another data set and is left to
    this one. Everything else is returned as it is.

    Args:
        pipeline (Sequence[dict | Callable]): Transforms or their configs.
        owner (str): Who asks, for messages.

    Returns:
        list[dict | Callable]: Transforms for pairs.

    Raises:
        ValueError: A pipeline for pairs has a photometric transform that needs three channels outside of
            ``ApplyToModality``.

    Examples:
        >>> steps = [dict(type=name) for name in ('LoadImageFromFile', 'PhotoMetricDistortion', 'RandomRotFlip')]
        >>> for step in paired_pipeline(steps):
        ...     print(step)
        {'type': 'LoadPairFromFile'}
        {'type': 'ApplyToModality', 'modality': 'visible', 'transforms': [{'type': 'PhotoMetricDistortion'}]}
        {'type': 'RandomRotFlip'}
        >>> paired_pipeline([dict(type='LoadPairFromFile'), dict(type='PhotoMetricDistortion')])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: the pipeline of the data set has PhotoMetricDistortion outside of ApplyToModality, but ...
    """
    names = _names(pipeline)
    if 'LoadImageFromFile' not in names:
        _refuse_bare(names, owner)
        return list(pipeline)
    changed = _changed(pipeline)
    print_log(f'{owner}: a pipeline for single images is read as one for pairs', 'current', logging.INFO)
    return changed


def _refuse_bare(names: Sequence[str], owner: str) -> None:
    bare = [name for name in names if name in _NEEDS_COLOURS]
    if bare and 'LoadPairFromFile' in names:
        raise ValueError(
            f'the pipeline of {owner} has {bare[0]} outside of ApplyToModality, but it needs three channels and a pair '
            f"has four; write dict(type='ApplyToModality', modality='visible', transforms=[dict(type={bare[0]!r})])"
        )


def _changed(steps: Any) -> Any:
    if isinstance(steps, (list, tuple)):
        return [_changed(step) for step in steps]
    if not isinstance(steps, Mapping):
        return steps
    name = _name(steps)
    if name in _TAKES_PLACE:
        kind, kept = _TAKES_PLACE[name]
        return dict(type=kind, **{key: steps[key] for key in kept if steps.get(key) is not None})
    if name in _PHOTOMETRIC:
        return dict(type='ApplyToModality', modality='visible', transforms=[dict(steps)])
    if 'transforms' in steps and name != 'ApplyToModality':
        return dict(steps, transforms=_changed(steps['transforms']))
    return dict(steps)


def flipped_pipeline(pipeline: Sequence[Mapping[str, Any]]) -> list[dict]:
    """A pipeline for testing that gives each pair as it is and flipped horizontally.

    Args:
        pipeline (Sequence[dict]): Configs of transforms, the last of which packs. Labels are loaded behind the flips,
            for predictions come back unflipped.

    Returns:
        list[dict]: With mmcv's ``TestTimeAug``.

    Raises:
        ValueError: The pipeline is empty.

    Examples:
        >>> steps = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations'), dict(type='PackFusionInputs')]
        >>> load, augment = flipped_pipeline(steps)
        >>> [len(choices) for choices in augment['transforms']]
        [2, 1, 1]
    """
    if not pipeline:
        raise ValueError('the pipeline of the test data is empty; there is nothing to augment')
    *steps, pack = pipeline
    labels = [step for step in steps if _name(step).endswith('Annotations')]
    flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]
    choices = [flips, *([dict(step)] for step in labels), [dict(pack)]]
    return [*(dict(step) for step in steps if step not in labels), dict(type='TestTimeAug', transforms=choices)]
