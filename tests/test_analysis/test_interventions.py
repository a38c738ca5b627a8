"""What interventions do to a model, and what they are measured with."""

import copy
import functools

import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch import nn

from mmfusion.analysis.attention_effect import attention_effect
from mmfusion.analysis.interventions import (
    ATTENTION_ZERO,
    INTERVENTIONS,
    NONE,
    fuse_with_labels,
    intervene,
    load_uaafusion,
    measure_interventions,
)
from mmfusion.analysis.scenes import build_dataset
from mmfusion.registry import MODELS

SIZE = (30, 45)  # odd: the network sees padding
NUMBER = 5  # the last batch of two is a single pair
FUSION = dict(type='UAAFusion', num_stages=2, channels=4, attribution=dict(estimator='endpoint'))


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


def test_none_is_prediction_and_given_is_training(config, checkpoint):
    config = config()
    loaded = load_uaafusion(str(config), str(checkpoint(config)), 'cpu')
    model, dataset = loaded.model, build_dataset(loaded)
    packed = [dataset[i] for i in range(2)]
    data = model.data_preprocessor(pseudo_collate(copy.deepcopy(packed)), False)
    inputs, samples = data['inputs'], data['data_samples']
    with torch.no_grad():
        predicted = model.predict(inputs, copy.deepcopy(samples))
        image, result = fuse_with_labels(model, inputs, samples, 'predicted')
        for i, sample in enumerate(predicted):
            assert torch.equal(image[i, :, : SIZE[0], : SIZE[1]], sample.fused_img.data)
            assert torch.equal(result.weight_ir[i, :, : SIZE[0], : SIZE[1]], sample.fusion_weights.data)
        given = fuse_with_labels(model, inputs, samples, 'given')[1]
    for i, sample in enumerate(samples):
        assert torch.equal(given.labels[i, : SIZE[0], : SIZE[1]], sample.gt_sem_seg.data[0])
        assert (given.labels[i, :, SIZE[1] :] == 255).all()
        assert not torch.equal(result.labels[i], given.labels[i])


def test_model_is_as_before(config, checkpoint):
    config = config()
    loaded = load_uaafusion(str(config), str(checkpoint(config)), 'cpu')
    model, dataset = loaded.model, build_dataset(loaded)
    before = copy.deepcopy(model.state_dict())
    batches = [[dataset[0], dataset[1]]]
    rows = measure_interventions(model, batches, INTERVENTIONS, 3)
    attention_effect(model, [dataset[0]], 'none', 'given')
    assert model.fusion.attention == 'rms'
    assert not model.fusion.unfolding._forward_pre_hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert measure_interventions(model, batches, INTERVENTIONS[:1], 3)[0]['mIoU'] == rows[0]['mIoU']


def test_random_signs_are_the_same_in_every_row(config, checkpoint):
    """The multiplexed estimator draws; a difference between rows must not come from that."""
    config = config(attribution=dict(estimator='multiplexed'))
    loaded = load_uaafusion(str(config), str(checkpoint(config)), 'cpu')
    dataset = build_dataset(loaded)
    state = torch.get_rng_state()
    rows = measure_interventions(loaded.model, [[dataset[0], dataset[1]]], [NONE] * 2, 3)
    assert rows[1]['change'] == 0
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('reads', ['pair+fused', 'views', dict(type='views', merge='scores')])
def test_models_that_read_more_than_the_fused_image(model_config, make_batch, reads):
    """A gated model: without an intervention the prediction, with one a change."""
    torch.manual_seed(0)
    # Without norms, so that random weights of the gate make it take sides.
    fusion = dict(FUSION, weights='gate', gate=dict(type='FusionGate', norm_cfg=None))
    model = MODELS.build(model_config(fusion=fusion, reads=reads, refine=dict(type='DetailRefiner', channels=4))).eval()
    for name, parameter in model.named_parameters():
        if 'gate' in name or 'reconstruct' in name or 'conv_seg' in name or 'correct' in name:
            nn.init.normal_(parameter)
    inputs, samples = make_batch()
    images = [(image[[2, 1, 0, 3]] * 255).round().byte() for image in inputs]
    packed = [dict(inputs=image, data_samples=sample) for image, sample in zip(images, samples)]
    data = model.data_preprocessor(pseudo_collate(copy.deepcopy(packed)), False)
    expected = [sample.pred_sem_seg.data for sample in model.predict(data['inputs'], data['data_samples'])]
    with torch.no_grad():
        image, result = model.fuse(data['inputs'])
        scores = model.segment(data['inputs'], image, result, [dict(sample.metainfo) for sample in samples])
    assert all(torch.equal(each.argmax(0, keepdim=True), theirs) for each, theirs in zip(scores, expected))
    rows = measure_interventions(model, [packed], [NONE, by_name('weights swapped'), ATTENTION_ZERO], 3)
    right = sum((ours == sample.gt_sem_seg.data).sum().item() for ours, sample in zip(expected, samples))
    assert len(expected[0].unique()) > 1
    assert 0 < right < sum(each.numel() for each in expected)
    assert rows[0]['change'] == 0
    assert all(row['change'] > 0.1 for row in rows[1:])
