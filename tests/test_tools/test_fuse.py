"""tools/fuse.py, and what the README says about fusing."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmfusion.apis import FusionInferencer, load_config
from mmfusion.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
AVERAGE = 'average_unet-tiny_1xb4-300_synthetic-96x128'
TINY = 'uaafusion_unet-tiny_1xb4-300_synthetic-96x128'


@pytest.fixture
def fuse(load_tool):
    """Function of command-line arguments that gives the exit code."""
    return lambda *arguments: load_tool('fuse.py').main([str(argument) for argument in arguments])


@pytest.fixture
def trained(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Data folder, config file and checkpoint of a tiny model."""
    data = pair_folder(tmp_path / 'data')
    run_config(model_config(), data, tmp_path / 'run').dump(tmp_path / 'tiny.py')
    torch.manual_seed(0)
    torch.save(dict(state_dict=MODELS.build(model_config()).state_dict()), tmp_path / 'tiny.pth')
    return data, tmp_path / 'tiny.py', tmp_path / 'tiny.pth'


def test_folders(fuse, trained, tmp_path, capsys):
    data, config, checkpoint = trained
    out = tmp_path / 'out'
    assert (
        fuse(
            config,
            checkpoint,
            '--ir',
            data / 'ir',
            '--vi',
            data / 'vi',
            '--out',
            out,
            '--batch-size',
            4,
            '--device',
            'cpu',
        )
        == 0
    )
    expected = FusionInferencer(config, checkpoint, 'cpu')(data / 'ir', data / 'vi', batch_size=4)
    for i, name in enumerate(expected['names']):
        fused = cv2.imread(str(out / f'fused/{name}.png'))
        np.testing.assert_array_equal(fused[..., ::-1], expected['fused'][i])
        labels = cv2.imread(str(out / f'labels/{name}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(labels, expected['labels'][i])
    printed = capsys.readouterr()
    assert f'wrote 6 pairs to {out / "fused"}, {out / "weights"}' in printed.out
    assert printed.err == ''  # A bar is for terminals.


def test_one_pair_by_a_name_without_checkpoint(fuse, trained, tmp_path, capsys):
    data, out = trained[0], tmp_path / 'out'
    assert fuse(AVERAGE, '--ir', data / 'ir/001.png', '--vi', data / 'vi/001.png', '--out', out) == 0
    assert [path.relative_to(out).as_posix() for path in sorted(out.rglob('*.png'))] == [
        'fused/001.png',
        'labels/001.png',
        'panels/001.png',
        'weights/001.png',
    ]
    assert 'wrote 1 pair to' in capsys.readouterr().out


def test_unpaired(fuse, trained, tmp_path, capsys):
    data, config, checkpoint = trained
    (data / 'ir/002.png').unlink()
    command = (config, checkpoint, '--ir', data / 'ir', '--vi', data / 'vi', '--out', tmp_path / 'out')
    assert fuse(*command) == 1
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert re.match(r'error: .*1 visible without an infrared image .*: 002 ', error)
    assert not (tmp_path / 'out').exists()
    assert fuse(*command, '--allow-unpaired') == 0
    assert len(list((tmp_path / 'out/fused').iterdir())) == 5


def test_errors_are_one_line(fuse, trained, tmp_path, capsys):
    data, config, checkpoint = trained
    paths = ('--ir', data / 'ir', '--vi', data / 'vi')
    (tmp_path / 'broken.py').write_text('model = dict(')
    (tmp_path / 'typo.py').write_text(config.read_text().replace('UAAFusion', 'UAAFusio'))
    for arguments, message in [
        ((config, tmp_path / 'absent.pth', *paths, '--out', 'out'), 'no checkpoint at .*absent.pth'),
        ((tmp_path / 'absent.py', checkpoint, *paths, '--out', 'out'), 'no config at .*absent.py'),
        (('averag_unet', checkpoint, *paths, '--out', 'out'), 'closest names: average_'),
        (
            (tmp_path / 'broken.py', checkpoint, *paths, '--out', 'out'),
            r"the config .*broken\.py cannot be read, line 1: SyntaxError: '\(' was never closed",
        ),
        ((tmp_path / 'typo.py', checkpoint, *paths, '--out', 'out'), '.*UAAFusio is not in'),
        ((TINY, checkpoint, *paths, '--out', 'out'), 'the checkpoint .* is of another architecture'),
        ((config, checkpoint, *paths, '--out', data), 'out_dir .* holds or is inside of the input folder'),
        ((config, checkpoint, *paths, '--out', 'out', '--batch-size', 0), 'batch_size must be'),
        ((config, checkpoint, *paths, '--out', 'out', '--device', 'cuda:99'), 'there is no device cuda:99'),
    ]:
        assert fuse(*arguments) == 1, message
        error = capsys.readouterr().err
        assert error.count('\n') == 1
        assert re.search(message, error, flags=re.I), error


def test_a_defect_keeps_its_traceback(load_tool, monkeypatch):
    tool = load_tool('fuse.py')

    def broken(*arguments, **options):
        raise AttributeError('a defect')

    monkeypatch.setattr(tool, 'FusionInferencer', broken)
    with pytest.raises(AttributeError, match='a defect'):
        tool.main(['a', 'b', '--ir', 'c', '--vi', 'd', '--out', 'e'])


def test_help_from_anywhere(tmp_path):
    command = [sys.executable, ROOT / 'tools/fuse.py', '--help']
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert 'python tools/fuse.py CONFIG CHECKPOINT --ir' in run.stdout
    assert '--allow-unpaired' in run.stdout


def test_example_of_the_readme(pair_folder, tmp_path, monkeypatch):
    """Under the names that it uses, with a checkpoint of random weights."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    (example,) = (
        block for block in re.findall(r'```python\n(.*?)```', text, flags=re.S) if 'FusionInferencer' in block
    )
    monkeypatch.chdir(tmp_path)
    pair_folder(tmp_path / 'data', number=2)
    for name in ('ir', 'vi'):
        (tmp_path / f'{name}.png').write_bytes((tmp_path / f'data/{name}/000.png').read_bytes())
    (path,) = re.findall(r"'(work_dirs/[^']+\.pth)'", example)
    (tmp_path / path).parent.mkdir(parents=True)
    torch.save(MODELS.build(load_config(TINY).model).state_dict(), path)
    scope = {}
    exec(example, scope)
    assert scope['result']['fused'][0].shape == (32, 48, 3)
    assert len(list(tmp_path.glob('fusion/fused/*.png'))) == 2
