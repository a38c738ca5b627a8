"""The newest checkpoint of a work folder from which a run can go on."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.runner import CheckpointLoader

from .safe_loading import CheckpointError

POINTER = 'last_checkpoint'
"""Name of the file in a work folder that tells the newest checkpoint."""


@dataclass(frozen=True)
class Latest:
    """What was found."""

    path: Path | None
    """The newest checkpoint that can be loaded; None where there is none yet."""
    passed_over: tuple[str, ...]
    """What would have come first, and why it did not."""


def latest_checkpoint(work_dir: str | os.PathLike, out_dir: str | os.PathLike, templates: Sequence[str]) -> Latest:
    """Look for the checkpoint to resume from.

    The file that ``last_checkpoint`` names comes first, wherever its folder is now; then those of the folder, newest
    first.

    Args:
        work_dir (str | os.PathLike): Where ``last_checkpoint`` is.
        out_dir (str | os.PathLike): Where checkpoints are.
        templates (Sequence[str]): Names of checkpoints, with ``{}`` for a number.

    Returns:
        Latest: Its path, and what was passed over.

    Raises:
        CheckpointError: There are checkpoints, but none can be loaded.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     latest_checkpoint(folder, folder, ['iter_{}.pth'])
        Latest(path=None, passed_over=())
    """
    passed: list[str] = []
    candidates = _by_age(Path(out_dir), templates)
    pointer = Path(work_dir) / POINTER
    if pointer.is_file():
        named = pointer.read_text(encoding='utf-8', errors='replace').strip()
        found = [path for path in (Path(named), Path(out_dir) / Path(named).name) if named and path.is_file()]
        if not found:
            passed.append(f'{pointer} names {named or "nothing"!r}, which is not there')
        candidates = found[:1] + [path for path in candidates if found[:1] != [path]]
    for path in candidates:
        try:
            _check(path)
        except (CheckpointError, OSError) as error:
            passed.append(str(error))
        else:
            return Latest(path, tuple(passed))
    if candidates:
        raise CheckpointError(
            f'no checkpoint in {out_dir} can be resumed from: {"; ".join(passed)}. Take them away to start from the '
            'beginning'
        )
    return Latest(None, tuple(passed))


def _by_age(folder: Path, templates: Sequence[str]) -> list[Path]:
    """Files of these names, newest first: by their numbers, or by time where numbers count different things."""
    patterns = [re.compile(re.escape(template).replace(r'\{\}', r'(\d+)')) for template in templates]
    numbers: dict[Path, int] = {}
    kinds = set()
    for path in folder.glob('*') if folder.is_dir() else ():
        for pattern in patterns:
            match = pattern.fullmatch(path.name)
            if match and path.is_file():
                numbers[path] = int(match[1])
                kinds.add(pattern)
    if len(kinds) == 1:
        return sorted(numbers, key=lambda path: -numbers[path])
    return sorted(numbers, key=lambda path: -path.stat().st_mtime)


def _check(path: Path) -> None:
    """Refuse what a run cannot go on from."""
    content = CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')
    missing = [key for key in ('meta', 'state_dict', 'message_hub') if not isinstance(content.get(key), dict)]
    if missing or not {'epoch', 'iter'} <= set(content['meta']):
        raise CheckpointError(f'the checkpoint {path} holds no state of a run (without {", ".join(missing) or "iter"})')
