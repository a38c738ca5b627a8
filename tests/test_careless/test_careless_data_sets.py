"""Data that are not what a config says: the file or folder and the remedy, before anything is trained."""

import shutil

import cv2
import numpy as np
import pytest


def rewrite(path, change):
    assert cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def all_labels(change):
    return lambda data: [rewrite(path, change) for path in sorted((data / 'labels').glob('*.png'))]


def colour(label):
    return np.dstack([label, 2 * label, 3 * label])


# Name to (what is done to the folder, what is told).
DATA = {
    'no visible folder': (lambda data: shutil.rmtree(data / 'vi'), ["folder of 'vi_path' does not exist", 'data/vi']),
    'no infrared folder': (lambda data: shutil.rmtree(data / 'ir'), ["folder of 'ir_path' does not exist", 'data/ir']),
    'no label folder': (lambda data: shutil.rmtree(data / 'labels'), ['seg_map_path', 'data/labels']),
    'empty folder': (lambda data: [path.unlink() for path in (data / 'ir').iterdir()], ['data/ir', 'it is empty']),
    'other files': (
        lambda data: [path.rename(path.with_suffix('.txt')) for path in (data / 'ir').iterdir()],
        ['data/ir', '6 other files'],
    ),
    'one infrared image is missing': (
        lambda data: (data / 'ir/003.png').unlink(),
        ['not every pair is complete', '003'],
    ),
    'one label is missing': (lambda data: (data / 'labels/003.png').unlink(), ['without a label', '003']),
    'names differ': (
        lambda data: [path.rename(path.with_name(f'x{path.name}')) for path in (data / 'ir').iterdir()],
        ['not every pair is complete', '000'],
    ),
    'empty file': (lambda data: [path.write_bytes(b'') for path in (data / 'vi').iterdir()], ['data/vi', '0 bytes']),
    'cut off': (
        lambda data: [path.write_bytes(path.read_bytes()[:40]) for path in (data / 'ir').iterdir()],
        ['infrared image cannot be read', 'data/ir'],
    ),
    'text for an image': (
        lambda data: [path.write_text('no') for path in (data / 'vi').iterdir()],
        ['cannot be read', 'data/vi'],
    ),
    'text for a label': (
        lambda data: [path.write_text('no') for path in (data / 'labels').iterdir()],
        ['label file cannot be read'],
    ),
    'another size': (
        lambda data: [rewrite(path, lambda image: image[:-2]) for path in (data / 'ir').iterdir()],
        ['same size', '32x48', '30x48', 'data/ir'],
    ),
    'labels of another size': (all_labels(lambda label: label[:, 1:]), ['The label', '32x47', '32x48']),
    'labels in colour': (all_labels(colour), ['A label map', 'colour picture of the labels', 'data/labels']),
    'ids of more classes': (
        all_labels(lambda label: label + 2),
        ['holds the id(s) [3', 'allowed are 0..2', 'data/labels'],
    ),
    'ids of 0 and 128': (
        all_labels(lambda label: (label > 0) * np.uint8(128)),
        ['holds the id(s) [128]', 'data/labels'],
    ),
    'labels of 16 bit': (
        all_labels(lambda label: label.astype(np.uint16) * 1000),
        ['whole numbers in 0..255', 'data/labels', '2000'],
    ),
}
OPTIONS = {
    'train_dataloader.dataset.metainfo.classes=[a,b]': ['palette does not match classes', "['a', 'b']"],
    'model.segmentor.decode_head.num_classes=9': ['decode_head has 9 classes', 'has 3: background, warm, printed'],
    'model.segmentor.decode_head.num_classes=2': ['decode_head has 2 classes', 'num_classes=3'],
    'model.segmentor.decode_head.ignore_index=0': ['ignore_index is', 'decode_head: 0', 'train_dataloader: 255'],
    'train_dataloader.dataset.ignore_index=0': ['ignore_index is', 'train_dataloader: 0'],
    'train_dataloader.dataset.data_root=nowhere': ['nowhere'],
    'train_dataloader.dataset.ann_file=nowhere.txt': ['nowhere.txt'],
    'train_dataloader.dataset.vi_suffix=.jpg': ['data/vi', '.jpg'],
    'train_dataloader.dataset.vi_suffix=[]': ['vi_suffix', 'non-empty'],
    'train_dataloader.dataset.hold_out=1': ['hold_out', '1'],
    'train_dataloader.dataset.part=all': ['part', "'all'"],
    'train_dataloader.dataset.pipeline.0.ir_range=[5,5]': ['ir_range', '[5, 5]'],
    'train_dataloader.dataset.pipeline.0.ir_range=max': ['ir_range', "'max'"],
    'train_dataloader.dataset.pipeline.0.imdecode_backend=turbo': ['imdecode_backend', "'turbo'"],
}


def check(line, words, tmp_path):
    for word in words:
        assert word in line, line
    assert len(line) < 700, line
    assert not (tmp_path / 'run').exists(), line


@pytest.mark.parametrize('name', DATA)
def test_data(told, config, tmp_path, name):
    DATA[name][0](tmp_path / 'data')
    check(told('train', config), DATA[name][1], tmp_path)


@pytest.mark.parametrize(
    'name', ['no visible folder', 'one label is missing', 'empty file', 'another size', 'ids of more classes']
)
def test_data_of_a_test(told, config, tmp_path, random_checkpoint, name):
    checkpoint = random_checkpoint(config)
    DATA[name][0](tmp_path / 'data')
    check(told('test', config, checkpoint), DATA[name][1], tmp_path)


@pytest.mark.parametrize('option', OPTIONS)
def test_options_of_the_data(told, config, tmp_path, option):
    check(told('train', config, '--cfg-options', option), OPTIONS[option], tmp_path)
