"""Which runs a comparison takes: every config with every seed, with the options that each is started with."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmfusion.command_line import read_config, runner_parser

from ..work_folders import flatten
from .entries import Entry

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_SEED = 'randomness.seed'


@dataclass(frozen=True)
class PlannedRun:
    """One config with one seed."""

    entry: Entry
    seed: int
    folder: Path
    """Its work folder."""
    options: tuple[str, ...]
    """What follows ``--cfg-options``: KEY=VALUE, the seed among them."""
    config: dict[str, Any]
    """The resolved config, flat."""

    @property
    def name(self) -> str:
        """str: Name of the folder."""
        return self.folder.name


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE as tools/train.py reads them.

    Args:
        options (Sequence[str]): What follows ``--cfg-options``.

    Returns:
        dict[str, Any]: Dotted keys to values.

    Raises:
        ValueError: One of them has no '='.

    Examples:
        >>> parse_options(['model.fusion.channels=16', 'a.b=[1,2]'])
        {'model.fusion.channels': 16, 'a.b': [1, 2]}
    """
    for option in options:
        if '=' not in option:
            raise ValueError(f'--cfg-options takes KEY=VALUE, got {option!r}')
    arguments = ['config', *(['--cfg-options', *options] if options else [])]
    return runner_parser(None).parse_args(arguments).cfg_options or {}


def data_root_options(cfg: Config, root: str) -> list[str]:
    """Options that move the data of a config.

    Args:
        cfg (Config): With loaders for training, validation and test.
        root (str): The new folder. Where loaders have folders of their own, it stands for the one that they share.

    Returns:
        list[str]: KEY=VALUE for every ``data_root``.

    Raises:
        ValueError: The config has none.

    Examples:
        >>> loaders = {name: dict(dataset=dict(data_root='data/x')) for name in LOADERS}
        >>> data_root_options(Config(loaders), '/mnt/x')[0]
        'train_dataloader.dataset.data_root=/mnt/x'
    """
    roots = {}
    for loader in LOADERS:
        for key, value in flatten((cfg.get(loader) or {}).get('dataset') or {}).items():
            if key.split('.')[-1] == 'data_root':
                roots[f'{loader}.dataset.{key}'] = os.path.normpath(str(value))
    if not roots:
        raise ValueError('the config has no data_root to replace: its data are no files, or it names them otherwise')
    shared = os.path.commonpath(list(roots.values()))
    return [f'{key}={os.path.normpath(Path(root, os.path.relpath(old, shared)))}' for key, old in roots.items()]


def plan_runs(
    entries: Sequence[Entry],
    seeds: Sequence[int],
    work_dir: Path,
    options: Sequence[str] = (),
    data_roots: Mapping[str, str] | None = None,
) -> list[PlannedRun]:
    """All runs of a comparison.

    Args:
        entries (Sequence[Entry]): Its configs.
        seeds (Sequence[int]): Each config is trained with each of them.
        work_dir (Path): The work folders are ``work_dir/CONFIGNAME_sSEED``.
        options (Sequence[str]): KEY=VALUE for every config.
        data_roots (Mapping[str, str], optional): Folders of data by data set, with or without its crop.

    Returns:
        list[PlannedRun]: Seed by seed, so that a comparison that is stopped early has something of every method.

    Raises:
        ValueError: A seed comes twice or in the options, a data root is for no data set, or its config has none.
    """
    _check_plan(entries, seeds, options, data_roots or {})
    resolved = [_resolve(entry, list(options), data_roots or {}) for entry in entries]
    plan = []
    for seed in seeds:
        for entry, (own_options, config) in zip(entries, resolved):
            seeded = (*own_options, f'{_SEED}={seed}')
            folder = work_dir / f'{entry.name}_s{seed}'
            plan.append(PlannedRun(entry, seed, folder, seeded, {**config, _SEED: seed}))
    return plan


def _check_plan(
    entries: Sequence[Entry], seeds: Sequence[int], options: Sequence[str], data_roots: Mapping[str, str]
) -> None:
    if len(set(seeds)) < len(seeds) or not seeds or min(seeds) < 0:
        raise ValueError(f'seeds must differ and not be negative, got {" ".join(map(str, seeds)) or "none"}')
    if any(option.startswith(f'{_SEED}=') for option in options):
        raise ValueError(f'{_SEED} is what --seeds sets; leave it out of --cfg-options')
    known = {name for entry in entries for name in (entry.dataset, entry.field)}
    for name in data_roots:
        if name not in known:
            raise ValueError(
                f'--data-root {name}=...: no config is on {name!r}; they are on {", ".join(sorted(known))}'
            )


def _resolve(entry: Entry, options: list[str], data_roots: Mapping[str, str]) -> tuple[list[str], dict[str, Any]]:
    """Options of a config, and what it then is."""
    root = data_roots.get(entry.field, data_roots.get(entry.dataset))
    if root is not None:
        try:
            options = [*data_root_options(read_config(entry.path), root), *options]
        except ValueError as error:
            raise ValueError(f'--data-root {entry.dataset}={root} for {entry.path}: {error}') from error
    return options, flatten(read_config(entry.path, parse_options(options)).to_dict())
