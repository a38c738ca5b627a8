"""Does the attribution find the sensor that holds the evidence? Needs test data that say which one does.

Told for a trained model on unseen scenes (the config's test data), by time of day where the data set has one:

1. the share of the infrared image in the evidence for each class, as the model's fusion computes it or as its gate has
   learned it, for given labels and for those that it takes when none are given;
2. whether the fused image follows: its distance to both sources inside each class's region, given labels;
3. whether the shares meet the targets: above 0.6 where only infrared holds the evidence, below 0.2 where only visible
   does, 0.4..0.6 for the background, which both show;
4. with --compare, other scores, baselines, estimators and smoothings on the same scenes, the released definition among
   them, with their cost and their distance to an all but exact integral. Takes minutes: the reference alone has 64
   images per source, scene and baseline, each with a backward pass per class.

JSON: `config`, `checkpoint`, `scenes`; `setting` (how the share is told); `classes` (name, evidence); `attributed`
(whether the fusion itself uses the shares); `shares` and `verdicts` by 'given' and 'predicted' labels; `to_infrared`,
`to_visible` (grey levels) and `nearer` (fraction of the scenes); with --compare `comparison`, a list, and
`reference_nodes`. Tables are lists over the classes by time of day ('all' without one): `mean`, `std` (sample standard
deviation) and `scenes`; null is what does not exist.

Examples:
    python tools/analysis_tools/evidence.py CONFIG CHECKPOINT
    python tools/analysis_tools/evidence.py CONFIG CHECKPOINT --scenes 40 --compare --json ev.json --out-md ev.md
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from rich.console import Console
from rich.progress import Progress

from mmfusion.analysis.definitions import distinct_attributions, settings_to_compare
from mmfusion.analysis.evidence import TARGETS, Observation, Stat, observe, target_of, verdicts
from mmfusion.analysis.evidence_report import Case, compare_on, evidence_report, how_told, plain_table, read_case
from mmfusion.analysis.report_files import json_text, write_text
from mmfusion.analysis.scenes import build_dataset
from mmfusion.analysis.share_settings import Setting, own_setting
from mmfusion.analysis.tables import Sheet
from mmfusion.apis import FusionInferencer
from mmfusion.command_line import OneLineErrors, add_device, model_parser

SCENES = 80
REFERENCE_NODES = 64


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = model_parser(__doc__)
    parser.add_argument(
        '--scenes',
        type=int,
        metavar='N',
        help=f'look at the first N scenes (default: {SCENES}, or all if there are fewer)',
    )
    parser.add_argument('--compare', action='store_true', help='also compare other ways to tell the share (4.)')
    parser.add_argument(
        '--reference-nodes',
        type=int,
        metavar='N',
        help=f'nodes of the integral that --compare takes for exact (default: {REFERENCE_NODES})',
    )
    add_device(parser)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all numbers as JSON')
    parser.add_argument('--out-md', type=Path, metavar='FILE', help='write the tables as Markdown')
    args = parser.parse_args(argv)
    if args.reference_nodes is not None and not args.compare:
        parser.error('--reference-nodes goes with --compare')
    if args.reference_nodes is not None and args.reference_nodes < 1:
        parser.error(f'--reference-nodes must be at least 1, got {args.reference_nodes}')
    return args


def cell(stat: Stat | None, decimals: int = 2) -> str:
    """Mean ± standard deviation.

    Examples:
        >>> cell(Stat(0.61, 0.062, 40)), cell(Stat(0.61, None, 1)), cell(None)
        ('0.61 ± 0.06', '0.61', '')
    """
    if stat is None:
        return ''
    return f'{stat.mean:.{decimals}f}' + ('' if stat.std is None else f' ± {stat.std:.{decimals}f}')


def share_sheet(observation: Observation, classes: Sequence[str], evidence: Sequence[str]) -> Sheet:
    """The first table."""
    columns = [(key, daytime, table[daytime]) for key, table in observation.shares.items() for daytime in table]
    header = ['class', 'evidence', *(f'{key}, {daytime}' for key, daytime, _ in columns)]
    rows = [
        [name, evidence[c], *(f'{cell(stats[c])} ({stats[c].scenes})' if stats[c] else '' for *_, stats in columns)]
        for c, name in enumerate(classes)
    ]
    return Sheet(
        'Share of the infrared image',
        header,
        rows,
        'Mean ± standard deviation (scenes that hold the class), by given and by predicted labels.',
    )


def follow_sheet(observation: Observation, classes: Sequence[str], evidence: Sequence[str]) -> Sheet:
    """The second table."""
    header, daytimes = ['class', 'evidence'], list(observation.nearer)
    for daytime in daytimes:
        header += [f'|F - I|, {daytime}', f'|F - V|, {daytime}', f'nearer to the evidence, {daytime}']
    rows = []
    for c, name in enumerate(classes):
        rows.append([name, evidence[c]])
        for daytime in daytimes:
            nearer = observation.nearer[daytime][c]
            rows[-1] += [
                cell(observation.to_infrared[daytime][c], 1),
                cell(observation.to_visible[daytime][c], 1),
                f'{nearer.mean:.0%} of {nearer.scenes}' if nearer else '',
            ]
    return Sheet(
        'Distance of the fused luminance to the sources',
        header,
        rows,
        'Mean absolute difference inside the region in grey levels (0..255), given labels; in how many scenes '
        'it is nearer to the sensor that holds the evidence.',
    )


def verdict_sheet(observation: Observation, classes: Sequence[str], evidence: Sequence[str]) -> Sheet:
    """The third table: classes with a target only."""
    columns = []
    for key, table in observation.shares.items():
        decided = verdicts(table, classes, evidence)
        columns += [(f'{key}, {daytime}', table[daytime], decided[daytime]) for daytime in table]
    rows = []
    for c, (name, sensor) in enumerate(zip(classes, evidence)):
        target = target_of(name, sensor)
        if target is not None:
            rows.append([name, TARGETS[target][0]])
            for _, stats, met in columns:
                rows[-1].append('' if met[c] is None else f'{stats[c].mean:.3f} {"met" if met[c] else "MISSED"}')
    return Sheet(
        'Targets',
        ['class', 'target', *(name for name, *_ in columns)],
        rows,
        'Mean shares of the infrared image against what the data set states.',
    )


def comparison_sheet(rows: Sequence[dict], classes: Sequence[str], reference_nodes: int) -> Sheet:
    """The fourth table."""
    daytimes = list(rows[0]['shares'])
    header = ['', 'score', 'baseline', 'estimator', 'smoothing', *classes, 'met', '|d|', 'time', 'forward', 'backward']
    lines = []
    for row in rows:
        means = [[row['shares'][daytime][c] for daytime in daytimes] for c in range(len(classes))]
        lines.append(
            [
                row['name'],
                row['score'],
                row['baseline'],
                row['how'],
                f'{row["smoothing"]:g}',
                *(' / '.join(f'{stat.mean:.2f}' if stat else '-' for stat in stats) for stats in means),
                f'{row["met"]}/{row["targets"]}',
                f'{row["difference"]:.3f}',
                f'{row["times"]:.2f}',
                f'{row["forward_images"]:.0f}',
                f'{row["backward_images"]:.0f}',
            ]
        )
    return Sheet(
        'Other ways to tell the share',
        header,
        lines,
        f'Mean shares of the infrared image by given labels ({" / ".join(daytimes)}); targets met; |d|: mean '
        f'absolute difference to the exact estimator with {reference_nodes} midpoint nodes and the same '
        'score, baseline and smoothing; time relative to the first row in this run; images per scene that '
        'pass the segmentor forward and backward. Smoothing is in units of the score.',
    )


def choose_scenes(dataset: BaseDataset, scenes: int | None) -> int:
    """How many scenes to look at.

    Raises:
        ValueError: More than there are, or none.
    """
    if scenes is not None and not 1 <= scenes <= len(dataset):
        raise ValueError(
            f'--scenes must be in 1..{len(dataset)}, the number of scenes in the test data of the config; got {scenes}'
        )
    return min(SCENES, len(dataset)) if scenes is None else scenes


def run(args: argparse.Namespace) -> tuple[dict[str, Any], list[Sheet]]:
    """Measure; returns what --json writes, and the tables.

    Raises:
        ValueError: The test data do not state where the evidence is, or do not go with the model.
    """
    inferencer = FusionInferencer(args.config, args.checkpoint, args.device)
    dataset = build_dataset(inferencer)
    scenes = choose_scenes(dataset, args.scenes)
    case = read_case(inferencer, dataset, scenes)
    model_setting, observation = own_setting(case.model), observe(case.model, case.batches, case.evidence)
    sheets = [make(observation, case.classes, case.evidence) for make in (share_sheet, follow_sheet, verdict_sheet)]
    sheets[0].note += ' ' + how_told(case.model, model_setting, observation.attributed)
    if model_setting.attribution.estimator in ('multiplexed', 'banzhaf'):
        sheets[0].note += (
            ' Random signs are those of a prediction, one draw for all scenes; the other rows of '
            '--compare draw anew for every batch, so that a mean does not hang on one draw.'
        )
    report = dict(config=args.config, checkpoint=args.checkpoint, scenes=scenes)
    report.update(evidence_report(case, model_setting, observation))
    if args.compare:
        nodes = args.reference_nodes or REFERENCE_NODES
        rows = compare(case, model_setting, nodes)
        sheets.append(comparison_sheet(rows, case.classes, nodes))
        report['comparison'] = [dict(row, shares=plain_table(row['shares'])) for row in rows]
        report['reference_nodes'] = nodes
    return report, sheets


def compare(case: Case, model_setting: Setting, nodes: int) -> list[dict[str, Any]]:
    """Other ways to tell the share, with a bar on the error stream."""
    settings = settings_to_compare(model_setting, logits=case.model.out_channels > 1)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task('attributing', total=len(case.batches) * distinct_attributions(settings, nodes))
        return compare_on(case, settings, nodes, lambda: progress.advance(task))


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        int: Exit code: 0, also where a target is missed, or 1 after an error.
    """
    args = parse_args(argv)
    with OneLineErrors(args) as outcome:
        report, sheets = run(args)
        head = f'{Path(args.config).stem}, {Path(args.checkpoint).name}, {report["scenes"]} unseen scenes'
        write_text(args.json, json_text(report))
        write_text(args.out_md, '\n'.join([f'# {head}', '', *(sheet.to_markdown() for sheet in sheets)]))
    if outcome.failed:
        return 1
    # A file or a pipe has no width; folded cells would be no use there.
    console = Console(width=None if sys.stdout.isatty() else 250)
    console.print(head, highlight=False)
    for sheet in sheets:
        console.print(sheet.to_rich())
    return 0


if __name__ == '__main__':
    sys.exit(main())
