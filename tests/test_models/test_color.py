import cv2
import numpy as np
import pytest
import torch

from mmfusion.models.color import merge_luminance, split_luminance


@pytest.fixture
def rgb():
    return torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_equals_opencv(rgb):
    luminance, chroma = split_luminance(rgb.float())
    for image, y, c in zip(rgb, luminance, chroma):
        expected = cv2.cvtColor(image.permute(1, 2, 0).float().numpy(), cv2.COLOR_RGB2YCrCb)  # Offset of 0.5.
        np.testing.assert_allclose(y[0], expected[..., 0], atol=1e-5)
        np.testing.assert_allclose(c[0] + 0.5, expected[..., 2], atol=1e-3)  # OpenCV rounds its factors
        np.testing.assert_allclose(c[1] + 0.5, expected[..., 1], atol=1e-3)  # to three digits.


def test_round_trip(rgb):
    torch.testing.assert_close(merge_luminance(*split_luminance(rgb)), rgb, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ('colour', 'expected'),
    [
        ((1, 1, 1), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((0.3, 0.3, 0.3), (0.3, 0, 0)),
        ((1, 0, 0), (0.299, -0.299 / 1.772, 0.5)),
        ((0, 1, 0), (0.587, -0.587 / 1.772, -0.587 / 1.402)),
        ((0, 0, 1), (0.114, 0.5, -0.114 / 1.402)),
    ],
)
def test_corners(colour, expected):
    luminance, chroma = split_luminance(torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1))
    assert [*luminance.flatten().tolist(), *chroma.flatten().tolist()] == pytest.approx(expected, abs=1e-12)


def test_new_luminance_keeps_the_chroma(rgb):
    luminance, chroma = split_luminance(0.4 + 0.2 * rgb)
    image = merge_luminance(luminance + 0.05, chroma)
    torch.testing.assert_close(image, 0.45 + 0.2 * rgb, rtol=0, atol=1e-12)
    torch.testing.assert_close(split_luminance(image)[1], chroma, rtol=0, atol=1e-12)


def test_clipped():
    _, chroma = split_luminance(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))
    assert merge_luminance(torch.ones(1, 1, 1, 1), chroma)[0, 0] == 1
    assert merge_luminance(torch.zeros(1, 1, 1, 1), chroma).min() == 0


def test_gradient(rgb):
    """The fused luminance gets the gradient of all three colours: each is luminance plus a constant."""
    luminance, chroma = split_luminance(0.4 + 0.2 * rgb)
    luminance.requires_grad_()
    merge_luminance(luminance, chroma).sum().backward()
    torch.testing.assert_close(luminance.grad, torch.full_like(luminance, 3))


@pytest.mark.parametrize('shape', [(1, 1, 4, 4), (3, 4, 4), (1, 4, 4, 4)])
def test_no_colour_image(shape):
    with pytest.raises(ValueError, match='colour image'):
        split_luminance(torch.zeros(shape))


@pytest.mark.parametrize('shapes', [((1, 3, 4, 4), (1, 2, 4, 4)), ((1, 1, 4, 4), (1, 3, 4, 4)), ((4, 4), (2, 4, 4))])
def test_no_luminance_and_chroma(shapes):
    with pytest.raises(ValueError, match=r'luminance .* and chroma'):
        merge_luminance(*(torch.zeros(shape) for shape in shapes))
