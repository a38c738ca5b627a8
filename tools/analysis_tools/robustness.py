r"""mIoU of trained models when a sensor fails or sees badly, beside both sensors as they are.

A degradation is SENSOR:KIND or SENSOR:KIND=AMOUNT. Sensors: infrared, visible. Kinds: black (the sensor is off), blur
(side of the box in pixels; a third of the shorter side unless said), noise (standard deviation in grey levels; 20),
dark (factor; 0.3), shift (pixels to the right; 4). The test pairs of each model's config are loaded, degraded and
segmented. Several checkpoints of one model (its seeds) are one row: mean ± sample standard deviation.

Examples:
    python tools/analysis_tools/robustness.py --model early CONFIG early.pth --model ours CONFIG seed0.pth seed1.pth
    python tools/analysis_tools/robustness.py --model ours CONFIG ours.pth --data-root data/weedmap \
        --degrade infrared:black visible:noise=40 infrared:shift=8 --out-md robustness.md
    python tools/analysis_tools/robustness.py --model ours CONFIG ours.pth --out-plot shift.png \
        --degrade infrared:shift=1 infrared:shift=2 infrared:shift=4 infrared:shift=8
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from mmfusion.analysis.report_files import csv_text, write_text
from mmfusion.analysis.robustness import DEGRADATIONS, Row, measure_robustness, robustness_sheet
from mmfusion.analysis.robustness_plot import draw_robustness
from mmfusion.command_line import OneLineErrors, add_device, add_models, named_models


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_models(parser, required=True)
    parser.add_argument(
        '--degrade',
        nargs='+',
        default=list(DEGRADATIONS),
        metavar='SENSOR:KIND',
        help=f'default: {" ".join(DEGRADATIONS)}',
    )
    parser.add_argument('--data-root', metavar='DIR', help='where the test data are (default: as the configs say)')
    add_device(parser)
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the table as Markdown')
    parser.add_argument('--out-csv', type=Path, metavar='FILE', help='write all figures as CSV, with full precision')
    parser.add_argument(
        '--out-plot',
        type=Path,
        metavar='FILE',
        help='draw them: bars, and lines over the amounts of a degradation that is given with several',
    )
    return parser.parse_args(argv)


def _rows(rows: list[Row]) -> Iterator[list[object]]:
    """Lines of the CSV file."""
    for row in rows:
        for degradation, values in row.figures.items():
            for number, value in enumerate(values):
                yield [row.name, degradation, number, value]


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        rows = measure_robustness(named_models(args.model), args.degrade, args.data_root, args.device)
        sheet = robustness_sheet(rows)
        write_text(args.out_md, sheet.to_markdown())
        if args.out_csv:
            header = ['model', 'degradation', 'checkpoint', 'mIoU']
            write_text(args.out_csv, csv_text(header, _rows(rows)))
        if args.out_plot:
            args.out_plot.parent.mkdir(parents=True, exist_ok=True)
            draw_robustness(rows).savefig(args.out_plot)
    if outcome.failed:
        return 1
    # A file or a pipe is as wide as it takes.
    Console(width=None if sys.stdout.isatty() else 200).print(sheet.to_rich())
    return 0


if __name__ == '__main__':
    sys.exit(main())
