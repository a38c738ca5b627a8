"""Fused images of others: found, complete, told apart."""

import os
import shutil

import cv2
import pytest

from mmfusion.analysis.fusion_evaluation import find_fused, pair_folders


@pytest.fixture
def pairs(split_config):
    return pair_folders(split_config())


@pytest.fixture
def fused(split_data, tmp_path):
    """Folder with an image for every pair: the infrared one."""
    for split in ('train', 'test'):
        shutil.copytree(split_data / split / 'ir', tmp_path / 'fused' / split)
    return tmp_path / 'fused'


@pytest.mark.parametrize('below', ['', 'fused', 'vi'])
def test_layouts(pairs, fused, split_data, below):
    if below:
        for split in ('train', 'test'):
            (fused / split).rename(fused / 'moved')
            (fused / split).mkdir()
            (fused / 'moved').rename(fused / split / below)
    found = find_fused('theirs', fused, pairs)
    assert found.folders[split_data / 'test/vi'] == fused / 'test' / below
    assert sorted(found.images[split_data / 'train/vi']) == ['000', '001', '002', '003', '004', '005']


def test_other_suffix_and_more_images(pairs, fused, split_data):
    image = cv2.imread(str(fused / 'test/001.png'))
    (fused / 'test/001.png').unlink()
    assert cv2.imwrite(str(fused / 'test/001.JPG'), image)
    assert cv2.imwrite(str(fused / 'test/not-a-pair.png'), image)
    (fused / 'test/notes.txt').touch()
    found = find_fused('theirs', fused, pairs).images[split_data / 'test/vi']
    assert found == {'000': fused / 'test/000.png', '001': fused / 'test/001.JPG'}


def test_missing_images_are_named(pairs, fused):
    for name in ('001', '004'):
        (fused / f'train/{name}.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'theirs: 2 of 6 pairs .* have no fused image in .*train: 001, 004\.'):
        find_fused('theirs', fused, pairs)


def test_missing_folders(pairs, fused, tmp_path):
    with pytest.raises(FileNotFoundError, match='theirs: there is no folder'):
        find_fused('theirs', tmp_path / 'nowhere', pairs)
    shutil.rmtree(fused / 'train')
    with pytest.raises(FileNotFoundError, match='no folder train/fused or train/vi or train'):
        find_fused('theirs', fused, pairs)


def test_digest_is_of_the_content(pairs, fused):
    before = find_fused('theirs', fused, pairs).digest()
    os.utime(fused / 'test/000.png', (1, 1))
    assert find_fused('theirs', fused, pairs).digest() == before
    image = cv2.imread(str(fused / 'test/000.png'))
    image[0, 0] += 1
    assert cv2.imwrite(str(fused / 'test/000.png'), image)
    assert find_fused('theirs', fused, pairs).digest() != before
