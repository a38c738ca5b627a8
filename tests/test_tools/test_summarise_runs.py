"""tools/analysis_tools/summarise_runs.py on real tiny runs."""

import csv
import json
import math
import shutil

import pytest
from mmengine.config import Config

TOOL = 'analysis_tools/summarise_runs.py'


@pytest.fixture
def summarise(load_tool):
    return load_tool(TOOL).main


@pytest.fixture
def start(load_tool, forget_globals, monkeypatch):
    """Function of a tool's name and its arguments: one start of it, as in a process of its own."""
    monkeypatch.setenv('LOCAL_RANK', '0')

    def call(name, *arguments):
        forget_globals()
        load_tool(f'{name}.py').main([str(argument) for argument in arguments])

    return call


@pytest.fixture
def config(run_config, model_config, pair_folder, tmp_path, plain_configs):
    cfg = run_config(model_config(), pair_folder(tmp_path / 'data'), tmp_path / 'unused', max_iters=2)
    cfg.train_cfg.val_interval = 1
    cfg.dump(tmp_path / 'tiny.py')
    return tmp_path / 'tiny.py'


def train(start, config, work_dir, seed, *options):
    start('train', config, '--work-dir', work_dir, '--cfg-options', f'randomness.seed={seed}', *options)
    return work_dir


def last_validation(work_dir):
    """The last line of the log that has an mIoU, by hand."""
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines() if 'mIoU' in line][-1]


def table_of(text):
    lines = [line.strip('| ').split(' | ') for line in text.splitlines() if line.startswith('|')]
    return [dict(zip((cell.strip() for cell in lines[0]), (cell.strip() for cell in line))) for line in lines[2:]]


def test_two_seeds_by_hand(summarise, start, config, tmp_path, capsys):
    runs = [train(start, config, tmp_path / f'run{seed}', seed) for seed in (3, 7)]
    a, b = (last_validation(run) for run in runs)
    assert a['step'] == b['step'] == 2
    assert a['fusion/EN'] != b['fusion/EN']  # Otherwise there would be no spread to get wrong.
    capsys.readouterr()
    files = ('--out-md', str(tmp_path / 'o/t.md'), '--out-csv', str(tmp_path / 'o/t.csv'))
    code = summarise([*map(str, runs), '--metrics', 'mIoU', 'fusion/*', *files])
    text = capsys.readouterr().out
    assert code == 0
    assert (tmp_path / 'o/t.md').read_text() == text
    assert 'val results' in text

    (row,) = table_of(text)
    assert (row['config'], row['n'], row['seeds']) == ('tiny', '2', '3, 7')
    assert list(row)[3:] == ['mIoU', 'fusion/EN']
    with open(tmp_path / 'o/t.csv', newline='') as file:
        (exact,) = csv.DictReader(file)
    assert exact['seeds'] == '3 7'
    for name in ('mIoU', 'fusion/EN'):
        mean = (a[name] + b[name]) / 2
        std = abs(a[name] - b[name]) / math.sqrt(2)  # n - 1 = 1 below the root
        assert float(exact[f'{name} mean']) == pytest.approx(mean, rel=1e-12)
        assert float(exact[f'{name} std']) == pytest.approx(std, rel=1e-9, abs=1e-12)
        shown = [float(part) for part in row[name].split(' ± ')]
        assert shown == pytest.approx([mean, std], rel=1e-3, abs=5e-3)


