"""tools/train.py and tools/test.py on tiny pairs."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader

from mmfusion.command_line import runner_config, runner_parser
from mmfusion.compat import ignore_what_nobody_can_mend

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(run_config, model_config, pair_folder, tmp_path, plain_configs):
    cfg = run_config(
        model_config(),
        pair_folder(tmp_path / 'data'),
        tmp_path / 'by_config',
        max_iters=2,
        hooks=[dict(type='CheckpointArchitectureHook'), dict(type='IterSeedHook')],
    )
    cfg.dump(tmp_path / 'tiny.py')
    return tmp_path / 'tiny.py'


def checkpoint_at(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def test_train_override_and_resume(tool, config, tmp_path):
    run = tmp_path / 'run'
    options = ('--work-dir', run, '--cfg-options', 'default_hooks.checkpoint.interval=1')
    tool('train', config, *options, 'model.fusion.num_stages=1')
    assert sorted(path.name for path in run.glob('*.pth')) == ['iter_1.pth', 'iter_2.pth']
    assert not (tmp_path / 'by_config').exists()  # The command line goes before the config.
    first = checkpoint_at(run / 'iter_2.pth')
    assert not [name for name in first['state_dict'] if name.startswith('fusion.unfolding.stages.1.')]

    tool('train', config, *options, 'model.fusion.num_stages=1', 'train_cfg.max_iters=3', '--resume')
    last = checkpoint_at(run / 'iter_3.pth')
    assert last['meta']['iter'] == 3
    assert {int(state['step']) for state in last['optimizer']['state'].values()} == {3}
    # Nothing was trained again: the file of the first run is still there as it was.
    assert checkpoint_at(run / 'iter_2.pth')['meta']['time'] == first['meta']['time']


def test_work_dir(config, tmp_path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')

    def work_dir(*arguments):
        return runner_config(runner_parser('').parse_args([str(argument) for argument in arguments])).work_dir

    nameless = Config.fromfile(config)
    nameless.pop('work_dir')
    nameless.dump(tmp_path / 'nameless.py')
    assert work_dir(config, '--work-dir', 'here') == 'here'
    assert work_dir(config) == str(tmp_path / 'by_config')
    assert work_dir(tmp_path / 'nameless.py') == str(Path('work_dirs/nameless'))


def test_evaluate_with_outputs(tool, config, make_runner, model_config, tmp_path):
    tool('train', config, '--work-dir', tmp_path / 'run')
    checkpoint = tmp_path / 'run/iter_2.pth'
    tool(
        'test',
        config,
        checkpoint,
        '--work-dir',
        tmp_path / 'test',
        '--out',
        tmp_path / 'out',
        '--show-dir',
        tmp_path / 'panels',
    )

    images = {}

    class Keep(Hook):
        def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            images.update({Path(sample.img_path).stem: sample for sample in outputs})

    runner = make_runner(model=model_config(), load_from=str(checkpoint))
    runner.register_hook(Keep())
    expected = runner.test()

    figures = json.loads(next((tmp_path / 'test').rglob('*.json')).read_text())
    for name in ('mIoU', 'aAcc', 'IoU/warm', 'fusion/EN'):
        assert figures[name] == pytest.approx(expected[name], nan_ok=True), name
    names = [f'{i:03}.png' for i in range(6)]
    assert sorted(path.name for path in (tmp_path / 'out/labels').iterdir()) == names
    assert sorted(path.name for path in (tmp_path / 'out/fused').iterdir()) == names
    for stem, sample in images.items():
        labels = cv2.imread(str(tmp_path / f'out/labels/{stem}.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(labels, sample.pred_sem_seg.data[0].numpy())
        fused = cv2.imread(str(tmp_path / f'out/fused/{stem}.png'))[..., ::-1]
        assert np.abs(fused - 255 * sample.fused_img.data.permute(1, 2, 0).numpy()).max() <= 0.5 + 1e-3
    panels = sorted(path.name for path in (tmp_path / 'panels').rglob('*.png'))
    assert panels == [f'test_{i:03}_{i}.png' for i in range(6)]


@pytest.mark.parametrize('model', [None, 'SegTTAModel'])
def test_augmented(tool, config, tmp_path, model):
    """Both figures, and not those of a single pass; mmseg's model for it, which would drop one, gives way to ours."""
    tool('train', config, '--work-dir', tmp_path / 'run')
    figures = []
    for name, options in (('single', ()), ('both', ('--tta',))):
        chosen = ('--cfg-options', f'tta_model.type={model}') if model and options else ()
        work = ('--work-dir', tmp_path / name)
        assert tool('test', config, tmp_path / 'run/iter_2.pth', *work, *options, *chosen) == 0
        figures.append(json.loads(next((tmp_path / name).rglob('*.json')).read_text()))
    single, both = figures
    assert both.keys() == single.keys()
    assert both['fusion/EN'] == pytest.approx(single['fusion/EN'], rel=0.1)
    assert both['fusion/EN'] != single['fusion/EN']


