"""Time, memory and work of the released computation against ours, in one run on the same segmentor.

    python tools/analysis_tools/benchmark.py
    python tools/analysis_tools/benchmark.py --device cuda --batch-size 8 --size 256 256 --json benchmark.json

The released computation is `mmfusion/released/reference.py`: serial path points, one backward pass per class, a
segmentor in training mode, a convolution per gate, three passes of the segmentor. Ours is the model of the config with
each estimator of the region attribution, and in a few other settings. Steps of all of them take turns, so that a
machine's mood meets all; a ratio holds for this machine and this run. What is counted holds everywhere: images that
pass the segmentor forward and backward per sample, calls of autograd, and floating point operations (of matrix products
and convolutions, 2 per multiply-add).

The default takes the better part of an hour on a busy CPU; `--repeats 1` is enough for what is counted.

Training images are stripes of exactly the classes asked for. Labels of inference are predicted; beforehand the
segmentor's classifier is fitted to the stripes, so that they hold those classes as well.

Memory is what a step needs at its peak above weights and optimiser states: on CUDA what PyTorch allocates; on a CPU
(Linux) the growth of the resident memory of a forked process with one thread, which is coarser.

JSON: `environment` (device, name, threads, torch), `settings`, and `results`, a list with, for each `task` ('train' or
'inference'), `classes_present` and `implementation` ('released', an estimator or a variant): `classes` that the labels
hold, `seconds` (median, min, max, all), `speedup` (median, min, max; over the released computation; null without it),
`parts` (median seconds by name), `memory_bytes` (null where it cannot be measured),
`forward_images` and `backward_images` (per sample), `autograd_calls`, `flops` and `flops_fusion` (the fusion network
alone).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import DictAction
from rich.console import Console
from rich.table import Table

from mmfusion.analysis.benchmark import PARTS, BenchmarkSettings, run_benchmark
from mmfusion.analysis.contenders import VARIANTS
from mmfusion.analysis.report_files import json_text, write_text
from mmfusion.attribution import ESTIMATORS
from mmfusion.command_line import OneLineErrors, add_traceback

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/uaafusion/uaafusion_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256.py'
COLUMNS = (
    '',
    'ms (min-max)',
    'times faster (min-max)',
    'peak memory',
    'times less',
    'images forward',
    'images backward',
    'autograd calls',
    'GFLOP',
    'fusion alone',
)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--config',
        default=str(CONFIG),
        help='config of a FusionSegmentor with UAAFusion (default: DeepLabV3+ on MobileNetV2, five stages, five steps)',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override the config')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--batch-size', type=int, default=2, help='pairs of a training step, at least 2 (default: 2)')
    parser.add_argument('--size', type=int, nargs=2, default=[128, 128], metavar=('H', 'W'), help='of a training step')
    parser.add_argument('--inference-batch-size', type=int, help='default: --batch-size on a CPU, 1 on a GPU')
    parser.add_argument(
        '--inference-size', type=int, nargs=2, metavar=('H', 'W'), help='default: --size on a CPU, 480 640 on a GPU'
    )
    parser.add_argument(
        '--classes-present',
        type=int,
        nargs='+',
        default=[6, 14],
        metavar='N',
        help='classes in every training sample (default: 6 14)',
    )
    parser.add_argument('--num-classes', type=int, default=15, help='classes of the segmentor (default: 15)')
    parser.add_argument(
        '--released-steps',
        type=int,
        default=5,
        help='path points of the released computation (default: 5); ours are in the config',
    )
    parser.add_argument(
        '--estimator',
        nargs='*',
        choices=ESTIMATORS,
        default=['banzhaf', 'endpoint', 'multiplexed'],
        help='ours with these estimators (default: banzhaf endpoint multiplexed)',
    )
    parser.add_argument(
        '--variant',
        nargs='*',
        choices=VARIANTS,
        default=['gradient-free', 'bfloat16'],
        help="ours with the config's estimator, and all as it says (config); attention off (gradient-free); "
        'attribution and attention in bfloat16; stages recomputed in the backward pass (checkpointed); stages '
        'compiled (default: gradient-free bfloat16)',
    )
    parser.add_argument('--repeats', type=int, default=5, help='timed steps of each (default: 5)')
    parser.add_argument('--threads', type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures there')
    parser.add_argument('--skip-reference', action='store_true', help='measure ours only, without ratios')
    add_traceback(parser)
    args = parser.parse_args(argv)
    cpu = args.device == 'cpu'
    args.inference_batch_size = args.inference_batch_size or (args.batch_size if cpu else 1)
    args.inference_size = args.inference_size or (args.size if cpu else [480, 640])
    wrong = _what_is_wrong(args)
    if not wrong and not cpu and not torch.cuda.is_available():
        wrong = '--device cuda needs a GPU that PyTorch sees (torch.cuda.is_available() is False)'
    if wrong:
        parser.error(wrong)
    return args


def _what_is_wrong(args: argparse.Namespace) -> str | None:
    """A message on arguments that parse, but do not do."""
    for name in ('batch_size', 'inference_batch_size', 'released_steps', 'repeats', 'threads'):
        value = getattr(args, name)
        if value is not None and value < 1:
            return f'--{name.replace("_", "-")} must be at least 1, got {value}'
    if args.batch_size < 2:
        return '--batch-size must be at least 2: batch norms after a global pooling cannot train on one value'
    if not args.estimator and not args.variant:
        return 'nothing to measure: give --estimator or --variant'
    for classes in args.classes_present:
        if not 1 <= classes <= args.num_classes:
            return f'--classes-present {classes} is not within 1 and --num-classes {args.num_classes}'
    return None


def settings_of(args: argparse.Namespace) -> BenchmarkSettings:
    """What the command line asks for."""
    return BenchmarkSettings(
        config=args.config,
        cfg_options=args.cfg_options or {},
        device=args.device,
        threads=args.threads,
        num_classes=args.num_classes,
        classes_present=args.classes_present,
        contenders=[*args.estimator, *args.variant],
        reference=not args.skip_reference,
        released_steps=args.released_steps,
        repeats=args.repeats,
        train_batch_size=args.batch_size,
        train_size=tuple(args.size),
        inference_batch_size=args.inference_batch_size,
        inference_size=tuple(args.inference_size),
    )


def show(console: Console, report: dict[str, Any]) -> None:
    """Print the tables."""
    environment = report['environment']
    console.print(
        f'{environment["name"]}, {environment["threads"]} thread(s), torch {environment["torch"]}: '
        f'times and their ratios hold for this machine and this run'
    )
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in report['results']:
        groups.setdefault((row['task'], row['classes_present']), []).append(row)
    for (task, _), rows in groups.items():
        batch_size, (height, width) = (report['settings'][f'{task}_{what}'] for what in ('batch_size', 'size'))
        title = f'{task}, {batch_size} x {height}x{width}, {rows[0]["classes"]} classes in the labels'
        console.print(_cost_table(rows, title))
        console.print(_part_table(rows))


def _cost_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    table = Table(title=title, title_justify='left')
    for name in COLUMNS:
        table.add_column(name, justify='right' if name else 'left', no_wrap=bool(name))
    for row in rows:
        table.add_row(*_cells(row, rows[0]))
    return table


def _part_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title='its parts in ms', title_justify='left')
    names = [name for name in PARTS if any(name in row['parts'] for row in rows)]
    for name in ('', *names):
        table.add_column(name, justify='right' if name else 'left')
    for row in rows:
        table.add_row(row['implementation'], *(f'{1e3 * row["parts"].get(name, 0):.1f}' for name in names))
    return table


def _cells(row: dict[str, Any], first: dict[str, Any]) -> list[str]:
    seconds, speedup, memory = row['seconds'], row['speedup'], row['memory_bytes']
    less = '-' if memory is None or speedup is None or memory <= 0 else f'{first["memory_bytes"] / memory:.2f}'
    return [
        row['implementation'],
        '{median:.1f} ({min:.1f}-{max:.1f})'.format(**{key: 1e3 * seconds[key] for key in ('median', 'min', 'max')}),
        '-' if speedup is None else '{median:.2f} ({min:.2f}-{max:.2f})'.format(**speedup),
        '-' if memory is None else f'{memory / 2**20:.0f} MiB',
        less,
        f'{row["forward_images"]:g}',
        f'{row["backward_images"]:g}',
        str(row['autograd_calls']),
        f'{row["flops"] / 1e9:.2f}',
        f'{row["flops_fusion"] / 1e9:.2f}',
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args, console = parse_args(argv), Console()
    if not console.is_terminal:
        console.width = 180  # A file has no edge to keep to.
    with OneLineErrors(args) as outcome:
        with console.status('measuring memory') as status:
            report = run_benchmark(settings_of(args), status.update)
        show(console, report)
        write_text(args.json, json_text(report))
    return int(outcome.failed)


if __name__ == '__main__':
    sys.exit(main())
