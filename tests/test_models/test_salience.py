"""Weights by what stands out."""

import cv2
import numpy as np
import pytest
import torch

from mmfusion.models import MaximumFusion, SalienceFusion, SalienceGate
from mmfusion.models.fusion.salience_gate import gaussian_blur


def image(array):
    return torch.from_numpy(np.asarray(array, np.float32))[None, None]


def random_image(seed, size=(40, 50)):
    return np.random.RandomState(seed).rand(*size).astype(np.float32)


@pytest.mark.parametrize('sigma', [0.7, 1.0, 2.0, 6.0])
def test_blur_as_opencv(sigma):
    array = random_image(0)
    side = 2 * max(1, round(3 * sigma)) + 1
    expected = cv2.GaussianBlur(array, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(gaussian_blur(image(array), sigma)[0, 0].numpy() - expected).max() < 1e-5


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (5, 4)])
def test_images_smaller_than_the_filter(size):
    out = SalienceGate()(torch.rand(2, 1, *size), torch.rand(2, 1, *size))
    assert out.share.shape == out.strength.shape == (2, 1, *size)
    assert out.share.isfinite().all()


def test_salience_by_hand():
    array = random_image(1)

    def blur(values, sigma):
        side = 2 * round(3 * sigma) + 1
        return cv2.GaussianBlur(values, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)

    expected = blur(array, 1.5) + 0.5 * np.sqrt(blur((array - blur(array, 4.5)) ** 2, 3.0))
    found = SalienceGate(contrast=0.5, sigma=1.5).salience(image(array))[0, 0].numpy()
    assert np.abs(found - expected).max() < 1e-4
    other = random_image(2)
    share = SalienceGate(sharpness=7, contrast=0.5, sigma=1.5)(image(array), image(other)).share[0, 0].numpy()
    difference = found - SalienceGate(contrast=0.5, sigma=1.5).salience(image(other))[0, 0].numpy()
    assert np.abs(share - 7 * difference).max() < 1e-4


def test_takes_the_hot_and_the_textured():
    """Where both are of one brightness the maximum is undecided, and the texture wins here."""
    ir, vi = np.full((64, 96), 0.5, np.float32), np.full((64, 96), 0.5, np.float32)
    ir[20:44, 16:32] = 1.0
    vi[:, 56:] += 0.2 * (np.indices((64, 40)).sum(0) % 2 - 0.5)
    result = SalienceFusion()(image(ir), image(vi))
    weight = result.weight_ir[0, 0]
    assert weight[28:36, 20:28].min() > 0.95
    assert weight[24:40, 72:88].max() < 0.05
    assert weight[0, 0].item() == pytest.approx(0.5, abs=0.01)  # Far from both.
    assert torch.allclose(result.weight_ir + result.weight_vi, torch.ones_like(result.weight_ir))
    textured = MaximumFusion()(image(ir), image(vi)).weight_ir[0, 0, 24:40, 72:88]
    assert 0.4 < textured.mean() < 0.6
    assert torch.allclose(result.fused[0, 0, 24:40, 72:88], image(vi)[0, 0, 24:40, 72:88], atol=0.01)


@pytest.mark.parametrize(('option', 'value'), [('contrast', 0.0), ('sharpness', 10.0), ('sigma', 4.0)])
def test_every_option_matters(option, value):
    pair = image(random_image(3)), image(random_image(4))
    assert (SalienceFusion()(*pair).fused - SalienceFusion(**{option: value})(*pair).fused).abs().max() > 0.01


@pytest.mark.parametrize('options', [dict(contrast=-1), dict(sharpness=0), dict(sigma=-2.0)])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))} must'):
        SalienceFusion(**options)
    with pytest.raises(ValueError, match='must be positive, got 0'):
        gaussian_blur(torch.zeros(1, 1, 4, 4), 0)


def test_float32_under_autocast():
    with torch.autocast('cpu', torch.bfloat16):
        share = SalienceGate()(torch.rand(1, 1, 16, 24), torch.rand(1, 1, 16, 24)).share
    assert share.dtype == torch.float32
