r"""Metrics of fused images on folders of pairs: trained models beside the rules that cost nothing.

A folder has ir/NAME.png and vi/NAME.png; labels are not needed. Images are rounded to 8 bits, as if they had been
written to files, and compared by luminance, as FusionMetric does. Several checkpoints of one model (its seeds) are one
row: mean ± sample standard deviation.

Rules: average, maximum, laplacian-pyramid (four levels), salience (patch by patch what
is brighter or has more contrast: what fuses where nothing was trained).

Examples:
    python tools/analysis_tools/fusion_quality.py --pairs tno=data/tno road=data/roadscene
    python tools/analysis_tools/fusion_quality.py --model ours CONFIG seed0.pth seed1.pth --pairs tno=data/tno \
        --out-md quality.md --out-sheets sheets
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from mmfusion.analysis.fusion_quality import METRICS, RULES, Quality, by_model, by_rule, compare_quality, quality_sheets
from mmfusion.analysis.fusion_sheet import write_sheets
from mmfusion.analysis.report_files import csv_text, write_text
from mmfusion.apis import FusionInferencer
from mmfusion.command_line import OneLineErrors, add_device, add_models, named_models


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', nargs='+', required=True, metavar='NAME=DIR', help='folders with ir/ and vi/')
    add_models(parser, required=False)
    parser.add_argument(
        '--rules', nargs='*', default=list(RULES), choices=list(RULES), help='rules to compare with (default: all)'
    )
    parser.add_argument(
        '--metrics', nargs='+', default=list(METRICS), metavar='NAME', help=f'default: {" ".join(METRICS)}'
    )
    add_device(parser)
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the tables as Markdown')
    parser.add_argument('--out-csv', type=Path, metavar='FILE', help='write all figures as CSV, with full precision')
    parser.add_argument(
        '--out-sheets',
        type=Path,
        metavar='DIR',
        help='write sheets of all pairs: visible, infrared, and the fused image of every method side by side (of a '
        "model's first checkpoint)",
    )
    parser.add_argument(
        '--sheet-width', type=int, default=320, metavar='PIXELS', help='of a picture in them (default: 320)'
    )
    return parser.parse_args(argv)


def _folders(entries: list[str]) -> dict[str, Path]:
    folders = {}
    for entry in entries:
        name, separator, folder = entry.partition('=')
        if not (name and separator and folder):
            raise ValueError(f'--pairs takes NAME=DIR, got {entry!r}')
        if name in folders:
            raise ValueError(f'--pairs names {name!r} twice')
        folders[name] = Path(folder)
    return folders


def _rows(found: list[Quality]) -> Iterator[list[object]]:
    """Lines of the CSV file."""
    for quality in found:
        for metric, values in quality.figures.items():
            for number, value in enumerate(values):
                yield [quality.folder, quality.pairs, quality.method, number, metric, value]


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        folders = _folders(args.pairs)
        methods = {name: [by_rule(RULES[name]())] for name in args.rules}
        for name, (config, checkpoints) in named_models(args.model, taken=RULES).items():
            methods[name] = [by_model(FusionInferencer(config, path, args.device)) for path in checkpoints]
        if not methods:
            raise ValueError('nothing to measure: give --model, or at least one of the --rules')
        found = compare_quality(methods, folders, args.metrics)
        sheets = quality_sheets(found)
        write_text(args.out_md, '\n'.join(sheet.to_markdown() for sheet in sheets))
        if args.out_csv:
            header = ['folder', 'pairs', 'method', 'checkpoint', 'metric', 'value']
            write_text(args.out_csv, csv_text(header, _rows(found)))
        drawn = []
        if args.out_sheets:
            first = {name: fusions[0] for name, fusions in methods.items()}
            drawn = write_sheets(first, folders, args.out_sheets, args.sheet_width)
    if outcome.failed:
        return 1
    # A file or a pipe is as wide as it takes.
    console = Console(width=None if sys.stdout.isatty() else 200)
    for sheet in sheets:
        console.print(sheet.to_rich())
    for path in drawn:
        print(f'wrote {path}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
