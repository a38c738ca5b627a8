"""tools/analysis_tools/compare.py: on stand-ins for train.py and test.py, and once on the real ones."""

import csv
import json
import os
import signal
import threading
import time

import pytest

from mmfusion.analysis.comparison import read_costs, span

TOOL = 'analysis_tools/compare.py'
# They leave what a runner leaves, at once. A file WORK_DIR/broken makes trainings of 'ours' fail, WORK_DIR/slow makes
# them take a minute.
STAND_IN = """
import argparse, json, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('checkpoint', nargs='?')
parser.add_argument('--work-dir', type=pathlib.Path)
parser.add_argument('--resume', action='store_true')
parser.add_argument('--cfg-options', nargs='+')
args = parser.parse_args()
config, folder = pathlib.Path(args.config), args.work_dir
seed = int(args.cfg_options[-1].removeprefix('randomness.seed='))
scope = {}
exec(config.read_text(), scope)
value = scope['miou'][seed]
with open(folder.parent / 'calls.txt', 'a') as calls:
    calls.write(' '.join([WHAT, config.stem, str(seed), *['resume'] * args.resume]) + '\\n')
(folder / config.name).write_text(config.read_text())
if WHAT == 'test':
    assert pathlib.Path(args.checkpoint).read_text() == 'weights'
    (folder / '20260102_000000').mkdir()
    figures = {'mIoU': value + 5, 'IoU/sky': value + 6}
    (folder / '20260102_000000/20260102_000000.json').write_text(json.dumps(figures))
    sys.exit()
if 'ours' in config.stem:
    if (folder.parent / 'slow').exists():
        print('training', flush=True)
        time.sleep(60)
    if (folder.parent / 'broken').exists():
        print('first line')
        sys.exit('RuntimeError: something broke')
(folder / '20260101_000000/vis_data').mkdir(parents=True, exist_ok=True)
line = {'mIoU': value, 'IoU/sky': value + 1, 'step': 2}
(folder / '20260101_000000/vis_data/scalars.json').write_text(json.dumps(line))
(folder / 'iter_2.pth').write_text('weights')
(folder / 'last_checkpoint').write_text(str(folder / 'iter_2.pth'))
"""
MIOU = dict(early={0: 50.0, 1: 54.0}, late={0: 60.0, 1: 52.0}, ours={0: 61.0, 1: 58.0})


class Bench:
    """The tool in a folder with configs and stand-ins."""

    def __init__(self, tool, folder, capsys):
        self.tool, self.folder, self.capsys = tool, folder, capsys
        self.work_dir = folder / 'work'

    def __call__(self, *arguments):
        code = self.tool.main(
            [f'{self.folder}/*/*.py', '--work-dir', str(self.work_dir), '--seeds', '0', '1', *arguments]
        )
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def calls(self):
        """What was started since the last time."""
        path = self.work_dir / 'calls.txt'
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(lines)

    def change(self, method, text):
        """Add a line to a config."""
        (path,) = self.folder.glob(f'*/{method}_*.py')
        path.write_text(f'{path.read_text()}\n{text}\n')


@pytest.fixture
def bench(load_tool, tmp_path, monkeypatch, capsys):
    for method, values in MIOU.items():
        path = tmp_path / ('ours' if method == 'ours' else 'baselines') / f'{method}_u_s_a-8x8.py'
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'miou = {values}\ntrain_cfg = dict(max_iters=2)')
    for name in ('train', 'test'):
        (tmp_path / f'{name}.py').write_text(STAND_IN.replace('WHAT', repr(name)))
    tool = load_tool(TOOL)
    monkeypatch.setattr(tool, 'TOOLS', tmp_path)
    return Bench(tool, tmp_path, capsys)


ALL = [f'train {method}_u_s_a-8x8 {seed}' for method in MIOU for seed in (0, 1)]


