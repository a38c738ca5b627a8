"""Look at pairs of a config as training or evaluation gets them: visible, infrared and labels, behind the pipeline.

Writes NUMBER_NAME.png, with the colours of the classes below. The training split shows crops, flips and colours as they
are drawn; another --seed shows others.

Examples:
    python tools/analysis_tools/browse_dataset.py CONFIG
    python tools/analysis_tools/browse_dataset.py CONFIG --split val --number 20 --out browse
    python tools/analysis_tools/browse_dataset.py uaafusion_unet-tiny_1xb4-300_synthetic-96x128 --out browse
"""

import argparse
import sys
from pathlib import Path

import cv2
from mmengine.config import DictAction

from mmfusion.analysis.browsing import SPLITS, browse, build_split
from mmfusion.command_line import OneLineErrors, add_traceback, read_config
from mmfusion.engine.atomic_files import write_atomically


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or name of a config of this project')
    parser.add_argument('--split', choices=SPLITS, default='train', help='which data (default: train)')
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='folder to write to (default: work_dirs/CONFIG_NAME/browse_SPLIT)'
    )
    parser.add_argument('--number', type=int, default=8, metavar='N', help='how many pairs (default: 8)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice and of the augmentation (default: 0)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override entries of the config, such as train_dataloader.dataset.data_root=data/mine',
    )
    add_traceback(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    out = args.out or Path('work_dirs') / Path(args.config).stem / f'browse_{args.split}'
    count = 0
    with OneLineErrors(args) as outcome:
        dataset = build_split(read_config(args.config, args.cfg_options), args.split)
        for name, picture in browse(dataset, args.number, args.seed):
            content = cv2.imencode('.png', picture[..., ::-1])[1].tobytes()
            write_atomically(out / f'{name}.png', content)
            count += 1
    if outcome.failed:
        return 1
    print(f'wrote {count} of {len(dataset)} pairs to {out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
