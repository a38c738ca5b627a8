"""Batches of pairs of several sizes, taken apart into batches of one size each."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def by_size(data: Any) -> list[list[int]]:
    """Which pairs of a batch have the same size.

    Padding beside a larger neighbour is seen by whatever pools, normalises or looks far: a pair would get other weights
    and labels than alone.

    Args:
        data (dict): ``inputs``: a list of tensors (4, h, w), or one tensor of all.

    Returns:
        list[list[int]]: Positions, by size; empty where sizes cannot differ.

    Examples:
        >>> import torch
        >>> by_size(dict(inputs=[torch.zeros(4, 2, 3), torch.zeros(4, 5, 3), torch.zeros(4, 2, 3)]))
        [[0, 2], [1]]
    """
    inputs = data.get('inputs') if isinstance(data, Mapping) else None
    if not isinstance(inputs, (list, tuple)) or not all(isinstance(image, Tensor) for image in inputs):
        return []
    groups: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(inputs):
        groups.setdefault(tuple(image.shape), []).append(position)
    return list(groups.values())


def in_equal_sizes(step: Callable[[Any], list], data: Any) -> list:
    """Do a step for the pairs of each size by themselves.

    Args:
        step (Callable): From a batch to one result for each of its pairs.
        data (dict): ``inputs``, and ``data_samples`` or none.

    Returns:
        list: As if the step had been done for each pair alone.

    Examples:
        >>> import torch
        >>> batch = dict(inputs=[torch.zeros(4, 2, 3), torch.zeros(4, 5, 3), torch.ones(4, 2, 3)])
        >>> in_equal_sizes(lambda data: [len(data['inputs'])] * len(data['inputs']), batch)
        [2, 1, 2]
    """
    groups = by_size(data)
    if len(groups) < 2:
        return step(data)
    results: list[Any] = [None] * sum(map(len, groups))
    for positions in groups:
        part = {
            key: [value[position] for position in positions] if isinstance(value, (list, tuple)) else value
            for key, value in data.items()
        }
        for position, result in zip(positions, step(part)):
            results[position] = result
    return results
