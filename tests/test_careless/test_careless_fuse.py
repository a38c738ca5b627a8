"""tools/fuse.py with what people hand it by mistake."""

import shutil

import cv2
import numpy as np
import pytest

CONFIG = 'average_unet-tiny_1xb4-300_synthetic-96x128'


@pytest.fixture
def pairs(pair_folder, tmp_path, monkeypatch):
    pair_folder(tmp_path / 'data', number=2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / 'broken.png').write_bytes((tmp_path / 'data/ir/000.png').read_bytes()[:50])
    (tmp_path / 'void.png').write_bytes(b'')
    cv2.imwrite('small.png', np.zeros((4, 6), np.uint8))
    cv2.imwrite('other.png', np.zeros((30, 40), np.uint8))
    shutil.copytree('data/ir', 'other_names')
    for path in (tmp_path / 'other_names').iterdir():
        path.rename(path.with_name(f'ir_{path.name}'))
    shutil.copytree('data/ir', 'fewer')
    (tmp_path / 'fewer/001.png').unlink()
    return tmp_path


# Arguments besides the config to what is told.
ARGUMENTS = {
    '--ir nowhere.png --vi data/vi/000.png': ['nowhere.png'],
    '--ir data/ir/000.png --vi nowhere.png': ['nowhere.png'],
    '--ir data/ir --vi data/vi/000.png': ['data/ir', 'data/vi/000.png', 'folder'],
    '--ir nowhere --vi data/vi': ['nowhere'],
    '--ir empty --vi data/vi': ['empty'],
    '--ir other_names --vi data/vi': ['ir_000'],
    '--ir fewer --vi data/vi': ['001', 'allow_unpaired'],
    '--ir notes.txt --vi data/vi/000.png': ['notes.txt'],
    '--ir broken.png --vi data/vi/000.png': ['broken.png', 'cannot be read'],
    '--ir void.png --vi data/vi/000.png': ['void.png', '0 bytes'],
    '--ir other.png --vi data/vi/000.png': ['same size', '30x40', '32x48', 'other.png'],
    '--ir data/ir --vi data/vi --batch-size 0': ['batch_size', 'got 0'],
    '--ir data/ir --vi data/vi --batch-size -3': ['batch_size', 'got -3'],
    '--ir data/ir --vi data/vi --device gpu': ["'gpu'", '"cpu"'],
    '--ir data/ir --vi data/vi --device cuda:99': ['cuda:99'],
    '--ir data/ir --vi data/vi --ir-range 5 5': ['ir_range', 'low < high', '5'],
    '--ir data/ir --vi data/vi --ir-range max': ['ir_range', "'max'"],
    '--ir data/ir --vi data/vi --ir-range 1 2 3': ['ir_range', '3'],
    '--ir data/ir --vi data/vi --ir-range low high': ['--ir-range', "'low high'"],
}


def check(line, words):
    for word in words:
        assert word in line, line
    assert len(line) < 600, line


@pytest.mark.parametrize('arguments', ARGUMENTS)
def test_arguments(told, pairs, arguments):
    check(told('fuse', CONFIG, *arguments.split(), '--out', 'out'), ARGUMENTS[arguments])
    assert not (pairs / 'out').exists() or not any((pairs / 'out').rglob('*.png'))


@pytest.mark.parametrize('out', ['notes.txt', 'notes.txt/out'])
def test_places_for_results(told, pairs, out):
    check(told('fuse', CONFIG, '--ir', 'data/ir', '--vi', 'data/vi', '--out', out), ['notes.txt'])
    assert (pairs / 'notes.txt').read_text() == 'no image'


@pytest.mark.parametrize(
    'words', ['', '--ir data/ir', '--ir data/ir --vi data/vi', '--ir a --vi b --out c --batch-size two']
)
def test_what_argparse_refuses(load_tool, pairs, capsys, words):
    with pytest.raises(SystemExit) as stopped:
        load_tool('fuse.py').main([CONFIG, *words.split()] if words else [])
    assert stopped.value.code == 2
    assert 'usage:' in capsys.readouterr().err
