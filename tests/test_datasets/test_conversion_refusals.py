"""Sources that are not what a converter expects: what is missing or wrong is named."""

import io
import shutil

import cv2
import numpy as np
import pytest
from rich.console import Console

from mmfusion.datasets.conversion import CWFIDRecipe, GenericRecipe, convert, fmb, mfnet, msrs, pst900, semanticrt

RECIPES = dict(msrs=msrs, fmb=fmb, pst900=pst900, mfnet=mfnet, semanticrt=semanticrt, cwfid=CWFIDRecipe)
ROOTS = dict(msrs='MSRS-main', mfnet='ir_seg_dataset', cwfid='dataset-master')


def text_of(summary):
    console = Console(width=150, file=io.StringIO())
    console.print(summary.to_rich())
    return console.file.getvalue()


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def draw(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


GREY = np.zeros((12, 16), np.uint8)
LABEL = 'train/Segmentation_labels/00002N.png'
# Name, what is done to the folder, what is told.
WRONG = {
    'no labels': (
        'msrs',
        lambda root: remove(root / 'train/Segmentation_labels'),
        r'not the layout of MSRS: missing below MSRS-main/ are train/Segmentation_labels\. At its top are MSRS-main',
    ),
    'no test split': (
        'msrs',
        lambda root: remove(root / 'test'),
        r'missing below MSRS-main/ are test/vi, test/ir, test/Segmentation_labels\.',
    ),
    'no list': ('mfnet', lambda root: remove(root / 'val.txt'), r'missing below ir_seg_dataset/ are val\.txt'),
    'nothing of it': ('msrs', lambda root: [remove(path) for path in root.iterdir()], 'At its top are no files'),
    'a missing partner': (
        'msrs',
        lambda root: remove(root / 'train/ir/00002N.png'),
        'not every pair of train is complete: 1 without a file in ir: 00002N. --allow-unpaired',
    ),
    'a listed pair that is not there': (
        'mfnet',
        lambda root: (root / 'train.txt').write_text('00001D\n00009N\n'),
        'not every pair of train is complete: 1 without a file in vi, ir, labels: 00009N',
    ),
    'a list of nothing': ('mfnet', lambda root: (root / 'val.txt').write_text('\n'), r'val\.txt of .* names no pair'),
    'a list that is no text': (
        'mfnet',
        lambda root: (root / 'val.txt').write_bytes(b'\xff\xfe\xff'),
        'is no text in UTF-8',
    ),
    'two files of one stem': ('msrs', lambda root: draw(root / 'train/ir/00002N.jpg', GREY), 'remove the one'),
    'an empty file': ('msrs', lambda root: (root / LABEL).write_bytes(b''), f'{LABEL} cannot be read: it is an empty'),
    'text for an image': (
        'msrs',
        lambda root: (root / 'train/vi/00002N.png').write_text('no'),
        r'train/vi/00002N\.png cannot be read: it is damaged or no image',
    ),
    'labels in colour': ('msrs', lambda root: draw(root / LABEL, np.dstack([GREY] * 3)), 'no map of class ids'),
    'labels of 16 bit': (
        'msrs',
        lambda root: draw(root / LABEL, np.full((12, 16), 700, np.uint16)),
        'no map of class ids',
    ),
    'an id of no class': (
        'msrs',
        lambda root: draw(root / LABEL, GREY + 9),
        r'holds the id\(s\) \[9\], which no class of MSRS has: allowed are 0\.\.8 and 255',
    ),
    'another size': (
        'msrs',
        lambda root: draw(root / 'train/ir/00002N.png', GREY[1:]),
        r'train/ir/00002N\.png 11x16, .*Segmentation_labels/00002N\.png 12x16',
    ),
    'three channels': (
        'mfnet',
        lambda root: draw(root / 'images/00002N.png', np.dstack([GREY] * 3)),
        r'00002N\.png is the visible and the infrared image at once and must have four channels',
    ),
    'another colour': (
        'cwfid',
        lambda root: draw(root / 'annotations/002_annotation.png', np.dstack([GREY, GREY, GREY + 7])),
        r'other colours than black, green and red: \[7, 0, 0\]',
    ),
    'an annotation of another size': (
        'cwfid',
        lambda root: draw(root / 'annotations/002_annotation.png', np.dstack([GREY] * 3)[1:]),
        r'002_image\.png and .*002_annotation\.png differ in size',
    ),
    'one band': ('cwfid', lambda root: draw(root / 'images/002_image.png', GREY), 'has one band only'),
    'no lists': (
        'cwfid',
        lambda root: (root / 'train_test_split.yaml').write_text('train: [a, b]'),
        'has not the lists of numbers train and test',
    ),
}


@pytest.mark.parametrize('case', WRONG)
def test_told(published, tmp_path, case):
    name, change, message = WRONG[case]
    source = published(name)
    change(source / ROOTS[name])
    with pytest.raises(ValueError, match=message):
        convert(RECIPES[name](), source, tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['download']


def test_another_data_set(published, tmp_path):
    with pytest.raises(ValueError, match=r'not the layout of FMB: missing are train/Visible, train/Infrared, '):
        convert(fmb(), published('msrs'), tmp_path / 'out')


def test_left_out(published, tmp_path):
    source = published('msrs')
    (source / 'MSRS-main/train/ir/00002N.png').unlink()
    summary = convert(msrs(), source, tmp_path / 'out', allow_unpaired=True)
    assert 'train: 1 left out without a file in ir: 00002N' in summary.notes
    assert (tmp_path / 'out/train.txt').read_text() == '00001D\n'
    (source / 'MSRS-main/train/ir/00001D.png').rename(source / 'MSRS-main/train/ir/other.png')
    with pytest.raises(ValueError, match='there is no pair in train'):
        convert(msrs(), source, tmp_path / 'two', allow_unpaired=True)


def test_strangers_in_a_part_of_the_test(published, tmp_path):
    source = published('mfnet')
    (source / 'ir_seg_dataset/test_day.txt').write_text('00003D\n00001D\n')
    summary = convert(mfnet(), source, tmp_path / 'out')
    assert 'test_day.txt names 1 pairs that are not in test.txt, left out: 00001D' in summary.notes
    assert (tmp_path / 'out/test_day.txt').read_text() == '00003D\n'


def test_a_pair_in_several_lists(published, tmp_path):
    """It is never trained with and tested, or validated and tested; a repetition is one pair."""
    source = published('mfnet')
    root = source / 'ir_seg_dataset'
    (root / 'train.txt').write_text('00001D\n00001D.png\n00003D\n00002N\n')
    (root / 'val.txt').write_text('00002N\n00005D\n')
    summary = convert(mfnet(), source, tmp_path / 'out')
    lists = {split: (tmp_path / f'out/{split}.txt').read_text().split() for split in ('train', 'val', 'test')}
    assert lists == dict(train=['00001D'], val=['00002N'], test=['00003D', '00004N', '00005D'])
    assert summary.notes[1:] == [
        'in the lists of train and of val, and in val only here: 00002N',
        'in the lists of train and of test, and in test only here: 00003D',
        'in the lists of val and of test, and in test only here: 00005D',
    ]


def test_summary_for_readers(published, tmp_path):
    source = published('msrs')
    draw(source / 'MSRS-main/train/Segmentation_labels/00001D.png', GREY + 255)
    for folder in ('vi', 'ir', 'Segmentation_labels'):
        draw(source / f'MSRS-main/test/{folder}/00003D.png', np.zeros((8, 10), np.uint8))
    text = text_of(convert(msrs(), source, tmp_path / 'out', dry_run=True))
    lines = [[cell.strip() for cell in line.split('│')[1:-1]] for line in text.splitlines()]
    assert 'MSRS: 3 pairs' in text
    assert ['train', '2', '12x16', '100 to 101 (uint8)'] in lines
    assert ['test', '1', '8x10', '0 to 0 (uint8)'] in lines
    assert ['0', 'background', '41.67', '100.00'] in lines
    assert ['8', 'bump', '4.17', '0'] in lines
    assert ['255', 'ignored', '50.00', '0'] in lines
    assert 'validation: every 10th pair of train, by hold_out=10 of the config' in text


def test_pairs_of_ones_own(tmp_path):
    source = tmp_path / 'mine'
    for number, stem in enumerate('abcd'):
        draw(source / f'rec/rgb/{stem}.png', np.dstack([GREY] * 3))
        draw(source / f'rec/thermal/{stem}.png', np.full((12, 16), 300 + number, np.uint16))
        draw(source / f'rec/masks/{stem}.png', GREY + number % 2)
    recipe = GenericRecipe(dict(vi='rgb', ir='thermal', labels='masks'), ['soil', 'crop'], dict(val=['d'], test=['b']))
    summary = convert(recipe, source, tmp_path / 'out')
    assert {split: figures.pairs for split, figures in summary.splits.items()} == dict(train=2, val=1, test=1)
    assert summary.splits['train'].infrared == {'uint16': (300, 302)}
    assert summary.shares('val') == dict(soil=0, crop=100)
    assert (tmp_path / 'out/train.txt').read_text() == 'a\nc\n'
    assert (tmp_path / 'out/test/ir/b.png').is_file()


def test_generic_options():
    folders = dict(vi='a', ir='b', labels='c')
    with pytest.raises(ValueError, match='at least one class'):
        GenericRecipe(folders, [], {})
    with pytest.raises(ValueError, match='not of train'):
        GenericRecipe(folders, ['x'], dict(train=['1']))
    with pytest.raises(ValueError, match='share pairs: 1'):
        GenericRecipe(folders, ['x'], dict(val=['1'], test=['1', '2']))
