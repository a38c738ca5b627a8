"""Large pairs in tiles: everything is covered, nothing shows a seam, and what is seen alike is told alike."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.apis import FusionInferencer, Tiling
from mmfusion.apis.tiles import predict_in_tiles


@pytest.mark.parametrize(('size', 'overlap'), [(64, 0), (64, 10), (100, 50), (300, 64)])
@pytest.mark.parametrize('shape', [(64, 64), (65, 300), (250, 131), (10, 400)])
def test_everything_is_covered(size, overlap, shape):
    total, counts = torch.zeros(shape), torch.zeros(shape)
    for rows, columns, weight in Tiling(size, overlap).tiles(*shape):
        assert weight.shape == total[rows, columns].shape
        assert max(weight.shape) <= size
        assert 0 < weight.min() <= weight.max() <= 1
        total[rows, columns] += weight
        counts[rows, columns] += 1
    assert counts.min() == 1
    assert total[0, 0] == 1  # No fading at the border of the image.
    assert torch.all(total[counts == 1] >= 1 / (overlap + 1))


def test_neighbours_fade_into_each_other():
    (_, _, first), (_, _, second) = Tiling(64, 20).tiles(64, 108)
    left, right = first[0, -20:], second[0, :20]
    assert torch.allclose(left + right, torch.ones(20))
    assert (left.diff() < 0).all()


def blank(data):
    """A step that says in which tile a pixel is: its mean."""
    (pair,) = data['inputs']
    told = torch.full((1, *pair.shape[1:]), float(pair.float().mean()))
    return [SegDataSample(fused_img=PixelData(data=told), metainfo=data['data_samples'][0].metainfo)]


def test_no_seam():
    pair = torch.zeros(4, 64, 108)
    pair[..., 54:] = 200
    found = predict_in_tiles(blank, dict(inputs=pair, data_samples=SegDataSample()), Tiling(64, 20)).fused_img.data
    assert found.diff(dim=-1).abs().max() < 200 / 20
    assert found.max() - found.min() > 50


def test_flip_and_size_are_undone_once():
    pair = torch.arange(4 * 64 * 100.0).view(4, 64, 100)
    sample = SegDataSample(metainfo=dict(ori_shape=(32, 50), flip=True, flip_direction='horizontal'))

    def step(data):
        assert not data['data_samples'][0].metainfo['flip']
        assert data['data_samples'][0].metainfo['ori_shape'] == (64, 64)
        return [SegDataSample(fused_img=PixelData(data=data['inputs'][0][3:]))]

    found = predict_in_tiles(step, dict(inputs=pair, data_samples=sample), Tiling(64, 16)).fused_img.data
    expected = torch.nn.functional.interpolate(pair[None, 3:].flip(-1), size=(32, 50), mode='bilinear')[0]
    assert torch.allclose(found, expected, atol=0.5)


@pytest.fixture
def pair():
    rng = np.random.RandomState(0)
    return dict(ir=rng.randint(0, 256, (150, 230), np.uint8), vi=rng.randint(0, 256, (150, 230, 3), np.uint8))


@pytest.mark.parametrize('fusion', ['AverageFusion', 'SalienceFusion'])
def test_as_the_whole_where_little_is_seen(run_config, model_config, tmp_path, pair, fusion):
    """A small U-Net sees 20 pixels, the rule 30: an overlap of 40 leaves rounding, but where the whole was padded."""
    cfg = run_config(model_config(fusion=dict(type=fusion)), tmp_path, tmp_path / 'run')
    torch.manual_seed(0)
    whole = FusionInferencer(cfg, device='cpu')
    weights = whole.model.state_dict()
    tiled = FusionInferencer(cfg, device='cpu', tile=96, tile_overlap=40)
    tiled.model.load_state_dict(weights)
    one, other = whole(**pair), tiled(**pair)
    assert other['fused'][0].shape == (150, 230, 3)
    difference = np.abs(one['fused'][0].astype(int) - other['fused'][0])
    assert np.quantile(difference, 0.99) <= 2
    assert difference.mean() < 0.5
    assert (one['labels'][0] == other['labels'][0]).mean() > 0.98
    assert other['labels'][0].dtype == one['labels'][0].dtype


def test_small_pairs_are_not_cut(run_config, model_config, tmp_path, pair):
    cfg = run_config(model_config(fusion=dict(type='AverageFusion')), tmp_path, tmp_path / 'run')
    seen = []
    fuse = FusionInferencer(cfg, device='cpu', tile=230)
    step = fuse.model.test_step
    fuse.model.test_step = lambda data: seen.append(data['inputs'][0].shape) or step(data)
    fuse(**pair)
    assert seen == [(4, 150, 230)]
    smaller = FusionInferencer(cfg, device='cpu', tile=128)
    step = smaller.model.test_step
    smaller.model.test_step = lambda data: seen.append(data['inputs'][0].shape) or step(data)
    smaller(**pair)
    assert seen[1:] == [(4, 128, 128)] * 6


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(tile=32), ValueError, 'must be at least 64, got 32'),
        (dict(tile=64, tile_overlap=33), ValueError, 'between 0 and half of the tile, 32 pixels, got 33'),
        (dict(tile=64, tile_overlap=-1), ValueError, 'between 0 and half'),
        (dict(tile=64.5), TypeError, 'tile is a number of pixels, got 64.5'),
    ],
)
def test_tilings_that_are_none(options, error, message):
    with pytest.raises(error, match=message):
        FusionInferencer(device='cpu', **options)


def test_no_stretching_in_tiles(run_config, model_config, tmp_path):
    cfg = run_config(model_config(fusion=dict(type='AverageFusion'), stretch=True), tmp_path, tmp_path / 'run')
    with pytest.raises(ValueError, match='which tiles do not know; leave out tile'):
        FusionInferencer(cfg, device='cpu', tile=64)


def test_command(tool, pair_folder, tmp_path, capsys):
    data = pair_folder(tmp_path / 'data', number=1, size=(80, 150))
    for name, options in (('whole', ()), ('tiles', ('--tile', 64, '--tile-overlap', 32))):
        code = tool('fuse', '--ir', data / 'ir', '--vi', data / 'vi', '--out', tmp_path / name, *options)
        assert code == 0, capsys.readouterr().err
    whole, tiles = ((tmp_path / name / 'fused/000.png').read_bytes() for name in ('whole', 'tiles'))
    assert whole != tiles  # The rule sees 30 pixels.
