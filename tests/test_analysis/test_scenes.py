"""Pairs to analyse."""

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.analysis.scenes import resized


def test_resized_pair():
    image = torch.full((4, 6, 10), 200, dtype=torch.uint8)
    image[:, :, 5:] = 100
    sample = SegDataSample(metainfo=dict(img_path='x', ori_shape=(6, 10), img_shape=(6, 10)))
    sample.gt_sem_seg = PixelData(data=(image[:1] == 100).long() * 2)
    new = resized(dict(inputs=image, data_samples=sample), 12)
    assert new['inputs'].shape == (4, 12, 12)
    assert new['inputs'][:, :, :5].unique().tolist() == [200]
    assert new['inputs'][:, :, 7:].unique().tolist() == [100]
    half = torch.zeros(1, 12, 12, dtype=torch.long)
    half[:, :, 6:] = 2
    assert torch.equal(new['data_samples'].gt_sem_seg.data, half)
    assert new['data_samples'].ori_shape == new['data_samples'].img_shape == (12, 12)
    assert sample.ori_shape == (6, 10)
    assert sample.gt_sem_seg.data.shape == (1, 6, 10)
