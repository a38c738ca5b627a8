"""A data set as it was downloaded: the files of a folder or of an archive, read without trusting the archive."""

import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

# What operating systems leave in folders and archives.
_JUNK_NAMES = {'Thumbs.db', 'desktop.ini'}
_JUNK_FOLDERS = {'__MACOSX'}
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)


def safe_name(name: str, archive: str) -> str:
    """The name of a member of an archive, if it stays inside of the folder it is unpacked to.

    Args:
        name (str): As the archive has it.
        archive (str): What messages call the archive.

    Returns:
        str: With slashes, without ``./``.

    Raises:
        ValueError: It is absolute, leads upwards, or is no name.

    Examples:
        >>> safe_name('./train/vi/1.png', 'a.zip')
        'train/vi/1.png'
        >>> safe_name('train/../../1.png', 'a.zip')
        Traceback (most recent call last):
        ValueError: a.zip is refused: its member 'train/../../1.png' leads out of the folder it is unpacked to
    """
    path = PurePosixPath(name.replace('\\', '/'))
    if path.is_absolute() or '..' in path.parts or (path.parts[:1] and path.parts[0].endswith(':')):
        raise ValueError(f'{archive} is refused: its member {name!r} leads out of the folder it is unpacked to')
    if not path.parts or '\0' in name:
        raise ValueError(f'{archive} is refused: {name!r} is no name of a member')
    return path.as_posix()


def _is_junk(name: str) -> bool:
    *folders, last = name.split('/')
    return last.startswith('.') or last in _JUNK_NAMES or not _JUNK_FOLDERS.isdisjoint(folders)


class Source(ABC):
    """Files by their names, with slashes, in a folder or an archive.

    Attributes:
        where (str): What messages call it.
        names (tuple[str, ...]): All files, sorted, without what operating systems leave behind.
    """

    def __init__(self, where: str, names: Iterable[str]) -> None:
        self.where = where
        self.names = tuple(sorted(name for name in names if not _is_junk(name)))

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Content of a file.

        Args:
            name (str): One of ``names``.

        Returns:
            bytes: All of it.

        Raises:
            OSError, ValueError: It cannot be read.
        """


class FolderSource(Source):
    """The files of a folder.

    Args:
        folder (Path): Of which all files below are listed; folders that are links are not entered.
        where (str, optional): What messages call it. Default: its path.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, 'train').mkdir()
        ...     _ = Path(folder, 'train/a.txt').write_bytes(b'content'), Path(folder, '.hidden').write_bytes(b'')
        ...     source = FolderSource(Path(folder))
        ...     source.names, source.read('train/a.txt')
        (('train/a.txt',), b'content')
    """

    def __init__(self, folder: Path, where: str | None = None) -> None:
        self.folder = folder
        found = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
        super().__init__(where or str(folder), (path.relative_to(folder).as_posix() for path in found))

    def read(self, name: str) -> bytes:
        """Content of a file; see :class:`Source`."""
        return (self.folder / name).read_bytes()


class ZipSource(Source):
    """The members of a ZIP archive, read where they are; nothing is unpacked.

    Args:
        archive (zipfile.ZipFile): Open for reading.
        where (str): What messages call it.

    Raises:
        ValueError: A member leads out of the archive, is a link or a device, or has the name of another one.
    """

    def __init__(self, archive: zipfile.ZipFile, where: str) -> None:
        self.archive = archive
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            if not member.is_dir():
                _check_kind(_mode_of(member), member.filename, where)
                _add(self.members, safe_name(member.filename, where), member, where)
        super().__init__(where, self.members)

    def read(self, name: str) -> bytes:
        """Content of a file; see :class:`Source`."""
        with _told_as_damage(self.where, name):
            return self.archive.read(self.members[name])


def _mode_of(member: zipfile.ZipInfo) -> int:
    """Kind of file, where the archive was written by a system that knows kinds; else that of a regular file."""
    return stat.S_IFMT(member.external_attr >> 16) or stat.S_IFREG


def _check_kind(mode: int, name: str, where: str) -> None:
    if not stat.S_ISREG(mode):
        kind = 'a link' if stat.S_ISLNK(mode) else 'a device or another special file'
        raise ValueError(f'{where} is refused: its member {name!r} is {kind}, which no data set needs')


def _add(members: dict, name: str, member: object, where: str) -> None:
    if name in members:
        raise ValueError(f'{where} is refused: it has two members of the name {name!r}')
    members[name] = member


@contextmanager
def _told_as_damage(where: str, name: str = '') -> Iterator[None]:
    """Errors of the archive modules as one kind of error, with the archive and the member."""
    try:
        yield
    except _BROKEN as error:
        member = f'{name} of ' if name else ''
        raise ValueError(f'{member}{where} cannot be read: {error}. Download the archive again.') from error


def _unpack_tar(archive: tarfile.TarFile, folder: Path, where: str) -> None:
    """Write the regular files of an archive into an empty folder, in the order of the archive.

    Compressed archives can only be read from their beginning, so that a file here and a file there would take hours.
    """
    members: dict[str, tarfile.TarInfo] = {}
    for member in archive:
        if member.isdir():
            continue
        kind = stat.S_IFREG if member.isreg() else stat.S_IFLNK if member.issym() or member.islnk() else stat.S_IFCHR
        _check_kind(kind, member.name, where)
        name = safe_name(member.name, where)
        _add(members, name, member, where)
        content = archive.extractfile(member)
        assert content is not None
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, open(target, 'xb') as file:
            while block := content.read(2**20):
                file.write(block)


@contextmanager
def open_source(path: str | os.PathLike) -> Iterator[Source]:
    """Open a folder, a ``.zip``, or a ``.tar`` that may be compressed.

    A ZIP archive is read in place. A TAR archive is unpacked to a temporary folder first (``TMPDIR`` says where).

    Args:
        path (str | os.PathLike): As it was downloaded.

    Yields:
        Source: Its files.

    Raises:
        FileNotFoundError: There is nothing at this path.
        ValueError: It is no archive of these kinds, is damaged, or has members that lead out of it, or are links or
            devices.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, 'data.zip')
        ...     with zipfile.ZipFile(path, 'w') as archive:
        ...         archive.writestr('data/train.txt', 'a')
        ...     with open_source(path) as source:
        ...         source.names, source.read('data/train.txt')
        (('data/train.txt',), b'a')
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'there is no folder or archive at {path}; give the data set as it was downloaded')
    if path.is_dir():
        yield FolderSource(path)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield ZipSource(archive, str(path))
    elif tarfile.is_tarfile(path):
        with tempfile.TemporaryDirectory(prefix='mmfusion-') as folder:
            with _told_as_damage(str(path)), tarfile.open(path) as tar:
                _unpack_tar(tar, Path(folder), str(path))
            yield FolderSource(Path(folder), str(path))
    else:
        raise ValueError(
            f'{path} is neither a folder nor a .zip or .tar archive, or it is damaged; unpack other kinds, such as '
            '.rar or .7z, and give the folder'
        )
