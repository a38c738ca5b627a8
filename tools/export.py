"""Export a trained model to ONNX, or as a program of torch.export.

The file takes `pair`, (N, 4, H, W) float32 on the 0..255 scale: blue, green, red, infrared, as OpenCV reads images. It
gives `fused` (N, 3 or 1, H, W) in [0, 1], red, green, blue; `weight_ir` (N, 1, H, W), the weight of the infrared image;
and `scores` (N, C, H, W) or `labels` (N, H, W). What the preprocessor does, padding included, is part of it; resizing
in a test pipeline is not. It takes pairs of any size from 64 x 64 on, unless a size is fixed, and is written only after
it has said what the model predicts, at other sizes than the one that it was traced at.

A fusion that attributes the segmentor when it predicts (weights='attribution') is refused: no graph holds its
gradients. ONNX needs: pip install 'mmfusion[onnx]'

Examples:
    python tools/export.py CONFIG CHECKPOINT --out model.onnx
    python tools/export.py CONFIG CHECKPOINT --out model.onnx --labels --fixed-size 480 640
    python tools/export.py CONFIG CHECKPOINT --out fusion.pt2 --part fusion
    python tools/export.py --out salience.onnx
"""

import argparse
import sys
from pathlib import Path

from mmfusion.apis import FusionInferencer
from mmfusion.command_line import OneLineErrors, add_common
from mmfusion.deploy import FORMATS, PARTS, SMALLEST_SIDE, export_onnx, export_program

EXPORTERS = dict(onnx=export_onnx, pt2=export_program)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', nargs='?', help='config file, or name of a config of this project; without one, a fusion by a rule'
    )
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file (.pth); may be left out for a fusion without weights'
    )
    parser.add_argument('--out', required=True, type=Path, metavar='FILE', help='file to write')
    parser.add_argument(
        '--part', choices=PARTS, help='fusion and segmentation, or the fused image alone (default: all that there is)'
    )
    parser.add_argument(
        '--format', choices=FORMATS, help='ONNX, or a program of torch.export (default: the suffix of the file)'
    )
    parser.add_argument('--labels', action='store_true', help='class ids in the place of scores')
    parser.add_argument(
        '--fixed-size',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='for one pair of this size at a time, as some runtimes want it and some segmentors need it (default: any '
        'number and size)',
    )
    add_common(parser)
    return parser.parse_args(argv)


def format_of(args: argparse.Namespace) -> str:
    """The format that was asked for.

    Raises:
        ValueError: The suffix of the file tells none.
    """
    told = args.format or args.out.suffix.removeprefix('.')
    if told not in FORMATS:
        raise ValueError(f'{args.out} tells no format by its suffix; name it .onnx or .pt2, or give --format')
    return told


def left_out(inferencer: FusionInferencer) -> list[str]:
    """Transforms of the test pipeline that change a pair and are no part of the file."""
    names = [type(transform).__name__ for transform in inferencer.pipeline.transforms]
    return [name for name in names if not name.startswith(('LoadPair', 'PackFusionInputs'))]


def report(args: argparse.Namespace, found: dict[str, float]) -> None:
    """Tell what was written, and how well it agrees."""
    if args.fixed_size:
        sizes = 'one pair of {} x {} at a time'.format(*args.fixed_size)
    else:
        sizes = f'any number of pairs, sides of at least {SMALLEST_SIDE}'
    print(f'wrote {args.out} ({args.out.stat().st_size / 2**20:.1f} MiB): {sizes}')
    print('pair (N, 4, H, W) float32, 0..255: blue, green, red, infrared')
    print('largest difference to PyTorch: ' + ', '.join(f'{name} {value:.1g}' for name, value in found.items()))


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        export = EXPORTERS[format_of(args)]
        inferencer = FusionInferencer(args.config, args.checkpoint, 'cpu')
        found = export(inferencer.model, args.out, args.part, args.labels, args.fixed_size, inferencer.classes)
        report(args, found)
        if left_out(inferencer):
            print(f'not part of the file, to be done before: {", ".join(left_out(inferencer))} of the test pipeline')
    return int(outcome.failed)


if __name__ == '__main__':
    sys.exit(main())
