"""The reference implementation of the released computation against reference numbers of the release."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmfusion.released import ReleasedModel, ReleasedNetwork

DATA = Path(__file__).resolve().parents[1] / 'data'


@pytest.fixture(scope='module')
def reference():
    with np.load(DATA / 'uaafusion_released.npz') as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture
def released(reference):
    """The reference implementation with the weights and the stand-in segmentor of the fixture."""
    network = ReleasedNetwork(num_stages=2)
    network.load_state_dict({k.removeprefix('model_f/'): v for k, v in reference.items() if k.startswith('model_f/')})

    def score(x):
        x = F.conv2d(x, reference['segmentor/c1.weight'], reference['segmentor/c1.bias'], padding=1).relu()
        return F.conv2d(x, reference['segmentor/c2.weight'], reference['segmentor/c2.bias'], padding=1).sigmoid()

    return ReleasedModel(network, None, None, score, num_classes=15)


def close(actual, expected, rtol=1e-4):
    """Relative to the largest value, which is not zero."""
    assert actual.shape == expected.shape
    assert expected.abs().max() > 0
    assert (actual - expected).abs().max() <= rtol * expected.abs().max()


def test_released_reference_reproduces_the_release(released, reference):
    result = released.fuse(reference['ir'], reference['vi'], reference['label'])
    for name, key in dict(
        fused='fused', weight_ir='w_ir', weight_vi='w_vi', region_ir='attr_ir', region_vi='attr_vi'
    ).items():
        close(getattr(result, name), reference[key])
    assert result.attention[0].abs().max() == 0
    close(result.attention[1], reference['attention_1'])
    alone = released.fuse(reference['ir'][:1], reference['vi'][:1])
    close(alone.fused, reference['fused_label_free_sample0'])


def test_released_reference_losses_and_gradients(released, reference):
    ir, vi = reference['ir'], reference['vi']
    losses = released.fusion_losses(released.fuse(ir, vi, reference['label']), ir, vi)
    assert sorted(losses) == ['loss_grad', 'loss_ir', 'loss_vi']
    for name, value in losses.items():
        torch.testing.assert_close(value, reference[name], rtol=1e-4, atol=0)
    sum(losses.values()).backward()
    norms = json.loads((DATA / 'uaafusion_released.json').read_text())['grad_norms']
    ours = {name: p.grad.norm().item() for name, p in released.network.named_parameters() if p.grad is not None}
    assert ours == pytest.approx(norms, rel=1e-4)  # And the same parameters stay without one.


def test_released_network_has_the_released_size():
    network = ReleasedNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_010_380


def test_ignored_pixels_have_no_evidence(released, reference):
    labels = reference['label'].clone()
    labels[:, :10] = 255
    result = released.fuse(reference['ir'], reference['vi'], labels)
    assert torch.all(result.weight_ir[:, :, :10] == 0.5)
    assert not torch.all(result.weight_ir[:, :, 10:] == 0.5)


def test_released_predict_stretches(released, reference):
    chroma = torch.rand(2, 2, *reference['ir'].shape[2:])
    image, labels = released.predict(reference['ir'], reference['vi'], chroma)
    assert torch.equal(image[:, 1:], chroma)
    assert image[:, 0].amin((1, 2)).tolist() == [0, 0]
    assert image[:, 0].amax((1, 2)).tolist() == [1, 1]
    fused = released.fuse(reference['ir'], reference['vi']).fused
    assert torch.equal(labels, released.score(fused).argmax(1))
    assert not fused.requires_grad or not image.requires_grad


def test_without_a_segmentor_there_is_nothing_to_train(released, reference):
    with pytest.raises(ValueError, match='this model has no segmentor to train'):
        released.segmentation_loss(reference['ir'], [])
