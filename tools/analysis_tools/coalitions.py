"""How many pairs of images do Banzhaf shares need? Told by the number of classes that a scene has.

For a trained model and the test data of its config: the share of the infrared image with few pairs, at the fixed signs
of evaluation, against that of many pairs with other signs. Regions are those of the given labels.

JSON: `config`, `checkpoint`, `scenes`, `reference_pairs`, and `errors`, a list with `present` (classes of the scenes),
`pairs` (of images per source), `mean`, `p90` (90th percentile), `worst_class` (mean of the class where it is largest)
and `shares` (how many were compared).

Examples:
    python tools/analysis_tools/coalitions.py CONFIG CHECKPOINT --scenes 40 --pairs 1 2 4 8
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmfusion.analysis.coalition_error import ShareError, coalition_errors
from mmfusion.analysis.fusion_options import attribution_of
from mmfusion.analysis.report_files import json_text, write_text
from mmfusion.analysis.scenes import build_dataset, read_batches
from mmfusion.analysis.tables import Sheet
from mmfusion.apis import FusionInferencer
from mmfusion.command_line import OneLineErrors, add_device, model_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = model_parser(__doc__)
    parser.add_argument('--scenes', type=int, default=24, metavar='N', help='the first N scenes (default: 24)')
    parser.add_argument(
        '--pairs', type=int, nargs='+', default=[1, 2, 4, 8], metavar='N', help='numbers of pairs (default: 1 2 4 8)'
    )
    parser.add_argument(
        '--reference-pairs', type=int, default=64, metavar='N', help='pairs that count as exact (default: 64)'
    )
    add_device(parser)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all numbers as JSON')
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the table as Markdown')
    args = parser.parse_args(argv)
    for name, value in (('scenes', args.scenes), ('pairs', min(args.pairs)), ('reference-pairs', args.reference_pairs)):
        if value < 1:
            parser.error(f'--{name} must be at least 1, got {value}')
    return args


def error_sheet(errors: list[ShareError], scenes: int, reference_pairs: int) -> Sheet:
    """The table."""
    rows = [
        [
            str(error.present),
            str(error.pairs),
            str(2 * error.pairs),
            f'{error.mean:.4f}',
            f'{error.p90:.4f}',
            f'{error.worst_class:.4f}',
            str(error.shares),
        ]
        for error in errors
    ]
    header = ['classes present', 'pairs', 'images per source', 'mean', '90th percentile', 'worst class', 'shares']
    note = f'Absolute difference to the share of {reference_pairs} pairs; regions of the given labels, {scenes} scenes.'
    return Sheet('Error of the share of the infrared image', header, rows, note)


def run(args: argparse.Namespace) -> tuple[dict, Sheet]:
    """Measure; returns what --json writes, and the table.

    Raises:
        ValueError: The test data have no labels, or fewer scenes than asked for.
    """
    inferencer = FusionInferencer(args.config, args.checkpoint, args.device)
    dataset, model = build_dataset(inferencer), inferencer.model
    if args.scenes > len(dataset):
        raise ValueError(f'--scenes must be in 1..{len(dataset)}, the number of scenes in the test data')
    batches = read_batches(model, dataset, args.scenes, 1, inferencer.device)
    console = Console(stderr=True)
    shown = track(batches, 'attributing', console=console, transient=True, disable=not console.is_terminal)
    scorer = model.scorer()
    errors = coalition_errors(
        scorer, shown, attribution_of(model.fusion), scorer.num_classes, args.pairs, args.reference_pairs
    )
    report = dict(
        config=args.config,
        checkpoint=args.checkpoint,
        scenes=args.scenes,
        reference_pairs=args.reference_pairs,
        errors=[asdict(error) for error in errors],
    )
    return report, error_sheet(errors, args.scenes, args.reference_pairs)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        report, sheet = run(args)
        write_text(args.json, json_text(report))
        write_text(args.out_md, sheet.to_markdown())
    if outcome.failed:
        return 1
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(sheet.to_rich())
    return 0


if __name__ == '__main__':
    sys.exit(main())
