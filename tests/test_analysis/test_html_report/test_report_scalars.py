"""What runs logged, and curves of several of them."""

import json
import statistics

import pytest

from mmfusion.analysis.html_report.scalars import (
    Curve,
    average_curves,
    loss_curves,
    read_scalars,
    validation_curve,
)


def write(folder, time, records, end=''):
    path = folder / time / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, records)) + end)


def train(step, loss):
    return {'loss': loss, 'head.loss_ce': loss / 4, 'lr': 0.1, 'iter': step, 'step': step}


def test_resumed_run_goes_on(tmp_path):
    write(tmp_path, '20260101_000000', [train(10, 4.0), train(20, 3.0), {'mIoU': 30.0, 'step': 20}, train(30, 2.5)])
    write(tmp_path, '20260101_010000', [train(30, 2.0), {'mIoU': 50.0, 'step': 40}], end='\n{"loss": 1.0, "it')
    (tmp_path / '20260101_020000').mkdir()  # A test: no log of a training.
    records = read_scalars(tmp_path)
    assert loss_curves(records) == {
        'loss': Curve((10, 20, 30), (4.0, 3.0, 2.0)),
        'head.loss_ce': Curve((10, 20, 30), (1.0, 0.75, 0.5)),
    }
    assert validation_curve(records) == Curve((20, 40), (30.0, 50.0))


def test_run_that_began_anew_has_its_latest_start_alone(tmp_path):
    write(tmp_path, '20260101_000000', [train(10, 4.0), train(20, 3.0)])
    write(tmp_path, '20260101_010000', [train(10, 5.0)])
    assert loss_curves(read_scalars(tmp_path))['loss'] == Curve((10,), (5.0,))


def test_no_log_and_lines_of_something_else(tmp_path):
    assert read_scalars(tmp_path) == []
    write(tmp_path, '20260101_000000', [[1], 'text', {'mIoU': 2.0}, None])
    assert read_scalars(tmp_path) == []
    assert loss_curves([]) == {}
    assert validation_curve([]) == Curve((), ())


def test_mean_and_spread():
    values = {10: (1.0, 2.0, 6.0), 30: (3.0, 5.0, 4.0)}
    curves = [Curve((10, 20 + n, 30), (values[10][n], 9.0, values[30][n])) for n in range(3)]
    curve = average_curves([*curves, Curve((), ())])  # A run that logged nothing takes nothing away.
    assert curve.steps == (10, 30)
    assert curve.means == pytest.approx([statistics.mean(values[step]) for step in (10, 30)])
    assert curve.spreads == pytest.approx([statistics.stdev(values[step]) for step in (10, 30)])
    assert curve.runs == 3
    assert average_curves(curves[:1]) == curves[0]
    assert average_curves([]).steps == ()
