"""Time, memory and work of the released computation against ours, in one run on the same segmentor.

    python tools/analysis_tools/benchmark.py
    python tools/analysis_tools/benchmark.py --device cuda --batch-size 8 --size 256 256 --json benchmark.json

The released computation is `released_reference.py`: serial path points, one backward pass per class, a segmentor in
training mode, a convolution per gate, three passes of the segmentor. Ours is the model of the config with each
estimator of the region attribution, and in a few other settings. Steps of all of them take turns, so that a machine's
mood meets all; a ratio holds for this machine and this run. What is counted holds everywhere: images that pass the
segmentor forward and backward per sample, calls of autograd, and floating point operations (of matrix products and
convolutions, 2 per multiply-add).

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
import copy
import json
import sys
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from rich.console import Console
from rich.table import Table

from mmfusion.analysis.benchmark import PARTS, TASKS, compare, device_name
from mmfusion.analysis.contenders import (
    VARIANTS,
    Batch,
    build_model,
    make_batch,
    our_contenders,
    released_contender,
    teach,
)
from mmfusion.analysis.stopwatch import peak_memory
from mmfusion.attribution import ESTIMATORS

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/uaafusion/uaafusion_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256.py'


def show(console: Console, report: dict) -> None:
    """Print the tables."""
    environment, settings = report['environment'], report['settings']
    console.print(
        f'{environment["name"]}, {environment["threads"]} thread(s), torch {environment["torch"]}: '
        f'times and their ratios hold for this machine and this run'
    )
    cells: dict[tuple, list[dict]] = {}
    for row in report['results']:
        cells.setdefault((row['task'], row['classes_present']), []).append(row)
    for (task, _), rows in cells.items():
        batch, (height, width) = (settings[f'{task}_{what}'] for what in ('batch_size', 'size'))
        title = f'{task}, {batch} x {height}x{width}, {rows[0]["classes"]} classes in the labels'
        table = Table(title=title, title_justify='left')
        for name in (
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
        ):
            table.add_column(name, justify='right' if name else 'left', no_wrap=bool(name))
        for row in rows:
            table.add_row(*_cells(row, rows[0]))
        console.print(table)
        table = Table(title='its parts in ms', title_justify='left')
        names = [name for name in PARTS if any(name in row['parts'] for row in rows)]
        for name in ('', *names):
            table.add_column(name, justify='right' if name else 'left')
        for row in rows:
            table.add_row(row['implementation'], *(f'{1e3 * row["parts"].get(name, 0):.1f}' for name in names))
        console.print(table)


def _cells(row: dict, first: dict) -> list[str]:
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
        help="ours with the config's estimator and: attention off (gradient-free); attribution and "
        'attention in bfloat16; stages recomputed in the backward pass (checkpointed); stages compiled '
        '(default: gradient-free bfloat16)',
    )
    parser.add_argument('--repeats', type=int, default=5, help='timed steps of each (default: 5)')
    parser.add_argument('--threads', type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures there')
    parser.add_argument('--skip-reference', action='store_true', help='measure ours only, without ratios')
    args = parser.parse_args(argv)
    cpu = args.device == 'cpu'
    args.inference_batch_size = args.inference_batch_size or (args.batch_size if cpu else 1)
    args.inference_size = args.inference_size or (args.size if cpu else [480, 640])
    for name in ('batch_size', 'inference_batch_size', 'released_steps', 'repeats', 'threads'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {getattr(args, name)}')
    if args.batch_size < 2:
        parser.error('--batch-size must be at least 2: batch norms after a global pooling cannot train on one value')
    if not args.estimator and not args.variant:
        parser.error('nothing to measure: give --estimator or --variant')
    wrong = [n for n in args.classes_present if not 1 <= n <= args.num_classes]
    if wrong:
        parser.error(f'--classes-present {wrong[0]} is not within 1 and --num-classes {args.num_classes}')
    if not cpu and not torch.cuda.is_available():
        parser.error('--device cuda needs a GPU that PyTorch sees (torch.cuda.is_available() is False)')
    return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config with its overrides.

    Raises:
        FileNotFoundError: No such config.
    """
    if not Path(args.config).is_file():
        raise FileNotFoundError(f'no config at {args.config}; the configs of this project are in configs/')
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


def measure(args: argparse.Namespace, console: Console) -> dict:
    """All measurements.

    Args:
        args (argparse.Namespace): The command line.
        console (Console): Where progress goes.

    Returns:
        dict: What goes to JSON; see the module.
    """
    device = torch.device(args.device)
    threads = args.threads or torch.get_num_threads()
    # On a CPU memory is measured in forked processes, which do not survive the thread pool of the parent.
    torch.set_num_threads(1 if device.type == 'cpu' else threads)
    model = build_model(load_config(args), args.num_classes, device)
    contenders = our_contenders(model, [*args.estimator, *args.variant])
    if not args.skip_reference:
        contenders.insert(0, released_contender(model, copy.deepcopy(model.segmentor), args.released_steps))

    def prepare(classes: int) -> tuple[dict[str, Batch], dict[str, int]]:
        """Batches and the number of classes in their labels; one state of all segmentors."""
        shapes = (args.batch_size, args.size), (args.inference_batch_size, args.inference_size)
        batches = {task: make_batch(*shape, classes, device) for task, shape in zip(TASKS, shapes)}
        found = dict(train=classes, inference=teach(model, batches['inference']))
        for contender in contenders:
            contender.segmentor.load_state_dict(model.segmentor.state_dict())
        return batches, found

    memory, results = {}, {}
    with console.status('measuring memory'):
        for classes in args.classes_present:
            batches, _ = prepare(classes)
            for task in ('inference', 'train'):  # Training changes the weights, and with them the predicted classes.
                for contender in contenders:
                    memory[classes, task, contender.name] = peak_memory(
                        lambda who=contender, what=task, on=batches: who.run(what, on[what]), device
                    )
    torch.set_num_threads(threads)
    with console.status('measuring time') as status:
        for classes in args.classes_present:
            batches, found = prepare(classes)
            for task in ('inference', 'train'):
                status.update(f'measuring time: {task}, {classes} classes')
                rows = compare(contenders, task, batches[task], args.repeats, device)
                results[task, classes] = [
                    dict(
                        task=task,
                        classes_present=classes,
                        classes=found[task],
                        memory_bytes=memory[classes, task, row['implementation']],
                        **row,
                    )
                    for row in rows
                ]
    return dict(
        environment=dict(device=args.device, name=device_name(device), threads=threads, torch=torch.__version__),
        settings=dict(
            config=Path(args.config).name,
            cfg_options={key: str(value) for key, value in (args.cfg_options or {}).items()},
            num_classes=args.num_classes,
            released_steps=args.released_steps,
            repeats=args.repeats,
            train_batch_size=args.batch_size,
            train_size=list(args.size),
            inference_batch_size=args.inference_batch_size,
            inference_size=list(args.inference_size),
        ),
        results=[row for task in TASKS for classes in args.classes_present for row in results[task, classes]],
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    args, console = parse_args(argv), Console()
    if not console.is_terminal:
        console.width = 180  # A file has no edge to keep to.
    report = measure(args, console)
    show(console, report)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    sys.exit(main())
