"""Which sensor sees what in the synthetic scenes, measured; and what every difficulty knob changes."""

import cv2
import numpy as np
import pytest
import torch

from mmfusion.datasets.synthetic import SyntheticThermalScenes

WARM, PRINTED, VEHICLE = 1, 2, 3
CLASSES = {'warm': WARM, 'printed': PRINTED, 'vehicle': VEHICLE}
SCENES = 40


def _luminance(pair):
    return pair[..., :3].astype(np.float64) @ (0.114, 0.587, 0.299)


def _objects(label, ids, smallest=40):
    """Every connected object of a class with the background ring around it."""
    count, components = cv2.connectedComponents((label == ids).astype(np.uint8))
    for component in range(1, count):
        inside = components == component
        ring = (cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0) & (label == 0)
        if inside.sum() >= smallest and ring.sum() >= 30:
            yield inside, ring


def _contrast(scenes, ids, image):
    """Median over objects of |mean - mean of the ring| / std of the ring, and of the mere difference of means."""
    relative, plain = [], []
    for pair, label in scenes:
        values = image(pair)
        for inside, ring in _objects(label, ids):
            difference = abs(values[inside].mean() - values[ring].mean())
            relative.append(difference / (values[ring].std() + 1))
            plain.append(difference)
    assert len(plain) > 20
    return np.median(relative), np.median(plain)


@pytest.fixture(scope='module', params=['day', 'night'])
def scenes(request):
    dataset = SyntheticThermalScenes(num_scenes=SCENES, split='val', night_fraction=float(request.param == 'night'))
    return [dataset.render(i) for i in range(SCENES)]


def _infrared(pair):
    return pair[..., 3].astype(np.float64)


def test_warm_is_in_infrared(scenes):
    relative, plain = _contrast(scenes, WARM, _infrared)
    assert relative > 2.5
    assert plain > 40
    relative, plain = _contrast(scenes, WARM, _luminance)
    assert relative < 0.6
    assert plain < 12


def test_printed_is_in_visible(scenes):
    relative, plain = _contrast(scenes, PRINTED, _luminance)
    assert relative > 2.5
    assert plain > 40
    relative, plain = _contrast(scenes, PRINTED, _infrared)
    assert relative < 0.5
    assert plain < 5


def test_vehicle_is_in_both(scenes):
    def strength(image):  # contrast of its parts: the spread inside against the ring's
        return np.median(
            [
                image(pair)[inside].std() / (image(pair)[ring].std() + 1)
                for pair, label in scenes
                for inside, ring in _objects(label, VEHICLE)
            ]
        )

    assert _contrast(scenes, VEHICLE, _infrared)[1] > 8
    assert _contrast(scenes, VEHICLE, _luminance)[1] > 8
    assert strength(_infrared) > 0.8
    assert strength(_luminance) > 0.8


def test_background_has_structure_in_both(scenes):
    edges = {}
    for name, image in (('visible', _luminance), ('infrared', _infrared)):
        spread = np.mean([image(pair)[label == 0].std() for pair, label in scenes])
        assert spread > 12, name
        edges[name] = np.stack(
            [
                np.hypot(*np.gradient(cv2.GaussianBlur(image(pair), (0, 0), 1.5))) * (label == 0)
                for pair, label in scenes
            ]
        )
    assert np.corrcoef(edges['visible'].ravel(), edges['infrared'].ravel())[0, 1] > 0.2


def test_class_balance():
    dataset = SyntheticThermalScenes(num_scenes=100)
    share = np.stack([np.bincount(dataset.render(i)[1].ravel(), minlength=4) for i in range(100)]) / (96 * 128)
    assert share.shape == (100, 4)  # no id above 3
    assert (share > 0.002).all(1).mean() >= 0.85
    low, high = np.array([[0.6, 0.02, 0.02, 0.04], [0.9, 0.08, 0.08, 0.15]])
    assert (share.mean(0) > low).all()
    assert (share.mean(0) < high).all()


def _pairs(count=12, **options):
    dataset = SyntheticThermalScenes(num_scenes=count, **options)
    return [dataset.render(i) for i in range(count)]


