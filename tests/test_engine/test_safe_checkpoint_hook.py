"""Checkpoints that are never lost: order of the writes, what a run is resumed from, signals."""

import errno
import os
import signal
import zipfile

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader

from mmfusion.engine import atomic_files
from mmfusion.engine.atomic_files import write_atomically

SAFE = dict(type='SafeCheckpointHook', by_epoch=False, interval=1)


@pytest.fixture
def run(make_runner, tmp_path):
    """Function that trains in one folder and gives the runner."""

    def start(max_iters=4, hooks=(), checkpoint=None, folder='run', **options):
        runner = make_runner(
            work_dir=tmp_path / folder,
            max_iters=max_iters,
            hooks=[dict(type='IterSeedHook'), *hooks],
            default_hooks=dict(checkpoint={**SAFE, **(checkpoint or {})}),
            **options,
        )
        runner.train()
        return runner

    return start


def names(folder):
    return sorted(path.name for path in folder.glob('*') if path.is_file() and path.suffix != '.py')


def iteration_of(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')['meta']['iter']


# Files ---------------------------------------------------------------------------------------------------------------
def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'folder/file'
    write_atomically(path, b'old')
    steps = []

    def fails(descriptor):
        steps.append(path.read_bytes())  # The former content, as long as the new one is not on the disk.
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(atomic_files.os, 'fsync', fails)
    with pytest.raises(
        OSError, match=r'folder/file could not be written \(No space left on device\): it takes 3.0 MiB'
    ) as told:
        write_atomically(path, b'new' * 2**20)
    assert told.value.errno == errno.ENOSPC
    assert 'MiB were free on that disk; what was there before is untouched' in str(told.value)
    assert steps == [b'old']
    assert names(path.parent) == ['file']
    assert path.read_bytes() == b'old'
    with pytest.raises(OSError, match='nothing is left of it'):
        write_atomically(tmp_path / 'other', b'new')


def test_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    order = []
    for name in ('fsync', 'replace'):
        real = getattr(os, name)
        monkeypatch.setattr(
            atomic_files.os, name, lambda *args, real=real, name=name: (order.append(name), real(*args))[1]
        )
    write_atomically(tmp_path / 'file', b'content')
    assert order == ['fsync', 'replace', 'fsync']  # The last one of the folder.


# Order ---------------------------------------------------------------------------------------------------------------
class Watch(Hook):
    """What is in the folder whenever something takes its name or goes."""

    def __init__(self, folder, monkeypatch):
        self.seen = []
        for name in ('replace', 'remove'):
            real = getattr(os, name)

            def spy(*args, real=real, name=name):
                value = real(*args)
                if str(folder) in str(args[0]):
                    self.seen.append((name, os.path.basename(args[-1]), names(folder)))
                return value

            monkeypatch.setattr(os, name, spy)


def test_the_older_one_goes_last(run, tmp_path, monkeypatch):
    watch = Watch(tmp_path / 'run', monkeypatch)
    run(max_iters=3, checkpoint=dict(max_keep_ckpts=1))
    assert [step[:2] for step in watch.seen] == [
        ('replace', 'iter_1.pth'),
        ('replace', 'last_checkpoint'),
        ('replace', 'iter_2.pth'),
        ('replace', 'last_checkpoint'),
        ('remove', 'iter_1.pth'),
        ('replace', 'iter_3.pth'),
        ('replace', 'last_checkpoint'),
        ('remove', 'iter_2.pth'),
    ]
    # There never was a moment without a whole one.
    assert all([name for name in found if name.endswith('.pth')] for _, _, found in watch.seen)
    assert names(tmp_path / 'run') == ['iter_3.pth', 'last_checkpoint']
    assert (tmp_path / 'run/last_checkpoint').read_text() == str(tmp_path / 'run/iter_3.pth')


def test_the_best_one_goes_after_the_better_one_is_there(run, tmp_path, monkeypatch):
    class Better(Hook):
        """mIoU grows from one validation to the next."""

        priority = 'VERY_HIGH'

        def after_val_epoch(self, runner, metrics=None):
            metrics['mIoU'] = float(runner.iter)

    watch = Watch(tmp_path / 'run', monkeypatch)
    run(
        max_iters=3,
        hooks=[Better()],
        checkpoint=dict(save_best='mIoU', max_keep_ckpts=1),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=1),
    )
    for step, name, found in watch.seen:
        if step == 'remove' and name.startswith('best'):
            assert sum(other.startswith('best') for other in found) == 1, found
    assert [step[:2] for step in watch.seen if 'best' in step[1]] == [
        ('replace', 'best_mIoU_iter_1.pth'),
        ('replace', 'best_mIoU_iter_2.pth'),
        ('remove', 'best_mIoU_iter_1.pth'),
        ('replace', 'best_mIoU_iter_3.pth'),
        ('remove', 'best_mIoU_iter_2.pth'),
    ]
    assert names(tmp_path / 'run') == ['best_mIoU_iter_3.pth', 'iter_3.pth', 'last_checkpoint']


