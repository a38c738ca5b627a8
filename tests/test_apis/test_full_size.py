"""Where a config resizes pairs for its segmentor, fused images keep the size and the detail of their sources."""

import copy

import cv2
import numpy as np
import pytest
import torch

from mmfusion.apis import FusionInferencer
from mmfusion.datasets import AlignPair, LoadPairFromFile
from mmfusion.evaluation import fusion_metrics

SIZE = (80, 112)
GATED = dict(type='UAAFusion', weights='gate', num_stages=2, channels=4)


@pytest.fixture
def large(pair_folder, tmp_path):
    """Two pairs with detail that no smaller image has."""
    data = pair_folder(tmp_path / 'large', number=2, size=SIZE)
    rng = np.random.RandomState(0)
    for number in range(2):
        cv2.imwrite(str(data / f'ir/{number:03}.png'), rng.randint(0, 256, SIZE, np.uint8))
        cv2.imwrite(str(data / f'vi/{number:03}.png'), rng.randint(0, 256, (*SIZE, 3), np.uint8))
    return data


@pytest.fixture
def halved(config):
    """Function that gives a config whose pipeline halves the pairs, and the same without."""

    def make(fusion, **options):
        cfg = config(fusion, **options)
        steps = cfg.test_dataloader.dataset.pipeline
        whole = copy.deepcopy(cfg)
        halved = [steps[0], dict(type='Resize', scale=(SIZE[1] // 2, SIZE[0] // 2), keep_ratio=True), *steps[1:]]
        cfg.test_dataloader.dataset.pipeline = halved
        whole.test_dataloader.dataset.pipeline = steps
        return cfg, whole

    return make


def built(cfg, seed=0, **options):
    torch.manual_seed(seed)
    fuse = FusionInferencer(cfg, device='cpu', **options)
    torch.manual_seed(seed)
    for name, value in fuse.model.named_parameters():
        value.data = torch.randn_like(value) * (0.3 if 'conv_seg' not in name else 30)
    return fuse


def images(data):
    ir, vi = (cv2.imread(str(data / f'{name}/000.png')).astype(float) for name in ('ir', 'vi'))
    return ir, vi


def test_an_average_is_that_of_the_sources(halved, large):
    cfg, _ = halved(dict(type='AverageFusion'), color='gray')
    ir, vi = images(large)
    weights = np.array([0.114, 0.587, 0.299])
    expected = (ir @ weights + vi @ weights) / 2
    sharp = FusionInferencer(cfg, device='cpu')(large / 'ir', large / 'vi', metrics=('SD', 'AG'))
    soft = FusionInferencer(cfg, device='cpu', full_size=False)(large / 'ir', large / 'vi', metrics=('SD', 'AG'))
    assert np.abs(sharp['fused'][0] - expected).max() <= 1
    assert np.abs(soft['fused'][0] - expected).mean() > 10
    # The figures are of that image and of the sources as they are.
    tensors = [torch.from_numpy(image)[None, None] for image in (expected, ir @ weights, vi @ weights)]
    wanted = fusion_metrics(*tensors, ('SD', 'AG'))
    assert sharp['metrics'][0] == {name: pytest.approx(value.item(), rel=1e-3) for name, value in wanted.items()}
    assert soft['metrics'][0]['AG'] < 0.7 * sharp['metrics'][0]['AG']


def test_labels_are_those_of_the_smaller_pair(halved, large):
    cfg, whole = halved(GATED)
    found = built(cfg)(large / 'ir', large / 'vi', batch_size=2)
    soft = built(cfg, full_size=False)(large / 'ir', large / 'vi', batch_size=2)
    unresized = built(whole)(large / 'ir', large / 'vi')
    for number in range(2):
        np.testing.assert_array_equal(found['labels'][number], soft['labels'][number])
        np.testing.assert_allclose(found['fused'][number], unresized['fused'][number], atol=1)
        np.testing.assert_allclose(found['weights'][number], unresized['weights'][number], atol=1e-5)
        assert np.abs(found['fused'][number].astype(int) - soft['fused'][number]).mean() > 1
    assert any(not np.array_equal(*pair) for pair in zip(found['labels'], unresized['labels']))


def test_tiles(halved, large):
    cfg, whole = halved(dict(type='MaximumFusion'))
    found = built(cfg, tile=64, tile_overlap=16)(large / 'ir', large / 'vi')['fused'][0]
    np.testing.assert_allclose(found, built(whole)(large / 'ir', large / 'vi')['fused'][0], atol=1)


def test_attribution_stays_at_the_size_of_the_segmentor(halved, large):
    attributed = dict(type='UAAFusion', num_stages=2, channels=4, steps=1)
    cfg, whole = halved(attributed)
    usual = built(cfg)(large / 'ir', large / 'vi')['fused'][0]
    np.testing.assert_array_equal(usual, built(cfg, full_size=False)(large / 'ir', large / 'vi')['fused'][0])
    asked = built(cfg, full_size=True)(large / 'ir', large / 'vi')['fused'][0]
    np.testing.assert_array_equal(asked, built(whole)(large / 'ir', large / 'vi')['fused'][0])


def test_a_pair_is_loaded_and_aligned_once(halved, large, monkeypatch):
    calls = []
    for kind in (LoadPairFromFile, AlignPair):
        name = 'join' if kind is LoadPairFromFile else 'transform'
        before = getattr(kind, name)

        def count(self, *arguments, before=before, kind=kind, **options):
            calls.append(kind.__name__)
            return arguments[0] if kind is AlignPair else before(self, *arguments, **options)

        monkeypatch.setattr(kind, name, count)
    cfg, _ = halved(dict(type='AverageFusion'))
    FusionInferencer(cfg, device='cpu', align='translation')(large / 'ir/000.png', large / 'vi/000.png')
    assert calls == ['LoadPairFromFile', 'AlignPair']


def test_pairs_of_several_sizes_and_errors(halved, large, tmp_path):
    smaller = np.random.RandomState(1).randint(0, 256, (60, 84), np.uint8)
    for name in ('ir', 'vi'):
        cv2.imwrite(str(large / name / '002.png'), smaller)
    (large / 'ir/001.png').write_bytes(b'no image')
    cfg, _ = halved(dict(type='AverageFusion'), color='gray')
    found = FusionInferencer(cfg, device='cpu')(large / 'ir', large / 'vi', batch_size=3, skip_errors=True)
    assert [name for name, _ in found['errors']] == ['001']
    assert [image.shape for image in found['fused']] == [SIZE, (60, 84)]
    np.testing.assert_allclose(found['fused'][1], smaller, atol=1)


def test_panels_are_of_that_size(halved, large, tmp_path):
    cfg, _ = halved(dict(type='AverageFusion'))
    FusionInferencer(cfg, device='cpu')(large / 'ir', large / 'vi', tmp_path, save=['panels'])
    FusionInferencer(cfg, device='cpu', full_size=False)(large / 'ir', large / 'vi', tmp_path / 'soft', save=['panels'])
    sharp, soft = (cv2.imread(str(path / 'panels/000.png')) for path in (tmp_path, tmp_path / 'soft'))
    assert sharp.shape == soft.shape
    visible = cv2.imread(str(large / 'vi/000.png'))
    factor = -(-200 // SIZE[1])
    shown = sharp[22 : 22 + SIZE[0] * factor : factor, : SIZE[1] * factor : factor]
    np.testing.assert_array_equal(shown, visible)
