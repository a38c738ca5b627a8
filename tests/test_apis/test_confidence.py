"""Pixels that are not sure of their class get none, in every result."""

import cv2
import numpy as np
import pytest
import torch

from mmfusion.apis import FusionInferencer
from mmfusion.apis.confidence import IGNORED, confidence
from mmfusion.registry import DATASETS


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_confidence_is_the_probability_of_the_predicted_class():
    scores = torch.randn(5, 7, 6, generator=torch.manual_seed(0), dtype=torch.float64)
    found = confidence(scores)
    exponentials = scores.numpy() - scores.numpy().max(0)
    exponentials = np.exp(exponentials)
    expected = np.take_along_axis(exponentials / exponentials.sum(0), scores.argmax(0).numpy()[None], 0)[0]
    np.testing.assert_allclose(found, expected)
    # One channel is the probability of the foreground: sure of the background as well.
    assert confidence(torch.tensor([[[0.1, 0.8]]])).tolist() == [[pytest.approx(0.9), pytest.approx(0.8)]]


@pytest.mark.parametrize('options', [{}, dict(tile=64, tile_overlap=16)], ids=['whole', 'tiles'])
def test_unsure_pixels_have_no_class(config, checkpoint, pair_folder, tmp_path, options):
    data = pair_folder(tmp_path / 'large', number=1, size=(80, 100))
    built = config()
    path = checkpoint()
    every = FusionInferencer(built, path, device='cpu', **options)
    (_, _, sample), *_ = every._predict_all(every._collect(data / 'ir', data / 'vi', False), 1, False, None)
    sure = confidence(sample.seg_logits.data).numpy()
    threshold = float(np.median(sure))
    before = every(data / 'ir', data / 'vi')
    strict = FusionInferencer(built, path, device='cpu', min_confidence=threshold, **options)
    after = strict(data / 'ir', data / 'vi', tmp_path / 'out', save=('labels', 'overlays', 'panels'))
    first = after['labels'][0]
    assert 0.4 < (first == IGNORED).mean() < 0.6
    np.testing.assert_array_equal(first, np.where(sure < threshold, IGNORED, before['labels'][0]))
    np.testing.assert_array_equal(after['fused'][0], before['fused'][0])
    name = after['names'][0]
    np.testing.assert_array_equal(read(tmp_path / f'out/labels/{name}.png'), first)
    # Grey lies over the fused image where there is no class, and the legend says so.
    fused = after['fused'][0].astype(float)
    fused = np.repeat(fused[..., None], 3, 2) if fused.ndim == 2 else fused
    overlay = read(tmp_path / f'out/overlays/{name}.png')[: len(first), :, ::-1]
    np.testing.assert_array_equal(overlay[first == IGNORED], ((fused + 90) / 2).round()[first == IGNORED])


def test_no_pixel_is_less_sure_than_chance(config, checkpoint, data):
    fuse = FusionInferencer(config(), checkpoint(), device='cpu', min_confidence=0.0)
    assert not (fuse(data / 'ir', data / 'vi')['labels'][0] == IGNORED).any()


@pytest.mark.parametrize('value', [-0.1, 1.5, float('nan')])
def test_what_is_no_probability_is_refused(config, checkpoint, value):
    with pytest.raises(ValueError, match='a probability'):
        FusionInferencer(config(), checkpoint(), device='cpu', min_confidence=value)


def test_a_fusion_without_classes_is_refused():
    with pytest.raises(ValueError, match='has 0; leave it out'):
        FusionInferencer(device='cpu', min_confidence=0.5)


def test_a_network_of_drawn_scenes_says_so(config, checkpoint, warnings):
    built = config()
    FusionInferencer(built, checkpoint(dict(dataset_meta=dict(classes=('a', 'b', 'c')))), device='cpu')
    assert warnings == []
    drawn = DATASETS.build(dict(type='SyntheticThermalScenes', num_scenes=1)).metainfo
    FusionInferencer(built, checkpoint(dict(dataset_meta=drawn)), device='cpu')
    assert 'trained on drawn scenes: on photographs its classes are guesses' in warnings[-1]
