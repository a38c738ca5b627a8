"""The tensors of a checkpoint, for tests that compare two of them."""

import torch


def flatten(value, name=''):
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from flatten(part, f'{name}/{key}')
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from flatten(part, f'{name}/{i}')
