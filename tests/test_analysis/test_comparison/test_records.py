"""What is left to do for a run."""

import json
from pathlib import Path

import pytest

from mmfusion.analysis.comparison.entries import read_entry
from mmfusion.analysis.comparison.plan import PlannedRun
from mmfusion.analysis.comparison.records import RECORD, Record, as_json, discard, next_step, next_steps, read_record


@pytest.fixture
def run(tmp_path):
    """Function of a config that gives a run of it."""

    def make(name='ours_u_s_a', **config):
        entry = read_entry(Path(f'{name}.py'))
        return PlannedRun(entry, 0, tmp_path / f'{name}_s0', (), {'model.width': 4, 'sizes': (1, 2), **config})

    return make


def recorded(run, **state):
    run.folder.mkdir(exist_ok=True)
    Record(as_json(run.config), **state).write(run.folder)
    return run


def test_steps(run):
    assert next_step(run(), 'val') == 'train'
    assert next_step(recorded(run()), 'val') == 'resume'
    assert next_step(recorded(run(), checkpoint='iter_2.pth', results=dict(val={})), 'val') == 'keep'
    # The checkpoint was deleted after a validation; a test needs it.
    assert next_step(run(), 'test') == 'train anew'
    (run().folder / 'iter_2.pth').write_text('')
    assert next_step(run(), 'test') == 'evaluate'


def test_another_config(run):
    recorded(run(), results=dict(val={}))
    # What changes no figure may change.
    assert next_step(run(work_dir='elsewhere', **{'train_dataloader.num_workers': 3}), 'val') == 'keep'
    changed = run(**{'model.width': 8, 'load_from': 'x.pth'})
    with pytest.raises(ValueError, match=r'another config: model.width was 4, is 8; load_from was absent, is x.pth$'):
        next_step(changed, 'val')
    assert next_step(changed, 'val', force=True) == 'train anew'
    many = run(**{f'key{i}': i for i in range(7)})
    with pytest.raises(ValueError, match=r'key3 was absent, is 3; and 3 more$'):
        next_step(many, 'val')


def test_all_refused_runs_are_told(run):
    runs = [run(name=f'ours_u_s_{letter}') for letter in 'abc']
    for one in runs[:2]:
        recorded(one)
    changed = [run(name=one.entry.name, **{'model.width': 8}) for one in runs]
    with pytest.raises(ValueError, match=r'_a_s0 is of.*_b_s0 is of.*--force; or choose another --work-dir'):
        next_steps(changed, 'val')
    assert next_steps(runs, 'val') == ['resume', 'resume', 'train']


def test_what_others_made_is_left_alone(run):
    run().folder.mkdir()
    assert next_step(run(), 'val') == 'train'  # An empty folder is nobody's.
    (run().folder / 'thesis.txt').write_text('')
    for force in (False, True):
        with pytest.raises(ValueError, match='was not made by a comparison'):
            next_step(run(), 'val', force)
    with pytest.raises(ValueError, match='was not made by a comparison'):
        discard(run())
    assert (run().folder / 'thesis.txt').exists()
    recorded(run())
    discard(run())
    assert not run().folder.exists()


@pytest.mark.parametrize('text', ['{', '{"other": 1}', '[]'])
def test_broken_record(run, text):
    recorded(run())
    (run().folder / RECORD).write_text(text)
    with pytest.raises(ValueError, match='cannot be read'):
        read_record(run().folder)


def test_record_comes_back(run):
    results = dict(val=dict(mIoU=71.5))
    recorded(run(), checkpoint='iter_2.pth', seconds=3.5, results=results)
    assert json.loads((run().folder / RECORD).read_text())['config']['sizes'] == [1, 2]
    record = read_record(run().folder)
    assert (record.checkpoint, record.seconds, record.results) == ('iter_2.pth', 3.5, results)
    assert [path.name for path in run().folder.iterdir()] == [RECORD]
