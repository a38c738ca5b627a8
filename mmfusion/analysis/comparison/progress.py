"""Carrying out a comparison and telling how far it is."""

import math
import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from .plan import PlannedRun
from .processes import Processes
from .records import KEEP
from .training import LOG, Outcome, Trainer, carry_out_all, remaining_seconds


def span(seconds: float) -> str:
    """A time as people say it.

    Examples:
        >>> span(42.4), span(100), span(9000)
        ('42 s', '2 min', '2 h 30 min')
    """
    if seconds < 100:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return f'{minutes} min' if minutes < 100 else f'{minutes // 60} h {minutes % 60:02d} min'


def plan_text(trainer: Trainer, plan: Sequence[PlannedRun], steps: Sequence[str]) -> str:
    """What would be run.

    Args:
        trainer (Trainer): That would run it.
        plan (Sequence[PlannedRun]): All runs.
        steps (Sequence[str]): What is left to do for each.

    Returns:
        str: A line for each run, and below it the commands.
    """
    lines = []
    for run, step in zip(plan, steps):
        lines.append(f'{step:10}  {run.name}')
        lines += [f'            {shlex.join(command)}' for command in trainer.commands(run, step)]
    return '\n'.join(lines)


def _tell(done: Sequence[Outcome], total: int, jobs: int) -> None:
    """Print the line of the run that ended last."""
    outcome, left = done[-1], total - len(done)
    figures = (
        f'FAILED: {outcome.error}' if outcome.results is None else f'mIoU {outcome.results.get("mIoU", math.nan):.2f}'
    )
    line = f'[{len(done)}/{total}] {outcome.run.name}: {figures}, {span(outcome.seconds)}'
    if left:
        line += f'; about {span(remaining_seconds(done, left, jobs))} to go'
    print(line, flush=True)


def run_plan(
    trainer: Trainer, plan: Sequence[PlannedRun], steps: Sequence[str], work_dir: Path, jobs: int, threads: int
) -> bool:
    """Carry out what is left to do, and print a line for each run that ends.

    Args:
        trainer (Trainer): Carries out.
        plan (Sequence[PlannedRun]): All runs.
        steps (Sequence[str]): What is left to do for each.
        work_dir (Path): Where their folders are.
        jobs (int): Runs at a time.
        threads (int): Threads of each.

    Returns:
        bool: Whether all of it came to figures.
    """
    total = sum(step != KEEP for step in steps)
    print(f'{len(plan)} runs, {total} of them to do, {jobs} at a time; logs: {work_dir}/*/{LOG}', flush=True)
    done: list[Outcome] = []
    with closing(carry_out_all(trainer, plan, steps, jobs, Processes(threads))) as outcomes:
        for outcome in outcomes:
            done.append(outcome)
            _tell(done, total, jobs)
    return all(outcome.results is not None for outcome in done)
