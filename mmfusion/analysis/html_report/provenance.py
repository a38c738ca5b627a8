"""When, where and with what runs were made, as far as they recorded it."""

import re
from collections.abc import Iterable
from pathlib import Path

from mmfusion.version import __version__

from .runs import ReportRun
from .study import Study

# Of mmengine's list of the environment, what is told, and how.
_FIELDS = ('sys.platform', 'Python', 'PyTorch', 'MMEngine', 'OpenCV', 'CUDA available', 'CPU capability usage')
_GPU = re.compile(r'GPU [\d,]+')
_LINE = re.compile(r'[\s-]*([^:]+): (.+)')
_HEAD = 120
"""Lines of a log that the environment is among."""


def read_environment(folder: Path) -> dict[str, str]:
    r"""What mmengine wrote about the environment at the head of a run's newest log.

    Args:
        folder (Path): Work folder.

    Returns:
        dict[str, str]: Such as 'Python', 'PyTorch' and 'GPU 0'; empty without a log.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, '1').mkdir()
        ...     _ = Path(folder, '1/1.log').write_text('    PyTorch: 2.9\n    GPU 0,1: A100\n  - C++ Version: 17')
        ...     read_environment(Path(folder))
        {'PyTorch': '2.9', 'GPU 0,1': 'A100'}
    """
    logs = sorted(folder.glob('*/*.log'))
    if not logs:
        return {}
    found: dict[str, str] = {}
    with logs[-1].open(encoding='utf-8', errors='replace') as file:
        for _, line in zip(range(_HEAD), file):
            match = _LINE.fullmatch(line.rstrip())
            if match and (match[1] in _FIELDS or _GPU.fullmatch(match[1])):
                found.setdefault(match[1], match[2].split(' (')[0])
    return found


def _told(runs: Iterable[ReportRun]) -> dict[str, list[str]]:
    """Every value that some run has, by field."""
    told: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, value in read_environment(run.folder).items():
            told.setdefault(name, {})[value] = None
    return {name: list(values) for name, values in told.items()}


def _versions(told: dict[str, list[str]]) -> str:
    names = [name for name in _FIELDS if name in told and name not in ('CUDA available', 'CPU capability usage')]
    parts = [f'{name.removeprefix("sys.")} {" and ".join(told[name])}' for name in names]
    return ', '.join(parts) if parts else 'not recorded'


def _hardware(told: dict[str, list[str]]) -> str:
    gpus = [f'{name}: {" and ".join(values)}' for name, values in told.items() if _GPU.fullmatch(name)]
    if gpus:
        return ', '.join(gpus)
    if told.get('CUDA available') == ['False']:
        capability = ' and '.join(told.get('CPU capability usage', []))
        return f'CPU{f" ({capability})" if capability else ""}, no GPU'
    return 'not recorded'


def _dates(runs: Iterable[ReportRun]) -> str:
    starts = sorted(start for run in runs for start in run.starts)
    if not starts:
        return 'not recorded'
    first, last = (f'{start:%Y-%m-%d %H:%M}' for start in (starts[0], starts[-1]))
    return first if first == last else f'{first} to {last} (first and last start)'


def _data(study: Study) -> str:
    told = []
    for column in study.scores.columns:
        kinds: dict[str, None] = {}
        for run in study.runs:
            if study.column(run.entry) == column and 'test_dataloader.dataset.type' in run.config:
                kinds[str(run.config['test_dataloader.dataset.type'])] = None
        told.append(f'{column} ({", ".join(kinds)})' if kinds else column)
    return ', '.join(told)


def facts(study: Study, command: str) -> dict[str, str]:
    """The head of the page.

    Args:
        study (Study): What it is about.
        command (str): That makes the page.

    Returns:
        dict[str, str]: Heading to text.
    """
    told = _told(study.runs)
    methods = study.scores.methods
    baselines = [method for method in methods if study.scores.is_baseline(method)]
    others = [method for method in methods if method not in baselines]
    figures = {
        'Methods': ', '.join(others),
        'Baselines': ', '.join(baselines) or 'none; name some by --baselines',
        'Data sets': _data(study),
        'Results': _kind_of_results(study.split),
        'Runs': _count_runs(study),
        'Dates': _dates(study.runs),
        'Versions': f'{_versions(told)}; this page: mmfusion {__version__}',
        'Hardware': _hardware(told),
        'Made by': command,
    }
    return {name: text for name, text in figures.items() if text}


def _kind_of_results(split: str) -> str:
    return 'test pairs, last checkpoint' if split == 'test' else 'validation after the last iteration'


def _count_runs(study: Study) -> str:
    finished = len(study.runs) - len(study.problems())
    seeds = ', '.join(map(str, study.seeds)) or 'not recorded'
    told = f'{len(study.runs)}, of which {finished} have results; seeds {seeds}'
    return told + (', and some that are not recorded' if any(run.seed is None for run in study.runs) else '')
