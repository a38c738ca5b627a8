"""FusionInferencer against closed forms, the standard runner and its own files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from mmfusion.apis import FusionInferencer
from mmfusion.visualization import colorize_weights, draw_panel

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / '../shared/data'
AVERAGE = dict(type='AverageFusion')
TINY = 'uaafusion_unet-tiny_1xb4-300_synthetic-96x128'


def pair(height=21, width=30, seed=0):
    """Infrared (H, W) and visible (H, W, 3) with so little colour that no merged value leaves 0..255."""
    rng = np.random.RandomState(seed)
    grey = rng.randint(70, 180, (height, width, 1))
    vi = grey + rng.randint(-15, 16, (height, width, 3))
    return rng.randint(70, 180, (height, width)).astype(np.uint8), vi.astype(np.uint8)


def mean_fusion(ir, vi):
    """Mean of infrared image and luminance, in the colours of the visible image, R, G, B, on the 0..255 scale.

    Adding one value to R, G and B moves the luminance by it and leaves both colour differences.
    """
    rgb = vi[..., ::-1].astype(np.float64)
    luminance = rgb @ [0.299, 0.587, 0.114]
    return rgb + ((ir + luminance) / 2 - luminance)[..., None]


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def same(first, second):
    """Whether two results are equal in all that is computed."""
    for name in ('fused', 'weights', 'labels'):
        assert len(first[name]) == len(second[name])
        for a, b in zip(first[name], second[name]):
            np.testing.assert_array_equal(a, b)


# Numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(21, 30), (32, 48), (47, 33)])
def test_average_is_the_mean_luminance_with_the_visible_chroma(average, size):
    ir, vi = pair(*size)
    result = average(ir, vi)
    (fused,) = result['fused']
    assert fused.dtype == np.uint8
    assert np.abs(fused - mean_fusion(ir, vi)).max() <= 0.5 + 1e-3
    (weights,) = result['weights']
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, np.full(size, 0.5))
    (labels,) = result['labels']
    assert labels.shape == size
    assert labels.max() < 3
    assert result['names'] == ['000000']
    assert result['classes'] == ('background', 'warm', 'printed')
    assert result['palette'] == [[0, 0, 0], [200, 60, 20], [40, 160, 220]]


@pytest.mark.parametrize(('fusion', 'weight'), [('InfraredOnly', 1), ('VisibleOnly', 0)])
def test_weights_are_those_of_the_infrared_image(config, fusion, weight):
    ir, vi = pair()
    result = FusionInferencer(config(dict(type=fusion)), device='cpu')(ir=ir, vi=vi)
    assert (result['weights'][0] == weight).all()
    luminance = result['fused'][0] @ [0.299, 0.587, 0.114]
    expected = ir if weight else vi[..., ::-1] @ [0.299, 0.587, 0.114]
    assert np.abs(luminance - expected).max() < 1


def test_grey_model_gives_grey_images(config):
    ir, vi = pair()
    (fused,) = FusionInferencer(config(AVERAGE, color='gray'), device='cpu')(ir, vi)['fused']
    expected = (ir + vi @ [0.114, 0.587, 0.299]) / 2
    assert fused.shape == ir.shape
    assert np.abs(fused - expected).max() <= 0.5 + 1e-3


def test_equals_a_test_of_the_runner(make_runner, model_config, config, checkpoint, data):
    path = str(checkpoint())
    kept = []

    class Keep(Hook):
        def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            kept.extend(outputs)

    runner = make_runner(model=model_config(), load_from=path)
    runner.register_hook(Keep())
    runner.test()
    # The same batches as the runner's.
    result = FusionInferencer(config(), path, device='cpu')(data / 'ir', data / 'vi', batch_size=2)
    assert result['names'] == [Path(sample.img_path).stem for sample in kept] == [f'{i:03}' for i in range(6)]
    for i, sample in enumerate(kept):
        fused = sample.fused_img.data.permute(1, 2, 0).numpy() * 255
        assert np.abs(result['fused'][i] - fused).max() <= 0.5 + 1e-3
        np.testing.assert_array_equal(result['weights'][i], sample.fusion_weights.data[0].numpy())
        np.testing.assert_array_equal(result['labels'][i], sample.pred_sem_seg.data[0].numpy())
    assert np.ptp(result['weights'][0]) > 0  # Attribution had a say.


def test_batches_change_nothing(config, checkpoint, data):
    fuse = FusionInferencer(config(), checkpoint(), device='cpu')
    single, batched = (fuse(data / 'ir', data / 'vi', batch_size=number) for number in (1, 4))
    for a, b in zip(single['fused'], batched['fused']):
        assert np.abs(a.astype(int) - b).max() <= 1
    np.testing.assert_allclose(single['weights'], batched['weights'], atol=1e-4)


def test_batch_of_two_sizes(average):
    pairs = [pair(20, 30), pair(33, 26, seed=1)]
    result = average([ir for ir, _ in pairs], [vi for _, vi in pairs], batch_size=2)
    for (ir, vi), fused in zip(pairs, result['fused']):
        assert np.abs(fused - mean_fusion(ir, vi)).max() <= 0.5 + 1e-3


def test_base_config_in_small():
    """A learned fusion without a checkpoint, from parts in configs/_base_."""
    cfg = Config.fromfile(ROOT / f'configs/uaafusion/{TINY}.py')
    cfg.model.fusion.update(num_stages=2, channels=4)
    torch.manual_seed(0)
    fuse = FusionInferencer(cfg, device='cpu')
    ir, vi = pair(50, 71)
    result = fuse(ir, vi)
    assert result['fused'][0].shape == (50, 71, 3)
    assert result['labels'][0].shape == result['weights'][0].shape == (50, 71)
    assert 0 <= result['weights'][0].min() <= result['weights'][0].max() <= 1
    assert result['classes'] == ('background', 'warm', 'printed', 'vehicle')

    inputs = torch.from_numpy(np.dstack([vi[..., ::-1], ir]).astype(np.float32) / 255).permute(2, 0, 1)[None]
    padded = torch.nn.functional.pad(inputs, (0, 80 - 71, 0, 64 - 50), mode='replicate')
    ignore = torch.ones(1, 64, 80, dtype=torch.bool)
    ignore[:, :50, :71] = False
    with torch.no_grad():
        image = fuse.model.fuse(padded, ignore=ignore)[0][0, :, :50, :71]
    assert np.abs(result['fused'][0] - 255 * image.permute(1, 2, 0).numpy()).max() <= 0.5 + 1e-3


# Inputs ----------------------------------------------------------------------------------------------------------


def test_arrays_paths_lists_and_folders_are_one(config, checkpoint, data):
    fuse = FusionInferencer(config(), checkpoint(), device='cpu')
    folders = fuse(str(data / 'ir'), data / 'vi')
    files = [[data / name / f'{i:03}.png' for i in range(6)] for name in ('ir', 'vi')]
    lists = fuse(*files)
    arrays = fuse(*[[read(path) for path in some] for some in files])
    same(folders, lists)
    same(folders, arrays)
    assert folders['names'] == lists['names']
    assert arrays['names'] == [f'{i:06}' for i in range(6)]
    single = fuse(ir=str(files[0][2]), vi=files[1][2])
    same(single, {name: folders[name][2:3] for name in ('fused', 'weights', 'labels')})
    assert single['names'] == ['002']


def test_grey_visible_image(average, tmp_path):
    ir, vi = pair()
    grey = vi[..., 1]
    for name, image in dict(ir=ir, vi=grey).items():
        assert cv2.imwrite(str(tmp_path / f'{name}.png'), image)
    result = average(ir, grey)
    expected = (ir.astype(int) + grey) / 2
    assert np.abs(result['fused'][0] - expected[..., None]).max() <= 0.5 + 1e-3
    same(result, average(tmp_path / 'ir.png', tmp_path / 'vi.png'))
    same(result, average(ir[..., None], grey[..., None]))


def test_sixteen_bit(config, tmp_path):
    rng = np.random.RandomState(0)
    ir, vi = rng.randint(18000, 46000, (21, 30)).astype(np.uint16), pair()[1]
    for name, image in dict(ir=ir, vi=vi).items():
        assert cv2.imwrite(str(tmp_path / f'{name}.png'), image)
    average = FusionInferencer(config(AVERAGE), device='cpu', ir_range='dtype')
    result = average(ir, vi)
    # 257 values of 16 bit are one of 8; the image in between is not rounded.
    assert np.abs(result['fused'][0] - mean_fusion(ir / 257, vi)).max() <= 0.5 + 1e-3
    same(result, average(tmp_path / 'ir.png', tmp_path / 'vi.png'))
    same(result, average((ir / 257).astype(np.float32), vi.astype(np.float64)))


def test_fourteen_bit_is_stretched(average, tmp_path):
    ir = np.random.RandomState(0).randint(7000, 7900, (21, 30)).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / 'ir.png'), ir)
    assert cv2.imwrite(str(tmp_path / 'vi.png'), np.zeros((21, 30), np.uint8))
    result = average(ir, np.zeros((21, 30), np.uint8))
    assert result['fused'][0].max() == pytest.approx(127.5, abs=0.6)
    same(result, average(tmp_path / 'ir.png', tmp_path / 'vi.png'))


def test_range_of_the_loader_applies_to_arrays(config):
    cfg = config(AVERAGE)
    cfg.test_dataloader.dataset.pipeline[0].ir_range = (1000, 2000)
    fuse = FusionInferencer(cfg, device='cpu')
    vi = np.full((20, 30), 100, np.uint8)
    for dtype in (np.uint16, np.float32):
        (fused,) = fuse(np.full((20, 30), 1800, dtype), vi)['fused']
        assert (fused == (0.8 * 255 + 100) / 2).all()


def test_arrays_are_left_as_they_are(average):
    ir, vi = pair()
    before = ir.copy(), vi.copy()
    average([ir], [vi])
    np.testing.assert_array_equal(ir, before[0])
    np.testing.assert_array_equal(vi, before[1])


def test_pipeline_of_the_config_is_used(config):
    """What the model saw was half as large; results have the size of the input."""
    cfg = config(AVERAGE)
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale_factor=0.5))
    ir, vi = np.full((40, 60), 120, np.uint8), np.full((40, 60), 100, np.uint8)
    ir[::2] += 40  # Rows that the smaller image cannot hold.
    fuse = FusionInferencer(cfg, device='cpu', full_size=False)
    (fused,) = fuse(ir, vi)['fused']
    assert fused.shape == (40, 60, 3)
    assert (fused == 120).all()
    (fused,) = FusionInferencer(cfg, device='cpu')(ir, vi)['fused']  # The rows are there: see test_full_size.py.
    assert (fused[::2] == 130).all()
    assert (fused[1::2] == 110).all()
    assert [type(transform).__name__ for transform in fuse.pipeline.transforms] == [
        'LoadPair',
        'Resize',
        'PackFusionInputs',
    ]


def test_unpaired_names(average, data):
    (data / 'ir/001.png').unlink()
    (data / 'vi/004.png').unlink()
    with pytest.raises(
        ValueError,
        match=r'(?s)1 infrared without a visible image .* 004\b.*1 visible without an '
        r'infrared image .* 001\b.*allow_unpaired=True',
    ):
        average(data / 'ir', data / 'vi')
    result = average(data / 'ir', data / 'vi', allow_unpaired=True)
    assert result['names'] == ['000', '002', '003', '005']


def test_suffixes_of_the_config_match_folders(config, data, tmp_path):
    both = tmp_path / 'both'
    both.mkdir()
    for name in ('ir', 'vi'):
        for path in (data / name).iterdir():
            path.rename(both / f'{path.stem}_{name}.png')
    cfg = config(AVERAGE)
    cfg.test_dataloader.dataset.update(vi_suffix='_vi.png', ir_suffix='_ir.png')
    result = FusionInferencer(cfg, device='cpu')(both, both)
    assert result['names'] == [f'{i:03}_vi' for i in range(6)]
    expected = mean_fusion(read(both / '003_ir.png'), read(both / '003_vi.png')).clip(0, 255)
    assert np.abs(result['fused'][3] - expected).mean() < 1


# Files -----------------------------------------------------------------------------------------------------------


def test_files_are_what_is_returned(config, checkpoint, data, tmp_path):
    (data / 'ir/day.v1').mkdir()
    (data / 'vi/day.v1').mkdir()
    for name in ('ir', 'vi'):
        (data / name / '005.png').rename(data / name / 'day.v1/005.b.png')
    fuse = FusionInferencer(config(), checkpoint(), device='cpu')
    out = tmp_path / 'out'
    result = fuse(data / 'ir', data / 'vi', out_dir=out, batch_size=4)
    assert result['names'] == ['000', '001', '002', '003', '004', 'day.v1/005.b']
    for i, name in enumerate(result['names']):
        np.testing.assert_array_equal(read(out / f'fused/{name}.png')[..., ::-1], result['fused'][i])
        np.testing.assert_array_equal(read(out / f'labels/{name}.png'), result['labels'][i])
        np.testing.assert_array_equal(
            read(out / f'weights/{name}.png')[..., ::-1], colorize_weights(result['weights'][i])
        )
        ir, vi = read(data / f'ir/{name}.png'), read(data / f'vi/{name}.png')
        panel = draw_panel(
            np.ascontiguousarray(vi[..., ::-1]),
            ir,
            result['fused'][i],
            result['weights'][i],
            result['labels'][i],
            classes=result['classes'],
            palette=result['palette'],
        )
        np.testing.assert_array_equal(read(out / f'panels/{name}.png')[..., ::-1], panel)
    assert len(list(out.rglob('*.png'))) == 4 * 6
    assert result['labels'][0].dtype == np.uint8


def test_nothing_is_kept_on_request(config, data, tmp_path):
    fuse = FusionInferencer(config(AVERAGE, color='gray'), device='cpu')
    kept = fuse(data / 'ir', data / 'vi', out_dir=tmp_path / 'kept')
    result = fuse(data / 'ir', data / 'vi', out_dir=tmp_path / 'out', return_arrays=False)
    assert sorted(result) == ['classes', 'names', 'palette']
    for i, name in enumerate(result['names']):
        np.testing.assert_array_equal(read(tmp_path / f'out/fused/{name}.png'), kept['fused'][i])
    with pytest.raises(ValueError, match='give an out_dir'):
        fuse(data / 'ir', data / 'vi', return_arrays=False)


def test_nothing_is_written_over_the_data(average, data, tmp_path):
    label = read(data / 'labels/000.png')
    files = [data / name / '000.png' for name in ('ir', 'vi')]
    for arguments in ((data / 'ir', data / 'vi'), files):
        with pytest.raises(ValueError, match='holds or is inside of the input folder'):
            average(*arguments, out_dir=data)
    for inside in ('vi', 'ir/fused'):
        with pytest.raises(ValueError, match='holds or is inside of the input folder'):
            average(data / 'ir', data / 'vi', out_dir=data / inside)
    np.testing.assert_array_equal(read(data / 'labels/000.png'), label)
    # What was written before is an input now.
    out = tmp_path / 'out'
    average(*files, out_dir=out)
    with pytest.raises(ValueError, match='holds or is inside of the input folder'):
        average(files[0], out / 'fused/000.png', out_dir=out)
    # Beside two files in one folder there is no harm.
    same_folder = [path.rename(data / f'{path.parent.name}.png') for path in files]
    assert average(*same_folder, out_dir=data / 'out')['names'] == ['vi']
    assert (data / 'out/fused/vi.png').is_file()

    with pytest.raises(ValueError, match=r"would be written to one file: \['vi'\]"):
        average([same_folder[0]] * 2, [same_folder[1]] * 2, out_dir=out)
    with pytest.raises(NotADirectoryError, match='out_dir is a file'):
        average(*same_folder, out_dir=data / 'vi.png')


# Real images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('folder', ['roadscene', 'tno_salient', 'msrs_png/test'])
def test_real_pairs(average, folder, tmp_path):
    root = DATA / folder
    if not root.is_dir():
        pytest.skip(f'{root} is not there')
    result = average(root / 'ir', root / 'vi', out_dir=tmp_path, batch_size=2)
    files = {path.stem: path for path in sorted((root / 'vi').iterdir())}
    assert result['names'] == sorted(files)
    for name, fused in zip(result['names'], result['fused']):
        vi, ir = read(files[name]), read(next((root / 'ir').glob(f'{name}.*')))
        vi = np.repeat(vi[..., None], 3, axis=2) if vi.ndim == 2 else vi
        ir = np.rint(ir.mean(axis=2)) if ir.ndim == 3 else ir
        expected = mean_fusion(ir, vi).clip(0, 255)
        assert np.abs(fused - expected).max() <= 0.5 + 1e-3
    assert len(list(tmp_path.glob('panels/*.png'))) == len(files)


def test_sizes_of_a_real_pair_differ(average):
    root = DATA / 'roadscene_unequal'
    if not root.is_dir():
        pytest.skip(f'{root} is not there')
    with pytest.raises(ValueError, match='must have the same size'):
        average(root / 'ir', root / 'vi')