def test_tables_and_second_call(bench, tmp_path):
    files = ('--out-md', str(tmp_path / 'o/t.md'), '--out-csv', str(tmp_path / 'o/t.csv'))
    code, out, _ = bench('--jobs', '2', *files)
    assert code == 0
    assert bench.calls() == ALL
    assert '[6/6] ' in out
    assert '| ours | 59.50 ± 2.12 |' in out
    assert '| early (baseline) | -4.00 ± 8.49 |' in out  # -10 and +2
    assert '| ours | +3.50 ± 3.54 |' in out  # +1 and +6
    assert '(a: late)' in out
    assert (tmp_path / 'o/t.md').read_text() in out
    with open(tmp_path / 'o/t.csv', newline='') as file:
        rows = {(row['method'], row['metric']): row for row in csv.DictReader(file)}
    assert rows['ours', 'IoU/sky']['values'] == '62.0 59.0'
    assert not list(bench.work_dir.glob('*/*.pth'))

    code, again, _ = bench(*files)
    assert code == 0
    assert bench.calls() == []
    assert '6 runs, 0 of them to do' in again
    assert (tmp_path / 'o/t.md').read_text() in again


def test_test_split_and_checkpoints(bench):
    assert bench('--split', 'test', '--seeds', '0', '--keep-checkpoints')[0] == 0
    assert len(bench.calls()) == 6
    assert len(list(bench.work_dir.glob('*/*.pth'))) == 3
    # Validations were recorded along with the tests.
    code, out, _ = bench('--split', 'val', '--seeds', '0')
    assert (code, bench.calls()) == (0, [])
    assert '| ours | 61.00 |' in out
    assert '| ours | 66.00 |' in bench('--split', 'test', '--seeds', '0')[1]


def test_test_after_validation(bench):
    assert bench('--seeds', '0', '--keep-checkpoints')[0] == 0
    bench.calls()
    assert bench('--split', 'test', '--seeds', '0')[0] == 0
    assert bench.calls() == [f'test {method}_u_s_a-8x8 0' for method in MIOU]
    # Without its checkpoint a run has to be trained again.
    assert bench('--seeds', '1')[0] == 0
    bench.calls()
    assert bench('--split', 'test', '--seeds', '1')[0] == 0
    assert len(bench.calls()) == 6


def test_failed_runs_are_told_and_tried_again(bench):
    bench.work_dir.mkdir()
    (bench.work_dir / 'broken').touch()
    code, out, _ = bench('--jobs', '2')
    assert code == 1
    assert bench.calls() == ALL
    assert out.count('FAILED: train.py ended with status 1') == 2
    assert '    first line\n    RuntimeError: something broke' in out
    assert '| late (baseline) | 56.00 ± 5.66 |' in out
    assert '| ours | - |' in out
    (bench.work_dir / 'broken').unlink()
    code, out, _ = bench()
    assert code == 0
    assert bench.calls() == [f'train ours_u_s_a-8x8 {seed} resume' for seed in (0, 1)]
    assert '| ours | 59.50 ± 2.12 |' in out


def test_changed_config(bench):
    assert bench()[0] == 0
    bench.calls()
    bench.change('early', 'model = dict(width=8)')
    for arguments in ((), ('--dry-run',)):
        code, out, err = bench(*arguments)
        assert (code, out, bench.calls()) == (1, '', [])
        assert 'early_u_s_a-8x8_s0 is of another config: model.width was absent, is 8.' in err
        assert '--force; or choose another --work-dir' in err
    assert bench('--force')[0] == 0
    assert bench.calls() == ALL[:2]
    code, _, err = bench('--cfg-options', 'train_cfg.max_iters=3')
    assert code == 1
    assert 'train_cfg.max_iters was 2, is 3' in err
    assert '. 1 more such runs. ' in err


