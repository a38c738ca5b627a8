r"""Compare methods: train every config with every seed, evaluate, and put it all into tables.

A config is one method on one data set; both are read from its name, METHOD_MODEL_SCHEDULE_DATASET-CROP.py. Methods in a
folder `baselines/` are baselines, unless --baselines names them.

A run is a config with a seed. It has a folder of its own, WORK_DIR/CONFIGNAME_sSEED, and goes through tools/train.py
(and tools/test.py with --split test) in a process with one thread; what they print is in its comparison.log. The same
command goes on where it was stopped: finished runs are kept, interrupted ones resume from their last checkpoint, failed
ones are tried again. A run whose config has changed since is refused, or trained anew with --force. After the
evaluation checkpoints are deleted.

Tables: mIoU by method and data set, mean ± sample standard deviation over the seeds; the difference to the best
baseline of each data set, paired by seed; the classes; with --cost, parameters, operations and times.

Examples:
    python tools/analysis_tools/compare.py 'configs/*/*_unet-tiny_1xb4-300_synthetic-96x128.py' --jobs 2 --dry-run
    python tools/analysis_tools/compare.py 'configs/baselines/*_weedmap-160x192.py' --seeds 0 1 2 --split test \
        --data-root weedmap=data/weedmap --cfg-options train_cfg.max_iters=100 --work-dir work_dirs/compare
    python tools/analysis_tools/compare.py CONFIG... --report-only --cost --out-md table.md --plot figure.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from mmfusion.analysis.comparison import (
    COSTS,
    CostReport,
    CostSettings,
    PlannedRun,
    Trainer,
    add_runs,
    choose_reference,
    collect_scores,
    differing_recipes,
    draw_scores_over_cost,
    entries_on,
    find_entries,
    measure_costs,
    next_steps,
    parse_options,
    plan_runs,
    plan_text,
    positive,
    run_comparison,
    run_plan,
    score_sheets,
    scores_to_csv,
)
from mmfusion.analysis.report_files import write_text
from mmfusion.command_line import add_device, read_config

TOOLS = Path(__file__).resolve().parents[1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files, or patterns in quotes')
    parser.add_argument('--baselines', nargs='+', metavar='METHOD', help='default: those in a folder baselines/')
    runs = add_runs(parser, 'work_dirs/compare', 'val')
    runs.add_argument('--data-root', nargs='+', default=[], metavar='DATASET=DIR', help='where the data of a set are')
    report = parser.add_argument_group('report')
    report.add_argument('--out-md', type=Path, metavar='FILE', help='write the tables as Markdown')
    report.add_argument('--out-csv', type=Path, metavar='FILE', help='write all figures as CSV, with full precision')
    report.add_argument('--cost', action='store_true', help='parameters, operations and times, in turns in one process')
    report.add_argument('--plot', type=Path, metavar='FILE', help='mIoU over time per image (takes --cost along)')
    report.add_argument('--reference', metavar='METHOD', help='cost ratios are to it (default: the baseline early)')
    report.add_argument('--cost-dataset', metavar='DATASET', help='on which the cost is measured (default: the first)')
    report.add_argument(
        '--repeats', type=positive, default=10, metavar='N', help='timed steps of each method (default: 10)'
    )
    add_device(report)
    args = parser.parse_args(argv)
    args.cost = args.cost or args.plot is not None
    for pair in args.data_root:
        if '=' not in pair:
            parser.error(f'--data-root takes DATASET=DIR, got {pair}')
    return args


def costs_of(args: argparse.Namespace, plan: Sequence[PlannedRun]) -> tuple[CostReport, str]:
    """Costs of all methods on one data set, and the method that ratios are told to."""
    runs = {run.entry: run for run in plan}
    chosen = entries_on(list(runs), args.cost_dataset)
    methods = [entry.method for entry in chosen]
    reference = args.reference or choose_reference(methods, [entry.method for entry in chosen if entry.is_baseline])
    if reference not in methods:
        raise ValueError(
            f'--reference {reference}: no such method on {chosen[0].field}; there are {", ".join(methods)}'
        )
    configs = {entry.method: read_config(entry.path, parse_options(runs[entry].options)) for entry in chosen}
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return measure_costs(configs, args.split, CostSettings(device, args.threads, args.repeats)), reference


def report(args: argparse.Namespace, plan: Sequence[PlannedRun]) -> None:
    """Print and write tables and figure."""
    scores = collect_scores(plan, args.split)
    sheets = score_sheets(scores, args.split, args.seeds)
    costs = None
    if args.cost:
        costs, reference = costs_of(args, plan)
        costs.write(args.work_dir / COSTS)  # For report.py.
        sheets.append(costs.sheet(reference))
    text = '\n'.join(sheet.to_markdown() for sheet in sheets)
    differing = differing_recipes(list(dict.fromkeys(run.entry for run in plan)))
    if differing:
        text += '\nMethods differ in model or schedule: ' + '. '.join(differing) + '.\n'
    print(f'\n{text}', end='')
    write_text(args.out_md, text)
    write_text(args.out_csv, scores_to_csv(scores, args.split, costs.costs if costs else ()))
    if args.plot and costs:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        draw_scores_over_cost(scores, costs.costs, args.split, costs.hardware).savefig(args.plot)


def compare(args: argparse.Namespace) -> int:
    """Plan, carry out, report.

    Returns:
        int: Exit code.
    """
    entries = find_entries(args.configs, args.baselines)
    roots = dict(pair.split('=', 1) for pair in args.data_root)
    plan = plan_runs(entries, args.seeds, args.work_dir, args.cfg_options, roots)
    trainer = Trainer(TOOLS, args.split, args.keep_checkpoints)
    steps = next_steps(plan, args.split, args.force)
    if args.dry_run:
        print(plan_text(trainer, plan, steps))
        return 0
    succeeded = args.report_only or run_plan(trainer, plan, steps, args.work_dir, args.jobs, args.threads)
    report(args, plan)
    return 0 if succeeded else 1


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, 1 after an error or a failed run, 130 after an interruption.
    """
    return run_comparison(compare, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
