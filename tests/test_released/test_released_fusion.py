"""The released network's computation against reference numbers (random weights, a stand-in segmentor of 15 classes)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmfusion.models import AttributionFusionLoss, JointGradientLoss, UAAFusion

DATA = Path(__file__).resolve().parents[1] / 'data'


@pytest.fixture(scope='module')
def reference():
    with np.load(DATA / 'uaafusion_released.npz') as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope='module')
def grad_norms():
    return json.loads((DATA / 'uaafusion_released.json').read_text())['grad_norms']


@pytest.fixture(scope='module')
def state_dict(reference):
    return {name.removeprefix('model_f/'): value for name, value in reference.items() if name.startswith('model_f/')}


@pytest.fixture(scope='module')
def scorer(reference):
    weights = {name: value for name, value in reference.items() if name.startswith('segmentor/')}

    def score(x):
        x = F.conv2d(x, weights['segmentor/c1.weight'], weights['segmentor/c1.bias'], padding=1).relu()
        return F.conv2d(x, weights['segmentor/c2.weight'], weights['segmentor/c2.bias'], padding=1).sigmoid()

    return score


def close(actual, expected, rtol):
    """Relative to the largest value: most entries of a map are far smaller than its scale."""
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= rtol * expected.abs().max()


def test_forward_with_labels(reference, state_dict, scorer):
    fusion = UAAFusion.from_released(state_dict, steps=5)
    assert not fusion.training
    with torch.no_grad():
        result = fusion(reference['ir'], reference['vi'], scorer, reference['label'])
    close(result.fused, reference['fused'], 1e-4)
    close(result.weight_ir, reference['w_ir'], 1e-4)
    close(result.weight_vi, reference['w_vi'], 1e-4)
    close(result.region_ir, reference['attr_ir'], 1e-4)
    close(result.region_vi, reference['attr_vi'], 1e-4)
    for k, attention in enumerate(result.attention):
        close(attention, reference[f'attention_{k}'], 1e-3)
    assert len(result.attention) == 2


def test_forward_without_labels(reference, state_dict, scorer):
    result = UAAFusion.from_released(state_dict)(reference['ir'][:1], reference['vi'][:1], scorer)
    close(result.fused, reference['fused_label_free_sample0'], 1e-4)


def released_losses(reference, fusion, scorer):
    ir, vi = reference['ir'], reference['vi']
    result = fusion(ir, vi, scorer, reference['label'])
    losses = AttributionFusionLoss(form='released')(result.fused, ir, vi, result.weight_ir, result.weight_vi)
    return {**losses, **JointGradientLoss(padding='zeros')(result.fused, ir, vi)}


def test_losses(reference, state_dict, scorer):
    losses = released_losses(reference, UAAFusion.from_released(state_dict), scorer)
    assert sorted(losses) == ['loss_grad', 'loss_ir', 'loss_vi']
    for name, loss in losses.items():
        torch.testing.assert_close(loss, reference[name], rtol=1e-3, atol=0)


def our_gradient(fusion, name):
    """Gradient of a released parameter: of our parameter, or of the slice that it became."""
    parameters = dict(fusion.named_parameters())
    parts = name.split('.')
    if parts[0].startswith('init_conv_'):
        return parameters[f'unfolding.embed_{parts[0][-2:]}.{".".join(parts[2:])}'].grad
    stage = f'unfolding.stages.{parts[1]}'
    if parts[2] == 'lstm':
        gate = 'ioj'.index(parts[3][-1])  # The fixture's only cell is a first one, without forget gate.
        return parameters[f'{stage}.cell.gates.{parts[4]}'].grad.chunk(3)[gate]
    unit = dict(
        conv1='embed', conv2='merge', conv3='refine', conv4='reconstruct', conv5='memory_in', conv6='memory_out'
    )
    return parameters[f'{stage}.{unit[parts[2]]}.{".".join(parts[-2:])}'].grad


def test_gradient_norms(reference, state_dict, scorer, grad_norms):
    fusion = UAAFusion.from_released(state_dict)
    sum(released_losses(reference, fusion, scorer).values()).backward()
    for name, expected in grad_norms.items():
        assert our_gradient(fusion, name).norm().item() == pytest.approx(expected, rel=1e-3), name
    # Merged parameters are compared slice by slice above; together the slices are all that we have.
    merged = sum(our_gradient(fusion, name).numel() for name in grad_norms)
    assert merged == sum(p.numel() for p in fusion.parameters())


def test_checkpoint_layouts(state_dict):
    plain = UAAFusion.from_released(state_dict).state_dict()
    parallel = {'epoch': 40, 'model_f': {f'module.{name}': value for name, value in state_dict.items()}}
    for name, value in UAAFusion.from_released(parallel).state_dict().items():
        assert torch.equal(value, plain[name])


def test_other_architecture_is_refused(state_dict):
    with pytest.raises(ValueError, match='not a released UAAFusion network'):
        UAAFusion.from_released({'backbone.conv1.weight': torch.zeros(1)})
    incomplete = {k: v for k, v in state_dict.items() if k != 'blockflow.0.conv2.conv_unit.0.bias'}
    with pytest.raises(ValueError, match=r'blockflow\.0\.conv2\.conv_unit\.0\.bias'):
        UAAFusion.from_released(incomplete)
    with pytest.raises(ValueError, match=r'unknown, such as .*extra\.weight'):
        UAAFusion.from_released({**state_dict, 'extra.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match="no weights of 'model_f'"):
        UAAFusion.from_released({'epoch': 3})
