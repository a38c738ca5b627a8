import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from mmfusion.models import AttributionFusionLoss, JointGradientLoss
from mmfusion.models.losses import sobel_magnitude, weighted_fidelity
from mmfusion.registry import MODELS

F64 = torch.float64
REDUCE = {'mean': np.mean, 'sum': np.sum, 'none': np.asarray}


@pytest.fixture
def images():
    """Fused, infrared, visible, weight of infrared."""
    return torch.rand(4, 2, 1, 6, 7, generator=torch.Generator().manual_seed(0), dtype=F64).unbind()


def sobel(image, mode):
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], float)
    return np.stack(
        [sum(np.abs(convolve(sample[0], k, mode=mode)) for k in (kernel, kernel.T))[None] for sample in image.numpy()]
    )


# Fidelity


@pytest.mark.parametrize('reduction', REDUCE)
@pytest.mark.parametrize('form', ['objective', 'released'])
def test_fidelity(images, reduction, form):
    fused, ir, vi, weight = images
    losses = AttributionFusionLoss(0.7, form, reduction)(fused, ir, vi, weight, 1 - weight)
    assert list(losses) == ['loss_ir', 'loss_vi']
    for name, source, w in (('loss_ir', ir, weight), ('loss_vi', vi, 1 - weight)):
        f, x, w = fused.numpy(), source.numpy(), w.numpy()
        values = w * (f - x) ** 2 if form == 'objective' else (w * (x - f)) ** 2
        np.testing.assert_allclose(losses[name], 0.7 * REDUCE[reduction](values), rtol=1e-12)


def test_forms_at_even_and_clear_shares():
    fused, source = torch.tensor([[[[0.9, 0.9]]]]), torch.tensor([[[[0.5, 0.5]]]])
    weight = torch.tensor([[[[1.0, 0.5]]]])
    assert weighted_fidelity(fused, source, weight).flatten().tolist() == pytest.approx([0.16, 0.08])
    assert weighted_fidelity(fused, source, weight, 'released').flatten().tolist() == pytest.approx([0.16, 0.04])


def test_minimum_of_the_objective_is_the_weighted_mean(images):
    _, ir, vi, weight = images
    fused = (weight * ir + (1 - weight) * vi).requires_grad_()
    sum(AttributionFusionLoss()(fused, ir, vi, weight, 1 - weight).values()).backward()
    assert fused.grad.abs().max() < 1e-15


def test_perfect_copy_of_the_only_source_costs_nothing(images):
    _, ir, vi, _ = images
    losses = AttributionFusionLoss()(ir, ir, vi, torch.ones_like(ir), torch.zeros_like(ir))
    assert losses['loss_ir'] == 0
    assert losses['loss_vi'] == 0


@pytest.mark.parametrize('form', ['objective', 'released'])
def test_gradcheck_of_the_fidelity(images, form):
    fused, ir, vi, weight = images
    fused.requires_grad_()
    loss = AttributionFusionLoss(form=form)
    assert torch.autograd.gradcheck(lambda x: sum(loss(x, ir, vi, weight, 1 - weight).values()), [fused])


def test_shapes_that_would_broadcast(images):
    fused, ir, _, weight = images
    for arguments in ((fused.expand(-1, 3, -1, -1), ir, weight), (fused, ir[:1], weight), (fused, ir, weight[..., :1])):
        with pytest.raises(ValueError, match='one shape'):
            weighted_fidelity(*arguments)


def test_half_precision_is_squared_in_float32():
    fused, source, weight = (torch.full((1, 1, 2, 2), value, dtype=torch.float16) for value in (0.501, 0.5, 1.0))
    value = weighted_fidelity(fused, source, weight)
    assert value.dtype == torch.float32
    assert value.max().item() == pytest.approx((fused[0, 0, 0, 0].item() - 0.5) ** 2)
    assert value.max() > 0


# Gradient


@pytest.mark.parametrize(('padding', 'mode'), [('replicate', 'nearest'), ('zeros', 'constant')])
def test_sobel(images, padding, mode):
    np.testing.assert_allclose(sobel_magnitude(images[0], padding), sobel(images[0], mode), atol=1e-12)


