"""One table of finished runs: mean and spread over the seeds of each config.

A run is a work folder of tools/train.py or tools/test.py. Figures are those of its latest test, or of the validation
after the last iteration; --results says which where there are both. Runs of one config are one row: mean ± sample
standard deviation over their seeds. What else the runs of a row differ in is refused: make it a column by --group-by.

Examples:
    python tools/analysis_tools/summarise_runs.py work_dirs/full_s* work_dirs/no-memory_s* --out-md ablation.md
    python tools/analysis_tools/summarise_runs.py work_dirs/* --metrics mIoU --group-by config model.fusion.estimator
"""

import argparse
import sys
from pathlib import Path

from mmfusion.analysis.report_files import write_text
from mmfusion.analysis.run_summary import (
    METRICS,
    choose_metrics,
    choose_results,
    summarise,
    summary_to_markdown,
    write_csv,
)
from mmfusion.analysis.work_folders import read_run
from mmfusion.command_line import OneLineErrors, add_traceback


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='work folder of a run')
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=METRICS,
        metavar='NAME',
        help=f'names or patterns (default: {" ".join(METRICS)})',
    )
    parser.add_argument(
        '--group-by',
        nargs='+',
        default=['config'],
        metavar='KEY',
        help="'config', its name, and keys into it such as model.fusion.estimator (default: config)",
    )
    parser.add_argument(
        '--results',
        choices=['auto', 'test', 'val'],
        default='auto',
        help='latest tests or last validations (default: tests if all runs have one)',
    )
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the table as Markdown')
    parser.add_argument('--out-csv', type=Path, metavar='FILE', help='write it as CSV, with full precision')
    add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        runs = [read_run(folder) for folder in args.work_dirs]
        split = choose_results(runs, args.results)
        metrics = choose_metrics(runs, split, args.metrics)
        rows = summarise(runs, split, metrics, args.group_by)
        table = summary_to_markdown(rows, args.group_by, metrics, split)
        write_text(args.out_md, table)
        if args.out_csv:
            write_csv(args.out_csv, rows, args.group_by, metrics)
    if outcome.failed:
        return 1
    print(table, end='')
    return 0


if __name__ == '__main__':
    sys.exit(main())
