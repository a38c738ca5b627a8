"""More input channels for the first layers of many backbones of mmseg, whichever way their weights come."""

import copy

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from mmfusion.models.reading import extend_stem, inflate, silence
from mmfusion.registry import MODELS

BN = dict(type='BN')
RESNET = dict(type='ResNet', depth=18, base_channels=8, norm_cfg=BN)
STDC = dict(
    type='STDCNet',
    stdc_type='STDCNet1',
    in_channels=3,
    channels=(8, 16, 32, 64, 128),
    bottleneck_type='cat',
    num_convs=4,
    norm_cfg=BN,
    act_cfg=dict(type='ReLU'),
)
SMALL_STAGES = dict(embed_dims=[8, 8, 16, 16], depths=[1, 1, 1, 1])
TRANSFORMER = dict(img_size=(64, 64), patch_size=16, embed_dims=24, num_layers=2, num_heads=2, out_indices=(1,))


def hrnet_stage(*channels, block='BASIC'):
    branches = len(channels)
    return dict(
        num_modules=1, num_branches=branches, block=block, num_blocks=(1,) * branches, num_channels=tuple(channels)
    )


# Config, and how many convolutions of it look at the image.
BACKBONES = {
    'ResNet': (RESNET, 1),
    'ResNetV1c': (dict(RESNET, type='ResNetV1c', stem_channels=8), 1),
    'ResNeXt': (dict(type='ResNeXt', depth=50, groups=4, base_width=4, norm_cfg=BN), 1),
    'ResNeSt': (dict(type='ResNeSt', depth=50, norm_cfg=BN), 1),
    'MobileNetV2': (dict(type='MobileNetV2', widen_factor=0.25, norm_cfg=BN), 1),
    'MobileNetV3': (dict(type='MobileNetV3', arch='small', norm_cfg=BN), 1),
    'MixVisionTransformer': (
        dict(type='MixVisionTransformer', embed_dims=8, num_layers=[1] * 4, num_heads=[1, 1, 2, 2]),
        1,
    ),
    'SwinTransformer': (
        dict(
            type='SwinTransformer', embed_dims=12, depths=(1, 1), num_heads=(1, 2), strides=(4, 2), out_indices=(0, 1)
        ),
        1,
    ),
    'VisionTransformer': (dict(type='VisionTransformer', **TRANSFORMER), 1),
    'BEiT': (dict(type='BEiT', **TRANSFORMER), 1),
    'UNet': (dict(type='UNet', base_channels=4, norm_cfg=BN), 1),
    'BiSeNetV1': (
        dict(
            type='BiSeNetV1',
            backbone_cfg=RESNET,
            spatial_channels=(8, 8, 8, 16),
            context_channels=(16, 32, 64),
            out_channels=32,
            norm_cfg=BN,
        ),
        2,
    ),
    'BiSeNetV2': (dict(type='BiSeNetV2', norm_cfg=BN), 2),
    'ICNet': (
        dict(
            type='ICNet',
            backbone_cfg=dict(type='ResNetV1c', depth=50, norm_cfg=BN, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
            norm_cfg=BN,
        ),
        2,
    ),
    'FastSCNN': (dict(type='FastSCNN', norm_cfg=BN), 1),
    'STDCNet': (STDC, 1),
    'STDCContextPathNet': (
        dict(
            type='STDCContextPathNet',
            backbone_cfg=STDC,
            last_in_channels=(128, 64),
            out_channels=16,
            ffm_cfg=dict(in_channels=48, out_channels=32, scale_factor=4),
            norm_cfg=BN,
        ),
        1,
    ),
    'HRNet': (
        dict(
            type='HRNet',
            norm_cfg=BN,
            extra=dict(
                stage1=hrnet_stage(8, block='BOTTLENECK'),
                stage2=hrnet_stage(8, 16),
                stage3=hrnet_stage(8, 16, 32),
                stage4=hrnet_stage(8, 16, 32, 64),
            ),
        ),
        1,
    ),
    'PIDNet': (dict(type='PIDNet', channels=8, ppm_channels=16, norm_cfg=BN), 1),
    'DDRNet': (dict(type='DDRNet', channels=8, ppm_channels=16, norm_cfg=BN), 1),
    'MSCAN': (dict(type='MSCAN', norm_cfg=BN, **SMALL_STAGES), 1),
    'PCPVT': (dict(type='PCPVT', num_heads=[1, 1, 2, 2], **SMALL_STAGES), 1),
    'EfficientNetLite': (dict(type='EfficientNetLite'), 1),
    'TorchvisionMobileNetV2': (dict(type='TorchvisionMobileNetV2', widen_factor=0.25), 1),
}


def build(config, seed=0):
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmfusion'):
        backbone = MODELS.build(copy.deepcopy(config))
    backbone.eval()  # Of mmseg's backbones not all return themselves from it.
    return backbone


def image(channels=5, seed=0):
    return torch.rand(1, channels, 64, 64, generator=torch.Generator().manual_seed(seed))


def features(backbone, x):
    with torch.no_grad():
        out = backbone(x)
    return [out] if isinstance(out, torch.Tensor) else list(out)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


# Many backbones ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('name', BACKBONES)
def test_reads_more_channels(name):
    """A dark infrared channel is as none, a bright one is seen, and a channel of the plan's 'zero' never is."""
    config, stems = BACKBONES[name]
    backbone, x = build(config), image()
    assert type(backbone).__name__ == name
    before = features(backbone, x[:, :3])
    convolutions = extend_stem(backbone, 3, ['mean', 'zero'])
    assert len(convolutions) == stems
    assert all(conv.in_channels == conv.weight.shape[1] == 5 for conv in convolutions)
    dark = x.clone()
    dark[:, 3] = 0
    assert_same(features(backbone, dark), before)
    bright = features(backbone, x)
    assert any(not torch.allclose(one, other, rtol=1e-3) for one, other in zip(bright, before))
    other = x.clone()
    other[:, 4] = image(seed=1)[:, 4]
    assert_same(features(backbone, other), bright)


@pytest.mark.parametrize('name', ['ERFNet', 'CGNet'])
def test_backbones_that_count_on_their_channels_elsewhere_are_refused(name):
    """They put the image itself beside features further on, for which norms have no more channels."""
    backbone = build(dict(type=name, norm_cfg=BN))
    message = rf"{name} cannot be extended from 3 to 4 channels, .* elements not .*; use .* reads='fused' or 'views'"
    with pytest.raises(ValueError, match=message):
        extend_stem(backbone, 3, ['mean'])


@pytest.mark.parametrize('name', ['ERFNet', 'CGNet'])
def test_the_joint_model_names_the_backbone_at_construction(name, model_config, unet_config):
    segmentor = unet_config()
    segmentor['backbone'] = dict(type=name, norm_cfg=BN)
    with pytest.raises(ValueError, match=f'{name} cannot be extended'):
        MODELS.build(model_config(segmentor, fusion=dict(type='AverageFusion'), reads='pair'))
    MODELS.build(model_config(segmentor, fusion=dict(type='AverageFusion'), reads='fused'))


def test_a_backbone_that_fails_on_images_of_the_trial_is_given_the_benefit_of_the_doubt():
    class Picky(nn.Conv2d):
        def forward(self, x):
            assert x.shape[-1] == 10, 'for images of 10 pixels only'
            return super().forward(x)

    backbone = Picky(3, 4, 3)
    extend_stem(backbone, 3, ['mean'])
    assert backbone(torch.rand(1, 4, 10, 10)).shape == (1, 4, 8, 8)


def test_nothing_reads_the_image():
    with pytest.raises(ValueError, match=r'ResNet cannot be extended: it has no convolution that reads 1 channels'):
        extend_stem(build(RESNET), 1, ['mean'])
    grouped = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3))
    with pytest.raises(ValueError, match='Sequential cannot be extended'):
        extend_stem(grouped, 3, ['mean'])
    with pytest.raises(ValueError, match=r"unknown plan \['copy'\]"):
        extend_stem(build(RESNET), 3, ['mean', 'copy'])