def test_dry_run_and_report_only(bench):
    code, out, _ = bench('--dry-run', '--split', 'test', '--seeds', '1')
    assert code == 0
    assert bench.calls() == []
    assert not bench.work_dir.exists()
    assert [line.split()[0] for line in out.splitlines() if '_s1' in line.split()[-1]] == ['train'] * 3
    assert '/test.py ' in out
    assert f'{bench.work_dir / "ours_u_s_a-8x8_s1" / "CHECKPOINT"} --work-dir' in out
    code, out, _ = bench('--report-only')
    assert (code, bench.calls()) == (0, [])
    assert out.count('| - |') == 6


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted(bench, number):
    bench.work_dir.mkdir()
    (bench.work_dir / 'slow').touch()
    log = bench.work_dir / 'ours_u_s_a-8x8_s0/comparison.log'

    def interrupt():
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (log.exists() and 'training\n' in log.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    started = time.monotonic()
    thread = threading.Thread(target=interrupt)
    thread.start()
    before = signal.getsignal(signal.SIGTERM)
    code, out, err = bench('--seeds', '0')
    thread.join()
    assert time.monotonic() - started < 30
    assert code == 130
    assert 'the same command goes on from here' in err
    assert '[1/3] ' in out
    assert signal.getsignal(signal.SIGTERM) is before
    bench.calls()
    (bench.work_dir / 'slow').unlink()
    assert bench('--seeds', '0')[0] == 0
    assert bench.calls() == ['train ours_u_s_a-8x8 0 resume']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--baselines', 'other'], "no config is of the baseline 'other'"),
        (['--data-root', 'b=x'], "no config is on 'b'"),
        (['--data-root', 'a=x'], 'no data_root to replace'),
        (['--cfg-options', 'x'], 'takes KEY=VALUE'),
        (['--report-only', '--cost', '--reference', 'other'], 'no such method on a-8x8; there are early, late, ours'),
    ],
)
def test_errors_in_one_line(bench, arguments, message):
    code, _, err = bench(*arguments)
    assert code == 1
    assert message in err
    assert err.count('\n') == 1


@pytest.mark.parametrize('arguments', [['--jobs', '0'], ['--repeats', '0'], ['--data-root', 'a']])
def test_usage(bench, arguments):
    with pytest.raises(SystemExit) as ended:
        bench(*arguments)
    assert ended.value.code == 2


def test_times_in_words():
    assert [span(s) for s in (3.4, 99, 100, 3000, 7300)] == ['3 s', '99 s', '2 min', '50 min', '2 h 02 min']


@pytest.mark.slow
def test_real_tools(load_tool, run_config, model_config, pair_folder, tmp_path, plain_configs, capsys):
    cfg = run_config(model_config(fusion=dict(type='AverageFusion')), 'data/none', tmp_path / 'unused', max_iters=2)
    cfg.custom_imports = dict(imports=['mmfusion'], allow_failed_imports=False)
    (tmp_path / 'baselines').mkdir()
    cfg.dump(tmp_path / 'baselines/average_u_s_tiny-32x48.py')
    data = pair_folder(tmp_path / 'data')
    arguments = [f'{tmp_path}/baselines/*.py', '--data-root', f'tiny={data}', '--work-dir', str(tmp_path / 'work')]
    arguments += ['--seeds', '4', '--split', 'test']
    main = load_tool(TOOL).main
    files = ['--cost', '--repeats', '1', '--device', 'cpu', '--plot', str(tmp_path / 'deep/plot.png')]
    code = main([*arguments, *files])
    out = capsys.readouterr().out
    assert code == 0, out
    folder = tmp_path / 'work/average_u_s_tiny-32x48_s4'
    (test,) = folder.glob('*/*.json')
    assert f'| average (baseline) | {json.loads(test.read_text())["mIoU"]:.2f} |' in out
    assert '| method | background | warm | printed |' in out
    assert 'x average' in out
    assert (tmp_path / 'deep/plot.png').stat().st_size > 10_000
    (cost,) = read_costs(tmp_path / 'work/costs.json').costs
    assert (cost.method, len(cost.train_seconds)) == ('average', 1)
    assert f'| average | {cost.parameters:,} (1.00) |' in out
    assert not list(folder.glob('*.pth'))
    seeds = [line for line in (folder / 'average_u_s_tiny-32x48.py').read_text().splitlines() if 'seed=4' in line]
    assert seeds
    assert main([*arguments, '--split', 'val']) == 0
    assert '1 runs, 0 of them to do' in capsys.readouterr().out
