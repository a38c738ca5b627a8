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
import math
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import torch

from mmfusion.analysis.comparison import (
    SPLITS,
    CostReport,
    CostSettings,
    Outcome,
    PlannedRun,
    Processes,
    Trainer,
    carry_out_all,
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
    remaining_seconds,
    score_sheets,
    scores_to_csv,
)
from mmfusion.analysis.comparison.records import KEEP
from mmfusion.analysis.comparison.training import LOG
from mmfusion.analysis.report_files import write_text
from mmfusion.command_line import OneLineErrors, add_device, add_traceback, read_config

TOOLS = Path(__file__).resolve().parents[1]
INTERRUPTED = 130


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files, or patterns in quotes')
    parser.add_argument('--baselines', nargs='+', metavar='METHOD', help='default: those in a folder baselines/')
    runs = parser.add_argument_group('runs')
    runs.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='N', help='default: 0 1 2')
    runs.add_argument('--jobs', type=int, default=1, metavar='N', help='runs at a time (default: 1)')
    runs.add_argument('--threads', type=int, default=1, metavar='N', help='threads of each run (default: 1)')
    runs.add_argument('--work-dir', type=Path, default=Path('work_dirs/compare'), help='default: work_dirs/compare')
    runs.add_argument(
        '--split',
        choices=SPLITS,
        default='val',
        help='validation after the last iteration, or test (default: val)',
    )
    runs.add_argument('--data-root', nargs='+', default=[], metavar='DATASET=DIR', help='where the data of a set are')
    runs.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='override entries of every config'
    )
    runs.add_argument('--keep-checkpoints', action='store_true', help='do not delete them after the evaluation')
    runs.add_argument('--force', action='store_true', help='train runs anew whose config has changed')
    runs.add_argument('--dry-run', action='store_true', help='tell what would be run, and start nothing')
    runs.add_argument('--report-only', action='store_true', help='tables of what is there; start nothing')
    add_traceback(parser)
    report = parser.add_argument_group('report')
    report.add_argument('--out-md', type=Path, metavar='FILE', help='write the tables as Markdown')
    report.add_argument('--out-csv', type=Path, metavar='FILE', help='write all figures as CSV, with full precision')
    report.add_argument('--cost', action='store_true', help='parameters, operations and times, in turns in one process')
    report.add_argument('--plot', type=Path, metavar='FILE', help='mIoU over time per image (takes --cost along)')
    report.add_argument('--reference', metavar='METHOD', help='cost ratios are to it (default: the baseline early)')
    report.add_argument('--cost-dataset', metavar='DATASET', help='on which the cost is measured (default: the first)')
    report.add_argument('--repeats', type=int, default=10, metavar='N', help='timed steps of each method (default: 10)')
    add_device(report)
    args = parser.parse_args(argv)
    args.cost = args.cost or args.plot is not None
    for name in ('jobs', 'threads', 'repeats'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, got {getattr(args, name)}')
    for pair in args.data_root:
        if '=' not in pair:
            parser.error(f'--data-root takes DATASET=DIR, got {pair}')
    return args


def span(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return f'{minutes} min' if minutes < 100 else f'{minutes // 60} h {minutes % 60:02d} min'


def show_plan(trainer: Trainer, plan: Sequence[PlannedRun], steps: Sequence[str]) -> None:
    """Print what would be run."""
    for run, step in zip(plan, steps):
        print(f'{step:10}  {run.name}')
        for command in trainer.commands(run, step):
            print(f'            {shlex.join(command)}')


def tell(done: Sequence[Outcome], total: int, jobs: int) -> None:
    """Print the line of the run that ended last."""
    outcome, left = done[-1], total - len(done)
    figures = (
        f'FAILED: {outcome.error}' if outcome.results is None else f'mIoU {outcome.results.get("mIoU", math.nan):.2f}'
    )
    line = f'[{len(done)}/{total}] {outcome.run.name}: {figures}, {span(outcome.seconds)}'
    if left:
        line += f'; about {span(remaining_seconds(done, left, jobs))} to go'
    print(line, flush=True)


def run_all(args: argparse.Namespace, trainer: Trainer, plan: Sequence[PlannedRun], steps: Sequence[str]) -> bool:
    """Carry out what is left to do.

    Returns:
        bool: Whether all of it came to figures.
    """
    total = sum(step != KEEP for step in steps)
    print(f'{len(plan)} runs, {total} of them to do, {args.jobs} at a time; logs: {args.work_dir}/*/{LOG}', flush=True)
    done: list[Outcome] = []
    with closing(carry_out_all(trainer, plan, steps, args.jobs, Processes(args.threads))) as outcomes:
        for outcome in outcomes:
            done.append(outcome)
            tell(done, total, args.jobs)
    return all(outcome.results is not None for outcome in done)


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
        show_plan(trainer, plan, steps)
        return 0
    succeeded = args.report_only or run_all(args, trainer, plan, steps)
    report(args, plan)
    return 0 if succeeded else 1


def interrupt(*_: object) -> None:
    """End as by Ctrl-C, so that no process stays behind."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, 1 after an error or a failed run, 130 after an interruption.
    """
    args = parse_args(argv)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with OneLineErrors(args):
            return compare(args)
        return 1
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here (--report-only: tables of what is there)', file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == '__main__':
    sys.exit(main())