@pytest.mark.parametrize(('name', 'stages'), [('ResNet', 0), ('ResNet', 1), ('MobileNetV2', 1), ('SwinTransformer', 1)])
def test_a_frozen_stem_cannot_learn_to_read(name, stages):
    """MobileNetV2 freezes its layers in `train` only."""
    frozen = dict(BACKBONES[name][0], frozen_stages=stages)
    with pytest.raises(ValueError, match=f'the first layers of {name} are frozen, so that the fused image could never'):
        extend_stem(build(frozen), 3, ['mean', 'zero'])
    backbone = build(frozen)
    (conv,) = extend_stem(backbone, 3, ['mean'])
    backbone.train()
    assert not conv.weight.requires_grad


# Weights -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('plan', [(), ('mean',), ('mean', 'zero'), ('zero', 'mean', 'mean')])
def test_inflate(plan):
    weight = torch.randn(6, 3, 3, 3)
    wide = inflate(weight, plan)
    assert wide.shape == (6, 3 + len(plan), 3, 3)
    assert torch.equal(wide[:, :3], weight)
    for number, word in enumerate(plan, start=3):
        expected = (weight[:, 0] + weight[:, 1] + weight[:, 2]) / 3 if word == 'mean' else 0 * weight[:, 0]
        torch.testing.assert_close(wide[:, number], expected)


