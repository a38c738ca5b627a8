"""Definitions of the share side by side, on scorers whose evidence is known in closed form."""

import numpy as np
import pytest
import torch

from mmfusion.analysis.definitions import ScoreView, compare_definitions, distinct_attributions, settings_to_compare
from mmfusion.analysis.scenes import SceneBatch
from mmfusion.analysis.share_settings import Setting, attribute

CLASSES = ('background', 'warm', 'printed', 'vehicle')
EVIDENCE = ['both', 'infrared', 'visible', 'both']


@pytest.fixture
def scenes():
    """Three scenes in two batches: every class a stripe, bright where the evidence is; and the stripes' brightness."""
    generator = torch.Generator().manual_seed(0)
    ir, vi = torch.tensor([0.5, 0.9, 0.1, 0.8]), torch.tensor([0.5, 0.1, 0.9, 0.4])
    stripes = torch.arange(4).repeat_interleave(2).repeat(3, 8, 1)
    # Whole stripes change their brightness from scene to scene; the mean over the stripe is what counts.
    factors = 0.8 + 0.2 * torch.rand(3, 1, 4, generator=generator)
    means = torch.stack([ir * factors[:, 0], vi * factors[:, 0]], dim=1)
    noise = torch.tensor([0.05, -0.05]).repeat(4)
    grey = means.gather(2, stripes[:, 0][:, None].expand(-1, 2, -1))[:, :, None] + noise
    grey = grey.expand(-1, -1, 8, -1)
    inputs = torch.cat([grey[:, 1:].expand(-1, 3, -1, -1), grey[:, :1]], dim=1)
    labels = stripes.clone()
    labels[2][labels[2] == 3] = 255
    daytimes = ['day', 'night', 'day']
    batches = [SceneBatch(inputs[:2], labels[:2], daytimes[:2]), SceneBatch(inputs[2:], labels[2:], daytimes[2:])]
    return batches, means[:, 0], means[:, 1]


def linear(image):
    """By region, the evidence is the mean brightness times the factor of the class, whatever the estimator."""
    return image * torch.tensor([0.3, 1.0, 0.7, 0.5]).view(1, 4, 1, 1)


def share_by_hand(scenes, smoothing):
    _, ir, vi = scenes
    factors = torch.tensor([0.3, 1.0, 0.7, 0.5])
    return (factors * ir + smoothing) / (factors * (ir + vi) + 2 * smoothing)


def test_compare_on_known_evidence(scenes):
    batches, *_ = scenes
    settings = [
        Setting.of('own', baseline='black', test_pairs=2, seed=0),
        Setting.of('', estimator='exact', baseline='black', rule='right', smoothing=0.0),
        Setting.of('', estimator='exact', baseline='black', smoothing=0.3, steps=3),
        Setting.of('', baseline='black', estimator='endpoint'),
        Setting.of('', baseline='black', test_pairs=4, smoothing=0.0),
    ]
    ticks = []
    rows = compare_definitions(
        lambda score: ScoreView(linear), batches, settings, CLASSES, EVIDENCE, 7, lambda: ticks.append(1)
    )
    assert len(ticks) == 2 * distinct_attributions(settings, 7) == 2 * 6
    for row, setting in zip(rows, settings):
        by_hand = share_by_hand(scenes, setting.attribution.smoothing)
        assert (row['name'], row['smoothing'], row['how']) == (
            setting.name,
            setting.attribution.smoothing,
            setting.how(),
        )
        for daytime, picked in (('day', [0, 2]), ('night', [1])):
            means = [by_hand[picked, c].mean() for c in range(3)]
            # The last scene has no vehicle.
            means.append(by_hand[0, 3] if daytime == 'day' else by_hand[1, 3])
            assert [stat.mean for stat in row['shares'][daytime]] == pytest.approx([m.item() for m in means], abs=1e-5)
        assert [stat.scenes for stat in row['shares']['day']] == [2, 2, 2, 1]
        assert row['difference'] < 1e-5
        assert row['targets'] == 6
    assert [row['met'] for row in rows] == [6, 6, 2 + 2, 6, 6]  # A smoothing of 0.3 drowns the evidence for printed.
    assert rows[0]['times'] == 1
    # 2 sources; per path point one image forward and one backward per class of the batch (3 in the last of 3 scenes).
    classes = (4 + 4 + 3) / 3
    counted = [(row['forward_images'], row['backward_images']) for row in rows]
    assert counted == [(8, 0), (10, pytest.approx(10 * classes)), (6, pytest.approx(6 * classes)), (4, 0), (16, 0)]