def test_sobel_of_a_step_and_of_nothing():
    step = torch.zeros(1, 1, 5, 6)
    step[..., 3:] = 1
    assert sobel_magnitude(step)[0, 0].tolist() == [[0, 0, 4, 4, 0, 0]] * 5
    flat = torch.full((1, 1, 4, 4), 0.5)
    assert sobel_magnitude(flat).eq(0).all()
    framed = sobel_magnitude(flat, 'zeros')[0, 0]  # The released one sees the image's border.
    assert framed[1:3, 1:3].eq(0).all()
    assert framed[0, 1] == framed[1, 3] == 2
    assert framed[0, 0] == 3


@pytest.mark.parametrize('reduction', REDUCE)
@pytest.mark.parametrize(('padding', 'mode'), [('replicate', 'nearest'), ('zeros', 'constant')])
def test_gradient_loss(images, reduction, padding, mode):
    fused, ir, vi, _ = images
    losses = JointGradientLoss(0.3, padding, reduction)(fused, ir, vi)
    assert list(losses) == ['loss_grad']
    values = np.abs(sobel(fused, mode) - np.maximum(sobel(ir, mode), sobel(vi, mode)))
    np.testing.assert_allclose(losses['loss_grad'], 0.3 * REDUCE[reduction](values), rtol=1e-10)


def test_gradient_loss_takes_the_stronger_edge():
    ir, vi = torch.zeros(2, 1, 1, 5, 6).unbind()
    ir[..., 3:] = 0.25
    vi[..., 3:] = -1.0  # A falling edge of another source is as good.
    loss = JointGradientLoss(reduction='sum')
    assert loss(vi, ir, vi)['loss_grad'] == 0
    assert loss(ir, ir, vi)['loss_grad'].item() == pytest.approx(10 * (4 - 1))


def test_gradcheck_of_the_gradient_loss(images):
    fused, ir, vi, _ = images
    fused.requires_grad_()
    for padding in ('replicate', 'zeros'):
        loss = JointGradientLoss(padding=padding)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, ir, vi)['loss_grad'], [fused])


@pytest.mark.parametrize('padding', ['replicate', 'zeros'])
@pytest.mark.parametrize('dtype', [torch.float32, F64, torch.bfloat16, torch.float16])
def test_sobel_is_that_of_the_written_kernels(images, dtype, padding):
    """To the last digit: the kernels are whole numbers in any type."""
    image = images[0].to(dtype)
    kernel = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=dtype)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1), mode=dict(zeros='constant').get(padding, padding))
    expected = torch.nn.functional.conv2d(padded, torch.stack([kernel, kernel.T])[:, None]).abs().sum(1, keepdim=True)
    assert torch.equal(sobel_magnitude(image, padding), expected)


def test_gradient_loss_ignores_autocast(images):
    fused, ir, vi, _ = (image.float() for image in images)
    with torch.autocast('cpu', torch.bfloat16):
        half = JointGradientLoss()(fused, ir, vi)['loss_grad']
    assert torch.equal(half, JointGradientLoss()(fused, ir, vi)['loss_grad'])


# Options


@pytest.mark.parametrize('kind', [AttributionFusionLoss, JointGradientLoss])
def test_weight_and_reduction(kind):
    for weight in (-1.0, float('nan')):
        with pytest.raises(ValueError, match=f'loss_weight must not be negative, got {weight}'):
            kind(loss_weight=weight)
    with pytest.raises(ValueError, match="'median'"):
        kind(reduction='median')
    assert isinstance(MODELS.build(dict(type=f'mmfusion.{kind.__name__}', loss_weight=0)), kind)


def test_unknown_form_and_padding(images):
    with pytest.raises(ValueError, match=r"'paper'.*objective, released"):
        AttributionFusionLoss(form='paper')
    with pytest.raises(ValueError, match="'paper'"):
        weighted_fidelity(*images[:3], form='paper')
    with pytest.raises(ValueError, match=r"'reflect'.*replicate, zeros"):
        JointGradientLoss(padding='reflect')
    with pytest.raises(ValueError, match="'reflect'"):
        sobel_magnitude(images[0], 'reflect')
