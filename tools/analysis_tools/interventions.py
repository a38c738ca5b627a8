"""What do the weights and the attention of a trained UAAFusion do? Change them, and measure the image and the mIoU.

    python tools/analysis_tools/interventions.py CONFIG CHECKPOINT
    python tools/analysis_tools/interventions.py CONFIG CHECKPOINT --limit 50 --labels predicted --out-md report.md

Interventions: on the test data of the config, the weights of the two sources are swapped, set to one half or to one
source, and the attention of the iterates is zeroed (a gate of one half everywhere), negated, moved by half the image,
or taken from the neighbour in the batch (left out where the config tests single pairs: --batch-size). All else runs as
it does in tools/test.py, whose mIoU is the row 'none'. Labels 'predicted' are those that the model finds by itself, as
in testing; 'given' are the true ones, which thus leak into the image: an upper bound, never a result;
the difference of the two is the price of wrong labels. Each difference has a standard error, by bootstrap over the
scenes: it tells what other scenes would do, not other trainings.

Image size: the first --size-scenes test pairs are resized to squares. The gate's spread and the attention's effect on
the fused image should be the same at all sizes; they vanish with the released normalisation, 'none'. Drawn scenes are
also drawn at each size.

JSON: `config`, `checkpoint`, `scenes`, `batch_size`, `classes`, `left_out` (names of interventions);
`interventions`: 'predicted' and 'given', lists with `intervention`, `mIoU`, `mIoU_difference` and its `standard_error`,
`IoU` (by class), in percent, `change` and `change_by_class` (mean absolute change of the fused luminance, grey levels
0..255); `sizes`: a list with `scenes` ('resized' or 'drawn'), `size` (pixels), `attention` (its normalisation),
`gate_std`, `change`; `size_labels`, `size_scenes`. null is what does not exist.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from mmfusion.analysis.intervention_report import LABELS, intervention_report
from mmfusion.analysis.interventions import load_uaafusion
from mmfusion.analysis.report_files import json_text, write_text
from mmfusion.analysis.tables import Sheet
from mmfusion.command_line import OneLineErrors, add_device, model_parser

SIZES = (128, 256, 512)
SMALLEST = 32  # The blurred baseline of the attribution looks 15 pixels far.


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = model_parser(__doc__)
    parser.add_argument(
        '--labels',
        choices=[*LABELS, 'both'],
        default='both',
        help='labels that the fusion attributes (default: both, one after the other)',
    )
    parser.add_argument('--limit', type=int, metavar='N', help='the first N test pairs (default: all)')
    parser.add_argument('--batch-size', type=int, metavar='N', help="pairs per batch (default: the config's)")
    parser.add_argument(
        '--sizes',
        nargs='*',
        type=int,
        default=list(SIZES),
        metavar='S',
        help=f'sides in pixels (default: {" ".join(map(str, SIZES))}); none to leave this part out',
    )
    parser.add_argument('--size-scenes', type=int, default=4, metavar='N', help='pairs for --sizes (default: 4)')
    add_device(parser)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures')
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the tables as Markdown')
    args = parser.parse_args(argv)
    for name in ('limit', 'batch_size', 'size_scenes'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {value}')
    if any(size < SMALLEST for size in args.sizes):
        parser.error(f'--sizes must be at least {SMALLEST} pixels, got {min(args.sizes)}')
    return args


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure all that is asked for; see the module for what is returned.

    Raises:
        ValueError: The model has no UAAFusion, or the config no test data with labels.
    """
    inferencer = load_uaafusion(args.config, args.checkpoint, args.device)
    labels = LABELS if args.labels == 'both' else (args.labels,)
    report = intervention_report(
        inferencer, labels, args.limit, args.batch_size, args.sizes, args.size_scenes, _progress
    )
    return dict(config=str(args.config), checkpoint=str(args.checkpoint), **report)


def _progress(items: Sequence, title: str) -> Iterable:
    """A bar, where somebody sees it."""
    console = Console(stderr=True)
    return iter(track(items, title, console=console, transient=True, disable=not console.is_terminal))


def sheets_of(report: dict[str, Any]) -> list[Sheet]:
    """What is shown of a report; see the module."""
    sheets = []
    for labels, rows in report['interventions'].items():
        about = f'{labels} labels, {report["scenes"]} scenes'
        sheets += [_miou_sheet(rows, report['classes'], about), _change_sheet(rows, report['classes'], about)]
    if report['sizes']:
        sheets.append(_size_sheet(report))
    return sheets


def _miou_sheet(rows: Sequence[dict], classes: Sequence[str], about: str) -> Sheet:
    lines = []
    for row in rows:
        ious = [_cell(value, '.2f') for value in row['IoU']]
        lines.append(
            [row['intervention'], _cell(row['mIoU'], '.2f'), _difference(row), *ious, _cell(row['change'], '.2f')]
        )
    title = f'Interventions, {about}: IoU in %, change of the fused luminance in grey levels'
    return Sheet(title, ['intervention', 'mIoU', 'difference', *classes, 'change'], lines)


def _change_sheet(rows: Sequence[dict], classes: Sequence[str], about: str) -> Sheet:
    lines = []
    for row in rows[1:]:
        lines.append([row['intervention'], *(_cell(value, '.2f') for value in row['change_by_class'])])
    title = f'Change of the fused luminance within the true regions, {about}: grey levels'
    return Sheet(title, ['intervention', *classes], lines)


def _size_sheet(report: dict[str, Any]) -> Sheet:
    lines = []
    for row in report['sizes']:
        effect = [_cell(row['gate_std'], '.3g'), _cell(row['change'], '.3g')]
        lines.append([row['attention'], row['scenes'], str(row['size']), *effect])
    title = (
        f'Effect of the attention by image size, {report["size_labels"]} labels, {report["size_scenes"]} '
        'scenes: spread of the gate, change of the fused luminance in grey levels'
    )
    return Sheet(title, ['attention', 'scenes', 'size', 'gate std', 'change'], lines)


def _cell(value: float, style: str) -> str:
    return '-' if math.isnan(value) else format(value, style)


def _difference(row: dict) -> str:
    error = row['standard_error']
    return _cell(row['mIoU_difference'], '+.2f') + ('' if math.isnan(error) else f' ± {error:.2f}')


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        report = run(args)
        sheets = sheets_of(report)
        write_text(args.json, json_text(report))
        write_text(args.out_md, '\n'.join(sheet.to_markdown('**{}**') for sheet in sheets))
    if outcome.failed:
        return 1
    console = Console()
    if not console.is_terminal:  # A file has no width to fit.
        console.width = max(console.width, 160)
    for sheet in sheets:
        console.print(sheet.to_rich(title_justify='center'))
    if report['left_out']:
        console.print(
            f'left out, because the fusion has no attention or a batch is a single pair: '
            f'{", ".join(report["left_out"])}',
            markup=False,
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
