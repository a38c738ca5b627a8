"""Configs of this project by name."""

import copy
import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from mmengine.config import Config

from mmfusion.shipped import shipped


def config_names() -> dict[str, Path]:
    """Configs that come with mmfusion: name (of the file, without ``.py``) to path.

    They lie in ``mmfusion/.mim/configs`` of an installed wheel and in ``configs`` of a checkout.

    Returns:
        dict[str, Path]: In the order of the names; empty if this installation has no configs.

    Examples:
        >>> config_names()['uaafusion_unet-tiny_1xb4-300_synthetic-96x128'].suffix
        '.py'
    """
    root = shipped('configs')
    paths = [path for path in root.glob('*/*.py') if path.parent.name != '_base_'] if root else []
    return {path.stem: path for path in sorted(paths, key=lambda path: path.stem)}


def fusion_without_training() -> Config:
    """What fuses where nobody names a config: by what stands out, without weights and without classes.

    Returns:
        Config: Of a :class:`~mmfusion.models.FusionModel` with ``SalienceFusion``.

    Examples:
        >>> fusion_without_training().model.fusion.type
        'SalienceFusion'
    """
    return Config(
        dict(
            default_scope='mmfusion',
            model=dict(type='FusionModel', fusion=dict(type='SalienceFusion')),
            test_pipeline=[dict(type='LoadPairFromFile'), dict(type='PackFusionInputs')],
        )
    )


def _read(path: str) -> Config:
    try:
        return Config.fromfile(path)
    except RecursionError as error:
        raise ValueError(f'the config {path} has itself among its bases, or they are too many') from error
    except Exception as error:  # A config is a program.
        file, line = _place(error)
        where = '' if file in (None, os.path.abspath(path)) else f', in its base {file}'
        where += f', line {line}' if line else ''
        told = ' '.join(str(error).split())[:250]
        raise ValueError(f'the config {path} cannot be read{where}: {type(error).__name__}: {told}') from error


def _place(error: Exception) -> tuple[str | None, int | None]:
    """Which file mmengine was reading, and which line of it failed."""
    file, line = None, getattr(error, 'lineno', None)
    frame = error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        if 'mmengine' in code.co_filename and isinstance(frame.tb_frame.f_locals.get('filename'), str):
            file = os.path.abspath(frame.tb_frame.f_locals['filename'])
        if code.co_filename in ('', '<string>') or code.co_filename == file:  # mmengine compiles without a name.
            line = frame.tb_lineno
        frame = frame.tb_next
    return file, line


def _closest(name: str, names: Iterable[str]) -> list[str]:
    """Names that may have been meant: that begin so, are like it, or have a method like its method; else a few."""
    known = sorted(names)
    close = [each for each in known if each.startswith(name)][:3] or difflib.get_close_matches(name, known, n=3)
    if not close:
        methods = difflib.get_close_matches(name.split('_')[0], {each.split('_')[0] for each in known}, n=1)
        close = [each for each in known if each.split('_')[0] in methods][:3]
    close = close or difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return close or [*known[:3], *([f'and {len(known) - 3} more in configs/'] if len(known) > 3 else [])]


def load_config(config_or_name: str | os.PathLike | Config) -> Config:
    """A config from its file, from its name, or as it is.

    Args:
        config_or_name (str | os.PathLike | Config): Path of a config file, a config, or one of :func:`config_names`.

    Returns:
        Config: It belongs to the caller: a given config is copied.

    Raises:
        FileNotFoundError: A path that does not exist.
        TypeError: Neither path, name nor config.
        ValueError: There is no config of that name (the message has the closest ones), or the file cannot be read: the
            message has the file, the line and the reason.

    Examples:
        >>> load_config('average_unet-tiny_1xb4-300_synthetic-96x128').model.fusion.type
        'AverageFusion'
    """
    if isinstance(config_or_name, Config):
        return copy.deepcopy(config_or_name)
    if not isinstance(config_or_name, (str, os.PathLike)):
        raise TypeError(
            'a config is the path of a file, the name of a config of this project or an mmengine Config, '
            f'got {type(config_or_name).__name__}'
        )
    name = os.fspath(config_or_name)
    if Path(name).is_file():
        return _read(name)
    if not name or Path(name).suffix == '.py' or Path(name).name != name:
        raise FileNotFoundError(
            f'no config at {name}; give the path of a config file, or the name of a config of this '
            'project without folder and .py'
        )
    names = config_names()
    if name not in names:
        close = _closest(name, names)
        known = f'the closest names: {", ".join(close)}' if close else 'this installation has none; give a path'
        raise ValueError(f'no config is called {name!r}; {known}')
    return Config.fromfile(names[name])
