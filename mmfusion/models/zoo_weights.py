"""Weights that mmsegmentation publishes, by the name of their config: ``mmseg://FOLDER/CONFIG``."""

from typing import Any

from mmengine.hub import get_config
from mmengine.runner import CheckpointLoader

PREFIX = 'mmseg://'
"""What such a checkpoint's name begins with."""


def find_in_zoo(checkpoint: str) -> str:
    """Address of published weights, as the installed mmsegmentation has it: the stacks keep theirs in other places.

    Args:
        checkpoint (str): ``mmseg://FOLDER/CONFIG``, without ``.py``.

    Returns:
        str: The address.

    Raises:
        ValueError: There is no such config, or it has no weights; the message has the name.

    Examples:
        >>> address = find_in_zoo('mmseg://segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024')
        >>> address.startswith('https://'), address.endswith('.pth')
        (True, True)
        >>> find_in_zoo('mmseg://segformer/mine')
        Traceback (most recent call last):
        ValueError: mmseg://segformer/mine: mmseg publishes no weights of a config of that name
    """
    name = checkpoint.removeprefix(PREFIX)
    try:
        return get_config(f'mmseg::{name}.py', pretrained=True).model_path
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise ValueError(f'{checkpoint}: mmseg publishes no weights of a config of that name') from error


# mmengine's log calls a loader by what follows the tenth letter of its name. Registered twice when reloaded.
@CheckpointLoader.register_scheme(prefixes=PREFIX, force=True)
def load_from_mmseg(filename: str, map_location: Any = None) -> Any:
    """Fetch published weights, or take them from PyTorch's cache.

    mmengine calls it for any checkpoint that begins with ``mmseg://``: ``init_cfg=dict(type='Pretrained',
    checkpoint=...)``, ``load_from``, and ``mmengine.runner.load_checkpoint``.

    Args:
        filename (str): See :func:`find_in_zoo`.
        map_location: As in ``torch.load``.

    Returns:
        Any: What the file holds.

    Raises:
        ValueError: See :func:`find_in_zoo`.
        ConnectionError: The address cannot be reached; the message says how to do without it.
    """
    address = find_in_zoo(filename)
    try:
        return CheckpointLoader.load_checkpoint(address, map_location, logger='silent')
    except OSError as error:
        raise ConnectionError(
            f'{filename}: {address} cannot be fetched ({error}). Fetch it elsewhere into the folder checkpoints of '
            'torch.hub.get_dir(), or start from random weights with model.pretrained=False'
        ) from error