def test_without_outputs(tool, config, tmp_path):
    torch.manual_seed(0)
    tool('train', config, '--work-dir', tmp_path / 'run')
    tool('test', config, tmp_path / 'run/iter_2.pth', '--work-dir', tmp_path / 'test')
    assert list((tmp_path / 'test').rglob('*.png')) == []
    assert list((tmp_path / 'test').rglob('*.json'))


def test_checkpoint_of_another_architecture(tool, told, config, tmp_path):
    tool('train', config, '--work-dir', tmp_path / 'run')
    other = ('--work-dir', tmp_path / 'test', '--cfg-options', 'model.fusion.channels=6')
    assert 'iter_2.pth is of another architecture' in told('test', config, tmp_path / 'run/iter_2.pth', *other)
    assert not (tmp_path / 'test').exists()


def test_messages(told, config, tmp_path):
    assert 'no config at nowhere.py; give the path of a config file, or the name' in told('train', 'nowhere.py')
    assert 'no checkpoint at nowhere.pth' in told('test', config, 'nowhere.pth')
    cfg = Config.fromfile(config)
    del cfg.default_hooks['visualization']
    cfg.dump(tmp_path / 'other.py')
    panels = ('--show-dir', tmp_path)
    assert 'need default_hooks.visualization' in told('test', tmp_path / 'other.py', config, *panels)
    assert 'do not go with --tta' in told('test', config, config, '--tta', *panels)


def test_a_normal_run_warns_of_nothing(tool, config, tmp_path, recwarn):
    """What stands in every log is not read when it matters."""
    with warnings.catch_warnings():
        ignore_what_nobody_can_mend()  # pytest has replaced the filters, and Python's own, which hide what is ...
        warnings.filterwarnings('ignore', "'pkgutil.find_loader' is deprecated")  # ... mmengine 0.10's on Python 3.12.
        cfg = Config.fromfile(config)
        cfg.default_hooks.checkpoint.type = 'SafeCheckpointHook'
        cfg.param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
        cfg.log_level = 'INFO'
        cfg.dump(config)
        assert tool('train', config, '--work-dir', tmp_path / 'run') == 0
        assert tool('test', config, tmp_path / 'run/iter_2.pth', '--work-dir', tmp_path / 'test') == 0
    lines = [line for log in tmp_path.rglob('*.log') for line in log.read_text().splitlines()]
    assert any('Iter(train)' in line for line in lines)
    assert [line for line in lines if 'WARNING' in line] == []
    assert [str(warning.message) for warning in recwarn] == []


def test_traceback(tool):
    with pytest.raises(FileNotFoundError, match=r'no config at nowhere\.py'):
        tool('train', 'nowhere.py', '--traceback')


def test_a_config_by_its_name(told, tmp_path):
    name = 'average_unet-tiny_1xb4-300_synthetic-96x128'
    assert 'train_cfg.max_iters must be a whole number' in told('train', name, '--cfg-options', 'train_cfg.max_iters=0')
    assert 'the closest names: average_unet-tiny_1xb4' in told('train', name.replace('average', 'avrage'))


@pytest.mark.parametrize('there', [False, True])
def test_nothing_is_left_where_nothing_was_started(told, config, tmp_path, there):
    folder = tmp_path / 'new/run'
    if there:
        folder.mkdir(parents=True)
        (folder / 'notes.txt').write_text('mine')
    before = sorted(tmp_path.rglob('*'))
    wrong = ('--work-dir', folder, '--cfg-options', 'train_dataloader.dataset.data_root=nowhere')
    assert 'nowhere' in told('train', config, *wrong)
    assert sorted(tmp_path.rglob('*')) == before


def test_what_was_started_stays(tool, config, tmp_path, monkeypatch):
    """Here the second iteration fails."""

    def fails(self, runner, *args, **kwargs):
        if runner.iter == 1:
            raise ValueError('no more')

    monkeypatch.setattr('mmfusion.engine.hooks.IterSeedHook.before_train_iter', fails)
    assert tool('train', config, '--work-dir', tmp_path / 'run') == 1
    assert list((tmp_path / 'run').rglob('*.log'))


def test_mixed_precision_on_a_cpu(tool, config, tmp_path, capsys):
    assert tool('train', config, '--work-dir', tmp_path, '--amp', '--cfg-options', 'train_cfg.max_iters=1') == 0
    assert "type='Bfloat16OptimWrapper'" in next(tmp_path.glob('*.py')).read_text()


SHARED = ('--work-dir', '--cfg-options', '--launcher')


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('train', (*SHARED, '--resume', '--amp')),
        ('test', (*SHARED, 'checkpoint', '--show-dir', '--show', '--wait-time', '--out', '--tta')),
    ],
)
def test_help(tool, capsys, name, options):
    with pytest.raises(SystemExit) as end:
        tool(name, '--help')
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in options)
    assert '--local' not in text


def test_as_a_script_from_elsewhere(tmp_path):
    script = subprocess.run(
        [sys.executable, str(ROOT / 'tools/train.py'), 'nowhere.py'],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    assert script.returncode == 1
    assert script.stderr.startswith('error: no config at nowhere.py')  # And nothing else.
    assert len(script.stderr.splitlines()) == 1
