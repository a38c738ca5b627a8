"""A run that is told to stop: what is finished, what is saved, and with which status it leaves."""

import os
import signal
import threading
import time

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader
from torch.utils.data.dataloader import _SingleProcessDataLoaderIter

from mmfusion.engine import atomic_files
from mmfusion.engine.stop_signals import StopSignals


def names(folder):
    return sorted(path.name for path in folder.glob('*') if path.is_file() and path.suffix != '.py')


def iteration_of(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')['meta']['iter']


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


def test_a_worker_that_ended_in_the_same_moment(monkeypatch, forget_handlers):
    """Both signals are noted before either is handled; Python reported the second as having no function any more."""
    reports, sent = [], []  # A process that an earlier test has left may end meanwhile.
    me = threading.get_ident()  # Signals to the process may be noted by another thread, in any order.
    monkeypatch.setattr('sys.unraisablehook', reports.append)
    signal.signal(signal.SIGCHLD, lambda *_: sent and reports.append('as before'))
    stop, both = StopSignals(reports.append), (signal.SIGTERM, signal.SIGCHLD)
    stop.start()
    with stop.hold():
        signal.pthread_sigmask(signal.SIG_BLOCK, both)
        for number in both:
            signal.pthread_kill(me, number)
        sent.append(True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    stop.end()
    assert reports == [signal.SIGTERM]


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


def test_before_anything_was_done(run, tmp_path, capfd, forget_handlers):
    """A resumed run that is stopped at once has nothing to save."""

    class AtOnce(Hook):
        priority = 'LOWEST'

        def before_train(self, runner):
            os.kill(os.getpid(), signal.SIGTERM)

    run(max_iters=2)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'run').glob('*.pth')}
    with pytest.raises(SystemExit):
        run(max_iters=3, resume=True, hooks=[AtOnce()])
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'run').glob('*.pth')} == before
    assert 'SIGTERM: stopped after iteration 2, nothing new to save; go on with' in capfd.readouterr().err


def test_a_second_signal_stops_at_once(run, tmp_path):
    """In the middle of an iteration, in a process of its own."""

    class Twice(Hook):
        priority = 'VERY_LOW'

        def before_train_iter(self, runner, *args, **kwargs):
            if runner.iter == 1:
                os.kill(os.getpid(), signal.SIGTERM)
                (tmp_path / 'heard once').touch()
                os.kill(os.getpid(), signal.SIGTERM)
                (tmp_path / 'still there').touch()

    process = os.fork()
    if not process:
        try:
            run(checkpoint=dict(interval=100), hooks=[Twice()])
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGTERM
    assert (tmp_path / 'heard once').exists()
    assert not (tmp_path / 'still there').exists()
    assert not list((tmp_path / 'run').glob('*.pth'))


@pytest.fixture
def cut_off(monkeypatch):
    """Function after which the data of the third iteration cannot be read; a signal, if any, comes just before."""

    def after(number):
        real, calls = _SingleProcessDataLoaderIter._next_data, []

        def next_data(self):
            calls.append(None)
            if len(calls) == 3:
                if number:
                    os.kill(os.getpid(), number)
                raise ConnectionResetError(104, 'Connection reset by peer')
            return real(self)

        monkeypatch.setattr(_SingleProcessDataLoaderIter, '_next_data', next_data)

    return after


LOOPS = [dict(type='IterBasedTrainLoop', max_iters=4, val_interval=9), dict(type='EpochBasedTrainLoop', max_epochs=4)]


@pytest.mark.parametrize('loop', LOOPS, ids=['iterations', 'epochs'])
def test_a_signal_takes_the_workers_as_well(run, cut_off, tmp_path, forget_handlers, loop):
    """What they were sending cannot be read any more."""
    cut_off(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        run(checkpoint=dict(interval=100), train_cfg=loop)
    assert stopped.value.code == 143
    assert iteration_of((tmp_path / 'run/last_checkpoint').read_text()) == 2


@pytest.mark.parametrize('loop', LOOPS, ids=['iterations', 'epochs'])
def test_without_a_signal_that_is_an_error(run, cut_off, forget_handlers, loop):
    cut_off(None)
    with pytest.raises(ConnectionResetError):
        run(checkpoint=dict(interval=100), train_cfg=loop)


@pytest.fixture
def patient(forget_handlers):
    acts = []
    stop = StopSignals(lambda number: acts.append(number), patience=0.3)
    stop.start()
    yield stop, acts
    stop.end()


def test_what_comes_next_is_waited_for(patient):
    """Data are on their way: they are taken, and the iteration is not begun."""
    stop, acts = patient
    os.kill(os.getpid(), signal.SIGTERM)
    assert acts == []
    stop.take()
    assert acts == [signal.SIGTERM]


def test_but_not_for_ever(patient):
    """The worker that was to send them may be gone."""
    _, acts = patient
    os.kill(os.getpid(), signal.SIGTERM)
    deadline = time.monotonic() + 5
    while not acts and time.monotonic() < deadline:
        time.sleep(0.01)
    assert acts == [signal.SIGTERM]
