"""The released UAAFusion network: its behaviour in terms of our options, and its weights in our layout.

Facts about the release (docs of arXiv 2502.01467's code): the data step's result is not used, so neither ``alpha`` nor
the weights reach the image; the recurrent convolutions of the first stage, the memory of the last stage and an initial
reconstruction (``init_conv_f0``) never take part. Such weights are dropped.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

RELEASED_FUSION = dict(
    attribution=dict(
        rule='right',
        baseline='black',
        estimator='exact',
        smoothing=0.0,
        region='batch',
        label_source='mean',
        max_batch='batch',
    ),
    attention='none',
    attention_interval=1,
)
"""Options of :class:`UAAFusion` that compute what the released network computes."""
RELEASED_HEAD = dict(data_step=False, residual=False, squash_first_cell=False)
"""Options of :class:`MemoryUnfoldingHead` that compute what the released network computes."""

# Released unit of a stage -> ours.
_UNITS = {'conv1': 'embed', 'conv2': 'merge', 'conv3': 'refine', 'conv4.0': 'reconstruct'}
_MEMORY_UNITS = {'conv5': 'memory_in', 'conv6': 'memory_out'}


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
    """
    released = strip_prefixes(state_dict, 'model_f')
    numbers = {int(name.split('.')[1]) for name in released if name.startswith('blockflow.')}
    if numbers != set(range(len(numbers))) or not numbers:
        raise ValueError(
            'not a released UAAFusion network: stages `blockflow.0`, `blockflow.1`, ... are expected, the '
            f'state dict starts with {list(released)[:10]}'
        )
    stages, unread, missing = len(numbers), set(released), []

    def take(name: str) -> Tensor:
        unread.discard(name)
        if name not in released:
            missing.append(name)
            return torch.zeros(1, 1, 1, 1)
        return released[name]

    converted: dict[str, Tensor] = {}

    def unit(source: str, target: str) -> None:
        for part in ('0.weight', '0.bias', '1.weight', '2.weight', '2.bias'):
            converted[f'head.{target}.{part}'] = take(f'{source}.conv_unit.{part}')

    unit('init_conv_ir', 'embed_ir')
    unit('init_conv_vi', 'embed_vi')
    for k in range(stages):
        last = k + 1 == stages
        for source, target in {**_UNITS, **({} if last else _MEMORY_UNITS)}.items():
            unit(f'blockflow.{k}.{source}', f'stages.{k}.{target}')
        if not last:
            gates = [_gate(take, f'blockflow.{k}.lstm', gate, recurrent=k > 0) for gate in 'ioj' + 'f' * (k > 0)]
            if not missing:
                converted[f'head.stages.{k}.cell.gates.weight'] = torch.cat([weight for weight, _ in gates])
                converted[f'head.stages.{k}.cell.gates.bias'] = torch.cat([bias for _, bias in gates])
    unknown = sorted(name for name in unread if not _is_idle(name, stages))
    if missing or unknown:
        raise ValueError(
            f'not a released UAAFusion network: {len(missing)} keys are missing, such as {missing[:5]}, '
            f'and {len(unknown)} are unknown, such as {unknown[:5]}'
        )
    channels = released['blockflow.0.conv1.conv_unit.0.weight'].shape[0]
    return dict(num_stages=stages, channels=channels), converted


def _gate(take, cell: str, gate: str, recurrent: bool) -> tuple[Tensor, Tensor]:
    """Weight and bias of one gate: the convolutions of input and hidden state side by side."""
    weight, bias = take(f'{cell}.conv_x{gate}.weight'), take(f'{cell}.conv_x{gate}.bias')
    if not recurrent:
        return weight, bias
    return (torch.cat([weight, take(f'{cell}.conv_h{gate}.weight')], dim=1), bias + take(f'{cell}.conv_h{gate}.bias'))


def _is_idle(name: str, stages: int) -> bool:
    """Whether a released parameter never takes part in the result."""
    first, last = 'blockflow.0.lstm.', f'blockflow.{stages - 1}.'
    return (
        name == 'alpha'
        or name.startswith('init_conv_f0.')
        or name.startswith(tuple(f'{first}conv_{gate}' for gate in ('hi', 'ho', 'hj', 'hf', 'xf')))
        or name.startswith(tuple(f'{last}{part}.' for part in ('lstm', 'conv5', 'conv6')))
    )
