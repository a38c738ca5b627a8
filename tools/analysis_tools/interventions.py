"""What do the weights and the attention of a trained UAAFusion do? Change them, and measure the image and the mIoU.

    python tools/analysis_tools/interventions.py CONFIG CHECKPOINT
    python tools/analysis_tools/interventions.py CONFIG CHECKPOINT --limit 50 --labels predicted --out-md report.md

Interventions: on the test data of the config, the weights of the two sources are swapped, set to one half or to one
source, and the attention of the iterates is zeroed (a gate of one half everywhere), negated, moved by half the image,
or taken from the neighbour in the batch (left out where the config tests single pairs: --batch-size). All else runs as
it does in tools/test.py, whose mIoU is the row 'none'. Labels 'predicted' are those that the model finds by itself, as
in testing; 'given' are the true ones, which thus leak into the image: an upper bound, never a result;
the difference of the two is the price of wrong labels. Each difference has a standard error, by bootstrap over the
scenes: it tells what other scenes would do, not other trainings.

Image size: the first --size-scenes test pairs are resized to squares. The gate's spread and the attention's effect on
the fused image should be the same at all sizes; they vanish with the released normalisation, 'none'. Drawn scenes are
also drawn at each size.

JSON: `config`, `checkpoint`, `scenes`, `batch_size`, `classes`, `left_out` (names of interventions);
`interventions`: 'predicted' and 'given', lists with `intervention`, `mIoU`, `mIoU_difference` and its `standard_error`,
`IoU` (by class), in percent, `change` and `change_by_class` (mean absolute change of the fused luminance, grey levels
0..255); `sizes`: a list with `scenes` ('resized' or 'drawn'), `size` (pixels), `attention` (its normalisation),
`gate_std`, `change`; `size_labels`, `size_scenes`. null is what does not exist.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmfusion.analysis.interventions import (
    INTERVENTIONS,
    LABELS,
    attention_effect,
    build_dataset,
    chunk,
    evaluator_options,
    load,
    measure,
    possible,
    read,
    resized,
)
from mmfusion.apis import FusionInferencer
from mmfusion.datasets import SyntheticThermalScenes

SIZES = (128, 256, 512)
SMALLEST = 32  # The blurred baseline of the attribution looks 15 pixels far.
# What wrong arguments and files lead to; anything else is a bug and keeps its traceback.
EXPECTED = (OSError, ValueError, TypeError, KeyError, ImportError, SyntaxError)
Row = list[str]


def _quiet(items: Sequence, title: str) -> Iterator:
    """A bar, where somebody sees it."""
    console = Console(stderr=True)
    return iter(track(items, title, console=console, transient=True, disable=not console.is_terminal))


def measure_sizes(
    loaded: FusionInferencer, dataset: BaseDataset, sizes: Sequence[int], scenes: int, labels: str, ignore_index: int
) -> list[dict]:
    """Effect of the attention by image size and normalisation; the entries of ``sizes`` in the JSON file."""
    model, rows = loaded.model, []
    for normalization in dict.fromkeys((model.fusion.attention, 'none')):
        for source in ('resized', 'drawn') if isinstance(dataset, SyntheticThermalScenes) else ('resized',):
            for size in sizes:
                data = dataset
                if source == 'drawn':
                    data = build_dataset(loaded, size=(size, size), num_scenes=scenes, cache=False)
                order = _quiet(range(scenes), f'{normalization}, {source}, {size} pixels')
                pairs = (read(data, i) if source == 'drawn' else resized(read(data, i), size) for i in order)
                effect = attention_effect(model, pairs, normalization, labels, ignore_index)
                rows.append(dict(scenes=source, size=size, attention=normalization, **effect))
    return rows


def run(args: argparse.Namespace) -> dict:
    """Measure all that is asked for; see the module for what is returned.

    Raises:
        ValueError: See :func:`load`, :func:`build_dataset` and :func:`measure`.
    """
    loaded = load(args.config, args.checkpoint, args.device)
    dataset, model = build_dataset(loaded), loaded.model
    classes = list(dataset.metainfo['classes'])
    options = evaluator_options(loaded)
    number = min(len(dataset), args.limit or len(dataset))
    batch_size = args.batch_size or loaded.cfg.test_dataloader.get('batch_size', 1)
    batches = chunk(number, batch_size)
    kinds = LABELS if args.labels == 'both' else (args.labels,)
    report = dict(
        config=str(args.config),
        checkpoint=str(args.checkpoint),
        scenes=number,
        batch_size=batch_size,
        classes=classes,
        interventions={},
        sizes=[],
        size_labels=kinds[0],
        size_scenes=min(args.size_scenes, number),
    )
    chosen = possible(model.fusion, batches)
    report['left_out'] = [one.name for one in INTERVENTIONS if one not in chosen]
    for kind in kinds:
        packed = ([read(dataset, i) for i in batch] for batch in _quiet(batches, f'{kind} labels'))
        report['interventions'][kind] = measure(model, packed, chosen, len(classes), kind, **options)
    if model.fusion.attention is not None:
        report['sizes'] = measure_sizes(
            loaded, dataset, args.sizes, report['size_scenes'], kinds[0], options.get('ignore_index', 255)
        )
    return report


def _cell(value: float, style: str) -> str:
    return '-' if math.isnan(value) else format(value, style)


def _difference(row: dict) -> str:
    error = row['standard_error']
    return _cell(row['mIoU_difference'], '+.2f') + ('' if math.isnan(error) else f' ± {error:.2f}')


def tables(report: dict) -> list[tuple[str, Row, list[Row]]]:
    """What is shown of a report.

    Args:
        report (dict): See the module.

    Returns:
        list: Title, header and rows of each table.
    """
    shown, classes = [], report['classes']
    for kind, rows in report['interventions'].items():
        about = f'{kind} labels, {report["scenes"]} scenes'
        shown.append(
            (
                f'Interventions, {about}: IoU in %, change of the fused luminance in grey levels',
                ['intervention', 'mIoU', 'difference', *classes, 'change'],
                [
                    [
                        row['intervention'],
                        _cell(row['mIoU'], '.2f'),
                        _difference(row),
                        *(_cell(value, '.2f') for value in row['IoU']),
                        _cell(row['change'], '.2f'),
                    ]
                    for row in rows
                ],
            )
        )
        shown.append(
            (
                f'Change of the fused luminance within the true regions, {about}: grey levels',
                ['intervention', *classes],
                [[row['intervention'], *(_cell(value, '.2f') for value in row['change_by_class'])] for row in rows[1:]],
            )
        )
    if report['sizes']:
        shown.append(
            (
                f'Effect of the attention by image size, {report["size_labels"]} labels, {report["size_scenes"]} '
                'scenes: spread of the gate, change of the fused luminance in grey levels',
                ['attention', 'scenes', 'size', 'gate std', 'change'],
                [
                    [
                        row['attention'],
                        row['scenes'],
                        str(row['size']),
                        _cell(row['gate_std'], '.3g'),
                        _cell(row['change'], '.3g'),
                    ]
                    for row in report['sizes']
                ],
            )
        )
    return shown


def to_rich(title: str, header: Row, rows: list[Row]) -> Table:
    """A table for the terminal."""
    table = Table(title=title)
    for i, name in enumerate(header):
        # Narrow terminals break headers, never numbers.
        width = max((len(row[i]) for row in rows), default=0)
        table.add_column(name, justify='right' if i else 'left', overflow='fold', min_width=width)
    for row in rows:
        table.add_row(*row)
    return table


def to_markdown(title: str, header: Row, rows: list[Row]) -> str:
    """A table for a page.

    Examples:
        >>> print(to_markdown('Title', ['name', 'value'], [['a', '1']]))
        **Title**
        <BLANKLINE>
        | name | value |
        | --- | ---: |
        | a | 1 |
        <BLANKLINE>
    """
    lines = [header, ['---', *['---:'] * (len(header) - 1)], *rows]
    return '\n'.join([f'**{title}**', '', *(f'| {" | ".join(line)} |' for line in lines), ''])


def without_nan(value: object) -> object:
    """JSON knows no NaN; null instead.

    Examples:
        >>> without_nan(dict(a=[1.0, math.nan], b='x'))
        {'a': [1.0, None], 'b': 'x'}
    """
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or name of a config of this project')
    parser.add_argument('checkpoint', help='checkpoint file (.pth)')
    parser.add_argument(
        '--labels',
        choices=[*LABELS, 'both'],
        default='both',
        help='labels that the fusion attributes (default: both, one after the other)',
    )
    parser.add_argument('--limit', type=int, metavar='N', help='the first N test pairs (default: all)')
    parser.add_argument('--batch-size', type=int, metavar='N', help="pairs per batch (default: the config's)")
    parser.add_argument(
        '--sizes',
        nargs='*',
        type=int,
        default=list(SIZES),
        metavar='S',
        help=f'sides in pixels (default: {" ".join(map(str, SIZES))}); none to leave this part out',
    )
    parser.add_argument('--size-scenes', type=int, default=4, metavar='N', help='pairs for --sizes (default: 4)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: the GPU, if there is one)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures')
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the tables as Markdown')
    args = parser.parse_args(argv)
    for name in ('limit', 'batch_size', 'size_scenes'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {value}')
    if any(size < SMALLEST for size in args.sizes):
        parser.error(f'--sizes must be at least {SMALLEST} pixels, got {min(args.sizes)}')
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, or 1 after an error.
    """
    args = parse_args(argv)
    try:
        report = run(args)
        shown = tables(report)
        for path, text in (
            (args.json, json.dumps(without_nan(report), indent=2) + '\n'),
            (args.out_md, '\n'.join(to_markdown(*table) for table in shown)),
        ):
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    except EXPECTED as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    console = Console()
    if not console.is_terminal:  # A file has no width to fit.
        console.width = max(console.width, 160)
    for table in shown:
        console.print(to_rich(*table))
    if report['left_out']:
        console.print(
            f'left out, because the fusion has no attention or a batch is a single pair: '
            f'{", ".join(report["left_out"])}',
            markup=False,
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
