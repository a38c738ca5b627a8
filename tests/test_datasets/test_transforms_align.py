"""Pairs of two sizes, and pairs that are not quite registered."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmfusion.datasets import AlignPair, LoadPairFromFile
from mmfusion.datasets.transforms import load_pair as load_pair_module
from mmfusion.datasets.transforms.align_pair import estimate_motion
from mmfusion.registry import TRANSFORMS

DATA = Path(__file__).resolve().parents[2] / '../shared/data'


def scene(seed=0, size=(96, 128)):
    """Smooth noise, which has edges everywhere and of all directions."""
    noise = cv2.GaussianBlur(np.random.RandomState(seed).uniform(0, 255, size).astype(np.float32), (0, 0), 3)
    return (noise - noise.min()) / (noise.max() - noise.min()) * 255


def pair_of(vi, ir):
    return np.dstack([vi, vi, vi, ir]).round().astype(np.uint8)


def moved(image, matrix):
    """What a camera sees where the visible one's pixel x is its pixel ``matrix @ x``."""
    return cv2.warpPerspective(
        image, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


MOTIONS = {
    'translation': np.array([[1, 0, 6.0], [0, 1, -4.0], [0, 0, 1]]),
    'euclidean': np.array([[0.9994, -0.0349, 5.0], [0.0349, 0.9994, -3.0], [0, 0, 1]]),
    'affine': np.array([[1.03, 0.01, -4.0], [-0.01, 0.98, 3.0], [0, 0, 1]]),
    'homography': np.array([[1.02, 0.01, -3.0], [0.0, 1.01, 2.0], [1e-4, 5e-5, 1]]),
}


@pytest.mark.parametrize('motion', MOTIONS)
def test_a_known_motion_is_found(motion):
    """Of an infrared image whose bright parts are the visible image's dark ones."""
    vi = scene()
    matrix, correlation = estimate_motion(vi, moved(255 - vi, MOTIONS[motion]), motion)
    corners = np.array([[8, 120, 8, 120, 64], [8, 8, 88, 88, 48], [1, 1, 1, 1, 1]])
    found, true = (each @ corners for each in (matrix, MOTIONS[motion]))
    assert np.abs(found[:2] / found[2] - true[:2] / true[2]).max() < 0.5
    assert correlation > 0.9


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_the_infrared_image_moves_and_nothing_else(dtype):
    vi = scene()
    img = pair_of(vi, moved(255 - vi, MOTIONS['translation'])).astype(dtype)
    before = img.copy()
    results = AlignPair()(dict(img=img, seg='as it was'))
    np.testing.assert_array_equal(results['img'][..., :3], before[..., :3])
    assert results['img'].dtype == dtype
    inside = np.s_[10:-10, 10:-10]
    assert np.abs(results['img'][..., 3][inside].astype(float) - (255 - vi)[inside]).max() < 3
    assert np.abs(before[..., 3][inside].astype(float) - (255 - vi)[inside]).max() > 20
    assert results['alignment']['correlation'] > 0.9
    np.testing.assert_allclose(np.array(results['alignment']['matrix']), MOTIONS['translation'], atol=0.3)
    assert results['seg'] == 'as it was'


def test_what_is_aligned_stays():
    vi = scene()
    aligned = AlignPair('affine')(dict(img=pair_of(vi, 255 - vi)))['img']
    assert np.abs(aligned[4:-4, 4:-4, 3].astype(float) - (255 - vi)[4:-4, 4:-4]).max() < 2


def test_what_has_nothing_in_common_is_refused():
    results = dict(img=pair_of(scene(1), scene(2)), ir_path='one/ir.png')
    with pytest.raises(
        ValueError, match=r'one/ir\.png cannot be aligned: .*correlate by -?0\.\d\d, below min_corr.*=0\.5'
    ):
        AlignPair(min_correlation=0.5)(results)


def test_what_would_move_too_far_is_refused():
    vi = scene(3, (96, 128))
    far = np.array([[1, 0, 40.0], [0, 1, 0], [0, 0, 1]])
    align = AlignPair(min_correlation=0)
    with pytest.raises(ValueError, match='a corner would move by 40 pixels of 128x96, more than a quarter'):
        align._check(far, 0.9, vi.shape, 'ir.png')


def test_without_edges_it_does_not_converge():
    flat = np.full((64, 64), 90, np.uint8)
    with pytest.raises(ValueError, match='does not converge; leave the pair out'):
        AlignPair()(dict(img=pair_of(flat, flat)))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(motion='elastic'), "'elastic'"),
        (dict(min_correlation=1.0), '1.0'),
        (dict(min_correlation=-0.1), '-0.1'),
    ],
)
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        AlignPair(**options)