@pytest.mark.parametrize('checkpoint', [dict(), dict(max_keep_ckpts=2), dict(interval=2, max_keep_ckpts=1)])
def test_leaves_what_mmengine_leaves(run, make_runner, tmp_path, checkpoint):
    run(max_iters=5, checkpoint=checkpoint)
    plain = make_runner(
        work_dir=tmp_path / 'plain',
        max_iters=5,
        hooks=[dict(type='IterSeedHook')],
        default_hooks=dict(checkpoint={**SAFE, 'type': 'CheckpointHook', **checkpoint}),
    )
    plain.train()
    assert names(tmp_path / 'run') == names(tmp_path / 'plain')
    for path in (tmp_path / 'plain').glob('*.pth'):
        ours, theirs = (
            CheckpointLoader.load_checkpoint(str(each), 'cpu') for each in (tmp_path / 'run' / path.name, path)
        )
        assert all(torch.equal(ours['state_dict'][name], value) for name, value in theirs['state_dict'].items())
        ids = [content['message_hub']['runtime_info'].get('keep_ckpt_ids') for content in (ours, theirs)]
        assert ids[0] == ids[1]


def test_a_full_disk(run, tmp_path, monkeypatch):
    """Training stops, and what was saved before is there."""
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 4:  # A file, its folder, the pointer, its folder.
            raise OSError(errno.ENOSPC, 'No space left on device')
        real(descriptor)

    monkeypatch.setattr(atomic_files.os, 'fsync', full)
    with pytest.raises(OSError, match=r'iter_2\.pth could not be written \(No space left on device\)'):
        run(checkpoint=dict(max_keep_ckpts=1))
    assert names(tmp_path / 'run') == ['iter_1.pth', 'last_checkpoint']
    monkeypatch.setattr(atomic_files.os, 'fsync', real)
    assert run(resume=True).iter == 4


