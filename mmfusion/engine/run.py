"""A run of mmengine's runner that leaves nothing behind where nothing was started."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from .cpu_processes import join_cpu_processes


class _Started(Hook):
    """Whether anything was trained or tested."""

    def __init__(self) -> None:
        self.started = False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.started = True

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.started = True


def carry_out(cfg: Config, task: str) -> None:
    """Train or test as a config says.

    Args:
        cfg (Config): With ``work_dir``.
        task (str): 'train' or 'test'.

    Raises:
        Exception: Whatever goes wrong. If that was in the first iteration or before, the work folder is as it was.
    """
    watch = _Started()
    join_cpu_processes(cfg)
    with _as_it_was(Path(cfg.work_dir), watch):
        runner = Runner.from_cfg(cfg)
        runner.register_hook(watch)
        getattr(runner, task)()


@contextmanager
def _as_it_was(folder: Path, watch: _Started) -> Iterator[None]:
    """Take away what came into a folder if the first iteration did not end."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    before = set() if missing else set(folder.iterdir())
    try:
        yield
    except Exception:
        if not watch.started and is_main_process():
            for logger in MMLogger._instance_dict.values():  # They keep a file of the folder open.
                for handler in list(logger.handlers):
                    if hasattr(handler, 'baseFilename'):
                        handler.close()
                        logger.removeHandler(handler)
            for path in set(folder.iterdir()) - before if folder.is_dir() else ():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for path in missing:
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
        raise
