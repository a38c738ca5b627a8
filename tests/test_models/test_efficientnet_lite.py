import math

import pytest
import torch
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from mmfusion.models import EfficientNetLite
from mmfusion.registry import MODELS

CHANNELS, STRIDES = (16, 24, 40, 80, 112, 192, 320), (2, 4, 8, 16, 16, 32, 32)
# The published network by blocks: channels, expanded channels, kernel size and stride of the depthwise convolution.
BLOCKS = [
    (16, 32, 3, 1),
    *[(24, 96, 3, 2), (24, 144, 3, 1)],
    *[(40, 144, 5, 2), (40, 240, 5, 1)],
    *[(80, 240, 3, 2), (80, 480, 3, 1), (80, 480, 3, 1)],
    *[(112, 480, 5, 1), (112, 672, 5, 1), (112, 672, 5, 1)],
    *[(192, 672, 5, 2), (192, 1152, 5, 1), (192, 1152, 5, 1), (192, 1152, 5, 1)],
    (320, 1152, 3, 1),
]
LAST_OF_STAGE = (0, 2, 4, 7, 10, 14, 15)


def published_weights():
    """Random weights under the published names."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def add(conv, norm, outputs, inputs, size):
        spread = 1.5 / math.sqrt(inputs * size * size)
        state[f'{conv}.weight'] = spread * torch.randn(outputs, inputs, size, size, generator=generator)
        state[f'{norm}.weight'] = 1 + 0.2 * torch.rand(outputs, generator=generator)
        state[f'{norm}.bias'] = 0.2 * torch.randn(outputs, generator=generator)
        state[f'{norm}.running_mean'] = 0.1 * torch.randn(outputs, generator=generator)
        state[f'{norm}.running_var'] = 0.5 + torch.rand(outputs, generator=generator)
        state[f'{norm}.num_batches_tracked'] = torch.tensor(7)

    add('_conv_stem', '_bn0', 32, 3, 3)
    channels = 32
    for number, (outputs, hidden, kernel, _) in enumerate(BLOCKS):
        block = f'_blocks.{number}.'
        if hidden != channels:
            add(f'{block}_expand_conv', f'{block}_bn0', hidden, channels, 1)
        add(f'{block}_depthwise_conv', f'{block}_bn1', hidden, 1, kernel)
        add(f'{block}_project_conv', f'{block}_bn2', outputs, hidden, 1)
        channels = outputs
    add('_conv_head', '_bn1', 8, 320, 1)
    state['_fc.weight'], state['_fc.bias'] = torch.zeros(5, 8), torch.zeros(5)
    return state


def same(x, weight, stride=1, groups=1):
    """Convolution whose padding has its larger half at the right and at the bottom."""
    padding = []
    for side in (x.shape[3], x.shape[2]):
        needed = max((math.ceil(side / stride) - 1) * stride + weight.shape[-1] - side, 0)
        padding += [needed // 2, needed - needed // 2]
    return F.conv2d(F.pad(x, padding), weight, stride=stride, groups=groups)


def published_features(x, state):
    """The network written out with the published names; features of all blocks."""

    def layer(x, conv, norm, stride=1, active=True):
        weight = state[f'{conv}.weight']
        x = same(x, weight, stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)
        mean, variance = state[f'{norm}.running_mean'], state[f'{norm}.running_var']
        x = F.batch_norm(x, mean, variance, state[f'{norm}.weight'], state[f'{norm}.bias'], eps=1e-3)
        return x.clamp(0, 6) if active else x

    x = layer(x, '_conv_stem', '_bn0', stride=2)
    features = []
    for number, (_, _, _, stride) in enumerate(BLOCKS):
        block = f'_blocks.{number}.'
        out = layer(x, f'{block}_expand_conv', f'{block}_bn0') if number else x
        out = layer(out, f'{block}_depthwise_conv', f'{block}_bn1', stride)
        out = layer(out, f'{block}_project_conv', f'{block}_bn2', active=False)
        x = x + out if out.shape == x.shape and stride == 1 else out
        features.append(x)
    return features


@pytest.fixture(scope='module')
def state():
    return published_weights()


@pytest.mark.parametrize('size', [(64, 96), (65, 47)], ids=['even', 'odd'])
def test_features_are_those_of_the_published_network(state, size):
    backbone = EfficientNetLite(out_indices=range(7)).eval()
    loaded = backbone.load_state_dict(dict(state))  # strict: each key has its place
    assert not loaded.missing_keys
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features, blocks = backbone(x), published_features(x, state)
    for feature, last, channels, stride in zip(features, LAST_OF_STAGE, CHANNELS, STRIDES):
        assert feature.shape == (2, channels, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        assert feature.std() > 0.1
        torch.testing.assert_close(feature, blocks[last], rtol=1e-4, atol=1e-4)


def test_padding_is_asymmetric_at_a_stride():
    """An even side has nothing to pad in front: the first output sees the first three pixels, not two."""
    backbone = EfficientNetLite(in_channels=1, out_indices=(0,))
    stem = backbone.stem.conv
    stem.weight.data.fill_(1)
    image = torch.zeros(1, 1, 8, 7)
    image[..., 2, 1] = 1  # Third row, within reach of the first output only with no padding above.
    response = stem(image)[0, 0]
    assert response.shape == (4, 4)
    assert response[:, 0].tolist() == [1, 1, 0, 0]  # rows 0 to 2 and 2 to 4
    assert response[0].tolist() == [1, 1, 0, 0]  # columns -1 to 1 and 1 to 3: an odd side is padded at both ends
    torch.testing.assert_close(response, same(image, stem.weight[:1], stride=2)[0, 0])


def test_weights_of_a_larger_model(state):
    """Published weights under a prefix, in a network that ends early."""
    backbone = EfficientNetLite(out_indices=(2, 1))
    model = torch.nn.ModuleDict(dict(backbone=backbone, head=torch.nn.Linear(2, 2)))
    head = {f'head.{name}': value for name, value in model['head'].state_dict().items()}
    model.load_state_dict({**{f'backbone.{name}': value for name, value in state.items()}, **head})
    torch.testing.assert_close(backbone.stages[2][1].project.conv.weight, state['_blocks.4._project_conv.weight'])
    assert len(backbone.stages) == 3
    assert [feature.shape[1] for feature in backbone(torch.rand(2, 3, 32, 32))] == [40, 24]


def test_own_weights_are_loaded_as_they_are():
    first, second = EfficientNetLite(), EfficientNetLite()
    second.load_state_dict(first.state_dict())
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize('name', ['_blocks.3._se_reduce.weight', '_gate.weight'])
def test_unknown_weights_are_named(state, name):
    unexpected = EfficientNetLite().load_state_dict({**state, name: torch.zeros(1)}, strict=False).unexpected_keys
    (key,) = unexpected
    assert key.endswith(name.split('.', 2)[-1])


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norm_eval(norm_eval):
    backbone = MODELS.build(dict(type='EfficientNetLite', norm_eval=norm_eval)).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items() if 'running' in name}
    backbone(torch.rand(2, 3, 32, 32))
    kept = [torch.equal(value, backbone.state_dict()[name]) for name, value in before.items()]
    assert all(kept) if norm_eval else not any(kept)
    norms = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    assert len(norms) == 1 + 3 * len(BLOCKS) - 1
    assert {norm.training for norm in norms} == {not norm_eval}
    assert backbone.training
    assert not any(module.training for module in backbone.eval().modules())


@pytest.mark.parametrize('indices', [(), (7,), (-1, 2)])
def test_stages_that_are_not_there(indices):
    with pytest.raises(ValueError, match='among the stages 0 to 6'):
        EfficientNetLite(out_indices=indices)
