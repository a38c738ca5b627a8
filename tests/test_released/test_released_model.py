"""The released config as a whole: what its options make of our model is what the slow reference computes."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmfusion.models.color import split_luminance
from mmfusion.registry import MODELS
from mmfusion.released import ReleasedModel, ReleasedNetwork, convert_fusion_state_dict

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/models/uaafusion-released_mobilenet-v2.py'
CLASSES, STEPS = 3, 2
SIZE = (48, 64)


@pytest.fixture(autouse=True, scope='module')
def scope():
    with DefaultScope.overwrite_default_scope('mmfusion'):
        yield


@pytest.fixture(scope='module')
def network():
    """Of weights by which the fused image has contrast; a new network gives grey."""
    torch.manual_seed(0)
    network = ReleasedNetwork(num_stages=2, channels=4).double()
    for stage in network.blockflow:
        stage.conv4[0].conv_unit[2].weight.data *= 20
    return network


@pytest.fixture(scope='module')
def batch(make_batch):
    inputs, samples = make_batch(SIZE)
    return inputs.double(), samples  # Batch norms of an untrained network blow small differences up.


def build(network, **changes):
    """Our model by the config, in small, with the weights of the reference's network."""
    config = Config.fromfile(CONFIG).model
    config.fusion.update(num_stages=2, channels=4, steps=STEPS)
    config.segmentor.backbone.widen_factor = 0.25
    config.segmentor.decode_head.update(num_classes=CLASSES, in_channels=(8, 80), channels=8, shortcut_channels=4)
    for name, value in changes.items():
        config[name] = value
    torch.manual_seed(1)
    model = MODELS.build(config).double()
    model.fusion.load_state_dict(convert_fusion_state_dict(network.state_dict())[1])
    for module in model.segmentor.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # What is drawn at random would differ from pass to pass.
    # An untrained segmentor has next to the same scores everywhere.
    model.decode_head.conv_seg.weight.data.normal_()
    return model


def reference(model, network):
    """The slow reference with a copy of the same segmentor, which has its batch norms to itself."""
    segmentor = copy.deepcopy(model.segmentor)

    def score(image):
        return segmentor.encode_decode(image, [dict(ori_shape=SIZE, img_shape=SIZE)] * len(image)).sigmoid()

    return ReleasedModel(network, segmentor, lambda image: image, score, CLASSES, STEPS)


def sources(batch):
    """Infrared, luminance and chroma."""
    return batch[0][:, 3:], *split_luminance(batch[0][:, :3])


def our_loss(model, batch):
    return model.train().parse_losses(model.loss(*batch))[0].detach()


def slow_loss(model, network, batch):
    ir, vi, _ = sources(batch)
    return model.loss(ir, vi, batch[1]).detach()


@pytest.fixture(scope='module')
def expected(network, batch):
    """The loss of the reference, and how many passes its batch norms saw."""
    slow = reference(build(network), network).train()
    loss = slow_loss(slow, network, batch)
    return loss, {name: value for name, value in slow.segmentor.named_buffers() if name.endswith('num_batches_tracked')}


def test_loss(network, batch, expected):
    model = build(network)
    loss, passes = expected
    torch.testing.assert_close(our_loss(model, batch), loss, rtol=1e-6, atol=0)
    seen = dict(model.segmentor.named_buffers())
    assert len(passes) > 10
    for name, number in passes.items():
        assert number == 2 * STEPS + 1 + 3  # Both paths, the second iterate, three images.
        assert seen[name] == number


@pytest.mark.parametrize(
    'changes',
    [
        dict(loss_seg_weight=1.0),
        dict(batch_sources=True),
        dict(loss_fusion=dict(type='AttributionFusionLoss')),
        dict(loss_gradient=dict(type='JointGradientLoss')),
        dict(scorer=dict(mode='eval', score='sigmoid')),
        dict(scorer=dict(mode='keep', score='softmax')),
        dict(normalize=dict(mean=[127.5], std=[255.0])),
    ],
    ids=str,
)
def test_every_option_has_a_share_in_the_loss(network, batch, expected, changes):
    """So the test above would see a wrong one."""
    changed = our_loss(build(network, **changes), batch)
    assert (changed - expected[0]).abs() > 1e-3 * expected[0]


def test_prediction(network, batch):
    model = build(network)
    ir, vi, chroma = sources(batch)
    for module in model.segmentor.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.segmentor.train()(torch.cat([ir, vi]))  # Statistics by which the classes differ from place to place.
    model.eval()
    expected, labels = reference(model, network).eval().predict(ir, vi, chroma)
    with torch.no_grad():
        samples = model.predict(*batch)
    image = torch.stack([sample.fused_img.data for sample in samples]).double()
    assert image.shape == (2, 1, *SIZE)  # Grey: the release segments the luminance alone.
    torch.testing.assert_close(image, expected[:, :1], rtol=0, atol=1e-5)
    assert image.amax() == 1
    assert torch.equal(torch.cat([sample.pred_sem_seg.data for sample in samples]), labels)
    assert len(labels.unique()) > 1
