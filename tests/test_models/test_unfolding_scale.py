"""Unfolding whose features are at a part of the resolution: nothing of the image is lost by it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmfusion.models import MemoryUnfoldingHead, UAAFusion
from mmfusion.models.fusion.squares import blend, fold, unfold
from mmfusion.models.fusion.unfolding_head import Unfolding

F64 = torch.float64


def draw(size=(8, 12), batch=2, seed=0, dtype=F64):
    generator = torch.Generator().manual_seed(seed)
    ir, vi, weight = (0.1 + 0.8 * torch.rand(3, batch, 1, *size, generator=generator, dtype=dtype)).unbind()
    return ir, vi, weight, 1 - weight


def build(scale=2, seed=0, dtype=F64, **options):
    torch.manual_seed(seed)
    return MemoryUnfoldingHead(**{**dict(num_stages=3, channels=4, scale=scale), **options}).to(dtype)


def strong(head):
    """Proximal networks that change something one can see."""
    with torch.no_grad():
        for name, weight in head.named_parameters():
            if 'reconstruct' in name or 'refine' in name:
                weight.mul_(4)
    return head


# Squares as channels -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('scale', [1, 2, 3])
def test_fold_and_back(scale):
    image = torch.rand(2, 3, 4 * scale, 5 * scale)
    folded = fold(image, scale)
    assert folded.shape == (2, 3 * scale**2, 4, 5)
    assert torch.equal(unfold(folded, scale), image)


def test_where_a_pixel_goes():
    image = torch.arange(24.0).view(1, 1, 4, 6)
    folded = fold(image, 2)
    for y, x in torch.cartesian_prod(torch.arange(4), torch.arange(6)).tolist():
        assert folded[0, 2 * (y % 2) + x % 2, y // 2, x // 2] == image[0, 0, y, x]


# No grid -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('scale', [1, 2, 3])
def test_what_repeats_from_square_to_square_vanishes(scale):
    square = torch.randn(1, scale**2, 1, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    blended = blend(unfold(square.expand(-1, -1, 6, 7), scale), scale)
    inside = blended[..., scale:-scale, scale:-scale]
    torch.testing.assert_close(inside, square.mean().expand_as(inside))


@pytest.mark.parametrize('scale', [1, 2, 3])
def test_what_changes_evenly_stays(scale):
    y, x = torch.meshgrid(torch.arange(12.0, dtype=F64), torch.arange(15.0, dtype=F64), indexing='ij')
    plane = (3 * x - 2 * y + 5)[None, None]
    inside = (..., *[slice(scale, -scale)] * 2)
    torch.testing.assert_close(blend(plane, scale)[inside], plane[inside])


def grid(image, scale=2):
    """How much the pixels of squares differ on average, by their places in the square."""
    return fold(image, scale).mean((0, 2, 3)).std()


@pytest.mark.parametrize('residual', [True, False])
def test_no_grid_in_an_image(residual):
    """Filters that differ from pixel to pixel of a square, as after a short training."""
    head = build(residual=residual)
    with torch.no_grad():
        for stage in head.stages:
            stage.reconstruct[-1].bias.copy_(torch.tensor([0.4, -0.4, 0.2, 0.0]))
    flat = torch.full((1, 1, 16, 20), 0.5, dtype=F64)
    found = grid(head(flat, flat, flat, flat)[0][..., 4:-4, 4:-4])
    # A network that paints the image anew paints its detail with those filters, grid and all.
    assert found < 1e-9 if residual else found > 0.01


# Shapes --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('scale', [1, 2, 3])
@pytest.mark.parametrize('size', [(12, 18), (11, 18), (12, 17), (13, 13)])
def test_any_size(scale, size):
    head = strong(build(scale))
    seen = []

    def attend(iterate):
        seen.append(iterate.shape)
        return 5 * (iterate - 0.5)

    found = head.cascade(*draw(size), attend)
    assert isinstance(found, Unfolding)
    assert found.fused.shape == (2, 1, *size)
    assert [attention.shape for attention in found.attention] == [(2, 1, *size)] * 3
    assert found.features.shape == (2, 4, -(-size[0] // scale), -(-size[1] // scale))
    assert seen == [(2, 1, *size)] * 3  # Whoever attends sees the image, and no padding.


@pytest.mark.parametrize('size', [(7, 12), (8, 11), (7, 11)])
def test_odd_sizes_are_padded_by_their_own_border(size):
    head = strong(build())
    images, attention = draw(size), draw(size, seed=1)[0] * 5

    def pad(image):
        return F.pad(image, (0, size[1] % 2, 0, size[0] % 2), mode='replicate')

    def crop(image):
        return image[..., : size[0], : size[1]]

    for attend, padded in ((lambda iterate: attention, lambda iterate: pad(attention)), (None, None)):
        found = head.cascade(*images, attend)
        larger = head.cascade(*map(pad, images), padded)
        torch.testing.assert_close(found.fused, crop(larger.fused))
        torch.testing.assert_close(found.features, larger.features)
        for ours, theirs in zip(found.attention, larger.attention, strict=True):
            torch.testing.assert_close(ours, crop(theirs))


def test_forward_tells_features_if_asked():
    head, images = build(), draw()
    fused, attention = head(*images)
    told = head(*images, with_features=True)
    assert torch.equal(told.fused, fused)
    assert len(attention) == len(told.attention) == 3
    assert torch.equal(told.features, head.cascade(*images).features)


# What a stage sees and gives -----------------------------------------------------------------------------------------
class Identity(nn.Module):
    """A stage whose proximal operator does nothing; keeps what came in."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, half, gate, long, short, state):
        self.seen.append((half, gate, long))
        return half, long, short, state


