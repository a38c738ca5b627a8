"""What a data sample is given: fused images and weights at the original size."""

import pytest
import torch
from mmseg.structures import SegDataSample

from mmfusion.models.segmentors.fused_prediction import attach_fusion, padding_mask, stretch_range


def test_padding_mask():
    inputs = torch.zeros(2, 4, 6, 8)
    assert padding_mask([{}, dict(padding_size=(0, 0, 0, 0))], inputs) is None
    mask = padding_mask([{}, dict(padding_size=(1, 2, 3, 1))], inputs)
    assert mask.dtype == torch.bool
    assert mask.shape == (2, 6, 8)
    assert not mask[0].any()
    inside = [(y, x) for y in range(6) for x in range(8) if not mask[1, y, x]]
    assert inside == [(y, x) for y in (3, 4) for x in (1, 2, 3, 4, 5)]


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


@pytest.mark.parametrize(('direction', 'axes'), [('horizontal', [-1]), ('vertical', [-2]), ('diagonal', [-2, -1])])
def test_a_flipped_pair_comes_back_as_the_unflipped(direction, axes):
    image, weight = torch.rand(1, 3, 4, 5), torch.rand(1, 1, 4, 5)
    (sample,) = attach_fusion(
        [SegDataSample(metainfo=dict(flip=True, flip_direction=direction))],
        image.flip(axes),
        weight.flip(axes),
        stretch=False,
    )
    assert torch.equal(sample.fused_img.data, image[0])
    assert torch.equal(sample.fusion_weights.data, weight[0])
