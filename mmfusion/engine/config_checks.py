"""What of a config can be seen to be wrong before anything is built."""

import difflib
import inspect
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmfusion.registry import OPTIMIZERS

# What a runner, mmseg's tools or this project's read, whether or not a config says it.
_TOP = {
    *list(inspect.signature(Runner.__init__).parameters)[1:],
    'activation_checkpointing',
    'auto_scale_lr',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
_LOADER = {*inspect.signature(DataLoader.__init__).parameters, 'num_batch_per_epoch', 'disable_subprocess_warning'}
# Parts that are no module with a type of its own, and what they may hold.
_PARTS = {
    'default_hooks': {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'randomness': {'seed', 'diff_rank_seed', 'deterministic'},
    **{f'{split}_dataloader': _LOADER - {'self'} for split in ('train', 'val', 'test')},
}


def check_overrides(cfg: Config, overrides: Mapping[str, Any] | None) -> None:
    """Refuse an override that nobody would read.

    A module with a ``type`` refuses arguments that it has not when it is built; what is looked at here are the parts of
    a config that mmengine reads by name, where a key that is misspelt would have no effect.

    Args:
        cfg (Config): Before they are merged.
        overrides (Mapping[str, Any], optional): Dotted keys to values, as ``--cfg-options`` has them.

    Raises:
        ValueError: A key is unknown; the message has the nearest ones.

    Examples:
        >>> cfg = Config(dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=10)))
        >>> check_overrides(cfg, {'train_cfg.max_iters': 20})
        >>> check_overrides(cfg, {'train_cfgg.max_iters': 20})
        Traceback (most recent call last):
        ValueError: the config has no train_cfgg (from train_cfgg.max_iters); the nearest: train_cfg, val_cfg, env_cfg
    """
    overrides = overrides or {}
    for option in overrides:
        place: Any = cfg._cfg_dict
        known: Iterable[str] | None = {*place, *_TOP}
        path = ''
        for word in option.split('.'):
            # Whatever gets a type becomes a module of its own.
            if known is not None and word not in known and f'{path}{word}.type' not in overrides:
                _refuse(option, f'{path}{word}', path, word, known)
            path += f'{word}.'
            place = _into(place, word)
            part = path[:-1]
            known = {*(place or ()), *_PARTS[part]} if part in _PARTS else None


def _into(place: Any, word: str) -> Any:
    if isinstance(place, Mapping):
        return place.get(word)
    if isinstance(place, (list, tuple)) and word.isdigit() and int(word) < len(place):
        return place[int(word)]
    return None


def _refuse(option: str, key: str, path: str, word: str, known: Iterable[str]) -> None:
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5) or sorted(known)
    whole = '' if option == key else f' (from {option})'
    raise ValueError(f'the config has no {key}{whole}; the nearest: {", ".join(path + name for name in close)}')


def check_config(cfg: Config, task: str) -> None:
    """Refuse a config that cannot be run.

    Args:
        cfg (Config): As it will be run.
        task (str): 'train' or 'test'.

    Raises:
        ValueError: A part is missing, or a number is out of range; the message has the key.

    Examples:
        >>> check_config(Config(dict(model=dict(type='FusionSegmentor'))), 'train')
        Traceback (most recent call last):
        ValueError: the config has no train_cfg, which is needed to train; inherit a schedule and a data set of _base_
    """
    if not isinstance(cfg.get('model'), Mapping) or 'type' not in cfg.model:
        raise ValueError("the config has no model; inherit one, such as _base_ = ['../_base_/models/...']")
    needed = {
        'train': ('train_cfg', 'train_dataloader', 'optim_wrapper'),
        'test': ('test_cfg', 'test_dataloader', 'test_evaluator'),
    }
    for key in needed[task]:
        if cfg.get(key) is None:
            raise ValueError(
                f'the config has no {key}, which is needed to {task}; inherit a schedule and a data set of _base_'
            )
    if task == 'train':
        for key in ('max_iters', 'max_epochs', 'val_interval'):
            if key in cfg.train_cfg:
                _check_count(f'train_cfg.{key}', cfg.train_cfg[key])
        _check_optimizer(cfg.optim_wrapper.get('optimizer') or {})
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader') or {}
        _check_count(f'{split}_dataloader.batch_size', loader.get('batch_size', 1))
        _check_count(f'{split}_dataloader.num_workers', loader.get('num_workers', 0), least=0)
    _check_surroundings(cfg)


def _check_surroundings(cfg: Config) -> None:
    level = cfg.get('log_level', 'INFO')
    if not isinstance(logging.getLevelName(level), int):
        raise ValueError(f'log_level must be DEBUG, INFO, WARNING or ERROR, got {level!r}')
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise ValueError(f'randomness.seed must be a whole number from 0 to 2**32 - 1, or None for any, got {seed!r}')


def _check_count(key: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f'{key} must be a whole number of at least {least}, got {value!r}')


def _check_optimizer(optimizer: Mapping[str, Any]) -> None:
    kind, rate = optimizer.get('type'), optimizer.get('lr')
    if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
        close = difflib.get_close_matches(kind, _optimizers(), n=3) or ['AdamW', 'SGD']
        raise ValueError(
            f'optim_wrapper.optimizer.type={kind!r} is not in the registry; the nearest: {", ".join(close)}'
        )
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, (int, float)) or rate < 0):
        raise ValueError(f'optim_wrapper.optimizer.lr must be a number of at least 0, got {rate!r}')


def _optimizers() -> list[str]:
    """Names of the registry and of those above it."""
    names: list[str] = []
    registry: Registry | None = OPTIMIZERS
    while registry is not None:
        names += registry.module_dict
        registry = registry.parent
    return names