def test_from_a_config():
    align = TRANSFORMS.build(dict(type='AlignPair', motion='euclidean', min_correlation=0.3))
    assert repr(align) == "AlignPair(motion='euclidean', min_correlation=0.3)"


@pytest.mark.parametrize(('folder', 'least'), [('roadscene', 6), ('msrs_weak/test', 6)])
def test_real_pairs(folder, least):
    """A shift that is added to a real pair is found again, next to what was there before."""
    if not (DATA / folder).is_dir():
        pytest.skip(f'{DATA / folder} is not there')
    shift, found = np.array([8.0, -6.0]), 0
    for path in sorted((DATA / folder / 'vi').iterdir())[:8]:
        (other,) = (DATA / folder / 'ir').glob(f'{path.stem}.*')
        vi, ir = (cv2.imread(str(each), cv2.IMREAD_GRAYSCALE) for each in (path, other))
        ways = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
        (before, correlation), (after, _) = estimate_motion(vi, ir), estimate_motion(vi, moved(ir, ways))
        if correlation >= 0.2:
            assert np.abs(after[:2, 2] - before[:2, 2] - shift).max() < 1, path.name
            found += 1
    assert found >= least


# Two sizes -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def files(tmp_path):
    """Function of two images that gives their paths."""

    def write(vi, ir):
        paths = dict(vi_path=str(tmp_path / 'vi.png'), ir_path=str(tmp_path / 'ir.png'))
        for path, image in zip(paths.values(), (vi, ir)):
            cv2.imwrite(path, image)
        return paths

    return write


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_whose_size_both_get(files, dtype):
    """A ramp keeps its values where it is halved and doubled."""
    large = np.repeat(np.arange(0, 96, 2, dtype=np.uint8)[None], 40, 0)
    vi, ir = np.dstack([large] * 3), large[:20, ::2].astype(dtype) * (256 if dtype == np.uint16 else 1)
    by_vi = LoadPairFromFile(resize_to='vi', ir_range='dtype')(files(vi, ir))
    assert by_vi['img'].shape == (40, 48, 4)
    assert by_vi['ori_shape'] == by_vi['img_shape'] == (40, 48)
    np.testing.assert_array_equal(by_vi['img'][..., :3], vi)
    # Half a large pixel between the centres of both grids.
    scale = 255 * 256 / 65535 if dtype == np.uint16 else 1
    expected = cv2.resize(ir.astype(np.float32) * (scale / (256 if dtype == np.uint16 else 1)), (48, 40))
    np.testing.assert_allclose(by_vi['img'][..., 3], expected, atol=0.51)
    by_ir = LoadPairFromFile(resize_to='ir', ir_range='dtype')(files(vi, ir))
    assert by_ir['img'].shape == (20, 24, 4)
    np.testing.assert_allclose(by_ir['img'][..., 0], vi[::2, ::2, 0] + 1.0, atol=0.51)  # Means of 2x2.


def test_one_size_is_left_as_it_is(files):
    vi, ir = np.random.RandomState(0).randint(0, 255, (2, 12, 15)).astype(np.uint8)
    paths = files(vi, ir)
    np.testing.assert_array_equal(LoadPairFromFile(resize_to='vi')(paths)['img'], LoadPairFromFile()(paths)['img'])


def test_two_shapes_are_mentioned(files, monkeypatch):
    told = []
    monkeypatch.setattr(load_pair_module, '_stretched', set())
    monkeypatch.setattr(load_pair_module, 'print_log', lambda message, *_: told.append(message))
    load = LoadPairFromFile(resize_to='vi')
    load(files(np.zeros((40, 60), np.uint8), np.zeros((20, 30), np.uint8)))
    assert told == []
    paths = files(np.zeros((40, 60), np.uint8), np.zeros((20, 32), np.uint8))
    load(paths)
    load(paths)
    assert len(told) == 1
    assert '60x40 and 32x20 pixels are of two shapes' in told[0]


def test_without_it_the_remedy_is_told(files):
    with pytest.raises(ValueError, match=r"12x15 .* 10x15 .*resize_to='vi' \(or 'ir'\)"):
        LoadPairFromFile()(files(np.zeros((12, 15), np.uint8), np.zeros((10, 15), np.uint8)))
    with pytest.raises(ValueError, match="'visible'"):
        LoadPairFromFile(resize_to='visible')
