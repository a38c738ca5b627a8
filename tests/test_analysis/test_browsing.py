"""Pairs as they leave a pipeline."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.analysis.browsing import browse, build_split, choose, picture_of

PALETTE = [[0, 0, 0], [200, 60, 20], [40, 160, 220]]


def test_choice():
    chosen = choose(50, 10, seed=1)
    assert chosen == sorted(set(chosen)) == choose(50, 10, seed=1) != choose(50, 10, seed=2)
    assert set(chosen) <= set(range(50))
    assert choose(4, 4, seed=1) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match='at least 1, got 0'):
        choose(4, 0, seed=1)


def test_colours_and_labels_are_where_they_should_be():
    """Blue, green, red and infrared of the model's input; labels of twice the size; floats are rounded and clipped."""
    inputs = torch.tensor([10.4, 20.6, 300.0, -5.0]).view(4, 1, 1).expand(4, 30, 200)
    sample = SegDataSample()
    label = torch.zeros(1, 60, 400, dtype=torch.uint8)
    label[:, :, 200:] = 2
    sample.gt_sem_seg = PixelData(data=label)
    picture = picture_of(dict(inputs=inputs, data_samples=sample), ['a', 'b', 'c'], PALETTE)
    assert (picture[22:52, :200] == [255, 21, 10]).all()
    assert (picture[22:52, 204:404] == 0).all()
    assert (picture[22:52, 408:508] == PALETTE[0]).all()
    assert (picture[22:52, 508:608] == PALETTE[2]).all()


@pytest.fixture
def cfg(run_config, model_config, pair_folder, tmp_path):
    config = run_config(model_config(), pair_folder(tmp_path / 'data'), tmp_path / 'run', augment=True)
    config.val_dataloader.dataset.pipeline[1:1] = [dict(type='Resize', scale=(24, 16))]
    return config


def test_training_data_are_augmented_by_the_seed(cfg):
    dataset = build_split(cfg, 'train')
    first, again, other = (dict(browse(dataset, 6, seed)) for seed in (0, 0, 3))
    assert list(first) == [f'{number:05d}_{number:03d}' for number in range(6)]
    for name, picture in first.items():
        # Crops of 24x32, at a factor of 7, in three columns; a title and a row or two of legend.
        assert picture.shape[1] == 3 * 32 * 7 + 2 * 4
        np.testing.assert_array_equal(picture, again[name])
    assert any((picture != other[name]).any() for name, picture in first.items())


def test_evaluation_data_are_as_they_are_evaluated(cfg):
    ((name, picture),) = browse(build_split(cfg, 'val'), 1)
    assert picture.shape[1] == 3 * 24 * 9 + 2 * 4
    assert name[5] == '_'


def test_what_there_is_not(cfg):
    with pytest.raises(ValueError, match=r"split is one of .*'all'"):
        build_split(cfg, 'all')
    cfg.val_dataloader = None
    with pytest.raises(ValueError, match=r'no data for val \(val_dataloader\.dataset\)'):
        build_split(cfg, 'val')
