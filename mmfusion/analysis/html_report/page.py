"""The page: one HTML file that needs nothing else."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..comparison.cost_plot import draw_scores_over_cost
from ..comparison.costs import COSTS, CostReport, read_costs
from .curve_plots import CurvePanel, curve_panels
from .figure_tables import UNITS, Table, class_table, cost_table, fusion_table, score_table
from .palette import DARK, LIGHT, SURFACES, color_of, css_variables, dash_of, to_svg
from .pictures import Gallery
from .plots import describe_bars, draw_class_bars
from .provenance import facts
from .study import Study

_TEMPLATES = 'templates'


@dataclass
class ClassSection:
    """Classes of one data set."""

    column: str
    plot: Markup
    table: Table


@dataclass
class Page:
    """What the page shows.

    Examples:
        >>> Page('Runs').title
        'Runs'
    """

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    scores: Table | None = None
    score_note: str = ''
    classes: list[ClassSection] = field(default_factory=list)
    fusion: list[Table] = field(default_factory=list)
    fusion_note: str = ''
    units: dict[str, str] = field(default_factory=dict)
    curves: list[CurvePanel] = field(default_factory=list)
    curve_notes: dict[str, list[str]] = field(default_factory=dict)
    """What there is no drawing of, and on which data sets."""
    galleries: list[Gallery] = field(default_factory=list)
    costs: Table | None = None
    cost_note: str = ''
    cost_plot: Markup | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)
    runs: list[list[str]] = field(default_factory=list)
    legend: list[tuple[str, Markup]] = field(default_factory=list)
    """Methods and how they are drawn."""

    def render(self) -> str:
        """The HTML.

        Returns:
            str: One file; every text in it is escaped, and it may load nothing and run nothing but its own script.
        """
        folder = files(__package__) / _TEMPLATES
        style = (folder / 'style.css').read_text(encoding='utf-8')
        for name, colors, surface in (('LIGHT', LIGHT, SURFACES[0]), ('DARK', DARK, SURFACES[1])):
            style = style.replace(f'/* {name} */', f'--surface:{surface};{css_variables(colors)};')
        script = (folder / 'sort.js').read_text(encoding='utf-8')
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        environment = Environment(
            loader=PackageLoader(__package__, _TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        template = environment.get_template('page.html')
        return template.render(page=self, style=Markup(style), script=Markup(script), digest=digest, unique=_unique)


def _unique(text: str) -> str:
    """An anchor that any text can have."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def legend_of(study: Study) -> list[tuple[str, Markup]]:
    """How methods are drawn.

    Args:
        study (Study): All runs.

    Returns:
        list[tuple[str, Markup]]: Method and a short line in its colour and style.
    """
    return [(method, _swatch(number)) for number, method in enumerate(study.scores.methods)]


def _swatch(number: int) -> Markup:
    style = dash_of(number)
    dashes = '' if isinstance(style, str) else ' '.join(str(2 * length) for length in style[1])
    color = f'var(--m{number % len(LIGHT)})'
    return Markup(
        '<svg class="swatch" width="30" height="10" aria-hidden="true"><line x1="0" y1="5" x2="30" y2="5" '
        'style="stroke:{};stroke-width:3" stroke-dasharray="{}"/></svg>'
    ).format(color, dashes)


def find_costs(work_dirs: Sequence[Path]) -> CostReport | None:
    """What compare.py measured, where it kept it.

    Args:
        work_dirs (Sequence[Path]): Of comparisons, or of their runs.

    Returns:
        CostReport | None: The first that is found.

    Raises:
        ValueError: A file cannot be read.
    """
    for folder in work_dirs:
        for place in (folder, folder.parent):
            if (place / COSTS).is_file():
                return read_costs(place / COSTS)
    return None


