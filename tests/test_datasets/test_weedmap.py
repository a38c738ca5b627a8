from pathlib import Path

import numpy as np
import pytest

from mmfusion.datasets import LoadPairAnnotations, LoadPairFromFile, WeedMapDataset

DATA = (Path(__file__).resolve().parents[2] / '../shared/data/weedmap').resolve()
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f'no WeedMap pairs at {DATA}')


@needs_data
@pytest.mark.parametrize(
    ('split', 'count', 'shares'),
    [
        ('train', 287, (0.867, 0.041, 0.031, 0.061)),
        ('val', 67, (0.880, 0.041, 0.041, 0.037)),
        ('test', 73, (0.877, 0.051, 0.023, 0.049)),
    ],
)
def test_pairs_fit_what_the_docstring_says(split, count, shares):
    dataset = WeedMapDataset(data_root=str(DATA / split), pipeline=[LoadPairFromFile(), LoadPairAnnotations()])
    assert len(dataset) == count
    pixels, infrared, colour_differs = np.zeros(256), np.zeros(256), []
    for results in dataset:
        img, label = results['img'], results['gt_seg_map']
        assert img.shape == (360, 480, 4)
        blue, green, red = (img[..., channel].astype(int) for channel in range(3))
        colour_differs.append((np.abs(blue - green).mean(), np.abs(red - green).mean()))
        assert (label == 255).mean() < 0.5
        pixels += np.bincount(label.ravel(), minlength=256)
        infrared += np.bincount(label.ravel(), weights=img[..., 3].ravel(), minlength=256)
    assert set(np.flatnonzero(pixels)) == {0, 1, 2, 255}
    np.testing.assert_allclose(pixels[[0, 1, 2, 255]] / pixels.sum(), shares, atol=0.001)
    # Red, green, green, but for the compression; vegetation reflects near-infrared; outside the mosaic nothing is seen.
    doubled, different = np.mean(colour_differs, axis=0)
    assert doubled < 0.25 * different
    soil, crop, weed, outside = infrared[[0, 1, 2, 255]] / pixels[[0, 1, 2, 255]]
    assert min(crop, weed) > 1.2 * soil
    assert outside < 0.1 * soil


def test_classes():
    meta = WeedMapDataset(lazy_init=True).metainfo
    assert dict(zip(meta['classes'], meta['palette'])) == dict(soil=[0, 0, 0], crop=[0, 255, 0], weed=[255, 0, 0])
