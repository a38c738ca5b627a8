from pathlib import Path

import numpy as np
import pytest

from mmfusion.datasets import CWFIDDataset, LoadPairAnnotations, LoadPairFromFile

DATA = (Path(__file__).resolve().parents[2] / '../shared/data/cwfid').resolve()
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f'no CWFID pairs at {DATA}')


@needs_data
@pytest.mark.parametrize(('split', 'count'), [('train', 39), ('test', 21)])
def test_pairs_fit_what_the_docstring_says(split, count):
    dataset = CWFIDDataset(data_root=str(DATA / split), pipeline=[LoadPairFromFile(), LoadPairAnnotations()])
    assert len(dataset) == count
    pixels, infrared = np.zeros(3), np.zeros(3)
    for results in dataset:
        img, label = results['img'], results['gt_seg_map']
        assert img.shape == (483, 648, 4)
        assert (img[..., :1] == img[..., :3]).all()  # the red band, repeated
        pixels += np.bincount(label.ravel(), minlength=3)
        infrared += np.bincount(label.ravel(), weights=img[..., 3].ravel(), minlength=3)
    np.testing.assert_allclose(pixels / pixels.sum(), [0.93, 0.02, 0.06], atol=0.006)
    # Vegetation reflects near-infrared: were the pairs or labels mixed up, this would not hold.
    brightness = infrared / pixels
    assert brightness[1] > 1.2 * brightness[0]
    assert brightness[2] > 1.2 * brightness[0]


def test_classes():
    meta = CWFIDDataset(lazy_init=True).metainfo
    assert dict(zip(meta['classes'], meta['palette'])) == dict(soil=[0, 0, 0], crop=[0, 255, 0], weed=[255, 0, 0])