def test_data_steps_are_at_full_resolution():
    ir, vi, weight_ir, weight_vi = draw()
    head = build()
    head.stages = nn.ModuleList(Identity() for _ in head.stages)
    fused, _ = head(ir, vi, weight_ir, weight_vi, lambda iterate: 4 * iterate)
    target = weight_ir * ir + weight_vi * vi
    torch.testing.assert_close(fused, target + 0.5**3 * ((ir + vi) / 2 - target))
    half, gate, long = head.stages[0].seen[0]
    assert half.shape == ir.shape
    assert long.shape == (2, 4, 4, 6)
    # A place's gate is the mean over its square.
    squares = (2 * (ir + vi)).sigmoid().view(2, 1, 4, 2, 6, 2).mean((3, 5))
    torch.testing.assert_close(gate, squares)


def test_no_detail_is_lost():
    """A single pixel of the sources, and of the weights, moves the pixel of the image and not its neighbours alike."""
    head = build()
    ir, vi, weight_ir, weight_vi = draw()
    changed = ir.clone()
    changed[..., 4, 6] += 0.1
    difference = (head(changed, vi, weight_ir, weight_vi)[0] - head(ir, vi, weight_ir, weight_vi)[0]).abs()
    assert difference[..., 4, 6].min() > 5 * difference[..., 4, 7].max()
    assert difference[..., 4, 6].min() > 5 * difference[..., 5, 6].max()


@pytest.mark.parametrize('residual', [True, False])
def test_iterates_stay_inside(residual):
    """Whatever the weights of the network are, and for black and white sources."""
    head = build(residual=residual)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=3)
    with torch.no_grad():
        head.alpha.uniform_(0, 1)
    ir, vi = draw()[:2]
    ir, vi = ir.round(), vi.round()
    iterates = []

    def attend(iterate):
        iterates.append(iterate)
        return torch.zeros_like(iterate)

    fused, _ = head(ir, vi, torch.ones_like(ir), torch.zeros_like(ir), attend)
    for image in (*iterates, fused):
        assert image.min() >= 0
        assert image.max() <= 1
        assert image.isfinite().all()


def test_gradients():
    """By the inputs and by every parameter."""
    head = strong(build(num_stages=2))
    images = [image.requires_grad_() for image in draw((4, 6), batch=1)]
    assert torch.autograd.gradcheck(
        lambda *x: head(*x, lambda iterate: 3 * (iterate - 0.5))[0], images, atol=1e-6, rtol=1e-4
    )
    assert torch.autograd.gradcheck(lambda *x: head.cascade(*x).features, images[:4], atol=1e-6, rtol=1e-4)
    head(*images, lambda iterate: 3 * (iterate - 0.5))[0].square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize('with_cp', [False, True])
def test_checkpointing_changes_nothing(with_cp):
    head = strong(build(with_cp=with_cp))
    images = [image.requires_grad_() for image in draw((7, 9))]
    found = head.cascade(*images)
    (found.fused.sum() + found.features.sum()).backward()
    plain = strong(build())
    others = [image.detach().clone().requires_grad_() for image in images]
    expected = plain.cascade(*others)
    (expected.fused.sum() + expected.features.sum()).backward()
    torch.testing.assert_close(found.fused, expected.fused)
    torch.testing.assert_close(images[0].grad, others[0].grad)


def test_scale_one_is_the_papers():
    """The same network, with the same weights, whether its squares are told or not."""
    images = draw()
    torch.manual_seed(0)
    plain = MemoryUnfoldingHead(num_stages=3, channels=4).to(F64)
    assert torch.equal(plain(*images)[0], build(scale=1)(*images)[0])
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in build(scale=2).named_parameters()]


@pytest.mark.parametrize('scale', [0, -1])
def test_refused(scale):
    with pytest.raises(ValueError, match=f'must be at least 1, got {scale}'):
        MemoryUnfoldingHead(num_stages=1, channels=4, scale=scale)


@pytest.mark.parametrize('memory', [True, False])
def test_features_of_the_last_stage(memory):
    """Of which the image is made: its reconstruction is the last change."""
    head = strong(build(memory=memory))
    images = draw()
    last = head.stages[-1]
    halves = []
    last.register_forward_pre_hook(lambda module, args: halves.append(args[0]))
    found = head.cascade(*images)
    change = blend(unfold(last.reconstruct(found.features), 2), 2)
    torch.testing.assert_close(found.fused, (halves[0].logit(1e-3) + change).sigmoid())


def test_in_a_fusion():
    torch.manual_seed(0)
    fusion = UAAFusion(num_stages=2, channels=4, weights='even', head=dict(scale=2))
    ir, vi = torch.rand(2, 1, 1, 15, 21)
    result = fusion(ir, vi, lambda x: torch.cat([x, 1 - x], 1))
    assert result.fused.shape == (1, 1, 15, 21)
    assert result.features.shape == (1, fusion.feature_channels, 8, 11)
    assert result.attention[1].abs().max() > 0


@pytest.mark.parametrize('scale', [1, 2, 3])
@pytest.mark.parametrize('turn', [False, True])
def test_the_smallest_image_is_told_and_works(scale, turn):
    """The size that is named, and not one pixel less."""
    head = build(scale)
    size, less = (scale + 1, 9), (scale, 9)
    size, less = (size[::-1], less[::-1]) if turn else (size, less)
    assert head(*draw(size))[0].shape[-2:] == size
    with pytest.raises(
        ValueError, match=rf'at least {scale + 1}x{scale + 1} pixels, got {less[0]}x{less[1]}; pad them'
    ):
        head(*draw(less))
