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

from mmfusion.analysis.run_summary import (
    METRICS,
    choose_metrics,
    choose_results,
    read_run,
    summarise,
    to_markdown,
    write_csv,
)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
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
    args = parser.parse_args(argv)
    try:
        runs = [read_run(folder) for folder in args.work_dirs]
        kind = choose_results(runs, args.results)
        metrics = choose_metrics(runs, kind, args.metrics)
        rows = summarise(runs, kind, metrics, args.group_by)
        table = to_markdown(rows, args.group_by, metrics, kind)
        if args.out_md:
            args.out_md.parent.mkdir(parents=True, exist_ok=True)
            args.out_md.write_text(table)
        if args.out_csv:
            write_csv(args.out_csv, rows, args.group_by, metrics)
    except (OSError, ValueError) as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    print(table, end='')
    return 0


if __name__ == '__main__':
    sys.exit(main())
