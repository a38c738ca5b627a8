from pathlib import Path

import numpy as np
import pytest

from mmfusion.datasets import LoadPairAnnotations, LoadPairFromFile, OmbriaDataset

DATA = (Path(__file__).resolve().parents[2] / '../shared/data/ombria').resolve()
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f'no OMBRIA pairs at {DATA}')


@needs_data
@pytest.mark.parametrize(('split', 'count'), [('train', 624), ('test', 70)])
def test_pairs_fit_what_the_docstring_says(split, count):
    dataset = OmbriaDataset(data_root=str(DATA / split), pipeline=[LoadPairFromFile(), LoadPairAnnotations()])
    assert len(dataset) == count
    pixels, radar = np.zeros(256), np.zeros(256)
    for results in dataset:
        img, label = results['img'], results['gt_seg_map']
        assert img.shape == (256, 256, 4)
        pixels += np.bincount(label.ravel(), minlength=256)
        radar += np.bincount(label.ravel(), weights=img[..., 3].ravel(), minlength=256)
    assert set(np.flatnonzero(pixels)) == {0, 1}
    np.testing.assert_allclose(pixels[1] / pixels.sum(), 0.33, atol=0.005)
    # Water mirrors the radar's beam away.
    other, flooded = radar[:2] / pixels[:2]
    assert flooded < 0.8 * other


@needs_data
def test_test_patches_that_overlap_training_are_left_out():
    dataset = OmbriaDataset(
        data_root=str(DATA),
        data_prefix=dict(vi_path='test/vi', ir_path='test/ir', seg_map_path='test/labels'),
        exclude_file='overlaps_train.txt',
        test_mode=True,
    )
    stems = {Path(dataset.get_data_info(i)['vi_path']).stem for i in range(len(dataset))}
    lines = (DATA / 'overlaps_train.txt').read_text().split()
    assert len(stems) == 70 - sum(line.startswith('test/') for line in lines) == 64
    assert not stems & {line.split('/')[1] for line in lines}


def test_classes():
    meta = OmbriaDataset(lazy_init=True).metainfo
    assert dict(zip(meta['classes'], meta['palette'])) == dict(other=[0, 0, 0], flooded=[0, 120, 255])