def stem_of(backbone):
    (weight,) = (
        module.weight for module in backbone.modules() if isinstance(module, nn.Conv2d) and module.in_channels == 5
    )
    return weight


LOADED = ('ResNet', 'MixVisionTransformer', 'SwinTransformer', 'VisionTransformer', 'EfficientNetLite')


@pytest.mark.parametrize('name', LOADED)
@pytest.mark.parametrize('way', ['load_state_dict', 'init_cfg'])
def test_weights_of_three_channels(name, way, tmp_path):
    """Pretrained weights, whichever way a backbone loads them: transformers have their own."""
    config, _ = BACKBONES[name]
    source = build(config, seed=1)
    # Norms' statistics as of a trained network.
    weights = {key: value + 0.1 if 'running' in key else value for key, value in source.state_dict().items()}
    source.load_state_dict(weights)
    torch.save(weights, tmp_path / 'pretrained.pth')
    if way == 'init_cfg':
        config = dict(config, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'pretrained.pth')))
    backbone = build(config)
    extend_stem(backbone, 3, ['mean', 'zero'])
    if way == 'init_cfg':
        backbone.init_weights()
    else:
        assert not any(backbone.load_state_dict(weights))
        stem = next(value for value in weights.values() if value.ndim == 4 and value.shape[1] == 3)
        assert stem.shape[1] == 3  # What was given is as it was.
    silence(backbone)
    wide = stem_of(backbone)
    torch.testing.assert_close(wide[:, 3], wide[:, :3].mean(1))
    assert wide[:, 4].eq(0).all()
    x = image()
    x[:, 3] = 0
    assert_same(features(backbone, x), features(source, x[:, :3]))


@pytest.mark.parametrize('way', ['load_state_dict', 'init_cfg'])
def test_weights_of_all_channels_stay_as_they_are(way, tmp_path):
    """Those of a run that goes on, whose fifth channel has learned something."""
    trained = build(RESNET, seed=1)
    extend_stem(trained, 3, ['mean', 'zero'])
    nn.init.normal_(stem_of(trained))
    torch.save(trained.state_dict(), tmp_path / 'trained.pth')
    if way == 'init_cfg':
        backbone = build(
            dict(RESNET, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'trained.pth'))), seed=2
        )
        extend_stem(backbone, 3, ['mean', 'zero'])
        backbone.init_weights()
    else:
        backbone = build(RESNET, seed=2)
        extend_stem(backbone, 3, ['mean', 'zero'])
        assert not any(backbone.load_state_dict(torch.load(tmp_path / 'trained.pth')))
    silence(backbone)
    assert torch.equal(stem_of(backbone), stem_of(trained))
    assert_same(features(backbone, image()), features(trained, image()))


def test_silence_takes_away_what_a_random_initialisation_gives():
    backbone = build(RESNET)
    extend_stem(backbone, 3, ['mean', 'zero'])
    nn.init.normal_(stem_of(backbone))
    before = stem_of(backbone).clone()
    silence(backbone)
    assert torch.equal(stem_of(backbone)[:, :4], before[:, :4])
    assert stem_of(backbone)[:, 4].eq(0).all()