def test_camouflage_contrast_acts_on_warm_in_visible_only():
    faint, plain = (_pairs(24, camouflage_contrast=c, noise_level=0, night_fraction=0) for c in (0.0, 0.6))
    assert _contrast(plain, WARM, _luminance)[1] > 3 * _contrast(faint, WARM, _luminance)[1]
    for (faint_pair, label), (plain_pair, same) in zip(faint, plain):
        assert np.array_equal(label, same)
        assert np.array_equal(faint_pair[..., 3], plain_pair[..., 3])
        far = cv2.dilate((label == WARM).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
        assert np.array_equal(faint_pair[far], plain_pair[far])


def test_crossover_acts_on_infrared_only():
    never, always = (_pairs(24, crossover_fraction=f) for f in (0, 1))
    assert all(np.array_equal(a[..., :3], b[..., :3]) and np.array_equal(x, y) for (a, x), (b, y) in zip(never, always))
    signed = [
        np.median(
            [
                _infrared(pair)[inside].mean() - _infrared(pair)[ring].mean()
                for pair, label in group
                for inside, ring in _objects(label, WARM)
            ]
        )
        for group in (never, always)
    ]
    assert 15 < signed[1] < 0.75 * signed[0]


def test_glare_saturates_the_visible_image_only():
    for night in (0, 1):
        never, always = (_pairs(16, glare_fraction=f, night_fraction=night) for f in (0, 1))
        bright = [np.mean([(pair[..., :3].min(-1) > 225).mean() for pair, _ in group]) for group in (never, always)]
        assert bright[1] > 1.25 * bright[0] > 0
        assert all(np.array_equal(a[..., 3], b[..., 3]) for (a, _), (b, _) in zip(never, always))


def test_distractors_are_hot_background():
    none, many = (_pairs(16, max_distractors=n, crossover_fraction=0) for n in (0, 6))
    hot = [np.mean([(pair[..., 3][label == 0] > 165).mean() for pair, label in group]) for group in (none, many)]
    assert hot[0] > 0  # lamps, chimneys and lit windows stay
    assert hot[1] > 1.3 * hot[0]


def test_noise_level_scales_the_noise():
    quiet, usual, loud = (_pairs(6, noise_level=n) for n in (0, 1, 2))
    for channel in range(4):
        spread = [
            np.mean([np.std(a[..., channel] - b[..., channel].astype(float)) for (a, _), (b, _) in zip(group, quiet)])
            for group in (usual, loud)
        ]
        assert spread[0] > 1
        assert 1.5 * spread[0] < spread[1] < 2.5 * spread[0]


def _train(inputs, labels, steps):
    """A small encoder-decoder; returns a function from images to predicted labels."""

    def block(cin, cout):
        return torch.nn.Sequential(
            torch.nn.Conv2d(cin, cout, 3, padding=1),
            torch.nn.BatchNorm2d(cout),
            torch.nn.ReLU(),
            torch.nn.Conv2d(cout, cout, 3, padding=1),
            torch.nn.BatchNorm2d(cout),
            torch.nn.ReLU(),
        )

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.top, self.middle, self.deep = block(inputs.shape[1], 12), block(12, 24), block(24, 32)
            self.up, self.out = block(56, 24), block(36, 12)
            self.score = torch.nn.Conv2d(12, 4, 1)

        def forward(self, x):
            top = self.top(x)
            middle = self.middle(torch.nn.functional.max_pool2d(top, 2))
            deep = self.deep(torch.nn.functional.max_pool2d(middle, 2))
            middle = self.up(torch.cat([torch.nn.functional.interpolate(deep, scale_factor=2), middle], 1))
            return self.score(self.out(torch.cat([torch.nn.functional.interpolate(middle, scale_factor=2), top], 1)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net()
        optimizer = torch.optim.Adam(net.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
        for _ in range(steps):
            pick = torch.randint(0, len(inputs), (8,))
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs[pick]), labels[pick]).backward()
            optimizer.step()
            schedule.step()
    net.eval()
    return lambda images: torch.cat([net(batch).argmax(1) for batch in images.split(8)])


def _tensors(split, count):
    dataset = SyntheticThermalScenes(num_scenes=count, split=split)
    pairs, labels = zip(*(dataset.render(i) for i in range(count)))
    inputs = torch.from_numpy(np.stack(pairs)).permute(0, 3, 1, 2).float() / 255
    return inputs, torch.from_numpy(np.stack(labels)).long()


@pytest.mark.slow
def test_networks_find_the_evidence_where_it_is_said_to_be():
    (inputs, labels), (unseen, truth) = _tensors('train', 120), _tensors('val', 30)
    iou = {}
    for sensor, channels in (('infrared', slice(3, 4)), ('visible', slice(0, 3))):
        predict = _train(inputs[:, channels], labels, steps=120)
        with torch.no_grad():
            found = predict(unseen[:, channels])
        iou[sensor] = {
            name: (((found == i) & (truth == i)).sum() / ((found == i) | (truth == i)).sum()).item()
            for name, i in CLASSES.items()
        }
    evidence = SyntheticThermalScenes.evidence
    for name in CLASSES:
        seen = {sensor for sensor in iou if iou[sensor][name] > 0.4}
        assert seen == ({'infrared', 'visible'} if evidence[name] == 'both' else {evidence[name]}), iou
    assert iou['infrared']['warm'] > iou['visible']['warm'] + 0.3
    assert iou['visible']['printed'] > iou['infrared']['printed'] + 0.3
