"""What the command lines of tools/ have in common."""

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction

from mmfusion.apis import load_config
from mmfusion.engine import trust_checkpoints
from mmfusion.engine.config_checks import check_overrides

# What wrong arguments and files lead to; anything else is a bug and keeps its traceback.
EXPECTED_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    ImportError,
    SyntaxError,
    FloatingPointError,
    torch.cuda.OutOfMemoryError,
)


def print_error(error: Exception) -> None:
    """Tell an expected error in one line on the error stream.

    Args:
        error (Exception): Its message may have several lines.
    """
    print(f'error: {" ".join(str(error).split())}', file=sys.stderr)


class OneLineErrors:
    """Runs what a tool does: wrong arguments and files end in one line, and checkpoints run nothing.

    Args:
        args (argparse.Namespace): With what :func:`add_common` or :func:`add_traceback` add.

    Attributes:
        failed (bool): Whether an expected error was told.

    Examples:
        >>> args = argparse.Namespace(traceback=False)
        >>> with OneLineErrors(args) as outcome:  # The line goes to the error stream.
        ...     raise ValueError('channels must be positive, got -4')
        >>> outcome.failed
        True
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.failed = False
        self._traceback = args.traceback
        self._trust = trust_checkpoints(getattr(args, 'trust_checkpoint', False))

    def __enter__(self) -> 'OneLineErrors':
        self._trust.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        self._trust.__exit__(None, None, None)
        self.failed = isinstance(error, EXPECTED_ERRORS)
        if not self.failed or self._traceback:
            return False
        assert isinstance(error, Exception)
        print_error(error)
        return True


def add_traceback(parser: argparse.ArgumentParser) -> None:
    """Add ``--traceback``.

    Args:
        parser (argparse.ArgumentParser): Changed in place.

    Examples:
        >>> parser = argparse.ArgumentParser()
        >>> add_traceback(parser)
        >>> parser.parse_args(['--traceback']).traceback
        True
    """
    parser.add_argument('--traceback', action='store_true', help='tell the place in the code of an error as well')


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what all tools that load checkpoints have in common: ``--trust-checkpoint`` and ``--traceback``.

    Args:
        parser (argparse.ArgumentParser): Changed in place.

    Examples:
        >>> parser = argparse.ArgumentParser()
        >>> add_common(parser)
        >>> parser.parse_args([])
        Namespace(trust_checkpoint=False, traceback=False)
    """
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load the checkpoint whatever it holds, and run what it says: only for files of your own',
    )
    add_traceback(parser)


def model_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser of the tools that look at a trained model.

    Args:
        description (str): Help text.

    Returns:
        argparse.ArgumentParser: Takes ``config`` and ``checkpoint``; to be extended.

    Examples:
        >>> model_parser('Look.').parse_args(['some.py', 'some.pth']).checkpoint
        'some.pth'
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or name of a config of this project')
    parser.add_argument('checkpoint', help='checkpoint file (.pth)')
    add_common(parser)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--device``.

    Args:
        parser (argparse.ArgumentParser): Changed in place.

    Examples:
        >>> parser = argparse.ArgumentParser()
        >>> add_device(parser)
        >>> parser.parse_args(['--device', 'cpu']).device
        'cpu'
    """
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU, if there is one)')


def add_models(parser: argparse.ArgumentParser, required: bool) -> None:
    """Add ``--model NAME CONFIG CHECKPOINT...``, for tools that compare trained models, and :func:`add_common`.

    Args:
        parser (argparse.ArgumentParser): Changed in place.
        required (bool): Whether there has to be one.
    """
    parser.add_argument(
        '--model',
        nargs='+',
        action='append',
        required=required,
        default=None if required else [],
        metavar=('NAME', 'CONFIG'),
        help='a name for the table, a config, and one or more checkpoints; may be given several times',
    )
    add_common(parser)


def named_models(entries: Sequence[Sequence[str]], taken: Collection[str] = ()) -> dict[str, tuple[str, list[str]]]:
    """What was given as :func:`add_models` has it.

    Args:
        entries (Sequence[Sequence[str]]): One for each model.
        taken (Collection[str]): Names that no model may have.

    Returns:
        dict[str, tuple[str, list[str]]]: Name to config and checkpoints.

    Raises:
        ValueError: Something is missing, or a name is there twice.

    Examples:
        >>> named_models([['ours', 'config.py', 'seed0.pth', 'seed1.pth']])
        {'ours': ('config.py', ['seed0.pth', 'seed1.pth'])}
    """
    models: dict[str, tuple[str, list[str]]] = {}
    for entry in entries:
        if len(entry) < 3:
            raise ValueError(f'--model takes a name, a config and at least one checkpoint, got {" ".join(entry)!r}')
        name, config, *checkpoints = entry
        if name in models or name in taken:
            raise ValueError(f'the name {name!r} is there already; give each --model another one')
        models[name] = (config, checkpoints)
    return models


def runner_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser with the options that mm tools share.

    Args:
        description (str): First lines of the help text.

    Returns:
        argparse.ArgumentParser: To be extended.

    Examples:
        >>> runner_parser('Train.').parse_args(['some.py', '--cfg-options', 'model.fusion.channels=16']).cfg_options
        {'model.fusion.channels': 16}
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file (.py), or name of a config of this project')
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and results (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override entries of the config, such as train_cfg.max_iters=100 model.fusion.channels=16; lists as '
        'key="[a,b]" or key=a,b',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher (default: none)'
    )
    add_common(parser)
    # torch.distributed passes the rank in one of two spellings.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def read_config(path: str | os.PathLike, overrides: dict[str, Any] | None = None) -> Config:
    """Read a config file, with overrides.

    Args:
        path (str | os.PathLike): The file, or the name of a config of this project.
        overrides (dict, optional): Dotted keys to values, as ``--cfg-options`` has them.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No config has that name, the file is no valid Python, or an override names a key that nobody reads.
    """
    cfg = load_config(path)
    check_overrides(cfg, overrides)
    if overrides is not None:
        cfg.merge_from_dict(overrides)
    return cfg


def runner_config(args: argparse.Namespace) -> Config:
    """Read the config that the command line names, with its overrides.

    Args:
        args (argparse.Namespace): From :func:`runner_parser`.

    Returns:
        Config: With launcher and work folder set.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As in :func:`read_config`.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if 'launcher' in (args.cfg_options or {}):
        raise ValueError(f'launcher={args.cfg_options["launcher"]!r} has no effect here; use --launcher')
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    # The command line goes before the config, and the config before the name of the file.
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    return cfg
