"""Means and paired differences against numbers by hand."""

import csv
import io
import math

import pytest

from mmfusion.analysis.comparison.costs import Cost
from mmfusion.analysis.comparison.scores import BySeed, Scores
from mmfusion.analysis.comparison.sheets import cell, class_sheet, gain_sheet, score_sheet, score_sheets, scores_to_csv


@pytest.fixture
def scores():
    """Two data sets, two baselines; 'late' lacks a seed on a, 'ours' has but seeds 0 and 2 on a and all on b."""
    miou = {
        ('early', 'a'): {0: 50.0, 1: 54.0, 2: 58.0},  # mean 54, std 4
        ('late', 'a'): {0: 60.0, 1: 50.0},  # mean 55: the best on a
        ('ours', 'a'): {0: 61.0, 2: 70.0},
        ('early', 'b'): {0: 80.0, 1: 82.0, 2: 84.0},  # mean 82: the best on b
        ('late', 'b'): {0: 81.0, 1: 81.0, 2: 81.0},
        ('ours', 'b'): {0: 83.0, 1: 83.0, 2: 88.0},
    }
    figures = {}
    for cell_name, values in miou.items():
        figures[cell_name] = {seed: {'mIoU': x, 'IoU/sky': x + 1, 'aAcc': 99.0} for seed, x in values.items()}
    baselines = {(method, column) for method in ('early', 'late') for column in 'ab'}
    return Scores(['early', 'late', 'ours'], ['a', 'b'], baselines, figures)


def test_means(scores):
    early = scores.get('early', 'a')
    assert (early.mean, early.spread, len(early)) == (54.0, 4.0, 3)
    nothing = scores.get('ours', 'c')
    assert len(nothing) == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.spread)
    assert math.isnan(BySeed({0: 1.0}).spread)


def test_best_baseline_is_by_mean_and_no_method_of_ours(scores):
    assert [scores.best_baseline(column) for column in 'ab'] == ['late', 'early']
    assert Scores(['ours'], ['a'], set(), scores.figures).best_baseline('a') is None


def test_differences_are_paired_by_seed(scores):
    assert scores.gain('ours', 'a').values == {0: 1.0}  # late has no seed 2
    assert scores.gain('early', 'a').values == {0: -10.0, 1: 4.0}
    ours = scores.gain('ours', 'b')
    assert ours.values == {0: 3.0, 1: 1.0, 2: 4.0}
    assert ours.mean == pytest.approx(8 / 3)
    # Unpaired, the spread would be that of two columns: sqrt(2.89^2 + 2^2) = 3.51.
    assert ours.spread == pytest.approx(math.sqrt(((3 - 8 / 3) ** 2 + (1 - 8 / 3) ** 2 + (4 - 8 / 3) ** 2) / 2))
    assert scores.gain('ours', 'b', 'IoU/sky').values == {0: 3.0, 1: 1.0, 2: 4.0}


def test_averages_take_seeds_that_all_sets_have(scores):
    assert scores.average('ours').values == {0: 72.0, 2: 79.0}
    assert scores.average_gain('ours').values == {0: 2.0}
    assert scores.average_gain('early').values == {0: -5.0, 1: 2.0}
    del scores.figures['ours', 'b']
    assert len(scores.average_gain('ours')) == 0


def test_sheets(scores):
    seeds = [0, 1, 2]
    assert score_sheet(scores, 'val', seeds).rows == [
        ['early (baseline)', '54.00 ± 4.00', '82.00 ± 2.00', '68.00 ± 3.00'],
        ['late (baseline)', '55.00 ± 7.07 (n=2)', '81.00 ± 0.00', '68.00 ± 3.54 (n=2)'],
        ['ours', '65.50 ± 6.36 (n=2)', '84.67 ± 2.89', '75.50 ± 4.95 (n=2)'],
    ]
    gains = gain_sheet(scores, 'val', seeds)
    assert gains.header == ['method', 'a', 'b', 'average']
    assert gains.rows == [
        ['early (baseline)', '-3.00 ± 9.90 (n=2)', 'best baseline', '-1.50 ± 4.95 (n=2)'],
        ['late (baseline)', 'best baseline', '-1.00 ± 2.00', '+0.00 ± 0.71 (n=2)'],
        ['ours', '+1.00 (n=1)', '+2.67 ± 1.53', '+2.00 (n=1)'],
    ]
    assert '(a: late, b: early)' in gains.note
    sky = class_sheet(scores, 'b', 'val', seeds)
    assert sky.header == ['method', 'sky']
    assert sky.rows[1] == ['late (baseline)', '82.00 ± 0.00']


def test_one_set_without_baselines_and_missing_runs(scores):
    alone = Scores(['early', 'ours', 'new'], ['a'], set(), scores.figures)
    sheets = score_sheets(alone, 'test', [0, 1, 2])
    assert [sheet.title for sheet in sheets] == ['mIoU in %, test', 'IoU in %, a, test']
    assert sheets[0].header == ['method', 'a']
    assert sheets[0].rows[2] == ['new', '-']
    empty = Scores(['early'], ['a'], {('early', 'a')}, {})
    assert [sheet.rows for sheet in score_sheets(empty, 'val', [0])] == [[['early (baseline)', '-']]] * 2
    assert 'a: none yet' in score_sheets(empty, 'val', [0])[1].note


def test_class_that_is_absent_is_no_number():
    assert cell(BySeed({0: math.nan, 1: 3.0}), 2) == 'nan'


def test_csv(scores):
    costs = [Cost('ours', 7, 9, [0.1, 0.3], [1.0])]
    rows = list(csv.DictReader(io.StringIO(scores_to_csv(scores, 'val', costs))))
    by_key = {(row['data set'], row['method'], row['metric']): row for row in rows}
    assert len(rows) == len(by_key) == 2 * 3 * 2 + 4
    ours = by_key['b', 'ours', 'mIoU']
    assert (ours['seeds'], ours['values'], ours['n'], ours['baseline']) == ('0 1 2', '83.0 83.0 88.0', '3', '0')
    assert float(ours['mean']) == 254 / 3
    assert (ours['best baseline'], ours['difference n']) == ('early', '3')
    assert float(ours['difference mean']) == pytest.approx(8 / 3, rel=1e-15)
    single = by_key['a', 'ours', 'IoU/sky']
    assert (single['difference n'], single['difference mean'], single['difference std']) == ('1', '1.0', '')
    seconds = by_key['', 'ours', 'seconds per image']
    assert (seconds['n'], float(seconds['mean']), seconds['values']) == ('2', 0.2, '0.1 0.3')
