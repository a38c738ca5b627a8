"""Which folders are runs, and what is read of them."""

import json

import pytest
from mmengine.config import Config

from mmfusion.analysis.html_report.runs import find_runs, read_report_run


def test_runs_and_folders_of_runs(work, tmp_path):
    names = [path.name for path in find_runs([work])]
    assert names == [f'{name}_s{seed}' for name, seed in zip(['early_unet_20_a'] * 2, (0, 1))] + [
        'early_unet_20_b_s0',
        'ours_unet_20_a_s0',
        'ours_unet_20_a_s1',
    ]
    (work / 'notes').mkdir()
    # Each once, however it is named.
    assert find_runs([work / 'notes/..' / names[0], work])[1:] == find_runs([work])[1:]
    assert len(find_runs([work])) == 5
    with pytest.raises(FileNotFoundError, match='no work folder at '):
        find_runs([tmp_path / 'nowhere'])
    with pytest.raises(FileNotFoundError, match='notes is neither the work folder of a run nor a folder of some'):
        find_runs([work / 'notes'])


def test_what_is_recorded(work):
    run = read_report_run(work / 'early_unet_20_a_s1')
    assert (run.entry.method, run.entry.dataset, run.entry.is_baseline, run.seed) == ('early', 'a', True, 1)
    assert run.results['test']['mIoU'] == 54.0
    assert (run.seconds, run.problem, run.checkpoint) == (90.0, '', None)
    assert [f'{start:%Y-%m-%d %H:%M:%S}' for start in run.starts] == ['2026-01-02 03:04:05']
    # The command tells the folder of the config, where it is not said otherwise.
    assert not read_report_run(work / 'ours_unet_20_a_s0').entry.is_baseline
    assert read_report_run(work / 'ours_unet_20_a_s0', ['ours']).entry.is_baseline


def test_checkpoint_of_a_folder_that_moved(work):
    folder = work / 'ours_unet_20_a_s0'
    for number in (5, 20, 100):
        (folder / f'iter_{number}.pth').touch()
    (folder / 'best_mIoU_iter_200.pth').touch()
    assert read_report_run(folder).checkpoint.name == 'iter_100.pth'  # By number, not by name.
    (folder / 'last_checkpoint').write_text('/elsewhere/iter_20.pth')
    assert read_report_run(folder).checkpoint == folder / 'iter_20.pth'


@pytest.mark.parametrize(
    ('log', 'losses', 'expected'),
    [
        ('', [], 'stopped, or still running (no iteration logged)'),
        ('', [(1, 2.0)], 'stopped, or still running (iteration 10 of 20)'),
        ('error: no space left\n', [(1, 2.0)], 'failed: error: no space left (iteration 10 of 20)'),
        (
            'Traceback (most recent call last):\n  File "x.py"\nRuntimeError: boom\nbye\n',
            [],
            'failed: RuntimeError: boom (no iteration logged)',
        ),
        # It was tried again since.
        (
            'ValueError: old\n$ python train.py --resume\nloading\n',
            [],
            'stopped, or still running (no iteration logged)',
        ),
    ],
)
def test_why_there_is_no_result(write_run, log, losses, expected):
    assert read_report_run(write_run('early_unet_20_a', 3, log=log, losses=losses)).problem == expected


def test_trained_and_not_tested(write_run):
    folder = write_run('early_unet_20_a', 3, losses=[(2, 1.0)])
    (folder / 'iter_20.pth').touch()
    expected = 'neither validated after the last iteration nor tested (iteration 20 of 20, iter_20.pth is there)'
    assert read_report_run(folder).problem == expected


@pytest.mark.parametrize('content', ['{"config": ', '{"unknown": 1}', '[]'])
def test_a_record_that_cannot_be_read(work, content):
    folder = work / 'early_unet_20_a_s1'
    (folder / 'comparison.json').write_text(content)
    run = read_report_run(folder)
    assert 'comparison.json cannot be read' in run.problem
    assert (run.results, run.entry.method, run.seed, run.entry.is_baseline) == ({}, 'early', 1, True)


def test_plain_run(tmp_path):
    """Of tools/train.py and tools/test.py: a config with its name, and figures in the folders of the starts."""
    start = tmp_path / 'plain/20260102_030405'
    (start / 'vis_data').mkdir(parents=True)
    config = dict(
        train_cfg=dict(max_iters=2),
        randomness=dict(seed=4),
        test_dataloader=dict(dataset=dict(type='mmfusion.OmbriaDataset')),
    )
    Config(config).dump(tmp_path / 'plain/tiny.py')
    Config(config).dump(start / 'vis_data/config.py')
    (start / 'vis_data/scalars.json').write_text(json.dumps({'mIoU': 41.5, 'step': 2}))
    run = read_report_run(tmp_path / 'plain')
    assert (run.entry.method, run.entry.dataset, run.seed) == ('tiny', 'Ombria', 4)
    assert run.results == {'val': {'mIoU': 41.5}}
    (start / 'vis_data/scalars.json').write_text(json.dumps({'loss': 1.0, 'iter': 1, 'step': 1}))
    assert read_report_run(tmp_path / 'plain').problem == 'stopped, or still running (iteration 1 of 2)'
    (tmp_path / 'plain/other.py').write_text('a = 1')
    assert 'holds runs of several configs' in read_report_run(tmp_path / 'plain').problem
    (tmp_path / 'plain/other.py').unlink()
    (tmp_path / 'plain/tiny.py').write_text('raise RuntimeError("a config is a program")')
    assert 'a config is a program' in read_report_run(tmp_path / 'plain').problem
