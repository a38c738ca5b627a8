"""Fusion metrics of images in files: as by hand, once, and of the images that are there."""

import statistics

import cv2
import numpy as np
import pytest
import torch

from mmfusion.analysis.fusion_evaluation import find_fused, image_quality, pair_folders, write_by_rule
from mmfusion.evaluation.functional import fusion_metrics

METRICS = ('EN', 'SCD')


@pytest.fixture
def measured(split_config, tmp_path):
    """Function that measures the images of the test again, in colour or not, and the fused folder."""
    pairs = pair_folders(split_config())
    write_by_rule('maximum', tmp_path / 'fused', pairs)
    counted = [folder for folder in pairs if folder.belongs_to('test_dataloader')]

    def measure(metrics=METRICS):
        return image_quality(find_fused('max', tmp_path / 'fused', pairs), counted, metrics, tmp_path / 'cache.json')

    return measure


def by_hand(data, fused):
    figures = []
    for name in ('000', '001'):
        ir = cv2.imread(str(data / f'test/ir/{name}.png'), 0).astype(float)
        vi, image = (
            cv2.imread(str(path)).astype(float)[..., ::-1] @ np.array([0.299, 0.587, 0.114])
            for path in (data / f'test/vi/{name}.png', fused / f'test/{name}.png')
        )
        tensors = (torch.from_numpy(array)[None, None].double() for array in (image, ir, vi))
        figures.append({name: value.item() for name, value in fusion_metrics(*tensors, METRICS).items()})
    return {name: statistics.fmean(each[name] for each in figures) for name in METRICS}


def test_as_by_hand(measured, split_data, tmp_path):
    quality = measured()
    assert (quality.method, quality.pairs) == ('max', 2)
    expected = by_hand(split_data, tmp_path / 'fused')
    assert {name: values[0] for name, values in quality.figures.items()} == pytest.approx(expected, abs=2e-3)


def test_once_and_again_where_images_changed(measured, split_data, tmp_path, monkeypatch):
    first = measured().figures
    place = 'mmfusion.analysis.fusion_evaluation.measured_images.measure'
    with monkeypatch.context() as patch:
        patch.setattr(place, lambda fuse, items, names: dict.fromkeys(names, -1.0))
        assert measured().figures == first
        assert measured(('EN', 'AG')).figures == {'EN': first['EN'], 'AG': [-1.0]}  # What is new is measured.
    path = tmp_path / 'fused/test/000.png'
    assert cv2.imwrite(str(path), cv2.imread(str(path)) // 2)
    assert measured().figures['EN'] != first['EN']
    before = measured().figures['SCD']
    source = split_data / 'test/ir/000.png'
    assert cv2.imwrite(str(source), 255 - cv2.imread(str(source), 0))
    assert measured().figures['SCD'] != before  # Of other pairs.
    (tmp_path / 'cache.json').write_text('{"half a')
    assert measured().figures['EN'] != first['EN']


def test_images_that_do_not_fit(measured, tmp_path):
    path = tmp_path / 'fused/test/001.png'
    assert cv2.imwrite(str(path), np.zeros((30, 48, 3), np.uint8))
    with pytest.raises(ValueError, match='is 48x30, its pair 48x32; fused images have the size of their pair'):
        measured()
    path.write_bytes(b'no image')
    with pytest.raises(ValueError, match='is no image that can be read'):
        measured()
