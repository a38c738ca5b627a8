"""The released UAAFusion network: its weights in our layout, and a :class:`UAAFusion` that behaves as it does.

Facts about the release (docs of arXiv 2502.01467's code): the data step's result is not used, so neither ``alpha`` nor
the weights reach the image; the recurrent convolutions of the first stage, the memory of the last stage and an initial
reconstruction (``init_conv_f0``) never take part. Such weights are dropped.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmfusion.models.fusion import UAAFusion

from .options import RELEASED_FUSION, RELEASED_HEAD

# Released unit -> ours: in front of the stages, in every stage, in every stage but the last.
_SOURCE_UNITS = {'init_conv_ir': 'embed_ir', 'init_conv_vi': 'embed_vi'}
_STAGE_UNITS = {'conv1': 'embed', 'conv2': 'merge', 'conv3': 'refine', 'conv4.0': 'reconstruct'}
_MEMORY_UNITS = {'conv5': 'memory_in', 'conv6': 'memory_out'}
# Entries of one unit: convolution, PReLU, convolution.
_UNIT_ENTRIES = ('0.weight', '0.bias', '1.weight', '2.weight', '2.bias')


def strip_prefixes(state_dict: Mapping[str, Any], key: str) -> dict[str, Tensor]:
    """Find one network's weights in a released checkpoint.

    Args:
        state_dict (Mapping): A checkpoint that holds the weights under ``key``, or the weights themselves; parallel
            training's ``module.`` prefix is removed.
        key (str): 'model_f' (fusion) or 'model_s' (segmentor).

    Returns:
        dict[str, Tensor]: Weights by their released names.

    Raises:
        ValueError: There are no weights in it.

    Examples:
        >>> checkpoint = {'epoch': 40, 'model_f': {'module.alpha': torch.zeros(5)}}
        >>> strip_prefixes(checkpoint, 'model_f')
        {'alpha': tensor([0., 0., 0., 0., 0.])}
    """
    if isinstance(state_dict.get(key), Mapping):
        state_dict = state_dict[key]
    weights = {name.removeprefix('module.'): value for name, value in state_dict.items() if isinstance(value, Tensor)}
    if not weights:
        raise ValueError(f'no weights of {key!r} found; the checkpoint holds {sorted(map(str, state_dict))[:10]}')
    return weights


def convert_fusion_state_dict(state_dict: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Released layout of the fusion network to that of :class:`UAAFusion`.

    Args:
        state_dict (Mapping): Released weights, see :func:`strip_prefixes`.

    Returns:
        tuple[dict, dict]: ``num_stages`` and ``channels``; the weights for ``UAAFusion.load_state_dict``.

    Raises:
        ValueError: Keys are missing or unknown; the message lists them.

    Examples:
        >>> from mmfusion.released import ReleasedNetwork
        >>> sizes, converted = convert_fusion_state_dict(ReleasedNetwork(num_stages=3, channels=8).state_dict())
        >>> sizes
        {'num_stages': 3, 'channels': 8}
        >>> converted['unfolding.stages.1.cell.gates.weight'].shape  # four gates of 8 channels, each of input and state
        torch.Size([32, 16, 3, 3])
    """
    released = strip_prefixes(state_dict, 'model_f')
    stages = _count_stages(released)
    names = _unit_names(stages)
    cells = [_gate_convolutions(stage) for stage in range(stages - 1)]
    _check_names(released, names, cells)

    converted = {ours: released[name] for name, ours in names.items()}
    for stage, gates in enumerate(cells):
        weights, biases = zip(*(_join(released, convolutions) for convolutions in gates))
        converted[f'unfolding.stages.{stage}.cell.gates.weight'] = torch.cat(weights)
        converted[f'unfolding.stages.{stage}.cell.gates.bias'] = torch.cat(biases)
    channels = released['blockflow.0.conv1.conv_unit.0.weight'].shape[0]
    return dict(num_stages=stages, channels=channels), converted


