"""What interventions do to a model, and what they are measured with."""

import copy
import functools
import math

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from torch import nn

from mmfusion.analysis.interventions import (
    ATTENTION_ZERO,
    INTERVENTIONS,
    NONE,
    Tally,
    attention_effect,
    build_dataset,
    difference_error,
    fuse,
    intervene,
    labels_at_input,
    load,
    measure,
    resized,
)

SIZE = (30, 45)  # odd: the network sees padding
NUMBER = 5  # the last batch of two is a single pair
FUSION = dict(type='UAAFusion', num_stages=2, channels=4, steps=2, estimator='endpoint')


@pytest.fixture
def config(paired_config):
    """Function of fusion options that gives a config file; the data are in tmp_path/data."""
    return lambda batch_size=2, **fusion: paired_config(SIZE, NUMBER, {**FUSION, **fusion}, batch_size)


@pytest.fixture
def checkpoint(random_checkpoint):
    """Function that writes random weights for a config, strong enough for every intervention to be seen."""
    return functools.partial(random_checkpoint, gain=3)


class Head(nn.Module):
    """Weighted mean plus the attention of it."""

    def forward(self, ir, vi, weight_ir, weight_vi, attend):
        mean = weight_ir * ir + weight_vi * vi
        return mean if attend is None else mean + attend(mean)


def by_name(name):
    return next(one for one in INTERVENTIONS if one.name == name)


def test_effect_of_every_intervention_by_hand():
    """ir = 8, vi = 0 and a weight of 1/4 give 2; the attention of F is F times a ramp over the samples or columns."""
    ones = torch.ones(2, 1, 2, 4)
    ramp = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]]).view(2, 1, 1, 4).repeat(1, 1, 2, 1)
    moved = torch.tensor([[3.0, 4.0, 1.0, 2.0], [30.0, 40.0, 10.0, 20.0]]).view(2, 1, 1, 4).repeat(1, 1, 2, 1)
    expected = {
        'none': 2 + 2 * ramp,
        'weights swapped': 6 + 6 * ramp,
        'weights 0.5': 4 + 4 * ramp,
        'weights all infrared': 8 + 8 * ramp,
        'weights all visible': 0 * ramp,
        'attention zero': 2 * ones,
        'attention negated': 2 - 2 * ramp,
        'attention moved': 2 + 2 * moved,
        'attention of neighbour': 2 + 2 * ramp.flip(0),
        'weights 0.5, attention zero': 4 * ones,
    }
    assert [one.name for one in INTERVENTIONS] == list(expected)
    head = Head()
    for name, value in expected.items():
        with intervene(head, by_name(name)):
            seen = head(8 * ones, 0 * ones, 0.25 * ones, 0.75 * ones, lambda fused: fused * ramp)
        assert torch.equal(seen, value), name


def test_moved_attention_is_moved_both_ways():
    attention = torch.arange(24.0).view(1, 1, 4, 6)
    moved = by_name('attention moved').attention(attention)
    assert torch.equal(moved[0, 0, 2:, 3:], attention[0, 0, :2, :3])
    assert torch.equal(moved[0, 0, :2, :3], attention[0, 0, 2:, 3:])


def test_head_is_as_before_even_after_an_error():
    head, one = Head(), torch.ones(1, 1, 1, 1)
    arguments = (4 * one, 0 * one, one, 0 * one, None)
    with intervene(head, by_name('weights swapped')):
        assert head(*arguments).item() == 0
    with pytest.raises(TypeError, match='NoneType'), intervene(head, by_name('weights swapped')):
        head(4 * one, None, one, one, None)
    with (
        pytest.raises(ValueError, match='changes the attention, but the fusion has none'),
        intervene(head, ATTENTION_ZERO),
    ):
        head(*arguments)
    assert not head._forward_pre_hooks
    assert head(*arguments).item() == 4


def test_intervention_that_does_not_take_place_is_no_result():
    with (
        pytest.raises(RuntimeError, match='the unfolding head was not called'),
        intervene(Head(), by_name('weights swapped')),
    ):
        pass


def test_tally_against_mmseg_and_by_hand():
    rng = np.random.RandomState(0)
    tally, metric = Tally(4), IoUMetric()
    metric.dataset_meta = dict(classes='abcd')
    pictures = []
    for size in ((5, 7), (8, 3), (6, 6)):
        labels, prediction = (torch.from_numpy(rng.randint(0, 3, size)) for _ in range(2))  # class 3 does not occur
        labels[0, :2] = 255
        fused, reference = (torch.from_numpy(rng.rand(*size)) for _ in range(2))
        tally.add(prediction, labels, fused, reference)
        metric.process({}, [dict(pred_sem_seg=dict(data=prediction[None]), gt_sem_seg=dict(data=labels[None]))])
        pictures.append([x.numpy().ravel() for x in (labels, prediction, fused, reference)])
    result = tally.result()
    assert round(result['mIoU'], 2) == pytest.approx(metric.compute_metrics(metric.results)['mIoU'])
    labels, prediction, fused, reference = (np.concatenate(x) for x in zip(*pictures))
    for c in range(3):
        inside = (labels == c) & (labels != 255)
        union = inside | ((prediction == c) & (labels != 255))
        assert result['IoU'][c] == pytest.approx(100 * (inside & (prediction == c)).sum() / union.sum(), rel=1e-6)
        assert result['change_by_class'][c] == pytest.approx(255 * np.abs(fused - reference)[inside].mean())
    assert result['mIoU'] == pytest.approx(np.mean(result['IoU'][:3]), rel=1e-6)
    assert result['change'] == pytest.approx(255 * np.abs(fused - reference).mean())  # ignored pixels as well
    assert math.isnan(result['IoU'][3])
    assert math.isnan(result['change_by_class'][3])


