"""Miniatures of published data sets, in the layout in which they are downloaded."""

import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

SIZE = (12, 16)


def _write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 100])


def _flat(value, dtype=np.uint8, channels=None):
    return np.full(SIZE if channels is None else (*SIZE, channels), value, dtype)


def _labels(ids):
    """The first class everywhere, but for the others in one row each."""
    image = np.zeros(SIZE, np.uint8)
    for row, number in enumerate(ids):
        image[row] = number
    return image


def _folders(root, counts, vi, ir, labels, ids, extra=None):
    """``SPLIT/FOLDER/NAME``; the infrared image of pair n of a split is 100 + n."""
    for split, stems in counts.items():
        for number, stem in enumerate(stems):
            _write(root / split / vi / f'{stem}.png', _flat((10, 20, 30), channels=3))
            _write(root / split / ir / f'{stem}.png', _flat(100 + number))
            _write(root / split / labels / f'{stem}.png', _labels(ids))
            if extra is not None:
                _write(root / split / extra / f'{stem}.png', _flat(7000 + number, np.uint16))


def _lists(root, **lists):
    for name, stems in lists.items():
        (root / f'{name}.txt').write_text('\n'.join(stems) + '\n')


def _msrs(folder):
    root = folder / 'MSRS-main'
    _folders(root, dict(train=['00001D', '00002N'], test=['00003D']), 'vi', 'ir', 'Segmentation_labels', [0, 1, 8])
    (root / 'README.md').write_text('MSRS')
    _write(root / 'detection/ir/1.png', _flat(1))


def _fmb(folder):
    root = folder / 'FMB'
    _folders(root, dict(train=['00001', '00002'], test=['00003']), 'Visible', 'Infrared', 'Label', [0, 1, 14], 'color')


def _pst900(folder):
    root = folder / 'PST900_RGBT_Dataset/PST900_RGBT_Dataset'
    stems = dict(train=['31_bag1a_rect_rgb_frame0000000007', '31_bag1a_rect_rgb_frame0000000008'], test=['5_frame1'])
    _folders(root, stems, 'rgb', 'thermal', 'labels', [0, 4, 2], 'thermal_raw')
    for split in stems:
        _write(root / split / 'depth' / f'{stems[split][0]}.png', _flat(1, np.uint16))


def _mfnet(folder):
    root = folder / 'ir_seg_dataset'
    stems = ['00001D', '00001D_flip', '00002N', '00003D', '00004N', '00005D']
    for number, stem in enumerate(stems):
        image = np.dstack([_flat(value) for value in (10, 20, 30, 100 + number)])
        _write(root / f'images/{stem}.png', image)
        _write(root / f'labels/{stem}.png', _labels([0, 3, 8]))
    _lists(root, train=stems[:2], val=stems[2:3], test=stems[3:], test_day=['00003D', '00005D'], test_night=['00004N'])
    (root / 'black_list.txt').write_text('')
    (root / 'make_flip.py').write_text('')


def _semanticrt(folder):
    root = folder / 'SemanticRT_dataset'
    stems = ['010001', '010002', '190001', '190002']
    for number, stem in enumerate(stems):
        _write(root / f'rgb/{stem}.jpg', _flat((10, 20, 30), channels=3))
        _write(root / f'thermal/{stem}.jpg', _flat(100 + number))
        _write(root / f'labels/{stem}.png', _labels([0, 6, 12]))
        _write(root / f'binary_labels/{stem}.png', _labels([0, 255]))
    _lists(root, train=stems[:1], val=stems[1:2], test=stems[2:], test_day=stems[2:3], test_hard=stems[3:])


def _cwfid(folder):
    """Two plants, a crop and a weed, which are bright in G (near-infrared) and dark in R (red light)."""
    root = folder / 'dataset-master'
    for number in (1, 2, 28):
        image, annotation = _flat((70, 60, 80), channels=3), _flat(0, channels=3)  # blue, green, red
        for rows, colour in ((slice(0, 4), (0, 255, 0)), (slice(8, 12), (0, 0, 255))):
            image[rows, :8], annotation[rows, :8] = (70, 180 + number, 40), colour
        _write(root / f'images/{number:03d}_image.png', image)
        _write(root / f'annotations/{number:03d}_annotation.png', annotation)
        _write(root / f'masks/{number:03d}_mask.png', _flat(255))
        (root / f'annotations/{number:03d}_annotation.yaml').write_text('filename: x')
    (root / 'train_test_split.yaml').write_text(yaml.safe_dump(dict(train=[2, 28], test=[1, 28])))


_DRAWN = dict(msrs=_msrs, fmb=_fmb, pst900=_pst900, mfnet=_mfnet, semanticrt=_semanticrt, cwfid=_cwfid)


def _pack(folder, kind):
    """The folder itself, or an archive of it beside it."""
    if kind == 'folder':
        return folder
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    path = Path(f'{folder}.{kind}')
    if kind == 'zip':
        with zipfile.ZipFile(path, 'w') as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, 'w:gz' if kind == 'tar.gz' else 'w') as archive:
            for file in files:
                archive.add(file, file.relative_to(folder))
    return path


@pytest.fixture
def published(tmp_path):
    """Function of (name, 'folder' | 'zip' | 'tar' | 'tar.gz') that draws a data set and gives the folder or archive."""

    def draw(name, kind='folder'):
        folder = tmp_path / 'download' / name
        if not folder.exists():
            _DRAWN[name](folder)
        return _pack(folder, kind)

    return draw
