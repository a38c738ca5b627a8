"""Losses of the fusion and colours make no GPU wait; see meta_device.py."""

import pytest
import torch
from meta_device import META, no_synchronisation

from mmfusion.models import AttributionFusionLoss, JointGradientLoss
from mmfusion.models.color import merge_luminance, split_luminance


def _image(channels=1, **options):
    return torch.zeros(2, channels, 32, 48, device=META, **options)


def _on_meta(*tensors):
    return all(tensor.device == META for tensor in tensors)


@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
@pytest.mark.parametrize('form', ['objective', 'released'])
def test_fidelity_loss(form, reduction):
    fused = _image().requires_grad_()
    with no_synchronisation():
        losses = AttributionFusionLoss(0.7, form, reduction)(fused, _image(), _image(), _image(), _image())
        sum(value.sum() for value in losses.values()).backward()
    assert _on_meta(fused.grad, *losses.values())


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
@pytest.mark.parametrize('padding', ['replicate', 'zeros'])
def test_gradient_loss(padding, reduction, dtype):
    fused = _image(dtype=dtype).requires_grad_()
    with no_synchronisation():
        (loss,) = JointGradientLoss(0.7, padding, reduction)(fused, _image(), _image()).values()
        loss.sum().backward()
    assert _on_meta(fused.grad, loss)
    assert (fused.grad.dtype, loss.dtype) == (dtype, torch.float32)


def test_luminance():
    rgb = _image(3).requires_grad_()
    with no_synchronisation():
        luminance, chroma = split_luminance(rgb)
        merged = merge_luminance(luminance, chroma)
        merged.sum().backward()
    assert _on_meta(luminance, chroma, merged, rgb.grad)
