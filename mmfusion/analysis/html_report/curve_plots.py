"""Losses and validations of all methods, as drawings."""

from collections.abc import Callable
from dataclasses import dataclass, field

from markupsafe import Markup

from .palette import to_svg
from .plots import draw_curves
from .scalars import Curve, average_curves, loss_curves, read_scalars, validation_curve
from .study import Study

TOTAL = 'loss'


@dataclass
class CurvePanel:
    """Curves of one data set."""

    column: str
    main: list[Markup] = field(default_factory=list)
    """Sum of the losses, and validation mIoU."""
    parts: list[Markup] = field(default_factory=list)
    """Losses one by one."""
    notes: list[str] = field(default_factory=list)
    """What there is no drawing of, and why."""


def curve_panels(study: Study) -> list[CurvePanel]:
    """Draw what runs logged.

    Args:
        study (Study): All runs.

    Returns:
        list[CurvePanel]: One for each data set.
    """
    return [_panel(study, number, column) for number, column in enumerate(study.scores.columns)]


def _panel(study: Study, number: int, column: str) -> CurvePanel:
    panel = CurvePanel(column)
    records: dict[int, list[list]] = {}
    for index, method in enumerate(study.scores.methods):
        # A run that is not finished would cut the curves of the others short.
        runs = study.finished(method, column) or study.runs_of(method, column)
        found = [read_scalars(run.folder) for run in runs]
        records[index] = [lines for lines in found if lines]
    losses = [name for lines in records.values() for run in lines for name in loss_curves(run)]
    for place, name in enumerate(dict.fromkeys(losses)):
        curves = _average(records, _loss(name))
        figure = draw_curves(curves, f'{column}: {"training loss, sum" if name == TOTAL else name}', '', log=True)
        if figure is not None:
            told = f'Training loss {name} over the iterations on {column}, of {_count(curves)}.'
            drawing = to_svg(figure, f'loss{number}-{place}', told)
            (panel.main if name == TOTAL else panel.parts).append(drawing)
    if not losses:
        panel.notes.append('no losses were logged (vis_data/scalars.json in the folders of the starts).')
    _add_validations(panel, study, number, _average(records, validation_curve))
    return panel


def _loss(name: str) -> Callable[[list], Curve]:
    return lambda lines: loss_curves(lines).get(name, Curve((), ()))


def _average(records: dict[int, list[list]], read: Callable[[list], Curve]) -> dict[int, Curve]:
    averaged = {index: average_curves([read(lines) for lines in runs]) for index, runs in records.items()}
    return {index: curve for index, curve in averaged.items() if curve.steps}


def _count(curves: dict[int, Curve]) -> str:
    drawn = sum(len(curve.steps) > 1 for curve in curves.values())
    return f'{drawn} method{"s" * (drawn != 1)}'


def _add_validations(panel: CurvePanel, study: Study, number: int, curves: dict[int, Curve]) -> None:
    figure = draw_curves(curves, f'{panel.column}: validation mIoU', 'mIoU, %')
    if figure is not None:
        told = f'Validation mIoU over the iterations on {panel.column}, of {_count(curves)}.'
        panel.main.append(to_svg(figure, f'validation{number}', told))
    elif curves:
        steps = sorted({step for curve in curves.values() for step in curve.steps})
        told = ' and '.join(map(str, steps))
        panel.notes.append(
            f'no curve of validations, as each run was validated once (iteration {told}). A smaller '
            'train_cfg.val_interval gives one.'
        )
    else:
        panel.notes.append('no validations were logged.')
