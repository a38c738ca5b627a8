"""Look at the attribution of one pair: where does the segmentor find its evidence, and what does the fusion do with it?

Writes NAME.png, a figure, and NAME.json, the numbers in it.

Examples:
    python tools/analysis_tools/attribution_maps.py CONFIG CHECKPOINT --ir ir.png --vi vi.png --out maps
    python tools/analysis_tools/attribution_maps.py CONFIG CHECKPOINT --index 3 --out maps
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmfusion.analysis.attribution_maps import analyse
from mmfusion.analysis.attribution_report import AttributionReport
from mmfusion.analysis.figures import draw_attribution
from mmfusion.analysis.report_files import json_text, write_text
from mmfusion.analysis.scenes import build_dataset, read_label_map
from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import is_folder, list_pairs
from mmfusion.command_line import OneLineErrors, add_device, model_parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = model_parser(__doc__)
    parser.add_argument('--ir', metavar='PATH', help='infrared image')
    parser.add_argument('--vi', metavar='PATH', help='visible image')
    parser.add_argument('--label', metavar='PATH', help='label map of the pair: class ids in one channel')
    parser.add_argument(
        '--index', type=int, metavar='I', help="the I-th pair of the config's test data instead of files"
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    add_device(parser)
    parser.add_argument('--steps', type=int, metavar='N', help="nodes of the attribution (default: the config's)")
    args = parser.parse_args(argv)
    if (args.index is None) == (args.ir is None and args.vi is None) or (args.ir is None) != (args.vi is None):
        parser.error('give --ir and --vi, or --index')
    if args.index is not None and args.label:
        parser.error('--label goes with --ir and --vi; the pair of --index has the labels of the data set')
    return args


def read_pair(inferencer: FusionInferencer, args: argparse.Namespace) -> tuple[dict, np.ndarray | None]:
    """The pair as it leaves the pipeline, and its labels at the original size if there are any.

    Raises:
        ValueError: Folders instead of files, a pipeline that rejects the pair, or an index out of range.
    """
    packed = _read_files(inferencer, args) if args.index is None else _read_index(inferencer, args.index)
    if packed is None:
        raise ValueError('the test pipeline of the config rejects this pair')
    sample = packed['data_samples']
    if args.label:
        return packed, read_label_map(inferencer, args.label, sample)
    return packed, sample.gt_sem_seg.data[0].numpy() if 'gt_sem_seg' in sample else None


def _read_files(inferencer: FusionInferencer, args: argparse.Namespace) -> dict | None:
    if is_folder(args.ir) or is_folder(args.vi):
        raise ValueError('--ir and --vi are files here: one figure is of one pair')
    return inferencer.pipeline(dict(list_pairs(args.ir, args.vi)[0], seg_fields=[]))


def _read_index(inferencer: FusionInferencer, index: int) -> dict | None:
    dataset = build_dataset(inferencer)
    if not 0 <= index < len(dataset):
        raise ValueError(f'--index must be in 0..{len(dataset) - 1}, the test data of the config; got {index}')
    return dataset[index]


def write(report: AttributionReport, figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write figure and numbers; returns the files."""
    files = [folder / f'{name}.png', folder / f'{name}.json']
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(files[0])
    write_text(files[1], json_text(report.numbers()))
    return files


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        inferencer = FusionInferencer(args.config, args.checkpoint, args.device)
        packed, labels = read_pair(inferencer, args)
        report = analyse(inferencer, packed, labels, args.steps)
        name = Path(packed['data_samples'].img_path).stem
        figure = draw_attribution(report, f'{name}  |  {Path(args.config).stem}')
        files = write(report, figure, Path(args.out), name)
    if outcome.failed:
        return 1
    print('wrote', *files)
    return 0


if __name__ == '__main__':
    sys.exit(main())
