"""A sensor that fails or sees badly: what changes, and what does not."""

import cv2
import numpy as np
import pytest

from mmfusion.datasets import DegradeSensor
from mmfusion.datasets.transforms.degrade_sensor import DEFAULT_AMOUNTS
from mmfusion.registry import TRANSFORMS

CHANNELS = dict(visible=slice(0, 3), infrared=slice(3, 4))


def pair(dtype=np.uint8, size=(30, 40)):
    return np.random.default_rng(0).integers(20, 230, (*size, 4)).astype(dtype)


def degrade(img, *options, path='a.png'):
    label = np.ones(img.shape[:2], np.uint8)
    given = dict(img=img.copy(), gt_seg_map=label, img_path=path)
    results = DegradeSensor(*options)(given)
    assert results['gt_seg_map'] is label
    np.testing.assert_array_equal(given['img'], img)  # It writes into nobody's image.
    return results['img']


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
@pytest.mark.parametrize('kind', DEFAULT_AMOUNTS)
@pytest.mark.parametrize(('modality', 'other'), [('visible', 'infrared'), ('infrared', 'visible')])
def test_only_one_sensor(modality, other, kind, dtype):
    img = pair(dtype)
    changed = degrade(img, modality, kind)
    assert changed.shape == img.shape
    assert changed.dtype == img.dtype
    assert changed.min() >= 0
    assert changed.max() <= 255
    np.testing.assert_array_equal(changed[..., CHANNELS[other]], img[..., CHANNELS[other]])
    assert (changed[..., CHANNELS[modality]] != img[..., CHANNELS[modality]]).mean() > 0.5


def test_black_and_dark():
    img = pair(np.float32)
    assert degrade(img, 'visible', 'black')[..., :3].max() == 0
    np.testing.assert_allclose(degrade(img, 'infrared', 'dark', 0.25)[..., 3], img[..., 3] / 4)
    np.testing.assert_array_equal(degrade(img, 'infrared', 'dark', 1), img)


def test_blur_is_a_mean():
    """By the filter of another function; a third of the shorter side by default."""
    img = pair(np.float32)
    for amount, side in ((5, 5), (None, 10)):
        kernel = np.full((side, side), 1 / side**2)
        expected = cv2.filter2D(img[..., 3], -1, kernel, borderType=cv2.BORDER_REFLECT)
        np.testing.assert_allclose(degrade(img, 'infrared', 'blur', amount)[..., 3], expected, atol=1e-2)


def test_noise():
    img = np.full((100, 120, 4), 128, np.float32)
    noise = degrade(img, 'infrared', 'noise', 10)[..., 3] - 128
    assert abs(noise.mean()) < 0.5
    assert abs(noise.std() - 10) < 0.3
    np.testing.assert_array_equal(noise, degrade(img, 'infrared', 'noise', 10)[..., 3] - 128)  # The same every time,
    other = degrade(img, 'infrared', 'noise', 10, path='b.png')[..., 3] - 128  # but not in every file.
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.05


def test_shift():
    img = pair()
    shifted = degrade(img, 'visible', 'shift', 7)[..., :3]
    np.testing.assert_array_equal(shifted[:, 7:], img[:, :-7, :3])
    np.testing.assert_array_equal(shifted[:, :7], np.repeat(img[:, :1, :3], 7, axis=1))
    np.testing.assert_array_equal(degrade(img, 'visible', 'shift', 99)[..., :3], np.repeat(img[:, :1, :3], 40, axis=1))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('depth',), "modality must be one of .* but is 'depth'"),
        (('visible', 'fog'), "unknown kind 'fog'; choose one of black, blur, noise, dark, shift"),
        (('visible', 'black', 1), "a sensor that is off has no amount, got 1; or use kind='dark'"),
        (('visible', 'noise', -1), "amount is -1, but of 'noise' it must be a finite number that is not negative"),
        (('visible', 'dark', float('nan')), "amount is nan, but of 'dark'"),
        (('visible', 'shift', 1.5), "amount is 1.5, but of 'shift' it must be a whole number of pixels"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DegradeSensor(*options)


def test_no_pair():
    with pytest.raises(ValueError, match=r'four channels .* shape \(4, 4, 3\)'):
        TRANSFORMS.build(dict(type='DegradeSensor', modality='visible'))(dict(img=np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(ValueError, match='no image yet: DegradeSensor comes behind LoadPairFromFile'):
        DegradeSensor('visible')(dict(img_path='a.png'))
