import cv2
import numpy as np
import pytest
import torch

from mmfusion.models import (
    AverageFusion,
    ConcatenationFusion,
    InfraredOnly,
    LaplacianPyramidFusion,
    MaximumFusion,
    VisibleOnly,
)
from mmfusion.registry import MODELS

RULES = {
    AverageFusion: lambda ir, vi: ((ir + vi) / 2, torch.full_like(ir, 0.5)),
    MaximumFusion: lambda ir, vi: (torch.maximum(ir, vi), (ir > vi).to(ir)),
    VisibleOnly: lambda ir, vi: (vi, torch.zeros_like(ir)),
    InfraredOnly: lambda ir, vi: (ir, torch.ones_like(ir)),
}
ALL = [*RULES, ConcatenationFusion, LaplacianPyramidFusion]


@pytest.fixture
def pair():
    ir, vi = torch.rand(2, 2, 1, 6, 7, generator=torch.Generator().manual_seed(0)).unbind()
    vi[0, 0, 0, 0] = ir[0, 0, 0, 0]
    return ir, vi


def refuse(x):
    raise RuntimeError('a fixed rule asks no segmentor')


@pytest.mark.parametrize('fusion_type', RULES)
def test_rule(fusion_type, pair):
    expected, weight_ir = RULES[fusion_type](*pair)
    fusion = fusion_type()
    result = fusion(*pair, refuse, torch.zeros(2, 6, 7).long(), strength=0.3, ignore=torch.ones(2, 6, 7).bool())
    torch.testing.assert_close(result.fused, expected)
    assert torch.equal(result.weight_ir, weight_ir)
    torch.testing.assert_close(result.weight_vi, 1 - weight_ir)
    # The image is what its weights say.
    torch.testing.assert_close(result.fused, result.weight_ir * pair[0] + result.weight_vi * pair[1])
    assert not list(fusion.parameters())
    assert result.region_ir is None
    assert result.region_vi is None
    assert result.labels is None
    assert result.attention == []


def by_opencv(ir, vi, levels):
    """Of two images (H, W); OpenCV makes the levels."""
    if levels == 0 or min(ir.shape) <= 2:
        return (ir + vi) / 2
    smaller = [cv2.pyrDown(image) for image in (ir, vi)]
    first, second = (
        image - cv2.resize(down, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for image, down in zip((ir, vi), smaller)
    )
    rest = cv2.resize(by_opencv(*smaller, levels - 1), ir.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return rest + np.where(np.abs(first) > np.abs(second), first, second)


@pytest.mark.parametrize('levels', [1, 3, 6])
@pytest.mark.parametrize('size', [(32, 48), (33, 45), (5, 9)])
def test_laplacian_pyramid_by_opencv(levels, size):
    ir, vi = (0.3 + 0.4 * torch.rand(2, 2, 1, *size, generator=torch.Generator().manual_seed(0))).unbind()
    found = LaplacianPyramidFusion(levels=levels)(ir, vi, refuse).fused
    for ours, *sources in zip(found, ir, vi):
        expected = by_opencv(*(source[0].numpy() for source in sources), levels)
        np.testing.assert_allclose(ours[0].numpy(), expected.clip(0, 1), atol=1e-5)


def test_laplacian_pyramid_keeps_details_of_both():
    """A fine pattern that one image has, and a coarse one that the other has: nearly at their full contrast."""
    x = torch.arange(64.0)
    fine = 0.5 + 0.1 * torch.cos(torch.pi * x).expand(1, 1, 64, 64)
    coarse = 0.5 + 0.1 * torch.cos(torch.pi * x / 8).expand(1, 1, 64, 64)
    fused = LaplacianPyramidFusion(levels=5)(fine, coarse).fused
    average = AverageFusion()(fine, coarse).fused
    inside = (..., slice(16, 48), slice(16, 48))
    error, of_average = ((image - (fine + coarse - 0.5))[inside].abs().max() for image in (fused, average))
    assert error < 0.25 * of_average


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (2, 2), (3, 3)])
def test_laplacian_pyramid_of_tiny_images(size):
    ir, vi = torch.rand(2, 1, 1, *size)
    fused = LaplacianPyramidFusion(levels=8)(ir, vi).fused
    assert fused.shape == ir.shape
    if min(size) <= 2:
        torch.testing.assert_close(fused, (ir + vi) / 2)
    with pytest.raises(ValueError, match='levels must be at least 1, got 0'):
        LaplacianPyramidFusion(levels=0)


def test_concatenation_is_two_convolutions(pair):
    torch.manual_seed(0)
    fusion = ConcatenationFusion(channels=5)
    result = fusion(*pair, refuse)
    first, prelu, second = fusion.unit
    assert (first.in_channels, first.out_channels, second.out_channels) == (2, 5, 1)
    hidden = first(torch.cat(pair, 1))
    hidden = torch.where(hidden > 0, hidden, prelu.weight * hidden)
    torch.testing.assert_close(result.fused, 1 / (1 + torch.exp(-second(hidden))))
    assert result.weight_ir.eq(0.5).all()
    assert result.weight_vi.eq(0.5).all()


def test_concatenation_learns_to_copy_a_source(pair):
    torch.manual_seed(0)
    fusion = ConcatenationFusion(channels=4)
    optimizer = torch.optim.Adam(fusion.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        loss = (fusion(*pair).fused - pair[0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.ne(0).any() for p in fusion.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize('fusion_type', ALL)
@pytest.mark.parametrize(
    'bad',
    [
        lambda ir, vi: (ir, vi[..., :5]),
        lambda ir, vi: (ir, vi[:1]),
        lambda ir, vi: (ir.expand(-1, 3, -1, -1), vi.expand(-1, 3, -1, -1)),
        lambda ir, vi: (ir[0], vi[0]),
        lambda ir, vi: (ir, (255 * vi).byte()),
        lambda ir, vi: ((255 * ir).byte(), (255 * vi).byte()),
    ],
)
def test_no_pair(fusion_type, bad, pair):
    with pytest.raises(ValueError, match='one shape'):
        fusion_type()(*bad(*pair))


@pytest.mark.parametrize('fusion_type', ALL)
def test_one_line_of_a_config(fusion_type):
    assert isinstance(MODELS.build(dict(type=fusion_type.__name__)), fusion_type)
    assert isinstance(MODELS.build(dict(type=f'mmfusion.{fusion_type.__name__}')), fusion_type)


def test_refused_channels():
    with pytest.raises(ValueError, match='got 0'):
        ConcatenationFusion(channels=0)
