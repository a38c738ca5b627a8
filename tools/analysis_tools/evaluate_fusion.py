r"""Judge fused images of any method by what a segmentor makes of them.

A folder holds the fused images of all splits that the config of the segmentor reads, such as FOLDER/train and
FOLDER/test; an image has the name of its pair. What `mmfusion fuse --out FOLDER/train` writes is found as well. For
every folder, and for fixed rules beside them, the segmentor of the config is trained on the images under one protocol,
with every seed, and evaluated; whole methods (--with), such as early fusion or a joint model, are trained as they are.

Runs and figures are kept in the work dir: the same command goes on where it was stopped. Images that have changed since
are refused, or trained on anew with --force.

Tables: mIoU and IoU by class, mean ± sample standard deviation over the seeds, differences to the best baseline paired
by seed, and fusion metrics of the images. Rules, and what is in a folder baselines/, are baselines.

Examples:
    python tools/analysis_tools/evaluate_fusion.py fused/ours ddf=fused/DDFM --data-root data/cwfid \
        --segmentor configs/baselines/average_efficientnet-lite0_1xb4-300_cwfid-160x192.py --jobs 2 \
        --with configs/baselines/early_efficientnet-lite0_1xb4-300_cwfid-160x192.py --out-md table.md
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from mmfusion.analysis.comparison import (
    PlannedRun,
    Trainer,
    add_runs,
    collect_scores,
    find_entries,
    next_steps,
    plan_runs,
    plan_text,
    run_comparison,
    run_plan,
    score_sheets,
    scores_to_csv,
)
from mmfusion.analysis.comparison.plan import data_root_options, parse_options
from mmfusion.analysis.fusion_evaluation import (
    PROTOCOL,
    FusedFolder,
    PairFolder,
    find_fused,
    image_quality,
    method_name,
    on_fused_images,
    pair_folders,
    rule_fusions,
    write_by_rule,
    write_config,
)
from mmfusion.analysis.fusion_quality import Quality, quality_sheets
from mmfusion.analysis.report_files import write_text
from mmfusion.command_line import read_config
from mmfusion.evaluation import DEFAULT_METRICS

TOOLS = Path(__file__).resolve().parents[1]
RULES = ('average', 'maximum')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'folders', nargs='*', metavar='[NAME=]FOLDER', help='fused images; the name is that of the folder unless given'
    )
    parser.add_argument('--segmentor', type=Path, required=True, metavar='CONFIG', help='what is trained on them')
    parser.add_argument('--data-root', metavar='DIR', help='where the pairs are (default: as the config says)')
    parser.add_argument(
        '--rules',
        nargs='*',
        default=list(RULES),
        choices=list(rule_fusions()),
        help=f'baselines, fused and evaluated in the same way (default: {" ".join(RULES)})',
    )
    parser.add_argument(
        '--with', nargs='+', default=[], dest='others', metavar='CONFIG', help='methods that are trained as they are'
    )
    parser.add_argument(
        '--metrics', nargs='*', default=list(DEFAULT_METRICS), metavar='NAME', help=f'default: {len(DEFAULT_METRICS)}'
    )
    add_runs(parser, 'work_dirs/evaluate_fusion', 'test')
    report = parser.add_argument_group('report')
    report.add_argument('--out-md', type=Path, metavar='FILE', help='write the tables as Markdown')
    report.add_argument('--out-csv', type=Path, metavar='FILE', help='write all figures as CSV, with full precision')
    return parser.parse_args(argv)


def named_folders(args: argparse.Namespace) -> dict[str, Path]:
    """Methods to folders.

    Raises:
        ValueError: Two methods have one name, or there is nothing to evaluate.
    """
    found: dict[str, Path] = {}
    for text in args.folders:
        name, separator, folder = text.partition('=')
        path = Path(folder if separator else text)
        name = method_name(name if separator else path.resolve().name)
        if name in found or name in args.rules:
            raise ValueError(f'two methods are called {name!r}; give one of the folders as NAME=FOLDER')
        found[name] = path
    if not found and not args.rules:
        raise ValueError('nothing to evaluate: name a folder of fused images, or some of the --rules')
    return found


def read_segmentor(args: argparse.Namespace) -> Config:
    """The config of the segmentor, with its data where they are."""
    overrides = parse_options(args.cfg_options)
    if args.data_root:
        overrides = {**parse_options(data_root_options(read_config(args.segmentor), args.data_root)), **overrides}
    return read_config(args.segmentor, overrides)


def find_images(args: argparse.Namespace, pairs: list[PairFolder]) -> list[FusedFolder]:
    """Fused images of all methods; those of rules are written first.

    Folders are looked through before anything is written.
    """
    given = [find_fused(name, folder, pairs) for name, folder in named_folders(args).items()]
    return [*(write_by_rule(name, args.work_dir / 'fused' / name, pairs) for name in args.rules), *given]


def plan(args: argparse.Namespace, cfg: Config, images: list[FusedFolder], pairs: list[PairFolder]) -> list[PlannedRun]:
    """All runs: the segmentor on the images of every method, and methods as they are."""
    folder = args.work_dir / 'configs'
    configs = [
        write_config(on_fused_images(cfg, fused, pairs, folder / 'pairs'), fused.name, args.segmentor, folder)
        for fused in images
    ]
    runs = []
    for found in find_entries([*map(str, configs), *args.others]):
        entry = replace(found, is_baseline=found.is_baseline or found.method in args.rules)
        roots = {entry.field: args.data_root} if args.data_root and entry.path not in configs else {}
        options = [] if entry.path in configs else args.cfg_options
        runs += plan_runs([entry], args.seeds, args.work_dir, options, roots)

    def order(run: PlannedRun) -> tuple[int, bool, bool]:
        # Seed by seed, so that an evaluation that is stopped early has something of every method; rules first.
        return args.seeds.index(run.seed), not run.entry.is_baseline, run.entry.path not in configs

    return sorted(runs, key=order)


def qualities(args: argparse.Namespace, images: list[FusedFolder], pairs: list[PairFolder]) -> list[Quality]:
    """Fusion metrics of the images of the split."""
    counted = [folder for folder in pairs if folder.belongs_to(f'{args.split}_dataloader')]
    cache = args.work_dir / 'metrics'
    return [image_quality(fused, counted, args.metrics, cache / f'{fused.name}.json') for fused in images]


def evaluate(args: argparse.Namespace) -> int:
    """Plan, carry out, report.

    Returns:
        int: Exit code.
    """
    cfg = read_segmentor(args)
    pairs = pair_folders(cfg)
    images = find_images(args, pairs)
    runs = plan(args, cfg, images, pairs)
    trainer = Trainer(TOOLS, args.split, args.keep_checkpoints)
    steps = next_steps(runs, args.split, args.force)
    if args.dry_run:
        print(plan_text(trainer, runs, steps))
        return 0
    # Before hours of training: an image that does not fit is told here.
    found = qualities(args, images, pairs) if args.metrics else []
    succeeded = args.report_only or run_plan(trainer, runs, steps, args.work_dir, args.jobs, args.threads)
    scores = collect_scores(runs, args.split)
    sheets = score_sheets(scores, args.split, args.seeds)
    sheets[0].note += f' Protocol: {PROTOCOL}.'
    sheets += quality_sheets(found)
    text = '\n'.join(sheet.to_markdown() for sheet in sheets)
    print(f'\n{text}', end='')
    write_text(args.out_md, text)
    write_text(args.out_csv, scores_to_csv(scores, args.split))
    return 0 if succeeded else 1


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, 1 after an error or a failed run, 130 after an interruption.
    """
    return run_comparison(evaluate, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