def build_page(
    study: Study,
    title: str,
    command: str,
    galleries: Sequence[Gallery] = (),
    costs: CostReport | None = None,
) -> Page:
    """Put a page together.

    Args:
        study (Study): All runs.
        title (str): Heading.
        command (str): That makes the page.
        galleries (Sequence[Gallery]): Pictures, of :class:`~.pictures.GalleryMaker`.
        costs (CostReport, optional): What compare.py measured.

    Returns:
        Page: To be rendered.
    """
    page = Page(title, facts(study, command), study.warnings(), score_table(study), _score_note(study))
    page.legend = legend_of(study)
    for number, column in enumerate(study.scores.columns):
        table, figure = class_table(study, column), draw_class_bars(study.scores, column)
        if table is not None and figure is not None:
            plot = to_svg(figure, f'classes{number}', describe_bars(study.scores, column))
            page.classes.append(ClassSection(column, plot, table))
        fusion = fusion_table(study, column)
        if fusion is not None:
            page.fusion.append(fusion)
    shown = {name.split(' ')[0] for table in page.fusion for name in table.header[2:]}
    page.units = {name: unit for name, unit in UNITS.items() if name in shown}
    page.fusion_note = _convention(study)
    page.curves = curve_panels(study)
    for panel in page.curves:
        for line in panel.notes:
            page.curve_notes.setdefault(line, []).append(panel.column)
    page.galleries = list(galleries)
    page.problems = [(run.folder.name, reason) for run, reason in study.problems()]
    page.runs = [_run_row(study, number) for number in range(len(study.runs))]
    if costs is not None and costs.costs:
        page.costs, page.cost_note = cost_table(study, costs)
        page.cost_plot = _cost_plot(study, costs)
    return page


def _score_note(study: Study) -> str:
    best = {column: study.scores.best_baseline(column) for column in study.scores.columns}
    named = ', '.join(f'{column}: {method}' for column, method in best.items() if method)
    kind = 'test' if study.split == 'test' else 'validation'
    note = f'Mean ± sample standard deviation over seeds, {kind} results of the last checkpoint, in percent.'
    if study.expected > 1:
        note += f' Where fewer than {study.expected} runs have results, their number n is told.'
    if named:
        note += (
            ' Below: difference in percent points to the baseline of the highest mean, of runs with the same seed, '
            f'mean ± sample standard deviation of the differences ({named}).'
        )
    return note


def _convention(study: Study) -> str:
    told: dict[str, None] = {}
    for run in study.runs:
        kinds = {key: value for key, value in run.config.items() if key.startswith('test_evaluator')}
        for key, value in kinds.items():
            if str(value).rpartition('.')[2] == 'FusionMetric':
                told[str(kinds.get(key.removesuffix('.type') + '.convention', 'original'))] = None
    convention = ' and '.join(told) or 'original'
    note = f'Convention: {convention}.'
    if convention != 'original':
        note += (
            ' The units are those of "original"; see mmfusion.evaluation.fusion_metrics for where the others differ.'
        )
    return note


def _run_row(study: Study, number: int) -> list[str]:
    run = study.runs[number]
    figures = run.results.get(study.split, {})
    miou = f'{figures["mIoU"]:.2f}' if 'mIoU' in figures else '-'
    started = f'{run.starts[-1]:%Y-%m-%d %H:%M}' if run.starts else '-'
    minutes = '-' if run.seconds is None else f'{run.seconds / 60:.1f}'
    seed = '?' if run.seed is None else str(run.seed)
    kept = run.checkpoint
    return [
        run.folder.name,
        run.entry.method,
        study.column(run.entry),
        seed,
        miou,
        started,
        minutes,
        kept.name if kept else 'not kept',
    ]


def _cost_plot(study: Study, costs: CostReport) -> Markup:
    colors: Mapping[str, str] = {method: color_of(number) for number, method in enumerate(study.scores.methods)}
    figure = draw_scores_over_cost(study.scores, costs.costs, study.split, colors=colors)
    return to_svg(figure, 'costs', 'mIoU of each method over its time per image. The tables hold the figures.')
