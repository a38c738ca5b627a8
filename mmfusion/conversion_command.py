"""What the command lines of tools/dataset_converters have in common."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmfusion.command_line import OneLineErrors, add_traceback
from mmfusion.datasets.conversion import Recipe, convert


def converter_parser(description: str | None, out: str) -> argparse.ArgumentParser:
    """Parser of a converter.

    Args:
        description (str): Help text.
        out (str): Default folder for the result, where the configs look for it.

    Returns:
        argparse.ArgumentParser: To be extended.

    Examples:
        >>> converter_parser('Convert.', 'data/mine').parse_args(['mine.zip', '--dry-run']).dry_run
        True
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='the data set as it was downloaded: a folder, .zip, .tar or .tar.gz')
    parser.add_argument(
        '--out', type=Path, default=Path(out), metavar='DIR', help=f'folder to write to (default: {out})'
    )
    parser.add_argument('--dry-run', action='store_true', help='check the source and print the summary; write nothing')
    parser.add_argument('--force', action='store_true', help='replace files that are there already')
    parser.add_argument('--allow-unpaired', action='store_true', help='leave out pairs that lack a file')
    add_traceback(parser)
    return parser


def run_converter(args: argparse.Namespace, make_recipe: Callable[[], Recipe]) -> int:
    """Convert, and print what the data set holds.

    Args:
        args (argparse.Namespace): From :func:`converter_parser`.
        make_recipe (Callable): Gives the recipe; its errors are told in one line as well.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    with OneLineErrors(args) as outcome:
        recipe = make_recipe()
        summary = convert(recipe, args.source, args.out, args.force, args.dry_run, args.allow_unpaired, progress=_bar)
    if outcome.failed:
        return 1
    # A file or a pipe is as wide as it takes.
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(summary.to_rich())
    console.print('nothing written (--dry-run)' if args.dry_run else f'wrote {args.out}', markup=False)
    return 0


def _bar(pairs: list) -> Iterable:
    """How far it is, on the error stream of a terminal."""
    console = Console(stderr=True)
    return track(pairs, description='pairs', console=console, disable=not console.is_terminal)
