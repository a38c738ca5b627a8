"""What FusionInferencer writes, measures and leaves out, and pairs that do not fit."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmfusion.apis import FusionInferencer
from mmfusion.evaluation import fusion_metrics
from mmfusion.visualization import draw_overlay

DATA = Path(__file__).resolve().parents[2] / '../shared/data'
AVERAGE = dict(type='AverageFusion')


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def fuse(config):
    return FusionInferencer(config(AVERAGE, color='gray'), device='cpu')


def test_what_is_saved(fuse, data, tmp_path):
    result = fuse(data / 'ir', data / 'vi', tmp_path / 'out', save=('overlays', 'labels'), image_format='bmp')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['labels', 'overlays']
    assert {path.suffix for path in (tmp_path / 'out/overlays').iterdir()} == {'.bmp'}
    assert {path.suffix for path in (tmp_path / 'out/labels').iterdir()} == {'.png'}
    name = result['names'][2]
    overlay = draw_overlay(result['fused'][2], result['labels'][2], result['classes'], result['palette'])
    np.testing.assert_array_equal(read(tmp_path / f'out/overlays/{name}.bmp')[..., ::-1], overlay)


@pytest.mark.parametrize('image_format', ['jpg', 'tif'])
def test_formats(fuse, data, tmp_path, image_format):
    result = fuse(data / 'ir', data / 'vi', tmp_path, save=['fused'], image_format=image_format)
    written = read(tmp_path / f'fused/{result["names"][0]}.{image_format}').astype(float)
    assert np.abs(written - result['fused'][0]).mean() < (6 if image_format == 'jpg' else 1e-9)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(save='fused'), TypeError, r"write \('fused',\)"),
        (dict(save=()), ValueError, 'one or more of fused, weights'),
        (dict(save=('fused', 'masks')), ValueError, "'masks'"),
        (dict(image_format='gif'), ValueError, "'gif'"),
        (dict(metrics=('FID',)), ValueError, 'FID'),
    ],
)
def test_refusals(fuse, data, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        fuse(data / 'ir', data / 'vi', tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


def test_metrics_of_every_pair(fuse, data):
    names = ('SD', 'SCD', 'SF')
    result = fuse(data / 'ir', data / 'vi', metrics=names)
    assert len(result['metrics']) == len(result['names'])
    assert all(tuple(row) == names for row in result['metrics'])
    vi, ir = read(data / f'vi/{result["names"][1]}.png'), read(data / f'ir/{result["names"][1]}.png')
    luminance = torch.from_numpy(vi[..., ::-1].astype(np.float64) @ [0.299, 0.587, 0.114])[None, None]
    expected = fusion_metrics(
        (luminance + torch.from_numpy(ir)) / 2, torch.from_numpy(ir)[None, None], luminance, names
    )
    for name in names:
        assert result['metrics'][1][name] == pytest.approx(expected[name].item(), rel=1e-5)


def test_metrics_alone_are_a_result(fuse, data):
    result = fuse(data / 'ir', data / 'vi', return_arrays=False, metrics=('EN',))
    assert set(result) == {'names', 'classes', 'palette', 'metrics'}


@pytest.mark.parametrize('batch_size', [1, 4])
def test_errors_are_skipped(fuse, data, tmp_path, batch_size):
    whole = fuse(data / 'ir', data / 'vi')
    (data / 'ir/001.png').write_bytes(b'no image')
    cv2.imwrite(str(data / 'vi/004.png'), np.zeros((5, 7, 3), np.uint8))
    with pytest.raises(ValueError, match=r'001\.png'):
        fuse(data / 'ir', data / 'vi', batch_size=batch_size)
    result = fuse(data / 'ir', data / 'vi', tmp_path / 'out', batch_size=batch_size, skip_errors=True)
    assert [name for name, _ in result['errors']] == ['001', '004']
    assert 'cannot be read' in result['errors'][0][1]
    assert 'must have the same size' in result['errors'][1][1]
    assert result['names'] == ['000', '002', '003', '005']
    for name, fused in zip(result['names'], result['fused']):
        np.testing.assert_array_equal(fused, whole['fused'][int(name)])
    assert not (tmp_path / 'out/fused/001.png').exists()


def test_nothing_left(fuse, data, tmp_path):
    for path in (data / 'ir').iterdir():
        path.write_bytes(b'no image')
    result = fuse(data / 'ir', data / 'vi', tmp_path / 'out', batch_size=4, skip_errors=True)
    assert result['names'] == result['fused'] == []
    assert len(result['errors']) == 6


def test_two_sizes(config):
    vi, ir = np.full((20, 30, 3), 100, np.uint8), np.full((10, 15), 50, np.uint8)
    for resize_to, size in (('vi', (20, 30)), ('ir', (10, 15))):
        fuse = FusionInferencer(config(AVERAGE, color='gray'), device='cpu', resize_to=resize_to)
        (fused,) = fuse(ir, vi)['fused']
        assert fused.shape == size
        assert (fused == 75).all()
    with pytest.raises(ValueError, match="resize_to must be 'vi', 'ir' or None, but is 'both'"):
        FusionInferencer(config(AVERAGE), device='cpu', resize_to='both')


def test_alignment(config):
    noise = cv2.GaussianBlur(np.random.RandomState(0).uniform(0, 255, (80, 96)).astype(np.float32), (0, 0), 3)
    vi = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    ir = np.roll(255 - vi, (3, 5), (0, 1))
    fused = {}
    for align in (None, 'translation', dict(motion='euclidean', min_correlation=0.3)):
        fuse = FusionInferencer(config(AVERAGE, color='gray'), device='cpu', align=align)
        fused[str(align)] = fuse(ir, vi)['fused'][0][10:-10, 10:-10].astype(float)
    unaligned, *aligned = fused.values()
    # Laid over each other an image and its negative cancel.
    assert unaligned.std() > 20
    assert all(each.std() < 2 for each in aligned)
    with pytest.raises(ValueError, match="'elastic'"):
        FusionInferencer(config(AVERAGE), device='cpu', align='elastic')


def test_real_pairs_of_two_sizes(config, tmp_path):
    root = DATA / 'roadscene_unequal'
    if not root.is_dir():
        pytest.skip(f'{root} is not there')
    fuse = FusionInferencer(config(AVERAGE), device='cpu', resize_to='vi')
    result = fuse(root / 'ir', root / 'vi', tmp_path, save=['fused'])
    assert len(result['names']) == len(list((root / 'vi').iterdir()))
    for name, fused in zip(result['names'], result['fused']):
        (path,) = (root / 'vi').glob(f'{name}.*')
        assert fused.shape[:2] == read(path).shape[:2]
