"""Runs that a page is about: where they are, what came of them, and why nothing did."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mmfusion.apis import config_names
from mmfusion.engine.latest_checkpoint import POINTER

from ..comparison.entries import BASELINE_FOLDER, Entry, read_entry
from ..comparison.processes import last_lines
from ..comparison.records import RECORD, Record, read_record
from ..comparison.training import LOG
from ..work_folders import read_work_folder
from .scalars import read_scalars

_START = re.compile(r'\d{8}_\d{6}')
_SEED = re.compile(r'(?P<config>.+)_s(?P<seed>\d+)')
_ERROR = re.compile(r'(error: .+|\w*(Error|Exception|Interrupt|Killed)\b.*)')
# Enough for the traceback of an exception that was raised while another one was handled.
_LAST_LINES = 80


@dataclass
class ReportRun:
    """A run, finished or not."""

    folder: Path
    entry: Entry
    """Method and data set, by the name of the config."""
    seed: int | None
    """None where it is not known."""
    config: dict[str, object] = field(default_factory=dict)
    """Flat; empty where it cannot be read."""
    results: dict[str, dict[str, float]] = field(default_factory=dict)
    """'val' and 'test', as far as there are any."""
    seconds: float | None = None
    """Spent in training and evaluation; known of runs of compare.py."""
    problem: str = ''
    """Why it has no results; empty where it has some."""
    command: tuple[str, ...] = ()
    """That trained it, as far as it was recorded."""

    @property
    def starts(self) -> list[datetime]:
        """list[datetime]: When it was started, in order; from the names that mmengine gives to folders."""
        names = sorted(path.name for path in self.folder.iterdir() if _START.fullmatch(path.name))
        return [datetime.strptime(name, '%Y%m%d_%H%M%S') for name in names]

    @property
    def checkpoint(self) -> Path | None:
        """Path | None: The last one, if it was kept."""
        pointer = self.folder / POINTER
        if pointer.is_file():
            # The name counts: the folder may have moved since.
            named = self.folder / Path(pointer.read_text(encoding='utf-8').strip()).name
            if named.is_file():
                return named
        numbered = {path: re.fullmatch(r'(?:iter|epoch)_(\d+)', path.stem) for path in self.folder.glob('*.pth')}
        numbers = {path: int(match[1]) for path, match in numbered.items() if match}
        return max(numbers, key=lambda path: numbers[path]) if numbers else None


def is_run(folder: Path) -> bool:
    """Whether a folder is the work folder of a run, of tools/train.py, tools/test.py or compare.py.

    Args:
        folder (Path): That exists.

    Returns:
        bool: Also for a run that failed at once.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, '20240101_120000').mkdir()
        ...     is_run(Path(folder)), is_run(Path(folder, '20240101_120000'))
        (True, False)
    """
    if (folder / RECORD).is_file() or _SEED.fullmatch(folder.name):
        return True
    return any(_START.fullmatch(path.name) and path.is_dir() for path in folder.iterdir())


def find_runs(work_dirs: Sequence[Path]) -> list[Path]:
    """Folders of runs.

    Args:
        work_dirs (Sequence[Path]): Each is a run, or a folder of runs.

    Returns:
        list[Path]: Each once, in the order of the names where they are in one folder.

    Raises:
        FileNotFoundError: A folder is not there, or neither a run nor a folder of runs.
    """
    found: dict[Path, Path] = {}
    for folder in work_dirs:
        if not folder.is_dir():
            raise FileNotFoundError(f'no work folder at {folder}')
        inside = [folder] if is_run(folder) else sorted(path for path in folder.iterdir() if path.is_dir())
        runs = [path for path in inside if is_run(path)]
        if not runs:
            raise FileNotFoundError(
                f'{folder} is neither the work folder of a run nor a folder of some; give the --work-dir of '
                'tools/train.py, tools/test.py or tools/analysis_tools/compare.py'
            )
        for path in runs:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def read_report_run(folder: Path, baselines: Sequence[str] | None = None) -> ReportRun:
    """Read a run; whatever is wrong with it is told in it.

    Args:
        folder (Path): Its work folder.
        baselines (Sequence[str], optional): Methods that are baselines. By default those whose config is in a folder
            ``baselines``: as the command that trained it has it, else among the configs of this project.

    Returns:
        ReportRun: With results or a problem.
    """
    command = _command(folder)
    match = _SEED.fullmatch(folder.name)
    name, seed = (match['config'], int(match['seed'])) if match else (folder.name, None)
    try:
        record = read_record(folder) if (folder / RECORD).is_file() else None
        run = _of_training(folder, command, baselines) if record is None else None
    except Exception as error:  # A config is a program, and may fail in any way.
        problem = ' '.join(str(error).split())
        return ReportRun(folder, find_entry(name, command, baselines), seed, problem=problem, command=command)
    if run is None:
        assert record is not None
        run = _of_record(folder, record, find_entry(name, command, baselines, record.config))
        run.command = command
    if not run.results:
        run.problem = why_unfinished(run)
    return run


def _of_record(folder: Path, record: Record, entry: Entry) -> ReportRun:
    seed = record.config.get('randomness.seed')
    return ReportRun(
        folder, entry, seed if isinstance(seed, int) else None, record.config, record.results, record.seconds
    )


def _of_training(folder: Path, command: Sequence[str], baselines: Sequence[str] | None) -> ReportRun:
    run = read_work_folder(folder)
    entry = find_entry(run.config_name, command, baselines, run.config)
    return ReportRun(folder, entry, run.seed, run.config, run.results)


def _command(folder: Path) -> tuple[str, ...]:
    """The first one in the log of compare.py."""
    log = folder / LOG
    if not log.is_file():
        return ()
    with log.open(encoding='utf-8', errors='replace') as file:
        first = file.readline()
    try:
        return tuple(shlex.split(first[2:])) if first.startswith('$ ') else ()
    except ValueError:
        return ()


def find_entry(
    name: str, command: Sequence[str], baselines: Sequence[str] | None, config: dict[str, object] | None = None
) -> Entry:
    """Method and data set of a run.

    Args:
        name (str): Of its config.
        command (Sequence[str]): That trained it; empty where it is not known.
        baselines (Sequence[str], optional): Methods that are baselines.
        config (dict[str, object], optional): Flat; tells the data set where the name does not.

    Returns:
        Entry: A name without data set is a method.

    Examples:
        >>> entry = find_entry('tiny', (), None, {'test_dataloader.dataset.type': 'CWFIDDataset'})
        >>> entry.method, entry.dataset, entry.is_baseline
        ('tiny', 'CWFID', False)
        >>> find_entry('late_unet_cwfid', ('train.py', 'configs/baselines/late_unet_cwfid.py'), None).is_baseline
        True
    """
    paths = [Path(word) for word in command if Path(word).stem == name and word.endswith('.py')]
    path = [*paths, config_names().get(name, Path(f'{name}.py'))][0]
    try:
        return read_entry(path, baselines)
    except ValueError:
        kind = str((config or {}).get('test_dataloader.dataset.type', 'data'))
        dataset = kind.rpartition('.')[2].removesuffix('Dataset') or kind
        is_baseline = path.parent.name == BASELINE_FOLDER if baselines is None else name in baselines
        return Entry(path, name, '', dataset, '', is_baseline)


def why_unfinished(run: ReportRun) -> str:
    """Why a run has no results.

    Args:
        run (ReportRun): Without results.

    Returns:
        str: A sentence: the error that its log ends with, or how far it got.
    """
    error = _last_error(run.folder)
    reached = [int(record['iter']) for record in read_scalars(run.folder) if 'iter' in record]
    length = run.config.get('train_cfg.max_iters')
    of = f' of {length}' if length is not None else ''
    progress = f'iteration {reached[-1]}{of}' if reached else 'no iteration logged'
    if error:
        return f'failed: {error} ({progress})'
    if run.checkpoint is not None:
        return f'neither validated after the last iteration nor tested ({progress}, {run.checkpoint.name} is there)'
    return f'stopped, or still running ({progress})'


def _last_error(folder: Path) -> str:
    """The line that tells it; empty where the last start has none."""
    logs = [folder / LOG, *sorted(folder.glob('*/*.log'))[-1:]]
    lines = next((found for found in (last_lines(log, _LAST_LINES) for log in logs) if found), [])
    for line in reversed(lines):
        if line.startswith('$ '):
            break
        match = _ERROR.fullmatch(line.strip())
        if match:
            return match[0][:300]
    return ''
