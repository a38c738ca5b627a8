"""Look at the attribution of one pair: where does the segmentor find its evidence, and what does the fusion do with it?

Writes NAME.png, a figure, and NAME.json, the numbers in it.

Examples:
    python tools/analysis_tools/attribution_maps.py CONFIG CHECKPOINT --ir ir.png --vi vi.png --out maps
    python tools/analysis_tools/attribution_maps.py CONFIG CHECKPOINT --index 3 --out maps
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope

from mmfusion.analysis.attribution_maps import analyse
from mmfusion.analysis.figures import AttributionReport, draw_attribution
from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import dataset_config, is_folder, list_pairs
from mmfusion.datasets import LoadPairAnnotations
from mmfusion.registry import DATASETS

# What wrong arguments and files lead to; anything else is a bug and keeps its traceback.
EXPECTED = (OSError, ValueError, TypeError, KeyError, ImportError, SyntaxError)


def read_pair(fuse: FusionInferencer, args: argparse.Namespace) -> tuple[dict, np.ndarray | None]:
    """The pair as it leaves the pipeline, and its labels at the original size if there are any.

    Raises:
        ValueError: Folders instead of files, a pipeline that rejects the pair, or an index out of range.
    """
    if args.index is None:
        if is_folder(args.ir) or is_folder(args.vi):
            raise ValueError('--ir and --vi are files here: one figure is of one pair')
        packed = fuse.pipeline(dict(list_pairs(args.ir, args.vi)[0], seg_fields=[]))
    else:
        dataset = _build_dataset(fuse)
        if not 0 <= args.index < len(dataset):
            raise ValueError(f'--index must be in 0..{len(dataset) - 1}, the test data of the config; got {args.index}')
        packed = dataset[args.index]
    if packed is None:
        raise ValueError('the test pipeline of the config rejects this pair')
    sample = packed['data_samples']
    if args.label:
        about = _build_dataset(fuse, lazy_init=True)  # Its files need not be here.
        results = dict(
            seg_map_path=args.label,
            ori_shape=sample.ori_shape,
            img_path=sample.img_path,
            num_classes=len(fuse.classes),
            label_map=about.label_map,
            reduce_zero_label=about.reduce_zero_label,
        )
        return packed, LoadPairAnnotations().transform(results)['gt_seg_map']
    return packed, sample.gt_sem_seg.data[0].numpy() if 'gt_sem_seg' in sample else None


def _build_dataset(fuse: FusionInferencer, **options: object) -> BaseDataset:
    """The test data set of the config."""
    with DefaultScope.overwrite_default_scope(fuse.cfg.get('default_scope') or 'mmfusion'):
        return DATASETS.build({**dataset_config(fuse.cfg), **options})


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or name of a config of this project')
    parser.add_argument('checkpoint', help='checkpoint file (.pth)')
    parser.add_argument('--ir', metavar='PATH', help='infrared image')
    parser.add_argument('--vi', metavar='PATH', help='visible image')
    parser.add_argument('--label', metavar='PATH', help='label map of the pair: class ids in one channel')
    parser.add_argument(
        '--index', type=int, metavar='I', help="the I-th pair of the config's test data instead of files"
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU, if there is one)')
    parser.add_argument('--steps', type=int, metavar='N', help="nodes of the attribution (default: the config's)")
    args = parser.parse_args(argv)
    if (args.index is None) == (args.ir is None and args.vi is None) or (args.ir is None) != (args.vi is None):
        parser.error('give --ir and --vi, or --index')
    if args.index is not None and args.label:
        parser.error('--label goes with --ir and --vi; the pair of --index has the labels of the data set')
    return args


def write(report: AttributionReport, figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write figure and numbers; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f'{name}.png', folder / f'{name}.json']
    figure.savefig(files[0])
    files[1].write_text(json.dumps(report.numbers(), indent=2) + '\n')
    return files


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    try:
        fuse = FusionInferencer(args.config, args.checkpoint, args.device)
        packed, labels = read_pair(fuse, args)
        report = analyse(fuse, packed, labels, args.steps)
        name = Path(packed['data_samples'].img_path).stem
        figure = draw_attribution(report, f'{name}  |  {Path(args.config).stem}')
        files = write(report, figure, Path(args.out), name)
    except EXPECTED as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    print('wrote', *files)
    return 0


if __name__ == '__main__':
    sys.exit(main())
