r"""Runs as one HTML page: scores, classes, fusion metrics, curves, pictures, cost, and what failed.

WORK_DIR is a run of tools/train.py or tools/test.py, a folder of such runs, or the --work-dir of compare.py. Method
and data set are read from the name of a config, METHOD_MODEL_SCHEDULE_DATASET-CROP.py; methods whose config lies in a
folder `baselines/` are baselines, unless --baselines names them. Figures are those that the runs recorded; nothing is
trained.

The page is one file and needs nothing else: no network, no scripts or fonts from elsewhere. Pictures are made anew, by
one checkpoint of each method, where checkpoints were kept and the data are there.

Examples:
    python tools/analysis_tools/report.py work_dirs/compare --out report.html
    python tools/analysis_tools/report.py work_dirs/early_s* work_dirs/ours_s* --results val --out page.html
    python tools/analysis_tools/report.py work_dirs/compare --data-root weedmap=data/weedmap --out page.html
"""

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from mmfusion.analysis.html_report import GalleryMaker, build_page, find_costs, gather
from mmfusion.analysis.html_report.study import RESULTS
from mmfusion.analysis.report_files import write_text
from mmfusion.command_line import OneLineErrors, add_common, add_device


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='a run, or a folder of runs')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='the page, such as report.html')
    parser.add_argument('--title', help='heading (default: how many methods on how many data sets)')
    parser.add_argument(
        '--results',
        choices=RESULTS,
        default='auto',
        help='tests, or validations after the last iteration (default: tests if any run has one)',
    )
    parser.add_argument('--baselines', nargs='+', metavar='METHOD', help='default: those in a folder baselines/')
    parser.add_argument(
        '--panels', type=int, default=3, metavar='N', help='pairs to show of each data set (default: 3)'
    )
    parser.add_argument('--data-root', nargs='+', default=[], metavar='DATASET=DIR', help='where the data of a set are')
    add_device(parser)
    add_common(parser)
    args = parser.parse_args(argv)
    for pair in args.data_root:
        if '=' not in pair:
            parser.error(f'--data-root takes DATASET=DIR, got {pair}')
    return args


def command_of(argv: list[str] | None) -> str:
    """The command line as it can be given again."""
    return shlex.join(['python', 'tools/analysis_tools/report.py', *(sys.argv[1:] if argv is None else argv)])


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        study = gather(args.work_dirs, args.results, args.baselines)
        columns, methods = study.scores.columns, study.scores.methods
        console = Console(stderr=True)
        with console.status('reading runs', spinner='line') as status:
            roots = dict(pair.split('=', 1) for pair in args.data_root)
            maker = GalleryMaker(study, args.panels, roots, args.device, status.update)
            galleries = [maker.make(column) for column in columns] if args.panels else []
        title = args.title or f'{_count(methods, "method")} on {_count(columns, "data set")}'
        page = build_page(study, title, command_of(argv), galleries, find_costs(args.work_dirs))
        html = page.render()
        write_text(args.out, html)
    if outcome.failed:
        return 1
    without = f', {len(page.problems)} without a result' if page.problems else ''
    print(f'{args.out}: {_count(study.runs, "run")}{without}; {len(html.encode()) / 1e6:.1f} MB')
    return 0


def _count(things: list, name: str) -> str:
    return f'{len(things)} {name}{"s" * (len(things) != 1)}'


if __name__ == '__main__':
    sys.exit(main())
