"""What the command lines of comparisons have in common."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from mmfusion.command_line import OneLineErrors, add_traceback

from .records import SPLITS

INTERRUPTED = 130


def add_runs(parser: argparse.ArgumentParser, work_dir: str, split: str) -> argparse._ArgumentGroup:
    """Add the options of the runs.

    Args:
        parser (argparse.ArgumentParser): Changed in place.
        work_dir (str): Default of ``--work-dir``.
        split (str): Default of ``--split``.

    Returns:
        argparse._ArgumentGroup: To be extended.

    Examples:
        >>> parser = argparse.ArgumentParser()
        >>> _ = add_runs(parser, 'work_dirs/compare', 'val')
        >>> args = parser.parse_args(['--seeds', '3', '4'])
        >>> args.seeds, args.jobs, args.threads, args.split
        ([3, 4], 1, 1, 'val')
    """
    runs = parser.add_argument_group('runs')
    runs.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='N', help='default: 0 1 2')
    runs.add_argument('--jobs', type=positive, default=1, metavar='N', help='runs at a time (default: 1)')
    runs.add_argument('--threads', type=positive, default=1, metavar='N', help='threads of each run (default: 1)')
    runs.add_argument('--work-dir', type=Path, default=Path(work_dir), help=f'default: {work_dir}')
    runs.add_argument(
        '--split',
        choices=SPLITS,
        default=split,
        help=f'validation after the last iteration, or test (default: {split})',
    )
    runs.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='override entries of every config'
    )
    runs.add_argument('--keep-checkpoints', action='store_true', help='do not delete them after the evaluation')
    runs.add_argument('--force', action='store_true', help='train runs anew whose config has changed')
    runs.add_argument('--dry-run', action='store_true', help='tell what would be run, and start nothing')
    runs.add_argument('--report-only', action='store_true', help='tables of what is there; start nothing')
    add_traceback(parser)
    return runs


def positive(text: str) -> int:
    """Type of an option that counts something.

    Raises:
        argparse.ArgumentTypeError: The number is below 1, or none.

    Examples:
        >>> positive('2')
        2
        >>> positive('0')
        Traceback (most recent call last):
        argparse.ArgumentTypeError: must be at least 1, got 0
    """
    try:
        number = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'must be a whole number, got {text!r}') from error
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {number}')
    return number


def _interrupt(*_: object) -> None:
    """End as by Ctrl-C, so that no process stays behind."""
    raise KeyboardInterrupt


def run_comparison(work: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Do the work of a command line; a signal ends it as Ctrl-C does.

    Args:
        work (Callable[[argparse.Namespace], int]): Gives the exit code.
        args (argparse.Namespace): With what :func:`add_runs` adds.

    Returns:
        int: That exit code, 1 after an error that was told, or 130 after an interruption.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with OneLineErrors(args):
            return work(args)
        return 1
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here (--report-only: tables of what is there)', file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
