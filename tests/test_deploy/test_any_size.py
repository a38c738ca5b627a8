"""Layers in the form for any size compute what they computed."""

import pytest
import torch
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmseg.models.utils import Upsample
from torch import nn

from mmfusion.deploy.any_size import Attention, Enlarged, PaddedConvolution, replace_layers
from mmfusion.models import EfficientNetLite


@pytest.mark.parametrize('kernel', [1, 3, 5])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('dilation', [1, 2])
def test_convolution(kernel, stride, dilation):
    layer = Conv2dAdaptivePadding(4, 6, kernel, stride=stride, dilation=dilation, groups=2)
    image = torch.rand(2, 4, 12, 16)
    assert torch.equal(PaddedConvolution(layer)(image), layer(image))


def test_convolution_where_the_stride_does_not_divide():
    """That is why exports are compared at other sizes."""
    layer, image = Conv2dAdaptivePadding(1, 1, 3, stride=2), torch.rand(1, 1, 13, 16)
    assert PaddedConvolution(layer)(image).shape != layer(image).shape


@pytest.mark.parametrize('options', [dict(), dict(mode='bilinear', align_corners=True)])
def test_upsampling(options):
    layer, image = Upsample(scale_factor=2, **options), torch.rand(1, 3, 5, 7)
    assert torch.equal(Enlarged(layer)(image), layer(image))


@pytest.mark.parametrize('batch_first', [False, True])
@pytest.mark.parametrize('bias', [False, True])
def test_attention(batch_first, bias):
    layer = nn.MultiheadAttention(12, 3, bias=bias, batch_first=batch_first).eval()
    query, key, value = torch.rand(5, 5, 12), torch.rand(5, 5, 12), torch.rand(5, 5, 12)
    torch.testing.assert_close(
        Attention(layer)(query, key, value)[0], layer(query, key, value)[0], atol=1e-6, rtol=1e-5
    )
    with pytest.raises(ValueError, match='mask'):
        Attention(layer)(query, key, value, attn_mask=torch.zeros(5, 5))


def test_a_backbone():
    backbone, image = EfficientNetLite().eval(), torch.rand(1, 3, 64, 96)
    before, names = backbone(image), set(backbone.state_dict())
    replace_layers(backbone)
    kinds = {type(layer) for layer in backbone.modules()}
    assert PaddedConvolution in kinds
    assert Conv2dAdaptivePadding not in kinds
    assert set(backbone.state_dict()) == names
    assert all(torch.equal(a, b) for a, b in zip(before, backbone(image), strict=True))


def test_what_stays():
    module = nn.Sequential(Upsample(size=(3, 4)), Upsample(scale_factor=1.5), nn.MultiheadAttention(4, 2, kdim=3))
    kinds = [type(layer) for layer in module]
    replace_layers(module)
    assert [type(layer) for layer in module] == kinds