def build_released_fusion(
    state_dict: Mapping[str, Any], steps: int = 5, fusion_class: type[UAAFusion] = UAAFusion
) -> UAAFusion:
    """The released network, with its behaviour, from a published state dict.

    Args:
        state_dict (Mapping): Released layout (``model_f``), with or without a ``module.`` prefix, or the checkpoint
            that holds it under ``model_f``.
        steps (int): Nodes of the right-hand rule.
        fusion_class (type): :class:`UAAFusion`, or a subclass of it that takes the same options.

    Returns:
        UAAFusion: In evaluation mode.

    Raises:
        ValueError: The state dict is of another architecture; the message lists the keys.

    Examples:
        >>> from mmfusion.released import ReleasedNetwork
        >>> fusion = build_released_fusion(ReleasedNetwork(num_stages=2, channels=4).state_dict())
        >>> fusion.attribution.rule, fusion.attribution.steps, fusion.unfolding.num_stages, fusion.training
        ('right', 5, 2, False)
    """
    sizes, converted = convert_fusion_state_dict(state_dict)
    fusion = fusion_class(
        num_stages=sizes['num_stages'],
        channels=sizes['channels'],
        steps=steps,
        head=dict(RELEASED_HEAD),
        **RELEASED_FUSION,
    )
    fusion.load_state_dict(converted)
    return fusion.eval()


def _count_stages(released: Mapping[str, Tensor]) -> int:
    """Stages of a released network, which are numbered through from 0."""
    numbers = {int(name.split('.')[1]) for name in released if name.startswith('blockflow.')}
    if not numbers or numbers != set(range(len(numbers))):
        raise ValueError(
            'not a released UAAFusion network: stages `blockflow.0`, `blockflow.1`, ... are expected, the '
            f'state dict starts with {list(released)[:10]}'
        )
    return len(numbers)


def _unit_names(stages: int) -> dict[str, str]:
    """Released name to ours, for every parameter that is taken over as it is."""
    units = dict(_SOURCE_UNITS)
    for stage in range(stages):
        of_stage = dict(_STAGE_UNITS)
        if stage + 1 < stages:
            of_stage.update(_MEMORY_UNITS)
        units.update({f'blockflow.{stage}.{name}': f'stages.{stage}.{ours}' for name, ours in of_stage.items()})
    return {
        f'{name}.conv_unit.{entry}': f'unfolding.{ours}.{entry}'
        for name, ours in units.items()
        for entry in _UNIT_ENTRIES
    }


def _gate_convolutions(stage: int) -> list[list[str]]:
    """Released convolutions of each gate of a stage's cell, of input and hidden state, in the order of our gates.

    The first stage has no state yet, and so nothing to forget.
    """
    cell = f'blockflow.{stage}.lstm'
    if stage == 0:
        return [[f'{cell}.conv_x{gate}'] for gate in 'ioj']
    return [[f'{cell}.conv_x{gate}', f'{cell}.conv_h{gate}'] for gate in 'iojf']


def _join(released: Mapping[str, Tensor], convolutions: list[str]) -> tuple[Tensor, Tensor]:
    """Weight and bias of one gate: its convolutions of input and hidden state side by side."""
    weight = torch.cat([released[f'{name}.weight'] for name in convolutions], dim=1)
    bias = released[f'{convolutions[0]}.bias']
    for name in convolutions[1:]:
        bias = bias + released[f'{name}.bias']
    return weight, bias


def _check_names(released: Mapping[str, Tensor], names: Mapping[str, str], cells: list[list[list[str]]]) -> None:
    """Refuse a state dict in which a parameter is missing, or one that could take part is not known."""
    needed = list(names)
    for gates in cells:
        for convolutions in gates:
            for name in convolutions:
                needed += [f'{name}.weight', f'{name}.bias']
    missing = [name for name in needed if name not in released]
    last_stage = len(cells)
    unknown = sorted(name for name in set(released) - set(needed) if not _is_idle(name, last_stage))
    if missing or unknown:
        raise ValueError(
            f'not a released UAAFusion network: {len(missing)} keys are missing, such as {missing[:5]}, '
            f'and {len(unknown)} are unknown, such as {unknown[:5]}'
        )


def _is_idle(name: str, last_stage: int) -> bool:
    """Whether a released parameter never takes part in the result."""
    of_first_cell = tuple(f'blockflow.0.lstm.conv_{gate}.' for gate in ('hi', 'ho', 'hj', 'hf', 'xf'))
    of_last_memory = tuple(f'blockflow.{last_stage}.{unit}.' for unit in ('lstm', 'conv5', 'conv6'))
    return name == 'alpha' or name.startswith(('init_conv_f0.', *of_first_cell, *of_last_memory))