def test_standard_error_against_theory():
    """Labels of one class, images of one size: mIoU is half a mean over the images, whose error is known."""
    right = np.random.RandomState(0).randint(0, 100, (40, 2))
    labels, image = torch.zeros(10, 10, dtype=torch.long), torch.zeros(10, 10)
    tallies = [Tally(2) for _ in range(2)]
    for row in right:
        for tally, hits in zip(tallies, row):
            # Class 1 is always wrong: its IoU is 0.
            tally.add((torch.arange(100) >= hits).long().view(10, 10), labels, image, image)
    assert tallies[0].result()['mIoU'] == pytest.approx(right[:, 0].mean() / 2, rel=1e-6)
    difference = (right[:, 0] - right[:, 1]) / 2
    assert difference_error(*tallies) == pytest.approx(difference.std() / 40**0.5, rel=0.1)
    assert difference_error(tallies[0], tallies[0]) == 0
    single = Tally(2)
    single.areas = tallies[0].areas[:1]
    assert math.isnan(difference_error(single, single))


def test_labels_follow_flip_resize_and_padding():
    labels = torch.tensor([[[0, 1], [2, 255]]])
    sample = SegDataSample(metainfo=dict(padding_size=(1, 2, 0, 3), flip=True, flip_direction='horizontal'))
    sample.gt_sem_seg = PixelData(data=labels)
    expected = np.full((7, 7), 9)
    expected[:4, 1:5] = np.kron(labels[0].numpy()[:, ::-1], np.ones((2, 2)))
    assert np.array_equal(labels_at_input(sample, (7, 7), ignore_index=9)[0], expected)


def test_resized_pair():
    image = torch.full((4, 6, 10), 200, dtype=torch.uint8)
    image[:, :, 5:] = 100
    sample = SegDataSample(metainfo=dict(img_path='x', ori_shape=(6, 10), img_shape=(6, 10)))
    sample.gt_sem_seg = PixelData(data=(image[:1] == 100).long() * 2)
    new = resized(dict(inputs=image, data_samples=sample), 12)
    assert new['inputs'].shape == (4, 12, 12)
    assert new['inputs'][:, :, :5].unique().tolist() == [200]
    assert new['inputs'][:, :, 7:].unique().tolist() == [100]
    half = torch.zeros(1, 12, 12, dtype=torch.long)
    half[:, :, 6:] = 2
    assert torch.equal(new['data_samples'].gt_sem_seg.data, half)
    assert new['data_samples'].ori_shape == new['data_samples'].img_shape == (12, 12)
    assert sample.ori_shape == (6, 10)
    assert sample.gt_sem_seg.data.shape == (1, 6, 10)


def test_none_is_prediction_and_given_is_training(config, checkpoint):
    config = config()
    loaded = load(str(config), str(checkpoint(config)), 'cpu')
    model, dataset = loaded.model, build_dataset(loaded)
    packed = [dataset[i] for i in range(2)]
    data = model.data_preprocessor(pseudo_collate(copy.deepcopy(packed)), False)
    inputs, samples = data['inputs'], data['data_samples']
    with torch.no_grad():
        predicted = model.predict(inputs, copy.deepcopy(samples))
        image, result = fuse(model, inputs, samples, 'predicted')
        for i, sample in enumerate(predicted):
            assert torch.equal(image[i, :, : SIZE[0], : SIZE[1]], sample.fused_img.data)
            assert torch.equal(result.weight_ir[i, :, : SIZE[0], : SIZE[1]], sample.fusion_weights.data)
        given = fuse(model, inputs, samples, 'given')[1]
    for i, sample in enumerate(samples):
        assert torch.equal(given.labels[i, : SIZE[0], : SIZE[1]], sample.gt_sem_seg.data[0])
        assert (given.labels[i, :, SIZE[1] :] == 255).all()
        assert not torch.equal(result.labels[i], given.labels[i])


def test_model_is_as_before(config, checkpoint):
    config = config()
    loaded = load(str(config), str(checkpoint(config)), 'cpu')
    model, dataset = loaded.model, build_dataset(loaded)
    before = copy.deepcopy(model.state_dict())
    batches = [[dataset[0], dataset[1]]]
    rows = measure(model, batches, INTERVENTIONS, 3)
    attention_effect(model, [dataset[0]], 'none', 'given')
    assert model.fusion.attention == 'rms'
    assert not model.fusion.head._forward_pre_hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert measure(model, batches, INTERVENTIONS[:1], 3)[0]['mIoU'] == rows[0]['mIoU']


def test_random_signs_are_the_same_in_every_row(config, checkpoint):
    """The multiplexed estimator draws; a difference between rows must not come from that."""
    config = config(estimator='multiplexed')
    loaded = load(str(config), str(checkpoint(config)), 'cpu')
    dataset = build_dataset(loaded)
    state = torch.get_rng_state()
    rows = measure(loaded.model, [[dataset[0], dataset[1]]], [NONE] * 2, 3)
    assert rows[1]['change'] == 0
    assert torch.equal(torch.get_rng_state(), state)
