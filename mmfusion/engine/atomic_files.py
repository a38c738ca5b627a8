"""Files that are there whole or not at all, whatever happens while they are written."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

ATOMIC = 'mmfusion.atomic'
"""Name of the backend, for ``backend_args=dict(backend=...)``."""


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write a file so that whoever looks sees the former one or the new one, and never a part.

    The content goes to a hidden file in the same folder, is brought to the disk, and takes the place of the file in
    one step. A process that is killed leaves at most the hidden file, which the next one replaces.

    Args:
        path (str | os.PathLike): The file; its folder is made.
        content (bytes): All of it.

    Raises:
        OSError: It could not be written; the former file is as it was, and the hidden one is gone. The message tells
            how much space there was.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / 'a/file', b'content')
        ...     sorted(path.name for path in Path(folder).rglob('*')), Path(folder, 'a/file').read_bytes()
        (['a', 'file'], b'content')
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = partial_path(path)
    try:
        with open(part, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        free = shutil.disk_usage(path.parent).free
        with suppress(OSError):
            part.unlink(missing_ok=True)
        kept = 'what was there before is untouched' if path.exists() else 'nothing is left of it'
        raise OSError(
            error.errno,
            f'{path} could not be written ({error.strerror or error}): it takes {_megabytes(len(content))}, and '
            f'{_megabytes(free)} were free on that disk; {kept}',
        ) from error
    _sync_folder(path.parent)


def partial_path(path: Path) -> Path:
    """Where a file is while it is being written.

    Args:
        path (Path): Where it will be.

    Returns:
        Path: Hidden, in the same folder, and with a suffix that nobody takes for a checkpoint.

    Examples:
        >>> partial_path(Path('run/iter_10.pth')).name
        '.iter_10.pth.part'
    """
    return path.with_name(f'.{path.name}.part')


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk, where folders can be synchronised."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _megabytes(number: int) -> str:
    return f'{number / 2**20:.1f} MiB'


@register_backend(ATOMIC, force=True)
class AtomicLocalBackend(LocalBackend):
    """mmengine's backend for local files, that writes them by :func:`write_atomically`.

    Examples:
        >>> from mmengine.fileio import get_file_backend
        >>> type(get_file_backend('run', backend_args=dict(backend=ATOMIC))).__name__
        'AtomicLocalBackend'
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes.

        Args:
            obj (bytes): Content.
            filepath (str | Path): Where to.

        Raises:
            OSError: As in :func:`write_atomically`.
        """
        write_atomically(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text.

        Args:
            obj (str): Content.
            filepath (str | Path): Where to.
            encoding (str): Of the file.

        Raises:
            OSError: As in :func:`write_atomically`.
        """
        write_atomically(filepath, obj.encode(encoding))
