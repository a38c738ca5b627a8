"""Finished runs, read from their work folders."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

# Written next to the metrics, but none.
NO_METRICS = ('data_time', 'time', 'step', 'memory')


@dataclass
class Run:
    """What a work folder holds of one run."""

    folder: Path
    config_name: str
    seed: int | None
    """None where it is not known: the folder of a test whose training is not there any more."""
    config: dict[str, object]
    """The config, flat: dotted key to value."""
    results: dict[str, dict[str, float]]
    """'test' and 'val', as far as there are any: metric to value."""


def flatten(value: object, prefix: str = '') -> dict[str, object]:
    """Nested mappings and sequences to one level.

    Args:
        value (object): Such as a config.
        prefix (str): Put in front of the keys.

    Returns:
        dict[str, object]: Dotted keys, such as ``train_dataloader.dataset.pipeline.0.type``.

    Examples:
        >>> flatten(dict(model=dict(steps=2, size=[4, 8])))
        {'model.steps': 2, 'model.size.0': 4, 'model.size.1': 8}
    """
    items: Iterable[tuple[object, object]]
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {prefix: value}
    flat = {}
    for key, entry in items:
        flat.update(flatten(entry, f'{prefix}.{key}' if prefix else str(key)))
    return flat


def read_run(folder: Path) -> Run:
    """Read a work folder.

    mmengine writes ``NAME.py``, the config, and a folder per start: ``TIME/vis_data/scalars.json`` has a line per
    record of training and validation, ``TIME/vis_data/config.py`` the config of that start; ``TIME/TIME.json`` is a
    test.

    Args:
        folder (Path): Work folder.

    Returns:
        Run: With the latest results.

    Raises:
        FileNotFoundError: There is no such folder, no config in it or no finished run.
        ValueError: It holds runs of several configs.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     test = Path(folder, '20240101_120000/20240101_120000.json')
        ...     test.parent.mkdir()
        ...     _ = test.write_text('{"mIoU": 71.5, "time": 0.1}')
        ...     _ = Path(folder, 'tiny.py').write_text('steps = 2')
        ...     run = read_run(Path(folder))
        >>> run.config_name, run.config, run.results
        ('tiny', {'steps': 2}, {'test': {'mIoU': 71.5}})
    """
    run = read_work_folder(folder)
    if not run.results:
        raise FileNotFoundError(
            f'{folder} has no finished run: neither a test nor a validation after the last '
            'iteration (train_cfg.max_iters or max_epochs). Finish the training, or test a '
            f'checkpoint of it with --work-dir {folder}'
        )
    return run


def read_work_folder(folder: Path) -> Run:
    """As :func:`read_run`, of a run that need not be finished.

    Args:
        folder (Path): Work folder.

    Returns:
        Run: Without results where there are none yet.

    Raises:
        FileNotFoundError: There is no such folder, or no config in it.
        ValueError: It holds runs of several configs.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, 'tiny.py').write_text('randomness = dict(seed=3)')
        ...     run = read_work_folder(Path(folder))
        >>> run.config_name, run.seed, run.results
        ('tiny', None, {})
    """
    path = _config_in(folder)
    cfg = _read_config(path)
    trainings = _trainings(folder, cfg)
    trained = trainings[-1].cfg if trainings else _config_beside_checkpoint(cfg)
    seed = None if trained is None else (trained.get('randomness') or {}).get('seed')
    return Run(folder, path.stem, seed, flatten((trained or cfg).to_dict()), _results(folder, trainings))


def _config_in(folder: Path) -> Path:
    """The only config in a work folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f'no work folder at {folder}')
    configs = sorted(folder.glob('*.py'))
    if not configs:
        raise FileNotFoundError(f'{folder} is no work folder of a run: there is no config (NAME.py) in it')
    if len(configs) > 1:
        raise ValueError(
            f'{folder} holds runs of several configs ({", ".join(path.name for path in configs)}); give '
            'each run a work folder of its own'
        )
    return configs[0]


def _read_config(path: Path) -> Config:
    # A dumped config has no bases and needs none of the modules that its run needed.
    return Config.fromfile(path, import_custom_modules=False)


@dataclass
class _Training:
    """A start of a training."""

    log: Path
    cfg: Config


def _starts(folder: Path) -> list[Path]:
    """Folders of the starts. The names are times: the latest comes last."""
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _trainings(folder: Path, cfg: Config) -> list[_Training]:
    trainings = []
    for start in _starts(folder):
        log, config = start / 'vis_data/scalars.json', start / 'vis_data/config.py'
        if log.is_file():
            trainings.append(_Training(log, _read_config(config) if config.is_file() else cfg))
    return trainings


def _results(folder: Path, trainings: Sequence[_Training]) -> dict[str, dict[str, float]]:
    """The latest of each kind of results."""
    results = {}
    for training in trainings:
        validation = _last_validation(training, folder)
        if validation is not None:
            results['val'] = validation
    for start in _starts(folder):
        test = start / f'{start.name}.json'
        if test.is_file():
            results['test'] = _metrics_of(json.loads(test.read_text()))
    return results


def _metrics_of(record: dict[str, object]) -> dict[str, float]:
    metrics = {}
    for name, value in record.items():
        if name in NO_METRICS or isinstance(value, bool):
            continue
        if isinstance(value, (int, float)):
            metrics[name] = float(value)
    return metrics


def _last_validation(training: _Training, folder: Path) -> dict[str, float] | None:
    """The validation after the last iteration, from a training log; None if the training did not get there."""
    train_cfg = training.cfg.get('train_cfg') or {}
    last = train_cfg.get('max_iters', train_cfg.get('max_epochs'))
    validations = _validations(training.log)
    if not validations or last is None:
        return None
    # The step may count epochs while the run counts iterations; then the name of the last checkpoint tells.
    unit = 'iter' if 'max_iters' in train_cfg else 'epoch'
    finished = validations[-1].get('step') == last or _last_checkpoint(folder) == f'{unit}_{last}'
    return _metrics_of(validations[-1]) if finished else None


def _validations(log: Path) -> list[dict[str, object]]:
    """Records of a log that are of validations."""
    records = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    # Lines of training have the iteration, those of validation only the step at which they were written.
    return [record for record in records if 'iter' not in record and _metrics_of(record)]


def _last_checkpoint(folder: Path) -> str:
    """Name of the last checkpoint without its ending; empty if there is none."""
    marker = folder / 'last_checkpoint'
    return Path(marker.read_text().strip()).stem if marker.is_file() else ''


def _config_beside_checkpoint(cfg: Config) -> Config | None:
    """Where a run was only a test, its training is where the checkpoint was; None if that is not there any more."""
    checkpoint = cfg.get('load_from')
    if not checkpoint:
        return None
    configs = sorted(Path(checkpoint).parent.glob('*.py'))
    return _read_config(configs[0]) if len(configs) == 1 else None
