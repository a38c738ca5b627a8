"""Does the share of the infrared image point at the sensor that holds the evidence? Reduced scale.

A small segmentor learns drawn scenes, of which it is known which sensor shows which class, from infrared images,
visible images and their means alike. Everything is asserted on scenes it has not seen.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmfusion.attribution import infrared_share, region_attribution
from mmfusion.datasets.synthetic import SyntheticThermalScenes
from mmfusion.models.color import split_luminance

pytestmark = pytest.mark.slow

SIZE = (64, 80)
CLASSES = SyntheticThermalScenes.METAINFO['classes']
OURS = dict(baseline='blur', smoothing=0.075)
ESTIMATORS = {
    'exact': dict(estimator='exact', rule='midpoint', steps=5),
    'banzhaf': dict(estimator='banzhaf', pairs=4),
}
RELEASED = dict(baseline='black', smoothing=0.0, estimator='exact', rule='right', steps=5)
# What the data set states, as bounds of the share of the infrared image.
TARGETS = {'background': (0.4, 0.6), 'warm': (0.6, 1), 'printed': (0, 0.2)}


class Segmentor(nn.Module):
    """Luminance (B, 1, H, W) to logits (B, 4, H, W), over three scales."""

    def __init__(self, width=10):
        super().__init__()
        self.down = nn.ModuleList([_block(1, width), _block(width, 2 * width), _block(2 * width, 3 * width)])
        self.up = nn.ModuleList([_block(5 * width, 2 * width), _block(3 * width, width)])
        self.score = nn.Conv2d(width, 4, 1)

    def forward(self, x):
        top = self.down[0](x)
        middle = self.down[1](F.max_pool2d(top, 2))
        deep = self.down[2](F.max_pool2d(middle, 2))
        middle = self.up[0](torch.cat([F.interpolate(deep, scale_factor=2), middle], 1))
        return self.score(self.up[1](torch.cat([F.interpolate(middle, scale_factor=2), top], 1)))


class Probabilities(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).softmax(1)


def _block(cin, cout):
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, padding=1),
        nn.BatchNorm2d(cout),
        nn.ReLU(),
        nn.Conv2d(cout, cout, 3, padding=1),
        nn.BatchNorm2d(cout),
        nn.ReLU(),
    )


def _scenes(split, count):
    dataset = SyntheticThermalScenes(num_scenes=count, size=SIZE, split=split)
    pairs, labels = zip(*(dataset.render(i) for i in range(count)))
    pairs = torch.from_numpy(np.stack(pairs)[..., [2, 1, 0, 3]]).permute(0, 3, 1, 2).float() / 255
    night = torch.tensor([dataset.get_data_info(i)['daytime'] == 'night' for i in range(count)])
    return pairs[:, 3:], split_luminance(pairs[:, :3])[0], torch.from_numpy(np.stack(labels)).long(), night


@pytest.fixture(scope='module')
def scorer():
    ir, vi, labels, _ = _scenes('train', 160)
    steps, weight = 240, torch.tensor([0.3, 1.5, 1.5, 1.0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Segmentor()
        optimizer = torch.optim.Adam(network.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
        for _ in range(steps):
            pick = torch.randint(len(ir), (4,))
            images, truth = torch.cat([ir[pick], vi[pick], (ir[pick] + vi[pick]) / 2]), labels[pick].repeat(3, 1, 1)
            if torch.rand(()) < 0.5:
                images, truth = images.flip(-1), truth.flip(-1)
            optimizer.zero_grad()
            F.cross_entropy(network(images), truth, weight=weight).backward()
            optimizer.step()
            schedule.step()
    return Probabilities(network).eval()


@pytest.fixture(scope='module')
def unseen():
    return _scenes('test', 40)


@pytest.fixture(scope='module')
def shares(scorer, unseen):
    """Function of a definition: the shares (scenes,) of each class by day and by night, where a scene holds it."""
    ir, vi, labels, night = unseen
    known = {}

    def measure(smoothing, **options):
        key = (smoothing, *options.items())
        if key not in known:
            parts = []
            for rows in torch.arange(len(ir)).split(10):
                attributions = region_attribution(
                    scorer,
                    torch.cat([ir[rows], vi[rows]]),
                    labels[rows].repeat(2, 1, 1),
                    len(CLASSES),
                    max_batch=20,
                    generator=torch.Generator().manual_seed(int(rows[0])),
                    **options,
                )
                parts.append(
                    infrared_share(
                        *attributions.chunk(2), labels[rows], estimator=options['estimator'], smoothing=smoothing
                    )
                )
            share = torch.cat(parts)
            known[key] = {}
            for c, name in enumerate(CLASSES):
                holds = (labels == c).flatten(1).any(1)
                known[key][name] = {'day': share[holds & ~night, c], 'night': share[holds & night, c]}
        return known[key]

    return measure


def right(share, name):
    """Fraction of the scenes whose share meets the target of the class."""
    low, high = TARGETS[name]
    return ((share >= low) & (share <= high)).float().mean().item()


def test_network_sees_what_the_data_set_says(scorer, unseen):
    ir, vi, labels, _ = unseen
    iou = {}
    for sensor, images in (('infrared', ir), ('visible', vi)):
        with torch.no_grad():
            found = torch.cat([scorer(part).argmax(1) for part in images.split(10)])
        for c, name in enumerate(CLASSES):
            both, either = (found == c) & (labels == c), (found == c) | (labels == c)
            iou[sensor, name] = (both.sum() / either.sum()).item()
    assert iou['infrared', 'warm'] > iou['visible', 'warm'] + 0.3, iou
    assert iou['visible', 'printed'] > iou['infrared', 'printed'] + 0.3, iou
    assert min(iou['infrared', 'vehicle'], iou['visible', 'vehicle']) > 0.4, iou


@pytest.mark.parametrize('estimator', ESTIMATORS)
@pytest.mark.parametrize('daytime', ['day', 'night'])
def test_shares_point_at_the_sensor(shares, estimator, daytime):
    share = shares(**OURS, **ESTIMATORS[estimator])
    mean = {name: values[daytime].mean().item() for name, values in share.items()}
    assert len(share['warm'][daytime]) >= 15
    assert mean['warm'] > 0.6, mean
    assert mean['printed'] < 0.2, mean
    assert 0.4 <= mean['background'] <= 0.6, mean
    # Objects not only on average.
    scenes = {name: right(share[name][daytime], name) for name in ('warm', 'printed')}
    assert min(scenes.values()) > 0.75, scenes


def test_black_baseline_loses_warm_things_by_day(shares):
    """On the way from black to an image the whole scene appears, which is worth something in either source."""
    ours, released = (shares(**options)['warm']['day'] for options in ({**OURS, **ESTIMATORS['exact']}, RELEASED))
    assert right(ours, 'warm') > 0.95
    assert right(released, 'warm') < 0.8
    assert ours.mean() > released.mean() + 0.1


@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_without_smoothing_the_background_is_a_ratio_of_rounding_errors(shares, estimator):
    """The segmentor takes a blurred image for background anyway: there is next to no evidence in either source."""
    (smoothed, warm_smoothed), (plain, warm_plain) = (
        [torch.cat(list(share[name].values())) for name in ('background', 'warm')]
        for share in (shares(**{**OURS, 'smoothing': s}, **ESTIMATORS[estimator]) for s in (OURS['smoothing'], 0.0))
    )
    assert plain.std() > 2.5 * smoothed.std(), (plain.std(), smoothed.std())
    assert right(smoothed, 'background') > right(plain, 'background') + 0.1
    # What is not a ratio of next to nothing stays what it is.
    assert (warm_smoothed - warm_plain).abs().mean() < 0.1
