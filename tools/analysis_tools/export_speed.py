r"""Pairs per second of models in PyTorch and exported to ONNX, beside their segmentor alone.

Weights are random, which changes no time. Passes of all take turns; times hold for this machine and this run.
Needs: pip install 'mmfusion[onnx]'

Examples:
    python tools/analysis_tools/export_speed.py uaafusion-gate_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256 \
        early_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256 --threads 2
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from mmfusion.analysis.export_speed import export_speed, export_speed_sheet
from mmfusion.analysis.report_files import write_text
from mmfusion.command_line import OneLineErrors, add_traceback


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs', nargs='+', help="config files or names; the segmentor alone is the first one's, of visible images"
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=[480, 640],
        metavar=('HEIGHT', 'WIDTH'),
        help='of a pair (default: 480 640)',
    )
    parser.add_argument('--threads', type=int, help="of both runtimes (default: PyTorch's own choice)")
    parser.add_argument('--repeats', type=int, default=10, help='timed passes of each (default: 10)')
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the table as Markdown')
    add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:

        def tell(doing: str) -> None:
            print(doing, file=sys.stderr, flush=True)

        speeds = export_speed(args.configs, args.shape, args.threads, args.repeats, tell)
        sheet = export_speed_sheet(speeds, args.shape)
        write_text(args.out_md, sheet.to_markdown())
    if outcome.failed:
        return 1
    # A file or a pipe is as wide as it takes.
    Console(width=None if sys.stdout.isatty() else 200).print(sheet.to_rich())
    return 0


if __name__ == '__main__':
    sys.exit(main())
