"""Fuse pairs of images, and segment them with a trained model.

Without CONFIG, each place is taken from the image that stands out there: nothing has to be trained, and there are no
classes. With CONFIG and CHECKPOINT, the model fuses and segments.

Writes fused/NAME.png, weights/NAME.png (red: infrared, blue: visible), panels/NAME.png and, of a model with classes,
labels/NAME.png (class ids); with --metrics also metrics.csv, and with --skip-errors errors.txt. Of two videos with as
many frames it writes fused.mp4 (--save fused weights overlays).

Examples:
    python tools/fuse.py --ir ir.png --vi vi.png --out fusion
    python tools/fuse.py CONFIG CHECKPOINT --ir ir.png --vi vi.png --out fusion
    python tools/fuse.py CONFIG CHECKPOINT --ir data/msrs/test/ir --vi data/msrs/test/vi --out fusion --batch-size 4
    python tools/fuse.py CONFIG CHECKPOINT --ir ir --vi vi --out fusion --resize-to vi --align --skip-errors --metrics
    python tools/fuse.py --ir ir.mp4 --vi vi.mp4 --out fusion
    python tools/fuse.py average_unet-tiny_1xb4-300_synthetic-96x128 --ir ir.png --vi vi.png --out fusion
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from mmfusion.apis import FusionInferencer, fuse_video
from mmfusion.apis.output import FORMATS, KINDS, kinds_to_save
from mmfusion.apis.video import is_video
from mmfusion.command_line import OneLineErrors, add_common
from mmfusion.evaluation import DEFAULT_METRICS, FUSION_METRICS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'config', nargs='?', help='config file, or name of a config of this project; without one, a fusion by a rule'
    )
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint file (.pth); may be left out for a fusion without weights'
    )
    parser.add_argument('--ir', required=True, metavar='PATH', help='infrared image, folder of them, or video')
    parser.add_argument(
        '--vi', required=True, metavar='PATH', help='visible image, folder of them (same names), or video'
    )
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
    parser.add_argument(
        '--resize-to', choices=['vi', 'ir'], help='for images of two sizes that show the same area: whose size both get'
    )
    parser.add_argument(
        '--align',
        nargs='?',
        const='translation',
        metavar='MOTION',
        help='lay the infrared image over the visible one before fusing: translation (default), euclidean, affine or '
        'homography; a pair that cannot be aligned is refused',
    )
    parser.add_argument(
        '--tile', type=int, metavar='PIXELS', help='predict larger images in tiles of this side, for want of memory'
    )
    parser.add_argument(
        '--tile-overlap', type=int, metavar='PIXELS', help='that neighbouring tiles share (default: 64, or half a tile)'
    )
    parser.add_argument(
        '--min-confidence',
        type=float,
        metavar='P',
        help='the least probability of pixels that keep their class; others get 255, no class: for labels to train on',
    )
    parser.add_argument(
        '--full-size',
        action=argparse.BooleanOptionalAction,
        help='fuse pairs as they are where the config resizes them for the segmentor (default: unless the fusion '
        'attributes when it predicts)',
    )
    parser.add_argument('--allow-unpaired', action='store_true', help='leave out images that have no partner')
    parser.add_argument(
        '--skip-errors',
        action='store_true',
        help='go on after a pair that cannot be read, aligned or brought to one size; they are listed at the end, and '
        'the exit code is 1',
    )
    parser.add_argument(
        '--save',
        nargs='+',
        choices=KINDS,
        metavar='KIND',
        help=f'what to write, out of {", ".join(KINDS)} (default: all that there is but overlays)',
    )
    parser.add_argument(
        '--format', choices=FORMATS, default='png', help='of the pictures (default: png); label maps are always PNG'
    )
    parser.add_argument(
        '--metrics',
        nargs='*',
        metavar='NAME',
        help=f'fusion metrics of every pair, and their means: names out of {", ".join(FUSION_METRICS)} (default: the '
        'first twelve); LPIPS and PI need further packages',
    )
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


def fuse_videos(fuse: FusionInferencer, args: argparse.Namespace) -> None:
    """Fuse two videos, and tell what was written.

    Raises:
        ValueError: Only one of the two is a video, or an option is of pictures.
    """
    if not (is_video(args.ir) and is_video(args.vi)):
        raise ValueError(f'one is a video and the other is none: --ir {args.ir}, --vi {args.vi}')
    if args.metrics is not None or args.skip_errors:
        raise ValueError('--metrics and --skip-errors are for images; take the frames as files')
    found = fuse_video(fuse, args.ir, args.vi, args.out, args.save or ('fused',))
    print(f'wrote {found["frames"]} frames, {found["rate"]:g} a second, to {", ".join(map(str, found["files"]))}')


def report(results: dict, out: Path, save: Sequence[str]) -> None:
    """Tell what was written, measured and left out."""
    number = len(results['names'])
    if number:
        print(f'wrote {number} pair{"" if number == 1 else "s"} to {", ".join(str(out / kind) for kind in save)}')
    if results.get('metrics'):
        write_metrics(results['names'], results['metrics'], out / 'metrics.csv')
        names = list(results['metrics'][0])
        means = [sum(row[name] for row in results['metrics']) / number for name in names]
        print(f'mean of {number}, all in {out / "metrics.csv"}:')
        print('  '.join(f'{name} {mean:.4g}' for name, mean in zip(names, means)))
    # That of an earlier run would tell of pairs that are there now.
    (out / 'errors.txt').unlink(missing_ok=True)
    if results.get('errors'):
        lines = [f'{name}: {message}' for name, message in results['errors']]
        print(f'left out {len(lines)} of {number + len(lines)} pairs, listed in {out / "errors.txt"}:', file=sys.stderr)
        print('\n'.join(lines), file=sys.stderr)
        out.mkdir(parents=True, exist_ok=True)
        (out / 'errors.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')


def write_metrics(names: list[str], rows: list[dict[str, float]], path: Path) -> None:
    """Write a table with a row for each pair."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['name', *rows[0]])
        writer.writerows([name, *row.values()] for name, row in zip(names, rows))


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        fuse = FusionInferencer(
            args.config,
            args.checkpoint,
            args.device,
            ir_range=range_of(args.ir_range),
            resize_to=args.resize_to,
            align=args.align,
            tile=args.tile,
            tile_overlap=args.tile_overlap,
            min_confidence=args.min_confidence,
            full_size=args.full_size,
        )
        if is_video(args.ir) or is_video(args.vi):
            fuse_videos(fuse, args)
            return 0
        results = fuse(
            ir=args.ir,
            vi=args.vi,
            out_dir=args.out,
            batch_size=args.batch_size,
            allow_unpaired=args.allow_unpaired,
            return_arrays=False,
            save=args.save,
            image_format=args.format,
            skip_errors=args.skip_errors,
            metrics=DEFAULT_METRICS if args.metrics == [] else args.metrics or (),
        )
        report(results, Path(args.out), kinds_to_save(args.save, len(results['classes'])))
    return 1 if outcome.failed or results.get('errors') else 0


if __name__ == '__main__':
    sys.exit(main())
