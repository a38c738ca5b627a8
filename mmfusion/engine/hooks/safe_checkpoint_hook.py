"""Checkpoints that survive whatever happens while they are written, and a run that saves itself when it is stopped."""

import inspect
import logging
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmfusion.engine.atomic_files import ATOMIC, write_atomically
from mmfusion.engine.buffers import average_buffers_of_run
from mmfusion.engine.latest_checkpoint import POINTER, latest_checkpoint
from mmfusion.engine.stop_signals import AwaitedBatches, StopSignals
from mmfusion.registry import HOOKS

# How often several processes agree on whether one of them was told to stop: that takes a message between them.
_AGREE_EVERY = 10
# How long a signal waits for data that are on their way from a worker, in seconds; one that it has ended sends none.
_PATIENCE = 2.0
_BY_ITERATION = 'iter_{}.pth'
# What is to be removed as soon as a checkpoint is there, by its name in that checkpoint.
_OUTDATED = 'outdated_ckpts'
_FACTS = 'trained_with'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook, with its options, that never loses the last good file.

    - A checkpoint is written beside the older ones, brought to the disk, and only then takes its name; then
      ``last_checkpoint`` is replaced in the same way; then what is not to be kept is removed. A kill at any moment
      leaves a file to go on from, and a full disk leaves the older one.
    - ``resume=True`` takes the newest checkpoint that can be loaded, and says why it passes others over.
    - SIGINT and SIGTERM let the iteration end, save, say how to go on, and leave with status 130 or 143; the second one
      stops at once. During a validation they stop at once if all is saved, otherwise at its end. Several processes
      agree on it every ten iterations.
    - Several processes average the running statistics of their norms before these are saved and before they are tested:
      each has seen pairs of its own, and only those of the first one would be kept. Running means that other hooks keep
      (``EMAHook``, ``AttributionFusionLossHook``) are treated in the same way.
    - A run that is resumed with another batch size or data set, or when it is finished, says so.

    Files elsewhere than on a local disk are left to their backend.

    Args:
        *args: As for :class:`mmengine.hooks.CheckpointHook`.
        stop_signals (bool): Whether to save at SIGINT and SIGTERM. False leaves signals alone.
        **kwargs: Likewise.

    Raises:
        TypeError: An argument that there is none of, or a number that is none.
        OSError: While training: a checkpoint could not be written. The message names the path and the free space.

    Examples:
        >>> SafeCheckpointHook(interval=100, by_epoch=False, max_keep_ckpts=2).interval
        100
    """

    backend_args: dict | None
    file_backend: Any

    def __init__(self, *args: Any, stop_signals: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # mmengine hands what it does not know to the writer, at the first checkpoint.
        unknown = sorted(set(self.args) - set(inspect.signature(Runner.save_checkpoint).parameters))
        if unknown:
            raise TypeError(f'SafeCheckpointHook has no argument {", ".join(unknown)}; it has those of CheckpointHook')
        for name in ('interval', 'max_keep_ckpts', 'save_begin'):
            if not isinstance(getattr(self, name), int):
                raise TypeError(f'{name} must be a whole number, got {name}={getattr(self, name)!r}')
        self.stop_signals = stop_signals
        self._runner: Runner | None = None
        self._stop = StopSignals(self._save_and_leave, self._is_training, _PATIENCE)
        self._done = 0  # Iterations that are complete.
        self._saved: int | None = None  # As many of them as are in the last checkpoint.
        self._validating = False
        self._patience = self._stop.patience
        self._before: dict[str, Any] | None = None

    # Going on ------------------------------------------------------------------------------------------------------
    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint that a run is resumed from, unless the config names one."""
        if not runner._resume or runner._load_from is not None or not _is_local(self._folder(runner)):
            return
        templates = {self.filename_tmpl, _BY_ITERATION}
        found = latest_checkpoint(runner.work_dir, self._folder(runner), sorted(templates))
        for reason in found.passed_over:
            runner.logger.warning(f'Not resumed from the newest checkpoint: {reason}')
        if found.path is not None:
            runner._load_from = str(found.path)

    def _folder(self, runner: Runner) -> str:
        """Where checkpoints are, as mmengine has it."""
        if self.out_dir in (None, runner.work_dir):
            return runner.work_dir
        return str(Path(self.out_dir) / Path(runner.work_dir).name)

    def before_train(self, runner: Runner) -> None:
        """Prepare the folder, and listen to signals."""
        folder = self._folder(runner)
        if self.backend_args is None and self.file_client_args is None and _is_local(folder):
            self.backend_args = dict(backend=ATOMIC)
            if is_main_process():
                for part in Path(folder).glob('.*.part'):
                    runner.logger.warning(f'{part} was being written when an earlier run ended; it is removed')
                    part.unlink()
        with _without_deprecations():
            super().before_train(runner)
        if runner._resume and is_main_process():
            # A kill came between the last checkpoint and this.
            self._remove_all(runner.message_hub.runtime_info.get(_OUTDATED) or [])
        self._mention_changes(runner)
        self._runner, self._done, self._saved = runner, runner.iter, None
        if runner._resume and runner._has_loaded:
            self._saved = runner.iter
        if self.stop_signals:
            self._stop.start()
            loop: Any = runner.train_loop
            name = 'dataloader_iterator' if hasattr(loop, 'dataloader_iterator') else 'dataloader'
            setattr(loop, name, AwaitedBatches(getattr(loop, name), self._stop))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember how the checkpoint was trained."""
        self._before = (checkpoint.get('meta') or {}).get(_FACTS)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Say in the checkpoint how it was trained."""
        checkpoint['meta'][_FACTS] = _facts(runner)

    def _mention_changes(self, runner: Runner) -> None:
        """Say what is another than before, and that there is nothing to do, if so."""
        if not runner._resume or not runner._has_loaded:
            return
        now = _facts(runner)
        for name, value in (self._before or {}).items():
            if name in now and now[name] != value:
                runner.logger.warning(f'Resumed with {name}={now[name]!r}, where it was {value!r} before.')
        if runner.iter >= runner.max_iters:
            runner.logger.warning(
                f'Nothing to do: the run is finished, at iteration {runner.iter} of {runner.max_iters}. A larger '
                'train_cfg.max_iters (max_epochs) goes on.'
            )

    # Writing -------------------------------------------------------------------------------------------------------
    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = []
        if self.max_keep_ckpts > 0 and step not in list(self.keep_ckpt_ids)[-1:]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.filename_tmpl.format(self.keep_ckpt_ids[0]))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        # One that a signal left in the middle of an epoch has no place among those that are kept.
        left = runner.message_hub.runtime_info.get('stopped_ckpt')
        if left is not None:
            outdated.append(left)
            runner.message_hub.update_info('stopped_ckpt', None)
        if isinstance(self.file_backend, _RemovedLater):
            outdated += [Path(path).name for path in self.file_backend.outdated]
        runner.message_hub.update_info(_OUTDATED, outdated)
        self._write(runner, self.filename_tmpl.format(step), meta)
        if is_main_process():
            self._remove_all(outdated)

    def _remove_all(self, names: Iterable[str]) -> None:
        """Remove checkpoints, some of which may be folders of a strategy, unless they are those of now."""
        best = [getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()]
        backend = getattr(self.file_backend, 'backend', self.file_backend)
        for name in names:
            path = backend.join_path(self.out_dir, name)
            if path in [*best, self.last_ckpt]:
                continue
            if backend.isfile(path):
                backend.remove(path)
            elif backend.isdir(path):
                backend.rmtree(path)

    def _write(self, runner: Runner, name: str, meta: dict) -> None:
        """Write a checkpoint, then the pointer to it."""
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._saved = meta['iter']
        average_buffers_of_run(runner)
        with self._stop.hold(), _without_deprecations():
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                write_atomically(Path(runner.work_dir) / POINTER, str(self.last_ckpt).encode())

    def _save_best_checkpoint(self, runner: Runner, metrics: Mapping[str, float]) -> None:
        later = _RemovedLater(self.file_backend)
        self.file_backend = later
        try:
            with _without_deprecations():
                super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = later.backend
        if is_main_process():
            self._remove_all(Path(path).name for path in later.outdated)

    # Stopping ------------------------------------------------------------------------------------------------------
    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """From here on the state is between two iterations."""
        self._stop.take()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save where it is due; stop where that was asked for."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._done = runner.iter + 1
        if get_world_size() > 1 and self.stop_signals and self._done % _AGREE_EVERY == 0:
            self._agree()
        self._stop.give()

    def _agree(self) -> None:
        """Let all processes stop if one was told to."""
        told = torch.tensor(self._stop.received or 0)
        all_reduce(told, 'max')
        if told:
            self._leave_together(int(told))

    def before_val_epoch(self, runner: Runner) -> None:
        """Test what is saved. The model may be another one from here on, such as a running mean of itself."""
        average_buffers_of_run(runner)
        self._validating = True
        self._stop.patience, self._patience = 0, self._stop.patience

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Save the best one; stop if that was asked for meanwhile."""
        super().after_val_epoch(runner, metrics)
        self._validating = False
        self._stop.patience = self._patience
        if self._stop.received is not None and self._runner is not None:
            self._save_and_leave(self._stop.received)

    def after_train(self, runner: Runner) -> None:
        """Publish what is to be published, and leave signals alone."""
        super().after_train(runner)
        self._stop.end()

    def _is_training(self, frame: FrameType | None) -> bool:
        """Whether the runner is at work: mmengine tells nobody when an error has ended a training."""
        while frame is not None:
            if frame.f_code.co_name == 'train' and frame.f_locals.get('self') is self._runner:
                return True
            frame = frame.f_back
        return False

    def _save_and_leave(self, number: int) -> None:
        """What a signal leads to, as soon as no iteration and no file is half done."""
        if get_world_size() > 1 or (self._validating and self._saved != self._done):
            return  # Later: when all processes agree, or when the validation is over.
        self._leave_together(number)

    def _leave_together(self, number: int) -> None:
        runner = self._runner
        assert runner is not None
        if self._saved != self._done:
            meta = dict(epoch=runner.epoch, iter=self._done)
            if self.by_epoch:
                name = _BY_ITERATION.format(self._done)
                runner.message_hub.update_info('stopped_ckpt', name)
                self._write(runner, name, meta)
            else:
                self._save_checkpoint_with_step(runner, self._done, meta)
        self._stop.end()
        if is_main_process():
            name = signal.Signals(number).name
            saved = f'saved as {self.last_ckpt}' if self.last_ckpt else 'nothing new to save'
            print(
                f'{name}: stopped after iteration {self._done}, {saved}; go on with: {_command()}',
                file=sys.stderr,
                flush=True,
            )
        raise SystemExit(128 + number)


class _RemovedLater:
    """A file backend that notes what is to be removed."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.outdated: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    rmtree = remove


def _facts(runner: Runner) -> dict[str, Any]:
    """What makes a resumed run another one than it was."""
    loader = runner.train_dataloader
    dataset = loader.dataset
    return {
        'train_dataloader.batch_size': loader.batch_size,
        'world size': get_world_size(),
        'train_dataloader.dataset.type': type(dataset).__name__,
        'train_dataloader.dataset.data_root': str(getattr(dataset, 'data_root', None)),
        'number of training pairs': len(dataset),
    }


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """Leave out that the hook and the writer of mmengine use what mmengine has deprecated: it stands in every run."""
    logger = MMLogger.get_current_instance()

    def passes(record: logging.LogRecord) -> bool:
        return not any(name in record.getMessage() for name in ('"FileClient"', '"HardDiskBackend"'))

    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)


def _is_local(folder: str) -> bool:
    return isinstance(get_file_backend(folder), LocalBackend)


def _command() -> str:
    """What was started, with ``--resume``."""
    if get_world_size() > 1:
        return 'the command that this was started by, and --resume'
    words = [word for word in sys.orig_argv if word != '--resume']
    words[0] = Path(words[0]).name
    return shlex.join([*words, '--resume'])
