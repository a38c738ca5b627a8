"""From what the network saw back to the original image, on images whose pixels are numbered."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmfusion.models.segmentors.fused_prediction import attach_fusion, padding_mask, padding_of, restore, stretch_range


def numbered(channels, height, width):
    return torch.arange(channels * height * width).float().view(channels, height, width)


def test_padding_of():
    assert padding_of({}) == (0, 0, 0, 0)
    assert padding_of(dict(padding_size=[1, 2, 3, 4])) == (1, 2, 3, 4)
    assert padding_of(dict(padding_size=[1, 2, 3, 4], img_padding_size=[5, 6, 7, 8])) == (5, 6, 7, 8)


def test_padding_mask():
    inputs = torch.zeros(2, 4, 6, 8)
    assert padding_mask([{}, dict(padding_size=(0, 0, 0, 0))], inputs) is None
    mask = padding_mask([{}, dict(padding_size=(1, 2, 3, 1))], inputs)
    assert mask.dtype == torch.bool
    assert mask.shape == (2, 6, 8)
    assert not mask[0].any()
    inside = [(y, x) for y in range(6) for x in range(8) if not mask[1, y, x]]
    assert inside == [(y, x) for y in (3, 4) for x in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize('channels', [1, 3])
def test_restore_takes_padding_off(channels):
    image = numbered(channels, 5, 7)
    meta = dict(img_padding_size=(2, 1, 1, 1), ori_shape=(3, 4))
    assert torch.equal(restore(F.pad(image[:, 1:4, 2:6], (2, 1, 1, 1), value=-1), meta), image[:, 1:4, 2:6])


@pytest.mark.parametrize(('direction', 'axis'), [('horizontal', 2), ('vertical', 1)])
def test_restore_flips_back_inside_the_padding(direction, axis):
    image = numbered(3, 4, 5)
    meta = dict(flip=True, flip_direction=direction, padding_size=(0, 3, 0, 2), ori_shape=(4, 5))
    seen = F.pad(torch.flip(image, (axis,)), (0, 3, 0, 2), value=-1)
    assert torch.equal(restore(seen, meta), image)
    assert not torch.equal(restore(seen, {**meta, 'flip': False}), image)


def test_restore_resizes():
    # A plane stays a plane under bilinear interpolation, away from the border.
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(10.0), indexing='ij')
    plane = (2 * y + 3 * x)[None]
    small = restore(plane, dict(ori_shape=(16, 20)))
    assert small.shape == (1, 16, 20)
    yy, xx = torch.meshgrid((torch.arange(16.0) + 0.5) / 2 - 0.5, (torch.arange(20.0) + 0.5) / 2 - 0.5, indexing='ij')
    torch.testing.assert_close(small[0, 1:-1, 1:-1], (2 * yy + 3 * xx)[1:-1, 1:-1])


def test_restore_without_meta():
    image = numbered(1, 3, 4)
    assert torch.equal(restore(image, {}), image)


def test_stretch_range():
    image = torch.tensor([[[0.25, 0.5]], [[0.35, 0.75]]])
    torch.testing.assert_close(stretch_range(image), torch.tensor([[[0.0, 0.5]], [[0.2, 1.0]]]))
    assert torch.equal(stretch_range(torch.full((1, 2, 2), 0.7)), torch.zeros(1, 2, 2))


def test_attach_fusion():
    samples = [
        SegDataSample(metainfo=dict(ori_shape=(3, 4), padding_size=(0, 1, 0, 2))),
        SegDataSample(metainfo=dict(ori_shape=(5, 5), flip=True, flip_direction='horizontal')),
    ]
    image, weight = torch.rand(2, 3, 5, 5), torch.rand(2, 1, 5, 5)
    attached = attach_fusion(samples, image, weight, stretch=False)
    assert attached[0] is samples[0]
    assert torch.equal(samples[0].fused_img.data, image[0, :, :3, :4])
    assert torch.equal(samples[0].fusion_weights.data, weight[0, :, :3, :4])
    assert torch.equal(samples[1].fused_img.data, image[1].flip(-1))
    assert torch.equal(samples[1].fusion_weights.data, weight[1].flip(-1))

    attach_fusion(samples, image, weight, stretch=True)
    # The range of what is inside, each image by itself; weights keep their meaning.
    inside = image[0, :, :3, :4]
    torch.testing.assert_close(samples[0].fused_img.data, (inside - inside.min()) / (inside.max() - inside.min()))
    assert torch.equal(samples[0].fusion_weights.data, weight[0, :, :3, :4])
