"""mmcv's and mmseg's geometric transforms treat all four channels and the labels alike."""

import numpy as np
import pytest

import mmfusion.datasets  # noqa: F401
from mmfusion.registry import TRANSFORMS

HEIGHT, WIDTH = 48, 64
GEOMETRIC = [
    dict(type='Resize', scale=(90, 70), keep_ratio=False),
    dict(type='RandomResize', scale=(WIDTH, HEIGHT), ratio_range=(1.2, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(30, 41), cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=1.0, direction='horizontal'),
    dict(type='RandomFlip', prob=1.0, direction='vertical'),
    dict(type='RandomRotate', prob=1.0, degree=(10.0, 40.0), seg_pad_val=255),
    dict(type='Pad', size=(60, 80), pad_val=dict(img=0, seg=255)),
]


def apply(config, img, label):
    np.random.seed(5)
    results = dict(
        img=img.copy(),
        gt_seg_map=label.copy(),
        seg_fields=['gt_seg_map'],
        img_shape=img.shape[:2],
        ori_shape=img.shape[:2],
    )
    results = TRANSFORMS.build(config)(results)
    return results['img'], results['gt_seg_map']


def scene():
    """Labels in blocks; every channel codes them as 40 * label + 10 * channel."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[4:30, 6:40] = 1
    label[20:44, 30:60] = 2
    label[34:, :20] = 3
    return (40 * label[..., None] + 10 * np.arange(1, 5)).astype(np.uint8), label


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
@pytest.mark.parametrize('config', GEOMETRIC, ids=lambda config: config['type'])
def test_equal_channels_stay_equal(config, dtype):
    rng = np.random.default_rng(2)
    channel = (rng.random((HEIGHT, WIDTH, 1)) * 255).astype(dtype)
    img, label = apply(config, np.repeat(channel, 4, axis=2), scene()[1])
    assert img.dtype == dtype
    assert img.shape == (*label.shape, 4)
    assert img.std() > 1
    for c in range(1, 4):
        np.testing.assert_array_equal(img[..., c], img[..., 0])


@pytest.mark.parametrize('config', GEOMETRIC, ids=lambda config: config['type'])
def test_labels_go_where_the_image_goes(config):
    img, label = scene()
    moved, moved_label = apply(config, img, label)
    assert moved.shape != img.shape or (moved != img).any()
    codes = 40 * np.arange(4)[:, None] + 10 * np.arange(1, 5)
    checked = 0
    for code_id, code in enumerate(codes):
        # Exactly this code here and around: not at an edge, where the image is interpolated and the label is not.
        exact = (moved == code).all(axis=-1)
        exact[:, 1:-1] &= exact[:, :-2] & exact[:, 2:]
        exact[1:-1] &= exact[:-2] & exact[2:]
        # Padding is label 255 and no code: channels are 10, 20, 30, 40 for background.
        assert (moved_label[exact] != code_id).sum() <= 0.001 * exact.sum()
        checked += exact.sum()
    assert checked > 0.5 * (moved_label != 255).sum()
    assert set(np.unique(moved_label)) <= {0, 1, 2, 3, 255}


def test_random_rotate_pads_only_the_first_channel():
    """The trap that the package's docstring names; should mmcv mend it, the sentence there can go."""
    img, _ = apply(dict(type='RandomRotate', prob=1.0, degree=(30.0, 40.0), pad_val=99), *scene())
    assert img[0, 0].tolist() == [99, 0, 0, 0]
