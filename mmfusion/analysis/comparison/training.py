"""One run from its start to its figures, through tools/train.py and tools/test.py."""

import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmfusion.command_line import EXPECTED_ERRORS

from ..work_folders import read_run
from .plan import PlannedRun
from .processes import Processes, Stopped, last_lines, work_through
from .records import ANEW, KEEP, RESUME, TRAIN, Record, as_json, discard, read_record

LOG = 'comparison.log'
_TOLD_LINES = 15


class RunFailedError(Exception):
    """A run came to no figures."""


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    run: PlannedRun
    seconds: float
    """That it took in this call."""
    results: dict[str, float] | None
    """Metric to value; None after a failure."""
    error: str = ''
    """What went wrong, with the last lines of the log."""


@dataclass(frozen=True)
class Trainer:
    """Carries runs out."""

    tools: Path
    """Folder of train.py and test.py."""
    split: str = 'val'
    """'val', the validation after the last iteration, or 'test'."""
    keep_checkpoints: bool = False
    """Whether checkpoints stay after the evaluation."""
    python: str = sys.executable

    def commands(self, run: PlannedRun, step: str) -> list[list[str]]:
        """What is started for a run.

        Args:
            run (PlannedRun): The run.
            step (str): What is left to do, of :func:`~.records.next_step`.

        Returns:
            list[list[str]]: One after the other. CHECKPOINT stands for one that is yet to be trained.
        """
        if step == KEEP:
            return []
        commands = []
        if step in (TRAIN, RESUME, ANEW):
            commands.append(self._train(run, resume=step == RESUME))
        if self.split == 'test':
            record = None if step == ANEW else read_record(run.folder)
            checkpoint = record.checkpoint if record and record.checkpoint else 'CHECKPOINT'
            commands.append(self._test(run, run.folder / checkpoint))
        return commands

    def _train(self, run: PlannedRun, resume: bool) -> list[str]:
        command = [self.python, str(self.tools / 'train.py'), str(run.entry.path), '--work-dir', str(run.folder)]
        return [*command, *(['--resume'] if resume else []), '--cfg-options', *run.options]

    def _test(self, run: PlannedRun, checkpoint: Path) -> list[str]:
        command = [self.python, str(self.tools / 'test.py'), str(run.entry.path), str(checkpoint)]
        return [*command, '--work-dir', str(run.folder), '--cfg-options', *run.options]

    def carry_out(self, run: PlannedRun, step: str, processes: Processes) -> Outcome:
        """Train and evaluate, as far as that is left to do.

        Args:
            run (PlannedRun): The run.
            step (str): What is left to do.
            processes (Processes): Starts them.

        Returns:
            Outcome: With results or an error.
        """
        started = time.monotonic()
        try:
            if step == ANEW:
                discard(run)
            record = read_record(run.folder) or Record(as_json(run.config))
            record.write(run.folder)  # From here on the folder is known to be of this config.
            try:
                results = self._results(run, step, record, processes)
            finally:
                record.seconds += time.monotonic() - started
                record.write(run.folder)
        except Stopped:
            return Outcome(run, time.monotonic() - started, None, 'stopped')
        except (RunFailedError, *EXPECTED_ERRORS) as error:
            return Outcome(run, time.monotonic() - started, None, str(error))
        return Outcome(run, time.monotonic() - started, results)

    def _results(self, run: PlannedRun, step: str, record: Record, processes: Processes) -> dict[str, float]:
        log = run.folder / LOG
        if record.checkpoint is None:
            _succeed(processes, self._train(run, resume=step == RESUME), log)
            record.checkpoint = _last_checkpoint(run.folder)
            record.write(run.folder)
        if self.split == 'test':
            _succeed(processes, self._test(run, run.folder / record.checkpoint), log)
        found = read_run(run.folder).results
        if self.split not in found:
            raise RunFailedError(f'{run.folder} has no validation after the last iteration; see train_cfg, or use test')
        record.results.update(found)
        if not self.keep_checkpoints:
            for path in run.folder.glob('*.pth'):
                path.unlink()
        return found[self.split]


def _succeed(processes: Processes, command: list[str], log: Path) -> None:
    status = processes.run(command, log)
    if status:
        lines = '\n    '.join(last_lines(log, _TOLD_LINES))
        raise RunFailedError(f'{Path(command[1]).name} ended with status {status}; the end of {log}:\n    {lines}')


def _last_checkpoint(folder: Path) -> str:
    """Name of the file that the training wrote last."""
    marker = folder / 'last_checkpoint'
    name = Path(marker.read_text(encoding='utf-8').strip()).name if marker.is_file() else ''
    if not (folder / name).is_file():
        raise RunFailedError(f'the training left no checkpoint in {folder}; set default_hooks.checkpoint')
    return name


def carry_out_all(
    trainer: Trainer, plan: Sequence[PlannedRun], steps: Sequence[str], jobs: int, processes: Processes
) -> Generator[Outcome, None, None]:
    """Carry out what is left to do, several runs at a time.

    Args:
        trainer (Trainer): Carries out.
        plan (Sequence[PlannedRun]): All runs.
        steps (Sequence[str]): What is left to do for each.
        jobs (int): Runs at a time.
        processes (Processes): All of them are stopped when the loop over the outcomes is left early.

    Yields:
        Outcome: As soon as a run has ended.
    """
    todo = [(run, step) for run, step in zip(plan, steps) if step != KEEP]

    def work(job: tuple[PlannedRun, str]) -> Outcome:
        return trainer.carry_out(*job, processes)

    yield from work_through(todo, work, jobs, processes.stop)


def remaining_seconds(done: Sequence[Outcome], left: int, jobs: int) -> float:
    """How long what is left will take, as long as the others took.

    Args:
        done (Sequence[Outcome]): At least one.
        left (int): Runs that have not ended.
        jobs (int): Runs at a time.

    Returns:
        float: Seconds, without those that running ones have already taken.

    Examples:
        >>> remaining_seconds([Outcome(None, 60.0, {}), Outcome(None, 120.0, {})], left=3, jobs=2)
        135.0
    """
    # A run that fails at once says nothing about the others.
    counted = [outcome.seconds for outcome in done if not outcome.error] or [outcome.seconds for outcome in done]
    return sum(counted) / len(counted) * left / min(jobs, max(left, 1))