# Going on ------------------------------------------------------------------------------------------------------------
def damage(path, how):
    content = path.read_bytes()
    if how == 'cut':
        path.write_bytes(content[: len(content) // 2])
    elif how == 'flipped':
        with zipfile.ZipFile(path) as file:
            at = content.index(max((file.read(name) for name in file.namelist()), key=len))
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'weights only':
        torch.save(dict(state_dict=dict(weight=torch.zeros(1))), path)
    elif how == 'gone':
        path.unlink()


@pytest.mark.parametrize(
    ('how', 'told'),
    [
        ('cut', 'iter_3.pth cannot be read'),
        ('flipped', 'iter_3.pth is damaged: the checksum of'),
        ('empty', 'iter_3.pth cannot be read'),
        ('weights only', 'iter_3.pth holds no state of a run'),
        ('gone', 'which is not there'),
    ],
)
def test_the_newest_that_can_be_loaded(run, tmp_path, how, told):
    whole = run(max_iters=3)
    damage(tmp_path / 'run/iter_3.pth', how)
    resumed = run(max_iters=3, resume=True, log_level='INFO')
    text = max((tmp_path / 'run').rglob('*.log'), key=lambda path: path.stat().st_mtime_ns).read_text()
    assert 'Not resumed from the newest checkpoint' in text
    assert told in text
    assert 'resumed epoch: 0, iter: 2' in text
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


@pytest.mark.parametrize('pointer', ['', '/nowhere/iter_9.pth', '\n'])
def test_a_pointer_to_nothing(run, tmp_path, pointer):
    run(max_iters=2)
    (tmp_path / 'run/last_checkpoint').write_text(pointer)
    assert run(max_iters=3, resume=True).iter == 3
    assert names(tmp_path / 'run') == ['iter_1.pth', 'iter_2.pth', 'iter_3.pth', 'last_checkpoint']


def test_a_folder_that_was_moved(run, tmp_path):
    run(max_iters=2)
    (tmp_path / 'run').rename(tmp_path / 'elsewhere')
    assert run(max_iters=3, folder='elsewhere', resume=True).iter == 3
    assert not (tmp_path / 'run').exists()


def test_nothing_to_go_on_from(run, tmp_path):
    assert run(max_iters=1, resume=True).iter == 1
    for path in (tmp_path / 'run').glob('*.pth'):
        path.write_text('no checkpoint')
    with pytest.raises(
        ValueError, match=r'no checkpoint in .* can be resumed from: .*iter_1\.pth cannot be read.*Take them away'
    ):
        run(max_iters=2, resume=True)


def test_what_the_config_names_is_left_to_it(run, tmp_path):
    run(max_iters=3)
    resumed = run(max_iters=3, resume=True, load_from=str(tmp_path / 'run/iter_1.pth'), folder='other')
    assert names(tmp_path / 'other') == ['iter_2.pth', 'iter_3.pth', 'last_checkpoint']
    assert resumed.iter == 3


def log_of(folder):
    return max(folder.rglob('*.log'), key=lambda path: path.stat().st_mtime_ns).read_text()


def test_what_is_another_than_before_is_said(run, make_runner, tmp_path, pair_folder):
    run(max_iters=2)
    run(max_iters=3, resume=True, log_level='INFO')
    assert 'Resumed with' not in log_of(tmp_path / 'run')
    other = make_runner(
        work_dir=tmp_path / 'run', max_iters=4, default_hooks=dict(checkpoint=SAFE), resume=True, log_level='INFO'
    )
    other.cfg.train_dataloader.batch_size = 3
    other._train_dataloader.batch_size = 3
    other._train_dataloader.dataset.data_root = str(pair_folder(tmp_path / 'others', number=3))
    other.train()
    text = log_of(tmp_path / 'run')
    assert 'Resumed with train_dataloader.batch_size=3, where it was 2 before.' in text
    assert 'number of training pairs=3, where it was 6' in text
    assert 'others' in text


def test_a_finished_run_says_so(run, tmp_path):
    run(max_iters=2)
    before = (tmp_path / 'run/iter_2.pth').read_bytes()
    run(max_iters=2, resume=True, log_level='INFO')
    assert 'Nothing to do: the run is finished, at iteration 2 of 2.' in log_of(tmp_path / 'run')
    assert (tmp_path / 'run/iter_2.pth').read_bytes() == before


def test_parts_of_an_earlier_run_are_removed(run, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/.iter_7.pth.part').write_bytes(b'half')
    run(max_iters=1)
    assert names(tmp_path / 'run') == ['iter_1.pth', 'last_checkpoint']


# Signals -------------------------------------------------------------------------------------------------------------
class Signal(Hook):
    """Sends this process a signal at a place of an iteration."""

    def __init__(self, place, iteration, number=signal.SIGTERM):
        self.iteration, self.number, self.sent = iteration, number, 0
        setattr(self, place, self.send)

    def send(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.iteration:
            self.sent += 1
            os.kill(os.getpid(), self.number)


@pytest.fixture
def forget_handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('place', ['before_train_iter', 'after_train_iter'])
@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_iteration_ends_and_is_saved(run, tmp_path, capfd, forget_handlers, place, number, status):
    whole = run(max_iters=4, checkpoint=dict(interval=100), folder='whole')
    with pytest.raises(SystemExit) as stopped:
        run(checkpoint=dict(interval=100), hooks=[Signal(place, 2, number)])
    assert stopped.value.code == status
    # A signal between two iterations, before anything of the next one is done, saves what there is.
    done = iteration_of((tmp_path / 'run/last_checkpoint').read_text())
    assert done == (1 if place == 'before_train_iter' else 2)
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f'{signal.Signals(number).name}: stopped after iteration {done}, saved as ')
    assert last.endswith('--resume')
    assert {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)} == {
        name: forget_handlers[name] for name in (signal.SIGINT, signal.SIGTERM)
    }
    resumed = run(checkpoint=dict(interval=100), resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_nothing_is_saved_twice(run, tmp_path, forget_handlers):
    class Count(Hook):
        saved = 0

        def before_save_checkpoint(self, runner, checkpoint):
            Count.saved += 1

    with pytest.raises(SystemExit):
        run(hooks=[Signal('after_train_iter', 2), Count()])
    assert Count.saved == 2
    assert names(tmp_path / 'run') == ['iter_1.pth', 'iter_2.pth', 'last_checkpoint']


def test_the_file_is_finished(run, tmp_path, monkeypatch, forget_handlers):
    """A signal in the middle of a write."""
    real, calls = os.replace, []

    def replace(source, target):
        calls.append(target)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        real(source, target)

    monkeypatch.setattr(atomic_files.os, 'replace', replace)
    with pytest.raises(SystemExit):
        run()
    assert names(tmp_path / 'run') == ['iter_1.pth', 'iter_2.pth', 'last_checkpoint']
    assert iteration_of(tmp_path / 'run/iter_2.pth') == 2


@pytest.mark.parametrize(('interval', 'validations'), [(1, [1]), (100, [1, 2])])
def test_during_a_validation(run, tmp_path, forget_handlers, interval, validations):
    """At once if all is saved, at its end otherwise: a running mean may be in the place of the model."""

    ended = []

    class Told(Hook):
        """In the first of three batches of the second validation."""

        def before_val_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 2 and batch_idx == 0:
                os.kill(os.getpid(), signal.SIGTERM)

        def after_val_epoch(self, runner, metrics=None):
            ended.append(runner.iter)

    with pytest.raises(SystemExit):
        run(
            hooks=[Told()],
            checkpoint=dict(interval=interval),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=4, val_interval=1),
        )
    assert ended == validations
    assert iteration_of((tmp_path / 'run/last_checkpoint').read_text()) == 2


def test_signals_can_be_left_alone(run, forget_handlers):
    heard = []
    signal.signal(signal.SIGTERM, lambda *args: heard.append(args[0]))
    runner = run(max_iters=3, checkpoint=dict(stop_signals=False), hooks=[Signal('after_train_iter', 2)])
    assert (runner.iter, heard) == (3, [signal.SIGTERM])


def test_signals_after_an_error_are_left_to_others(run, forget_handlers):
    """mmengine tells no hook that a training has failed."""

    class Fails(Hook):
        def before_train_iter(self, runner, *args, **kwargs):
            raise ValueError('no more')

    heard = []
    signal.signal(signal.SIGTERM, lambda *args: heard.append(args[0]))
    with pytest.raises(ValueError, match='no more'):
        run(hooks=[Fails()])
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]
