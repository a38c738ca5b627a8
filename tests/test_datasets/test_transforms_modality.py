import mmcv
import numpy as np
import pytest
from mmcv.transforms import RandomFlip, Resize
from mmengine.registry import DefaultScope
from mmseg.datasets.transforms import CLAHE, AdjustGamma, PhotoMetricDistortion, RandomRotate

from mmfusion.datasets import ApplyToModality
from mmfusion.registry import TRANSFORMS

RNG = np.random.default_rng(1)


def pair(dtype=np.uint8):
    return (RNG.random((32, 40, 4)) * 255).astype(dtype)


def seeded(transform, results):
    np.random.seed(3)
    return transform(results)


def test_visible_gets_what_the_transform_does_to_an_ordinary_image():
    img = pair()
    expected = seeded(PhotoMetricDistortion(), dict(img=img[..., :3].copy()))['img']
    assert (expected != img[..., :3]).any()
    wrapped = ApplyToModality(dict(type='PhotoMetricDistortion'))
    before = img.copy()
    result = seeded(wrapped, dict(img=img, img_path='x'))
    np.testing.assert_array_equal(result['img'][..., :3], expected)
    np.testing.assert_array_equal(result['img'][..., 3], img[..., 3])
    np.testing.assert_array_equal(img, before)  # the given array stays
    assert result['img'].dtype == np.uint8
    assert result['img_path'] == 'x'


@pytest.mark.parametrize('transform', [CLAHE(), AdjustGamma(2.0)])
def test_infrared_alone(transform):
    img = pair()
    channel = np.ascontiguousarray(img[..., 3])
    expected = mmcv.clahe(channel, 40.0) if isinstance(transform, CLAHE) else transform.table[channel]
    assert (expected != channel).any()
    result = ApplyToModality(transform, modality='infrared')(dict(img=img))['img']
    np.testing.assert_array_equal(result[..., 3], expected)
    np.testing.assert_array_equal(result[..., :3], img[..., :3])


def test_several_transforms_in_order():
    add = lambda results: dict(results, img=results['img'] // 2 + 10)  # noqa: E731
    double = lambda results: dict(results, img=results['img'] // 2)  # noqa: E731
    img = pair()
    result = ApplyToModality([add, double], 'infrared')(dict(img=img))['img']
    np.testing.assert_array_equal(result[..., 3], (img[..., 3] // 2 + 10) // 2)


def test_float_image_stays_float_and_keeps_its_colours():
    """mmseg's distortion on a float image loses the saturation; wrapped, it works on the rounded image."""
    img = pair(np.float32)
    rounded = np.rint(img[..., :3]).astype(np.uint8)
    wrapped = ApplyToModality(PhotoMetricDistortion())
    for seed in range(5):
        np.random.seed(seed)
        expected = PhotoMetricDistortion()(dict(img=rounded.copy()))['img']
        np.random.seed(seed)
        result = wrapped(dict(img=img))['img']
        assert result.dtype == np.float32
        if (expected != rounded).any():
            np.testing.assert_array_equal(result[..., :3], expected)
        np.testing.assert_array_equal(result[..., 3], img[..., 3])


def test_precision_survives_a_transform_that_does_nothing():
    img = pair(np.float32)
    result = ApplyToModality(lambda results: results)(dict(img=img))['img']
    np.testing.assert_array_equal(result, img)


@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
@pytest.mark.parametrize('whole', [np.uint8, np.float32])
def test_types_given_and_returned(dtype, whole):
    seen = []

    def scale(results):
        seen.append((results['img'].dtype, results['img'].shape))
        return dict(results, img=results['img'] * 1.5 + 0.3)  # float, beyond 255

    img = pair(whole)
    result = ApplyToModality(scale, 'infrared', dtype=dtype)(dict(img=img))['img']
    assert seen == [(np.dtype(dtype), (32, 40, 1))]
    given = np.rint(img[..., 3]) if dtype == 'uint8' else img[..., 3]
    expected = given.astype(np.float64) * 1.5 + 0.3
    if whole == np.uint8:
        expected = np.minimum(np.rint(expected), 255)
    assert result.dtype == whole
    np.testing.assert_allclose(result[..., 3], expected, rtol=1e-5)


@pytest.mark.parametrize(
    'transform',
    [
        RandomFlip(prob=1.0),
        RandomFlip(prob=0.0),
        Resize(scale=(20, 16)),
        Resize(scale=(40, 32)),
        RandomRotate(prob=1.0, degree=(10, 20)),
        lambda results: dict(results, img=results['img'][:, ::2]),
    ],
)
def test_geometry_is_refused(transform):
    results = dict(img=pair(), img_shape=(32, 40), gt_seg_map=np.zeros((32, 40), np.uint8), seg_fields=['gt_seg_map'])
    with pytest.raises(ValueError, match=r'outside of ApplyToModality'):
        ApplyToModality(transform)(results)


def test_flip_before_is_no_flip_inside():
    results = RandomFlip(prob=1.0)(dict(img=pair(), img_shape=(32, 40)))
    assert ApplyToModality(PhotoMetricDistortion())(dict(results))['flip'] is True


def test_none_is_passed_on():
    assert ApplyToModality(lambda results: None)(dict(img=pair())) is None


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (dict(transforms=[]), 'at least one'),
        (dict(transforms=CLAHE(), modality='thermal'), "'thermal'"),
        (dict(transforms=CLAHE(), dtype='uint16'), "'uint16'"),
    ],
)
def test_bad_arguments(args, message):
    with pytest.raises(ValueError, match=message):
        ApplyToModality(**args)


def test_three_channels_are_no_pair():
    with pytest.raises(ValueError, match=r'\(32, 40, 3\)'):
        ApplyToModality(CLAHE())(dict(img=pair()[..., :3]))


@pytest.mark.parametrize(('scope', 'name'), [('mmfusion', 'ApplyToModality'), ('mmseg', 'mmfusion.ApplyToModality')])
def test_inner_transforms_are_found_from_both_scopes(scope, name):
    config = dict(type=name, transforms=[dict(type='CLAHE'), dict(type='mmseg.AdjustGamma', gamma=2.0)])
    with DefaultScope.overwrite_default_scope(scope):
        transform = TRANSFORMS.build(config)
    assert 'CLAHE' in repr(transform)
    assert 'AdjustGamma' in repr(transform)
