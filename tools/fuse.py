"""Fuse and segment pairs of images with a trained model.

Writes fused/NAME.png, weights/NAME.png (red: infrared, blue: visible), labels/NAME.png (class ids) and panels/NAME.png.

Examples:
    python tools/fuse.py CONFIG CHECKPOINT --ir ir.png --vi vi.png --out fusion
    python tools/fuse.py CONFIG CHECKPOINT --ir data/msrs/test/ir --vi data/msrs/test/vi --out fusion --batch-size 4
    python tools/fuse.py average_unet-tiny_1xb4-300_synthetic-96x128 --ir ir.png --vi vi.png --out fusion
"""

import argparse
import sys
from pathlib import Path

from mmfusion.apis import FusionInferencer
from mmfusion.command_line import OneLineErrors, add_common


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or name of a config of this project')
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file (.pth); may be left out for a fusion without weights'
    )
    parser.add_argument('--ir', required=True, metavar='PATH', help='infrared image, or folder of them')
    parser.add_argument('--vi', required=True, metavar='PATH', help='visible image, or folder of them (same names)')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU, if there is one)')
    parser.add_argument('--batch-size', type=int, default=1, help='pairs per pass (default: 1)')
    parser.add_argument(
        '--ir-range',
        nargs='+',
        metavar='VALUE',
        help="which raw infrared values become black and white: 'auto' (percentiles of each image of more than 8 bit), "
        "'dtype' (all that the type holds), or two numbers (default: as the config says, else auto)",
    )
    parser.add_argument('--allow-unpaired', action='store_true', help='leave out images that have no partner')
    add_common(parser)
    return parser.parse_args(argv)


def range_of(words: list[str] | None) -> str | tuple[float, ...] | None:
    """What was given as ``--ir-range``.

    Raises:
        ValueError: Neither a word nor numbers.
    """
    if words is None or len(words) == 1:
        return words[0] if words else None
    try:
        return tuple(float(word) for word in words)
    except ValueError as error:
        raise ValueError(f"--ir-range takes 'auto', 'dtype' or two numbers, got {' '.join(words)!r}") from error


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        fuse = FusionInferencer(args.config, args.checkpoint, args.device, range_of(args.ir_range))
        results = fuse(
            ir=args.ir,
            vi=args.vi,
            out_dir=args.out,
            batch_size=args.batch_size,
            allow_unpaired=args.allow_unpaired,
            return_arrays=False,
        )
    if outcome.failed:
        return 1
    number = len(results['names'])
    folders = ', '.join(str(Path(args.out) / name) for name in ('fused', 'weights', 'labels', 'panels'))
    print(f'wrote {number} pair{"" if number == 1 else "s"} to {folders}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
