from pathlib import Path

import pytest
import torch
from torch import nn

from mmfusion.models import TorchvisionMobileNetV2
from mmfusion.registry import MODELS

WEIGHTS = (Path(__file__).resolve().parents[2] / '../shared/weights/mobilenet_v2_imagenet.pth').resolve()
# Expansion, channels, blocks, stride, as in the paper.
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def unit(inputs, outputs, size, stride=1, groups=1):
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class Block(nn.Module):
    """An inverted residual in the nesting that gives torchvision's names."""

    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [unit(inputs, hidden, 1)]
        depthwise = unit(hidden, hidden, 3, stride, hidden)
        project = [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*expand, depthwise, *project)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


@pytest.fixture(scope='module')
def reference():
    """A network with torchvision's names and statistics that are not those of the start."""
    torch.manual_seed(0)
    features, inputs = [unit(3, 32, 3, 2)], 32
    for expansion, outputs, blocks, stride in GROUPS:
        for number in range(blocks):
            features.append(Block(inputs, outputs, 1 if number else stride, expansion))
            inputs = outputs
    features.append(unit(320, 1280, 1))
    model = nn.Module()
    model.features = nn.Sequential(*features)
    model.classifier = nn.Sequential(nn.Dropout(), nn.Linear(1280, 5))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.1, 0.3)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.normal_(module.bias, std=0.1)
    return model.eval()


@torch.no_grad()
def test_features_are_those_of_the_other_network(reference):
    backbone = TorchvisionMobileNetV2(out_indices=(0, 1, 2, 3, 4, 5, 6))
    backbone.eval()  # gives nothing back in mmseg
    backbone.load_state_dict(reference.state_dict())  # strict: every key has its place
    x = torch.randn(2, 3, 64, 96)
    ends = (1, 3, 6, 10, 13, 16, 17)
    for feature, end in zip(backbone(x), ends, strict=True):
        expected = reference.features[: end + 1](x)
        assert expected.std() > 0.01
        torch.testing.assert_close(feature, expected, rtol=1e-4, atol=1e-5)


def test_unknown_weights_are_named(reference):
    state = {**reference.state_dict(), 'features.3.gate': torch.zeros(1)}
    assert TorchvisionMobileNetV2().load_state_dict(state, strict=False).unexpected_keys == ['features.3.gate']


def test_own_names_are_loaded_as_they_are():
    first, second = TorchvisionMobileNetV2(), TorchvisionMobileNetV2()
    second.load_state_dict(first.state_dict())
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f'no weights at {WEIGHTS}')
def test_pretrained():
    """Through a config, as a run loads them. Both layouts have one order, which knows nothing of names."""
    init_cfg = dict(type='Pretrained', checkpoint=str(WEIGHTS))
    backbone = MODELS.build(dict(type='TorchvisionMobileNetV2', norm_eval=True, init_cfg=init_cfg))
    backbone.init_weights()
    published = list(torch.load(WEIGHTS, weights_only=True).values())
    ours = list(backbone.state_dict().values())
    assert len(ours) == 52 * 6 - 6
    for one, other in zip(ours, published):
        assert torch.equal(one, other)