def test_tests_go_before_validations_and_the_latest_wins(summarise, start, config, tmp_path, capsys):
    run = train(start, config, tmp_path / 'run', 5)
    start('test', config, run / 'iter_2.pth', '--work-dir', tmp_path / 'apart')
    (file,) = (tmp_path / 'apart').glob('*/*.json')
    figures = json.loads(file.read_text())
    # Two tests in the folder of the training; the later one has another figure.
    for stamp, value in (('29990101_000000', 11.0), ('29990102_000000', 33.0)):
        (run / stamp).mkdir()
        (run / stamp / f'{stamp}.json').write_text(json.dumps({**figures, 'mIoU': value}))

    def cells(*arguments):
        capsys.readouterr()
        assert summarise([*map(str, arguments), '--metrics', 'mIoU', 'fusion/EN']) == 0
        return table_of(capsys.readouterr().out)[0]

    assert cells(run)['mIoU'] == '33.00'
    assert float(cells(run, '--results', 'val')['mIoU']) == pytest.approx(last_validation(run)['mIoU'], rel=1e-3)
    # A test in a folder of its own knows its seed from where its checkpoint was trained.
    apart = cells(tmp_path / 'apart')
    assert float(apart['fusion/EN']) == pytest.approx(figures['fusion/EN'], rel=1e-3)
    assert apart['seeds'] == '5'
    shutil.rmtree(run)
    assert cells(tmp_path / 'apart')['seeds'] == '?'


def test_rows_hold_repetitions_only(summarise, start, config, tmp_path, capsys):
    one = train(start, config, tmp_path / 'one', 1)
    wide = train(start, config, tmp_path / 'wide', 2, 'model.fusion.channels=6')
    again = tmp_path / 'again'
    shutil.copytree(one, again)
    capsys.readouterr()

    assert summarise([str(one), str(wide)]) == 1
    error = capsys.readouterr().err
    assert 'one and' in error
    assert 'differ in more than the seed: model.fusion.channels. ' in error
    assert '--group-by config model.fusion.channels' in error

    assert summarise([str(one), str(wide), '--group-by', 'config', 'model.fusion.channels', '--metrics', 'mIoU']) == 0
    rows = table_of(capsys.readouterr().out)
    shown = [(row['model.fusion.channels'], row['n'], row['seeds']) for row in rows]
    assert shown == [('4', '1', '1'), ('6', '1', '2')]
    assert float(rows[1]['mIoU']) == pytest.approx(last_validation(wide)['mIoU'], rel=1e-3)  # no spread of one run

    assert summarise([str(one), str(again)]) == 1
    assert 'in one row and have one seed, 1' in capsys.readouterr().err


def test_runs_that_are_not_finished(summarise, start, config, tmp_path, capsys):
    run = train(start, config, tmp_path / 'run', 1)
    capsys.readouterr()

    def error(*arguments):
        assert summarise([str(argument) for argument in arguments]) == 1
        return capsys.readouterr().err

    # As if it had been stopped after the first of its two iterations, which were both validated.
    (log,) = run.glob('*/vis_data/scalars.json')
    lines = [line for line in log.read_text().splitlines() if json.loads(line)['step'] == 1]
    assert any('mIoU' in line for line in lines)
    log.write_text('\n'.join(lines))
    (run / 'last_checkpoint').write_text(str(run / 'iter_1.pth'))
    message = error(run)
    assert f'{run} has no finished run' in message
    assert message.count('\n') == 1

    (tmp_path / 'empty').mkdir()
    assert 'empty is no work folder' in error(tmp_path / 'empty')
    assert 'no work folder at' in error(tmp_path / 'nowhere')
    Config(dict(a=1)).dump(tmp_path / 'empty/a.py')
    Config(dict(a=1)).dump(tmp_path / 'empty/b.py')
    assert 'several configs (a.py, b.py)' in error(tmp_path / 'empty')


def test_choices_that_cannot_be_met(summarise, start, config, tmp_path, capsys):
    run = train(start, config, tmp_path / 'run', 1)
    capsys.readouterr()
    for arguments, message in (
        (['--metrics', 'IoU/nothing'], "no metric matches 'IoU/nothing'; the val results have aAcc, mIoU"),
        (['--group-by', 'model.fusion.nothing'], "no config has the key 'model.fusion.nothing'"),
        (['--results', 'test'], 'no test results in'),
    ):
        assert summarise([str(run), *arguments]) == 1
        assert message in capsys.readouterr().err
