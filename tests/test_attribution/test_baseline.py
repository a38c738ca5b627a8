import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from mmfusion.attribution import make_baseline
from mmfusion.attribution.baseline import box_blur


def window_means(image, kernel_size):
    """Mean over the part of each window that lies inside the image, pixel by pixel."""
    half = kernel_size // 2
    height, width = image.shape
    out = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            out[y, x] = image[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1].mean()
    return out


@pytest.fixture
def image():
    return torch.rand(2, 1, 12, 17, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize('kernel_size', [1, 3, 5, 11, 25])
def test_box_blur_is_the_mean_of_each_window(image, kernel_size):
    blurred = box_blur(image, kernel_size)
    for sample, result in zip(image, blurred):
        np.testing.assert_allclose(result[0], window_means(sample[0].numpy(), kernel_size), atol=1e-12)


def test_box_blur_inside_equals_scipy(image):
    expected = uniform_filter(image[0, 0].numpy(), 5)[2:-2, 2:-2]
    np.testing.assert_allclose(box_blur(image, 5)[0, 0, 2:-2, 2:-2], expected, atol=1e-12)


@pytest.mark.parametrize('kernel_size', [0, -1, 4])
def test_box_blur_refuses_even_kernels(image, kernel_size):
    with pytest.raises(ValueError, match=f'odd and positive, got {kernel_size}'):
        box_blur(image, kernel_size)


def test_black(image):
    assert make_baseline(image, 'black').eq(0).all()
    assert make_baseline(image, 'black').shape == image.shape


def test_mean_is_each_images_own(image):
    image[1] += 3
    baseline = make_baseline(image, 'mean')
    assert baseline.shape == image.shape
    for sample, result in zip(image, baseline):
        np.testing.assert_allclose(result, np.full(result.shape, sample.numpy().mean()), atol=1e-12)


@pytest.mark.parametrize(
    ('size', 'kernel_size'),
    [((96, 96), 31), ((96, 200), 31), ((48, 33), 11), ((5, 6), 3), ((1, 4), 3), ((480, 640), 159)],
)
def test_blur_window_is_a_third_of_the_shorter_side(size, kernel_size):
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(make_baseline(image, 'blur'), box_blur(image, kernel_size))


def test_blur_keeps_a_constant_image_up_to_the_border():
    image = torch.full((1, 1, 20, 30), 0.7, dtype=torch.float64)
    torch.testing.assert_close(make_baseline(image, 'blur'), image)


def test_blur_removes_structure(image):
    board = (torch.arange(24)[:, None] + torch.arange(24)) % 2.0
    assert (make_baseline(board[None, None], 'blur') - 0.5).abs().max() < 0.02


@pytest.mark.parametrize('shape', [(2, 1, 12, 17), (1, 1, 1, 1), (12, 17), ()])
def test_tensor_that_broadcasts(image, shape):
    tensor = torch.full(shape, 0.25)
    baseline = make_baseline(image, tensor)
    assert baseline.shape == image.shape
    assert baseline.dtype == image.dtype
    assert baseline.eq(0.25).all()


def test_tensor_that_does_not(image):
    with pytest.raises(ValueError, match=r'\(3, 1, 12, 17\) does not broadcast'):
        make_baseline(image, torch.zeros(3, 1, 12, 17))


def test_unknown_name(image):
    with pytest.raises(ValueError, match=r"'white'.*black, mean, blur"):
        make_baseline(image, 'white')


def test_neither_name_nor_tensor(image):
    with pytest.raises(TypeError, match='float'):
        make_baseline(image, 0.5)