def test_weights_that_lack_the_stem():
    """Part of a state dict says nothing about the first layer, and leaves it."""
    backbone = build(RESNET)
    extend_stem(backbone, 3, ['mean', 'zero'])
    before = stem_of(backbone).clone()
    weights = {key: value for key, value in build(RESNET, seed=1).state_dict().items() if not key.startswith('conv1')}
    assert backbone.load_state_dict(weights, strict=False).missing_keys == ['conv1.weight']
    assert torch.equal(stem_of(backbone), before)


def test_weights_of_another_number_of_channels_are_refused():
    backbone = build(RESNET)
    extend_stem(backbone, 3, ['mean', 'zero'])
    with pytest.raises(RuntimeError, match=r'size mismatch for conv1\.weight'):
        backbone.load_state_dict(build(dict(RESNET, in_channels=4)).state_dict())


def test_copies_have_hooks_of_their_own():
    """As the running mean of a segmentor is one."""
    backbone = build(RESNET)
    extend_stem(backbone, 3, ['mean', 'zero'])
    twin = copy.deepcopy(backbone)
    before = stem_of(backbone).clone()
    weights = build(RESNET, seed=1).state_dict()
    assert not any(twin.load_state_dict(weights))
    assert torch.equal(stem_of(twin), inflate(weights['conv1.weight'], ['mean', 'zero']))
    assert torch.equal(stem_of(backbone), before)

    whole = copy.deepcopy(twin)
    nn.init.normal_(stem_of(whole))
    twin.load_state_dict(whole.state_dict())
    nn.init.normal_(stem_of(backbone))
    for one in (twin, backbone):
        silence(one)
    assert stem_of(twin)[:, 4].ne(0).any()  # It has whole weights; the original does not.
    assert stem_of(backbone)[:, 4].eq(0).all()


# In the joint model --------------------------------------------------------------------------------------------------
@pytest.fixture
def joint(model_config, unet_config):
    """Function of (reads, weights of the segmentor for three channels) that gives a model in evaluation mode."""

    def make(reads, weights=None):
        torch.manual_seed(0)
        model = MODELS.build(
            model_config(
                unet_config(), fusion=dict(type='UAAFusion', num_stages=2, channels=4, weights='gate'), reads=reads
            )
        )
        nn.init.normal_(model.fusion.gate.tell.weight)
        if weights is not None:
            model.segmentor.load_state_dict(weights)
        return model.eval()

    return make


def test_training_starts_from_early_fusion(joint, make_batch):
    """With the fused image as one channel more, the scores are exactly those without it."""
    inputs, samples = make_batch()
    weights = joint('fused').segmentor.state_dict()
    pair, fused = joint('pair', weights), joint('pair+fused', weights)
    with torch.no_grad():
        assert torch.equal(fused._forward(inputs), pair._forward(inputs))
        nn.init.normal_(fused.fusion.gate.tell.weight)
        assert torch.equal(fused._forward(inputs), pair._forward(inputs))
    for ours, theirs in zip(fused.predict(inputs, samples), pair.predict(inputs)):
        assert torch.equal(ours.seg_logits.data, theirs.seg_logits.data)


def test_initialised_at_random_the_fused_image_has_no_effect_yet_and_learns_to(joint, make_batch):
    inputs, samples = make_batch()
    model = joint('pair+fused')
    model.init_weights()
    nn.init.normal_(model.decode_head.conv_seg.weight)

    def scores():
        with torch.no_grad():
            return model.eval()._forward(inputs)

    def without_fusion():
        nn.init.normal_(model.fusion.gate.tell.weight, std=5)
        return scores()

    assert torch.equal(scores(), without_fusion())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train().parse_losses(model.loss(inputs, samples))[0].backward()
    (stem,) = (m for m in model.segmentor.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 5)
    assert stem.weight.grad[:, 4].abs().max() > 0
    optimizer.step()
    assert not torch.allclose(scores(), without_fusion())


def test_checkpoints_of_the_joint_model(joint, make_batch):
    """Its own go back in as they are; its state is that of five channels."""
    inputs, _ = make_batch()
    model, other = joint('pair+fused'), joint('pair+fused')
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model._forward(inputs), other._forward(inputs))
