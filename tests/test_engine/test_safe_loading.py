"""Nothing in a checkpoint is executed, whoever loads it."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from mmfusion.apis import FusionInferencer
from mmfusion.engine import CheckpointError, only_weights, trust_checkpoints
from mmfusion.engine.safe_loading import load_data_only


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


class Shell(Touch):
    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


class Reach:
    """Reaches into a module by getattr, which mmengine's own files need."""

    def __reduce__(self):
        return getattr, (torch._utils._rebuild_tensor, '__globals__')


class OtherName:
    """An attribute of the one class that getattr is for, but no statistic."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


@pytest.fixture
def touched(tmp_path):
    return tmp_path / 'touched'


@pytest.fixture
def evil(tmp_path, touched, model_config):
    """Function of what is hidden in a checkpoint, as new and as plain pickle, that gives the file."""

    def make(what=Shell, plain=False, **content):
        path = tmp_path / 'evil.pth'
        content = dict(
            content, meta=dict(epoch=0, iter=1, hidden=what(str(touched)) if what in (Touch, Shell) else what())
        )
        if plain:
            path.write_bytes(pickle.dumps(content))
        else:
            torch.save(dict(state_dict=dict(weight=torch.zeros(2)), **content), path)
        return str(path)

    return make


@pytest.mark.parametrize(
    'load', [CheckpointLoader.load_checkpoint, lambda path: load_checkpoint(nn.Linear(1, 2), path)]
)
@pytest.mark.parametrize(
    ('what', 'told'), [(Shell, r'posix\.system'), (Touch, r'pathlib'), (Reach, r'builtins\.getattr')]
)
def test_refused(evil, touched, load, what, told):
    with pytest.raises(CheckpointError, match=rf'evil\.pth holds more than data, namely {told}.*--trust-checkpoint'):
        load(evil(what))
    assert not touched.exists()


def test_only_statistics_of_a_history_buffer(evil):
    with pytest.raises(CheckpointError, match=r'namely builtins\.getattr'):
        CheckpointLoader.load_checkpoint(evil(OtherName))


@pytest.mark.parametrize('what', [Shell, Touch])
def test_a_plain_pickle_is_refused(evil, touched, what):
    with pytest.raises(CheckpointError):
        CheckpointLoader.load_checkpoint(evil(what, plain=True))
    assert not touched.exists()


def test_trusted(evil, touched):
    with trust_checkpoints(False), pytest.raises(CheckpointError):
        CheckpointLoader.load_checkpoint(evil())
    with trust_checkpoints(), trust_checkpoints(False):  # Changes nothing.
        CheckpointLoader.load_checkpoint(evil())
    assert touched.exists()
    touched.unlink()
    with pytest.raises(CheckpointError):  # Only there.
        CheckpointLoader.load_checkpoint(evil())
    assert not touched.exists()


def test_init_cfg(evil, touched):
    class Backbone(BaseModule):
        def __init__(self, path):
            super().__init__(dict(type='Pretrained', checkpoint=path))
            self.layer = nn.Linear(1, 2)

    with pytest.raises(CheckpointError):
        Backbone(evil()).init_weights()
    assert not touched.exists()


@pytest.mark.parametrize('options', [dict(), dict(resume=True)])
def test_load_from_and_resume(evil, touched, make_runner, options):
    with pytest.raises(CheckpointError):
        make_runner(load_from=evil(), **options).train()
    assert not touched.exists()


def test_resume_of_the_folder(evil, touched, make_runner, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/last_checkpoint').write_text(evil())
    with pytest.raises(CheckpointError):
        make_runner(work_dir=tmp_path / 'run', resume=True).train()
    assert not touched.exists()


def test_inferencer(evil, touched, paired_config):
    with pytest.raises(CheckpointError):
        FusionInferencer(str(paired_config((32, 48), 2)), evil(), device='cpu')
    assert not touched.exists()


def test_what_mmengine_writes_is_loaded(tmp_path):
    """Histories, arrays and numbers of numpy, whose classes are allowed meanwhile and not after it."""
    before = set(torch.serialization.get_safe_globals())
    content = dict(
        state_dict=dict(weight=torch.ones(2)),
        history=HistoryBuffer([0.7, 0.5], [1, 1]),
        array=np.arange(3.0),
        number=np.float64(2.5),
        text=np.array(['a', 'b']),
    )
    torch.save(content, tmp_path / 'run.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'run.pth'), map_location='cpu')
    assert loaded['history'].mean() == pytest.approx(0.6)
    assert loaded['history'].statistics('current') == 0.5
    assert (loaded['array'].tolist(), float(loaded['number']), loaded['text'].tolist()) == ([0, 1, 2], 2.5, ['a', 'b'])
    assert set(torch.serialization.get_safe_globals()) == before
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


@pytest.mark.parametrize('name', ['TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'])
def test_switches_of_the_user_come_back(evil, touched, monkeypatch, name):
    monkeypatch.setenv(name, '1')
    with pytest.raises(CheckpointError):
        CheckpointLoader.load_checkpoint(evil())
    assert os.environ[name] == '1'
    assert not touched.exists()


def test_torch_itself_is_left_alone(evil, touched):
    with only_weights(), pytest.raises(pickle.UnpicklingError):
        torch.load(evil(), weights_only=False)
    torch.load(evil(), weights_only=False)
    assert touched.exists()


def test_once_is_enough():
    before = CheckpointLoader.load_checkpoint.__func__
    load_data_only()
    assert CheckpointLoader.load_checkpoint.__func__ is before


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        (b'', 'cannot be read: it is no file of PyTorch, or was cut off'),
        (b'just some text\n', 'cannot be read: it is no file of PyTorch, or was cut off'),
        (b'\x80\x04K\x01.', r'cannot be read|holds a int'),
    ],
)
def test_other_files(tmp_path, content, told):
    (tmp_path / 'notes.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'notes\.pth {told}') as error:
        CheckpointLoader.load_checkpoint(str(tmp_path / 'notes.pth'))
    assert len(str(error.value).splitlines()) == 1


def test_a_list(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match=r'list\.pth holds a list, not weights by name'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'list.pth'))


def test_damage_that_pytorch_does_not_see(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save(dict(weight=torch.arange(1000.0)), path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        at = content.index(file.read('weights/data/0')) + 402
    path.write_bytes(content[:at] + b'\x7f' + content[at + 1 :])
    assert not torch.equal(torch.load(path)['weight'], torch.arange(1000.0))
    with pytest.raises(CheckpointError, match='is damaged: the checksum of weights/data/0'):
        CheckpointLoader.load_checkpoint(str(path))


def test_missing_files_are_told_as_before(tmp_path):
    with pytest.raises(FileNotFoundError):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'nothing.pth'))