def test_difference_to_the_reference_by_hand(scenes):
    """One midpoint node takes the integral of the cube's derivative for three quarters of what it is."""
    batches, ir, vi = scenes
    settings = [
        Setting.of('', estimator='exact', baseline='black', steps=1, smoothing=smoothing) for smoothing in (0.2, 0.0)
    ]
    rows = compare_definitions(
        lambda score: ScoreView(lambda x: x.pow(3).expand(-1, 4, -1, -1)),
        batches,
        settings,
        CLASSES,
        EVIDENCE,
        reference_nodes=64,
    )
    cubes = [mean**3 + 3 * mean * 0.05**2 for mean in (ir, vi)]  # mean of (m + 0.05)^3 and (m - 0.05)^3
    shares = [(f * cubes[0] + 0.2) / (f * (cubes[0] + cubes[1]) + 0.4) for f in (0.75, 1.0)]
    present = torch.ones_like(ir, dtype=torch.bool)
    present[2, 3] = False
    expected = (shares[0] - shares[1]).abs()[present].mean().item()
    assert expected > 0.01
    assert rows[0]['difference'] == pytest.approx(expected, abs=1e-4)
    assert rows[1]['difference'] < 1e-5  # The factor cancels.


def test_random_signs_differ_from_batch_to_batch_without_a_seed(scenes):
    """Where regions interact, one pair depends on its signs."""
    batches, *_ = scenes
    same = [batches[0], batches[0]]

    def interacting(image):
        return image * image.mean((2, 3), keepdim=True) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)

    def parts(seed):
        setting = Setting.of('', baseline='black', test_pairs=1, seed=seed)
        return [attribute(interacting, batch, setting, 4, number).ir for number, batch in enumerate(same)]

    assert torch.equal(*parts(0))
    drawn = [parts(None) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*drawn))
    many = [
        attribute(interacting, batches[0], Setting.of('', baseline='black', test_pairs=1), 4, number).ir
        for number in range(8)
    ]
    assert len({tuple(one.flatten().tolist()) for one in many}) > 1


def test_log_probability():
    view = ScoreView(lambda image: image, log=True)
    assert view(torch.tensor([1.0, 0.5, 0.0])).tolist() == pytest.approx([0.0, np.log(0.5), np.log(1e-6)])
    network = torch.nn.Dropout()
    assert ScoreView(network).module is network  # Otherwise it could not be put into evaluation mode.


def test_settings_to_compare():
    own = Setting.of('this model', estimator='endpoint', seed=0)
    settings = settings_to_compare(own)
    assert settings[0] is own
    released = settings[1]
    assert (
        released.name,
        released.score,
        released.attribution.baseline,
        released.how(),
        released.attribution.smoothing,
        released.attribution.region,
    ) == (
        'released definition',
        'softmax',
        'black',
        'exact, right 5',
        0,
        'sample',
    )
    rest = settings[1:]
    assert len(set(rest)) == len(rest)
    for field, values in dict(
        score={'softmax', 'logit', 'log'},
        baseline={'black', 'mean', 'blur'},
        smoothing={0, 0.075},
        estimator={'exact', 'multiplexed', 'endpoint', 'banzhaf'},
    ).items():
        assert {setting.fields()[field] for setting in rest} == values, field
    banzhaf = [setting.attribution for setting in rest if setting.attribution.estimator == 'banzhaf']
    assert {options.test_pairs for options in banzhaf} == {1, 2, 4}
    binary = settings_to_compare(own, logits=False)
    assert [one for one in settings if one.score != 'logit'] == binary
    sigmoid = settings_to_compare(Setting.of('this model', 'sigmoid'))
    assert {one.score for one in sigmoid} == {'sigmoid', 'logit', 'log'}
