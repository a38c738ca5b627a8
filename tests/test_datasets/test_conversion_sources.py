"""Folders and archives as they are downloaded, and archives that must not be unpacked."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from mmfusion.datasets.conversion import open_source
from mmfusion.datasets.conversion.sources import safe_name

FILES = {'data/train/a.png': b'first', 'data/b.txt': b'second' * 1000, 'data/deep/er/c': b''}
JUNK = {'__MACOSX/data/._a.png': b'x', 'data/.DS_Store': b'x', 'data/Thumbs.db': b'x'}


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_zip(path, files):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir('data') if hasattr(archive, 'mkdir') else None
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path, files, mode='w'):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


WRITERS = {
    'folder': lambda path, files: write_folder(path / 'folder', files),
    'zip': lambda path, files: write_zip(path / 'a.zip', files),
    'tar': lambda path, files: write_tar(path / 'a.tar', files),
    'tar.gz': lambda path, files: write_tar(path / 'a.tar.gz', files, 'w:gz'),
    'a name that says nothing': lambda path, files: write_tar(path / 'download', files, 'w:gz'),
}


@pytest.mark.parametrize('kind', WRITERS)
def test_files(tmp_path, kind):
    path = WRITERS[kind](tmp_path, {**FILES, **JUNK})
    with open_source(path) as source:
        assert source.names == tuple(sorted(FILES))
        assert {name: source.read(name) for name in source.names} == FILES
        assert source.where == str(path)


def test_nothing_stays_of_an_unpacked_archive(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'tmp'))
    (tmp_path / 'tmp').mkdir()
    with open_source(write_tar(tmp_path / 'a.tar', FILES)):
        assert any((tmp_path / 'tmp').iterdir())
    assert not any((tmp_path / 'tmp').iterdir())


@pytest.mark.parametrize('name', ['../a', 'a/../../b', '/etc/a', '\\a', 'C:\\a', 'c:/a', 'a\\..\\..\\b', '..'])
@pytest.mark.parametrize('writer', [write_zip, write_tar])
def test_members_that_lead_out(tmp_path, writer, name, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'tmp'))
    (tmp_path / 'tmp').mkdir()
    path = writer(tmp_path / 'archive', {'data/a.png': b'', name: b'evil'})
    with pytest.raises(ValueError, match=r'archive is refused: its member .* leads out'), open_source(path):
        pass
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != 'tmp'] == ['archive']
    assert not any((tmp_path / 'tmp').iterdir())


def test_names():
    assert safe_name('a\\b.png', 'x') == 'a/b.png'
    assert safe_name('./a//b', 'x') == 'a/b'
    assert safe_name('..a/b..png', 'x') == '..a/b..png'
    for name in ('', '.', 'a\0b'):
        with pytest.raises(ValueError, match='no name'):
            safe_name(name, 'x')


@pytest.mark.parametrize(
    ('kind', 'told'),
    [
        (tarfile.SYMTYPE, 'a link'),
        (tarfile.LNKTYPE, 'a link'),
        (tarfile.CHRTYPE, 'a device'),
        (tarfile.FIFOTYPE, 'a device or another special file'),
    ],
)
def test_special_members_of_tar(tmp_path, kind, told):
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        member = tarfile.TarInfo('data/a.png')
        member.type, member.linkname = kind, '/etc/passwd'
        archive.addfile(member)
    message = rf"a\.tar is refused: its member 'data/a\.png' is {told}"
    with pytest.raises(ValueError, match=message), open_source(tmp_path / 'a.tar'):
        pass


@pytest.mark.parametrize(('kind', 'told'), [(stat.S_IFLNK, 'a link'), (stat.S_IFCHR, 'a device')])
def test_special_members_of_zip(tmp_path, kind, told):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        member = zipfile.ZipInfo('data/a.png')
        member.external_attr = (kind | 0o777) << 16
        archive.writestr(member, '/etc/passwd')
    with pytest.raises(ValueError, match=f'is {told}'), open_source(tmp_path / 'a.zip'):
        pass


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('kind', ['zip', 'tar'])
def test_two_members_of_one_name(tmp_path, kind):
    if kind == 'zip':
        with zipfile.ZipFile(tmp_path / 'a', 'w') as archive:
            archive.writestr('a.png', b'one')
            archive.writestr('./a.png', b'two')
    else:
        write_tar(tmp_path / 'a', {'a.png': b'one', './a.png': b'two'})
    with pytest.raises(ValueError, match=r"two members of the name 'a\.png'"), open_source(tmp_path / 'a'):
        pass


def test_damaged_archives(tmp_path):
    content = write_zip(tmp_path / 'a.zip', {'a.png': os.urandom(5000)}).read_bytes()
    (tmp_path / 'a.zip').write_bytes(content[:1000] + b'\0' * 100 + content[1100:])
    message = r'a\.png of .*a\.zip cannot be read: .*Download the archive again'
    with open_source(tmp_path / 'a.zip') as source, pytest.raises(ValueError, match=message):
        source.read('a.png')
    tar = write_tar(tmp_path / 'a.tar.gz', {'a.png': os.urandom(5000)}, 'w:gz')
    tar.write_bytes(tar.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r'a\.tar\.gz cannot be read'), open_source(tar):
        pass


def test_what_is_no_source(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r'no folder or archive at .*nowhere'),
        open_source(tmp_path / 'nowhere'),
    ):
        pass
    (tmp_path / 'a.rar').write_bytes(b'Rar!' * 100)
    message = r'a\.rar is neither a folder nor a \.zip or \.tar archive'
    with pytest.raises(ValueError, match=message), open_source(tmp_path / 'a.rar'):
        pass


def test_an_error_of_the_one_who_reads_is_not_a_damaged_archive(tmp_path):
    with pytest.raises(RuntimeError, match='mine'), open_source(Path(write_tar(tmp_path / 'a.tar', FILES))):
        raise RuntimeError('mine')
