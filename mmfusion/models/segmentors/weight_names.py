"""Names of weights: those of former versions, and those of a plain segmentor."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from ..reading.stem import is_extended

_FUSION = 'fusion.'


def is_plain(weights: Mapping[str, Any], segmentor: nn.Module) -> bool:
    """Whether weights are of a segmentor without a fusion.

    Args:
        weights (Mapping): Values by name.
        segmentor (nn.Module): A segmentor.

    Returns:
        bool: No name is one of a joint model, and at least one begins as those of the segmentor.

    Examples:
        >>> segmentor = nn.ModuleDict(dict(backbone=nn.PReLU()))
        >>> is_plain({'backbone.weight': 0}, segmentor), is_plain({'segmentor.backbone.weight': 0}, segmentor)
        (True, False)
    """
    parts = {name for name, _ in segmentor.named_children()}
    words = {name.split('.', 1)[0] for name in weights}
    return not words & {'segmentor', 'fusion'} and bool(words & parts)


def own_names(weights: Mapping[str, Any], segmentor: nn.Module, fusion: nn.Module) -> dict[str, Any]:
    """Weights of a checkpoint under the names of a joint model.

    Those of a plain segmentor, as mmseg publishes them, are the joint model's segmentor; where it has a backbone for
    each view, every one of them gets those of the backbone.

    Args:
        weights (Mapping): Values by name, as a checkpoint has them.
        segmentor (nn.Module): The segmentor of the joint model.
        fusion (nn.Module): Its fusion, whose ``present_name`` tells names that have changed, if any.

    Returns:
        dict[str, Any]: The same values; in the order of the checkpoint.

    Examples:
        >>> segmentor = nn.ModuleDict(dict(backbone=nn.PReLU()))
        >>> own_names({'backbone.weight': 1}, segmentor, nn.Identity())
        {'segmentor.backbone.weight': 1}
    """
    renamed: dict[str, Any] = {}
    if not is_plain(weights, segmentor):
        present: Callable[[str], str] = getattr(fusion, 'present_name', str)
        for name, value in weights.items():
            of_fusion = name.startswith(_FUSION)
            renamed[_FUSION + present(name.removeprefix(_FUSION)) if of_fusion else name] = value
        return renamed
    backbone: Any = getattr(segmentor, 'backbone', None)
    others = getattr(backbone, 'others', None)
    for name, value in weights.items():
        if isinstance(others, nn.ModuleList) and name.startswith('backbone.'):
            inner = name.removeprefix('backbone.')
            renamed[f'segmentor.backbone.backbone.{inner}'] = value
            renamed.update({f'segmentor.backbone.others.{number}.{inner}': value for number in range(len(others))})
        else:
            renamed[f'segmentor.{name}'] = value
    return renamed


class OwnNames:
    """Hook in front of loading, by which a joint model takes checkpoints that :func:`own_names` understands.

    It holds no module, so that copies of a model have hooks of their own.
    """

    def __call__(self, module: Any, state_dict: dict[str, Any], prefix: str, *_: object) -> None:
        """Rename in place, and tell what is loaded of a plain segmentor.

        Args:
            module (nn.Module): The joint model.
            state_dict (dict): What is about to be loaded.
            prefix (str): In front of the model's names.

        Raises:
            ValueError: There is no weight in it that the model has.
        """
        mine = {name.removeprefix(prefix): state_dict[name] for name in state_dict if name.startswith(prefix)}
        renamed = own_names(mine, module.segmentor, module.fusion)
        shapes = {name: value.shape for name, value in module.state_dict().items()}
        if mine and not renamed.keys() & shapes.keys():
            raise ValueError(
                f'nothing of the checkpoint fits: it has {", ".join(list(mine)[:3])} ..., the model '
                f'{", ".join(list(shapes)[:3])} ...; give a checkpoint of this model, or of its segmentor in mmseg'
            )
        if is_plain(mine, module.segmentor):
            _tell(renamed, shapes, extended_weights(module))
        for name in mine:
            del state_dict[prefix + name]
        state_dict.update({prefix + name: value for name, value in renamed.items()})


def _tell(given: Mapping[str, Any], shapes: Mapping[str, Any], extended: set[str]) -> None:
    wanted = [name for name in shapes if name.startswith('segmentor.')]
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in shapes]
    other = [name for name in given if name in shapes and given[name].shape != shapes[name] and name not in extended]
    loaded = len(wanted) - len(missing) - len(other)
    counts = {'missing': missing, 'of another shape': other, 'unknown': unknown}
    rest = [f'{len(names)} {what} (such as {names[0]})' if names else f'0 {what}' for what, names in counts.items()]
    print_log(
        f'a checkpoint of a plain segmentor: {loaded} of {len(wanted)} weights loaded into the segmentor, '
        f'{", ".join(rest)}; the fusion starts anew',
        'current',
        logging.WARNING if missing or other else logging.INFO,
    )


def extended_weights(model: nn.Module) -> set[str]:
    """Names of weights whose layer was extended, and takes weights of fewer channels.

    Args:
        model (nn.Module): A joint model.

    Returns:
        set[str]: Empty where the segmentor reads what it was made for.
    """
    return {f'{name}.weight' for name, module in model.named_modules() if is_extended(module)}
