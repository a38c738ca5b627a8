"""What is known of a run from earlier calls: its config, and its figures as far as it got."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..report_files import write_text
from ..run_summary import differing_keys
from .plan import PlannedRun

RECORD = 'comparison.json'
SPLITS = ('val', 'test')
KEEP, TRAIN, RESUME, EVALUATE, ANEW = 'keep', 'train', 'resume', 'evaluate', 'train anew'
# What a run may be continued with: it changes no figure.
INCIDENTAL = ('work_dir', 'launcher', 'log_level', 'experiment_name', 'visualizer.', 'vis_backends', 'env_cfg.')
INCIDENTAL_ENDS = ('.num_workers', '.persistent_workers')


@dataclass
class Record:
    """The file ``comparison.json`` in the folder of a run."""

    config: dict[str, Any]
    """The resolved config, flat, as JSON has it."""
    checkpoint: str | None = None
    """Name of the last checkpoint; None until the training is finished."""
    seconds: float = 0.0
    """Spent in training and evaluation, all calls together."""
    results: dict[str, dict[str, float]] = field(default_factory=dict)
    """'val' and 'test', as far as there are any."""

    def write(self, folder: Path) -> None:
        """Write the file.

        Args:
            folder (Path): Of the run; made where there is none.
        """
        # An interruption must not leave half of a file.
        draft = folder / f'{RECORD}.new'
        write_text(draft, json.dumps(asdict(self), indent=1) + '\n')
        draft.replace(folder / RECORD)


def as_json(config: dict[str, Any]) -> dict[str, Any]:
    """A flat config as it comes back from a file.

    Examples:
        >>> as_json({'a': (1, 2), 'b': 1.0, 'c': int})
        {'a': [1, 2], 'b': 1.0, 'c': "<class 'int'>"}
    """
    return json.loads(json.dumps(config, default=str))


def read_record(folder: Path) -> Record | None:
    """The record of a run.

    Args:
        folder (Path): Of the run.

    Returns:
        Record | None: None where there is no folder, or nothing in it.

    Raises:
        ValueError: The folder holds something else, or its record cannot be read.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Record({'a': 1}).write(Path(folder))
        ...     read_record(Path(folder)).config
        {'a': 1}
    """
    path = folder / RECORD
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(f'{folder} was not made by a comparison (no {RECORD} in it); choose another work dir')
        return None
    try:
        return Record(**json.loads(path.read_text(encoding='utf-8')))
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path} cannot be read ({error}); remove {folder} to train that run anew') from error


def next_step(run: PlannedRun, split: str, force: bool = False) -> str:
    """What is left to do for a run.

    Args:
        run (PlannedRun): The run.
        split (str): 'val' or 'test': the results that are wanted.
        force (bool): Whether a run of another config may be thrown away.

    Returns:
        str: ``KEEP``, it has its results; ``EVALUATE``, they can be had from its checkpoint; ``RESUME``, it was
        interrupted or failed; ``TRAIN``, there is nothing of it; ``ANEW``, what is there has to go: it is of another
        config, or its checkpoint, which the evaluation needs, is gone.

    Raises:
        ValueError: It is of another config; the message names what differs.
    """
    record = read_record(run.folder)
    if record is None:
        return TRAIN
    differing = differing_keys(record.config, as_json(run.config), INCIDENTAL, INCIDENTAL_ENDS)
    if differing:
        if force:
            return ANEW
        raise ValueError(f'{run.folder} is of another config: {"; ".join(_told(record, run, differing))}')
    if split in record.results:
        return KEEP
    if record.checkpoint is None:
        return RESUME
    return EVALUATE if (run.folder / record.checkpoint).is_file() else ANEW


def _told(record: Record, run: PlannedRun, differing: Sequence[str], most: int = 4) -> list[str]:
    """What differs, with both values."""
    now = as_json(run.config)
    lines = [f'{key} was {record.config.get(key, "absent")}, is {now.get(key, "absent")}' for key in differing[:most]]
    return lines if len(differing) <= most else [*lines, f'and {len(differing) - most} more']


def next_steps(plan: Sequence[PlannedRun], split: str, force: bool = False) -> list[str]:
    """What is left to do for each run.

    Args:
        plan (Sequence[PlannedRun]): All runs.
        split (str): See :func:`next_step`.
        force (bool): As there.

    Returns:
        list[str]: As there.

    Raises:
        ValueError: Some are of another config, or their folders hold something else; all of them are named.
    """
    steps, refused = [], []
    for run in plan:
        try:
            steps.append(next_step(run, split, force))
        except ValueError as error:
            refused.append(str(error))
    if refused:
        shown = [*refused[:5], *([f'{len(refused) - 5} more such runs'] if len(refused) > 5 else [])]
        raise ValueError(
            f'{". ".join(shown)}. Runs of another config are trained anew with --force; or choose another --work-dir'
        )
    return steps


def discard(run: PlannedRun) -> None:
    """Remove the folder of a run, if a comparison made it.

    Args:
        run (PlannedRun): The run.

    Raises:
        ValueError: The folder holds something else.
    """
    if (run.folder / RECORD).is_file():
        shutil.rmtree(run.folder)
    else:
        read_record(run.folder)  # Refuses what is not ours.
