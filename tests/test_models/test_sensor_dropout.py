"""Sensors that are missing from some training pairs."""

import pytest
import torch

from mmfusion.attribution import make_baseline
from mmfusion.models import SensorDropout
from mmfusion.registry import MODELS


def pairs(batch=200, size=(6, 8)):
    return torch.rand(batch, 4, *size, generator=torch.Generator().manual_seed(0))


def kept(before, after):
    """Which pairs kept their visible and their infrared image."""
    same = (before == after).flatten(2).all(2)
    return same[:, :3].all(1), same[:, 3]


@pytest.mark.parametrize('replacement', ['blur', 'mean', 'black'])
@pytest.mark.parametrize('sensor', ['infrared', 'visible', 'either'])
def test_all_pairs_lose_one_sensor(sensor, replacement):
    torch.manual_seed(0)
    images = pairs()
    dropped = SensorDropout(1.0, sensor, replacement)(images)
    visible, infrared = kept(images, dropped)
    assert (visible ^ infrared).all()
    share = visible.float().mean().item()  # Those that lost infrared.
    assert share == dict(infrared=1.0, visible=0.0).get(sensor, pytest.approx(0.5, abs=0.15))
    torch.testing.assert_close(dropped[visible][:, 3:], make_baseline(images[visible][:, 3:], replacement))
    torch.testing.assert_close(dropped[infrared][:, :3], make_baseline(images[infrared][:, :3], replacement))


@pytest.mark.parametrize('prob', [0.0, 0.3])
def test_share_of_pairs(prob):
    torch.manual_seed(0)
    images = pairs(1000)
    visible, infrared = kept(images, SensorDropout(prob)(images))
    lost = ~visible | ~infrared
    assert not (~visible & ~infrared).any()
    # Four standard deviations of a binomial.
    assert abs(lost.float().mean().item() - prob) <= 4 * (prob * (1 - prob) / 1000) ** 0.5


def test_each_pair_gets_one_of_several_replacements():
    torch.manual_seed(0)
    images = pairs(300)
    dropped = SensorDropout(1.0, 'infrared', ['blur', 'black'])(images)[:, 3:]
    black = dropped.flatten(1).eq(0).all(1)
    # Four standard deviations of a binomial.
    assert abs(black.float().mean().item() - 0.5) <= 4 * (0.25 / 300) ** 0.5
    torch.testing.assert_close(dropped[~black], make_baseline(images[~black][:, 3:], 'blur'))


def test_a_single_replacement_draws_no_more_than_it_did():
    images = pairs(8)
    torch.manual_seed(0)
    SensorDropout(0.5)(images)
    behind = torch.rand(1)
    torch.manual_seed(0)
    torch.rand(2, 8)
    assert torch.equal(behind, torch.rand(1))


def test_follows_the_global_stream():
    images = pairs(8)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(SensorDropout(0.5)(images))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(prob=1.5), r'probability in \[0, 1\], got 1.5'),
        (dict(prob=float('nan')), 'probability'),
        (dict(sensor='both'), "unknown sensor 'both'; choose one of either, infrared, visible"),
        (dict(replacement='white'), "unknown replacement 'white'"),
        (dict(replacement=['blur', 'white']), r"unknown replacement \['blur', 'white'\]"),
        (dict(replacement=[]), r'unknown replacement \[\]'),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(ValueError, match=message):
        SensorDropout(**options)


def test_in_training_only(model_config, make_batch):
    """Everything behind it sees the pairs without the sensor: fusion, segmentor and losses."""
    torch.manual_seed(0)
    inputs, samples = make_batch()
    config = dict(fusion=dict(type='AverageFusion'), reads='pair', train_labels='predicted')
    dropout = dict(type='SensorDropout', prob=1.0, sensor='infrared', replacement='black')
    model = MODELS.build(model_config(**config, sensor_dropout=dropout))
    seen = []
    model.fusion.register_forward_hook(lambda module, args, result: seen.append(args[:2]))
    model.segmentor.backbone.register_forward_hook(lambda module, args, result: seen.append(args))
    model.train().loss(inputs, samples)
    (ir, _), (read,) = seen
    assert ir.eq(0).all()
    assert read[:, 3].unique().numel() == 1
    seen.clear()
    with torch.no_grad():
        model.eval().predict(inputs)
    assert torch.equal(seen[0][0], inputs[:, 3:])
