"""Runs as one comparison."""

import json

import pytest

from mmfusion.analysis.html_report.study import gather


def test_scores_are_those_of_the_records(work):
    study = gather([work])
    assert study.split == 'test'
    assert (study.scores.methods, study.scores.columns) == (['early', 'ours'], ['a', 'b'])
    for folder in work.iterdir():
        record = json.loads((folder / 'comparison.json').read_text())
        name, _, seed = folder.name.rpartition('_s')
        method, *_, column = name.split('_')
        for metric, value in record['results']['test'].items():
            assert study.scores.get(method, column, metric).values[int(seed)] == value
    assert study.scores.gain('ours', 'a').values == {0: 11.0, 1: 4.0}
    assert (study.seeds, study.expected) == ([0, 1], 2)
    assert study.problems() == []
    assert study.warnings() == []


def test_validations_and_runs_without(work, write_run):
    folder = write_run('ours_unet_20_b', 0, folder='ours', log='error: no data\n')
    study = gather([work])
    ((run, reason),) = study.problems()
    assert (run.folder, reason) == (folder, 'failed: error: no data (no iteration logged)')
    assert len(study.scores.get('ours', 'b')) == 0
    reasons = [reason for _, reason in gather([work], 'val').problems()]
    assert reasons.count('has no val result, only test') == 5
    with pytest.raises(ValueError, match="results must be one of auto, test, val, got 'train'"):
        gather([work], 'train')


def test_rows_of_unlike_runs_are_told(work, write_run):
    figures = {'mIoU': 51.0}
    write_run('early_unet_20_a', 2, figures, config={'model.depth': 3, 'train_cfg.max_iters': 30})
    write_run('ours_segformer_20_b', 0, figures, folder='ours')
    first, second = gather([work]).warnings()
    assert first == (
        'early on a: early_unet_20_a_s0 and early_unet_20_a_s2 differ in more than the seed: train_cfg.max_iters, '
        'model.depth.'
    )
    assert second == 'Methods differ in model or schedule on b: early unet_20; ours segformer_20.'


def test_seeds_that_are_not_known_are_paired_with_none(work):
    for name in ('early_unet_20_a_s0', 'ours_unet_20_a_s0'):
        path = work / name / 'comparison.json'
        record = json.loads(path.read_text())
        del record['config']['randomness.seed']
        path.write_text(json.dumps(record))
    scores = gather([work]).scores
    assert len(scores.get('ours', 'a')) == 2
    assert scores.gain('ours', 'a').values == {1: 4.0}


def test_two_runs_of_one_figure_are_refused(work, tmp_path):
    copy = tmp_path / 'again/early_unet_20_a_s1'
    copy.mkdir(parents=True)
    (copy / 'comparison.json').write_text((work / 'early_unet_20_a_s1/comparison.json').read_text())
    with pytest.raises(ValueError, match='are both early on a with seed 1, one figure of the table; leave one out'):
        gather([work, copy])


def test_baselines(work):
    assert gather([work], baselines=['ours']).scores.methods == ['ours', 'early']
    with pytest.raises(ValueError, match="no run is of the baseline 'late'; methods are early, ours"):
        gather([work], baselines=['late'])
