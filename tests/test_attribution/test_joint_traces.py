"""Joint attribution leaves no trace in the network that it asks."""

import pytest
import torch
from torch import nn

from mmfusion.attribution import ESTIMATORS, Attribution


def pair():
    """Infrared and visible images, and labels that hold both classes and ignored pixels."""
    g = torch.Generator().manual_seed(0)
    ir, vi = torch.rand(2, 1, 8, 9, generator=g), torch.rand(2, 3, 8, 9, generator=g)
    labels = torch.randint(2, (2, 8, 9), generator=g)
    labels[:, :1] = 255
    return ir, vi, labels


class Joint(nn.Module):
    """A network in training mode, with all that could be left changed in it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.Conv2d(6, 2, 1), nn.Softmax(1)
        )
        self.layers[1].eval()  # A frozen batch norm beside modules in training mode.
        self.calls = 0

    def forward(self, ir, vi):
        self.calls += 1
        assert not any(module.training for module in self.modules())
        return self.layers(torch.cat([ir, vi], 1))


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('given', [True, False])
@pytest.mark.parametrize('estimator', ESTIMATORS)
def test_no_trace(estimator, given, wrapped):
    """Neither the estimator, nor the look at how many classes there are, nor the prediction of labels leaves one."""
    net = Joint()
    ir, vi, labels = pair()
    scorer = net
    if wrapped:  # As `PairScorer` is: a callable that names its module.

        def scorer(i, v):
            return net(i, v)

        scorer.module = net
    before = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    state = torch.get_rng_state()
    with torch.no_grad():
        found = Attribution(estimator=estimator).joint_evidence(scorer, ir, vi, labels if given else None)
        assert not torch.is_grad_enabled()
    assert net.calls >= 2
    assert not found.ir.requires_grad
    assert torch.stack([found.ir, found.vi]).gt(0).any()
    assert [module.training for module in net.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_scorer_that_knows_its_classes_is_not_asked():
    net = Joint()
    net.num_classes = 2
    ir, vi, labels = pair()
    Attribution().joint_regions(net, ir, vi, labels)
    assert net.calls == 0
