"""Fused images on disk are those of the data samples."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.engine.hooks import FusedImageHook


def sample_of(path, image):
    sample = SegDataSample(metainfo=dict(img_path=path))
    sample.fused_img = PixelData(data=image)
    return sample


def write(folder, *samples):
    FusedImageHook(str(folder)).after_test_iter(SimpleNamespace(), 0, {}, samples)


def test_colours_and_rounding(tmp_path):
    image = torch.tensor([[0.0, 1.0, 0.2], [0.5, 0.0, -0.1], [1.0, 0.25, 1.7]]).view(3, 1, 3)
    write(tmp_path / 'new/folder', sample_of('data/vi/a.jpg', image))
    stored = cv2.imread(str(tmp_path / 'new/folder/a.png'), cv2.IMREAD_UNCHANGED)
    # OpenCV reads B, G, R; 0.5 and 0.25 lie between two grey levels.
    assert stored[0].tolist() == [[255, 128, 0], [64, 0, 255], [255, 0, 51]]


def test_grey(tmp_path):
    write(tmp_path, sample_of('b.png', torch.tensor([[[0.0, 0.4, 1.0]]])))
    stored = cv2.imread(str(tmp_path / 'b.png'), cv2.IMREAD_UNCHANGED)
    assert stored.tolist() == [[0, 102, 255]]


def test_two_images_of_one_name(tmp_path):
    image = torch.zeros(1, 2, 2)
    with pytest.raises(ValueError, match=r'night/1\.png and day/1\.png would both be written to .*1\.png'):
        write(tmp_path, sample_of('day/1.png', image), sample_of('night/1.png', image))
    write(tmp_path, sample_of('day/1.png', image), sample_of('day/1.png', image))  # As a padded sampler may ask for.


def test_through_a_runner(make_runner, tmp_path):
    images = {}

    class Keep(Hook):
        def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            for sample in outputs:
                images[sample.img_path.rsplit('/', 1)[1]] = sample.fused_img.data.numpy()

    runner = make_runner(hooks=[dict(type='FusedImageHook', out_dir=str(tmp_path / 'fused'))])
    runner.register_hook(Keep())
    runner.test()
    assert sorted(path.name for path in (tmp_path / 'fused').iterdir()) == [f'{i:03}.png' for i in range(6)]
    for name, image in images.items():
        stored = cv2.imread(str(tmp_path / 'fused' / name))[..., ::-1].astype(float) / 255
        assert np.abs(stored - image.transpose(1, 2, 0)).max() <= 0.5 / 255 + 1e-6
        assert stored.std() > 0.01
