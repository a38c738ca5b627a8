"""Fusion and segmentation as one model: losses, gradients, normalisation, prediction."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import nn

from mmfusion.deprecation import MMFusionDeprecationWarning
from mmfusion.models.color import split_luminance
from mmfusion.registry import MODELS


@pytest.fixture
def build(model_config):
    def make(segmentor=None, **options):
        torch.manual_seed(0)
        # True regions, with which images are fused by hand below; an untrained segmentor sees a single class.
        return MODELS.build(model_config(segmentor, **{'train_labels': 'given', **options}))

    return make


def labels_of(samples):
    return torch.cat([sample.gt_sem_seg.data for sample in samples])


def images_of(model, inputs, samples):
    """What the segmentor is shown in a training pass: the fused image and both sources, normalised."""
    with torch.no_grad():
        fused, _ = model.fuse(inputs, labels_of(samples))
    return [model.normalize(image) for image in (fused, inputs[:, 3:], split_luminance(inputs[:, :3])[0])]


def cross_entropy(model, image, samples):
    return F.cross_entropy(model.segmentor._forward(image), labels_of(samples))


# Losses --------------------------------------------------------------------------------------------------------
def test_loss_terms(build, make_batch):
    losses = build().train().loss(*make_batch())
    assert sorted(losses) == [
        'decode.acc_seg',
        'decode.loss_ce',
        'fusion.loss_grad',
        'fusion.loss_ir',
        'fusion.loss_vi',
    ]
    assert all(torch.isfinite(value).all() for value in losses.values())


def test_fusion_losses_by_hand(build, make_batch):
    model, (inputs, samples) = build(), make_batch()
    with torch.no_grad():
        result = model.fuse(inputs, labels_of(samples))[1]
    assert not torch.equal(result.weight_ir, result.weight_vi)
    losses = model.loss(inputs, samples)
    ir, vi = inputs[:, 3:], split_luminance(inputs[:, :3])[0]
    torch.testing.assert_close(losses['fusion.loss_ir'].detach(), (result.weight_ir * (result.fused - ir) ** 2).mean())
    torch.testing.assert_close(losses['fusion.loss_vi'].detach(), (result.weight_vi * (result.fused - vi) ** 2).mean())
    assert 'fusion.loss_ir' not in build(loss_fusion=None).loss(inputs, samples)
    assert 'fusion.loss_grad' not in build(loss_gradient=None).loss(inputs, samples)


def test_segmentation_loss_is_the_mean_over_three_images(build, unet_config, make_batch):
    inputs, samples = make_batch()
    model = build(unet_config(norm=None))
    parts = [cross_entropy(model, image, samples) for image in images_of(model, inputs, samples)]
    assert len({round(part.item(), 6) for part in parts}) == 3  # Otherwise any of them would do.
    torch.testing.assert_close(model.loss(inputs, samples)['decode.loss_ce'], sum(parts) / 3)

    model.batch_sources = False
    apart = model.loss(inputs, samples)
    for name, part in zip(('fused', 'infrared', 'visible'), parts):
        torch.testing.assert_close(apart[f'{name}.decode.loss_ce'], part / 3)
        assert f'{name}.decode.acc_seg' in apart
    assert 'decode.loss_ce' not in apart


def test_without_sources(build, unet_config, make_batch):
    inputs, samples = make_batch()
    model = build(unet_config(norm=None), source_loss_weight=0.0)
    expected = cross_entropy(model, images_of(model, inputs, samples)[0], samples)
    torch.testing.assert_close(model.loss(inputs, samples)['decode.loss_ce'], expected)


@pytest.mark.parametrize('batch_sources', [True, False])
def test_loss_seg_weight(build, make_batch, batch_sources):
    one = build(batch_sources=batch_sources).loss(*make_batch())
    quarter = build(batch_sources=batch_sources, loss_seg_weight=0.25).loss(*make_batch())
    for name, value in one.items():
        factor = 0.25 if 'decode.loss' in name else 1
        torch.testing.assert_close(quarter[name], factor * value)


def test_fixed_rule_has_no_fusion_loss(build, make_batch):
    inputs, samples = make_batch()
    model = build(fusion=dict(type='VisibleOnly'), color='gray')
    losses = model.loss(inputs, samples)
    assert sorted(losses) == ['decode.acc_seg', 'decode.loss_ce']
    assert model.last_evidence is None
    assert torch.equal(model.fuse(inputs)[0], split_luminance(inputs[:, :3])[0])


# Gradients and side effects ------------------------------------------------------------------------------------
def test_every_parameter_learns(build, unet_config, make_batch):
    # In four channels a PReLU may see nothing negative, by chance.
    model = build(unet_config(), fusion=dict(type='UAAFusion', num_stages=3, channels=8))
    inputs, samples = make_batch()
    model.train().parse_losses(model.loss(inputs, samples))[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_segmentation_loss_reaches_the_fusion(build, make_batch):
    inputs, samples = make_batch()
    model = build(
        fusion=dict(type='UAAFusion', num_stages=2, channels=8),
        loss_fusion=None,
        loss_gradient=None,
        source_loss_weight=0.0,
    )
    model.loss(inputs, samples)['decode.loss_ce'].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.fusion.parameters())


def test_only_the_real_pass_enters_the_batch_norms(build, unet_config, make_batch):
    model, (inputs, samples) = build(unet_config(dropout=0.5)).train(), make_batch()
    frozen = next(module for module in model.segmentor.modules() if isinstance(module, nn.BatchNorm2d))
    frozen.eval()
    modes = [module.training for module in model.modules()]
    alone = copy.deepcopy(model.segmentor)
    before = {name: value.clone() for name, value in alone.named_buffers()}
    images = images_of(model, inputs, samples)
    assert all(torch.equal(value, before[name]) for name, value in model.segmentor.named_buffers())

    model.loss(inputs, samples)
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    alone.loss(torch.cat(images), samples * 3)  # Nothing but one pass over the three images.
    expected = dict(alone.named_buffers())
    for name, value in model.segmentor.named_buffers():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)
    changed = [name for name, value in model.segmentor.named_buffers() if not torch.equal(value, before[name])]
    assert any('running_mean' in name for name in changed)
    assert frozen.num_batches_tracked == 0


def test_attribution_source_is_for_training_only(build, make_batch):
    model, (inputs, samples) = build().eval(), make_batch()  # Batch norms that stand still, to compare with.
    model.loss(inputs, samples)
    with pytest.warns(MMFusionDeprecationWarning, match='last_evidence'):
        assert torch.equal(model.last_regions[0], model.last_evidence.ir)
    assert model.last_evidence.ir.shape == (2, 3)
    assert model.last_evidence.ir.max() > 0
    fused = model.fuse(inputs)[0]

    blind = copy.deepcopy(model.segmentor)  # Sees nothing, so nothing can be attributed.
    for parameter in blind.parameters():
        nn.init.zeros_(parameter)
    keys = list(model.state_dict())
    model.set_attribution_source(blind)
    model.loss(inputs, samples)
    assert model.last_evidence.ir.max() == 0
    assert torch.equal(model.fuse(inputs)[0], fused)
    assert list(model.state_dict()) == keys
    assert not any(parameter is own for parameter in blind.parameters() for own in model.parameters())

    model.set_attribution_source(None)
    model.loss(inputs, samples)
    assert model.last_evidence.ir.max() > 0


def test_attribution_strength_is_for_training_only(build, make_batch):
    model, (inputs, samples) = build().eval(), make_batch()
    nn.init.normal_(model.segmentor.decode_head.conv_seg.weight)
    full = model.fuse(inputs, labels_of(samples))[1].weight_ir
    model.attribution_strength = 0.5
    torch.testing.assert_close(model.fuse(inputs, labels_of(samples))[1].weight_ir, 0.5 + 0.5 * (full - 0.5))
    model.attribution_strength = 1.0
    predicted = model.fuse(inputs)[1].weight_ir
    assert (predicted - 0.5).abs().max() > 0.01
    model.attribution_strength = 0.0
    assert torch.equal(model.fuse(inputs)[1].weight_ir, predicted)
    model.loss(inputs, samples)
    assert model.last_evidence is None


def test_train_labels(build, make_batch):
    """Regions of the true labels, or of those that the segmentor sees; never those of ignored pixels."""
    inputs, samples = make_batch()
    for sample in samples:
        sample.gt_sem_seg.data[..., :6] = 255
    seen = {}
    for which in ('given', 'predicted'):
        model = build(train_labels=which)
        nn.init.normal_(model.segmentor.decode_head.conv_seg.weight)
        with torch.no_grad():  # Before the batch norms have seen anything.
            expected = model.eval().fuse(inputs)[1].labels
        model.fusion.register_forward_hook(lambda module, args, result, which=which: seen.update({which: result}))
        model.attribution_strength = 0.5
        model.train().loss(inputs, samples)
    truth, predicted = labels_of(samples), seen['predicted']
    assert torch.equal(seen['given'].labels, truth)
    known = truth != 255
    assert torch.equal(predicted.labels[known], expected[known])
    assert predicted.labels[~known].eq(255).all()
    assert not torch.equal(predicted.labels, truth)
    assert (predicted.weight_ir - 0.5).abs().max() <= 0.25  # Strength of the moment, as with given ones.
    with pytest.raises(ValueError, match="unknown train_labels 'mine'"):
        build(train_labels='mine')


def test_not_finite_loss_stops_the_step(build, make_batch):
    model, (inputs, samples) = build(), make_batch()
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    MessageHub.get_instance('nan').update_info('iter', 7)
    before = copy.deepcopy(dict(model.named_parameters()))
    model.loss_gradient.loss_weight = float('nan')
    images = (inputs[:, [2, 1, 0, 3]] * 255).byte()
    with pytest.raises(
        FloatingPointError,
        match=r'nan in iteration 7; not finite: fusion\.loss_grad\. All terms: '
        r'decode\.loss_ce=[0-9.]+, fusion\.loss_ir=',
    ):
        model.train_step(dict(inputs=list(images), data_samples=samples), optimizer)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())

    model.loss_gradient.loss_weight = 1.0
    model.train_step(dict(inputs=list(images), data_samples=samples), optimizer)
    assert not all(torch.equal(value, before[name]) for name, value in model.named_parameters())


# Normalisation and colour --------------------------------------------------------------------------------------
RGB = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)


def normalized(model, image):
    return [round(value, 4) for value in model.normalize(image).flatten().tolist()]


def test_normalisation_of_the_segmentors_own_preprocessor(build, unet_config):
    expects = dict(type='SegDataPreProcessor', mean=[51.0, 76.5, 102.0], std=[25.5, 51.0, 102.0], size=(8, 8))
    turned = build({**unet_config(), 'data_preprocessor': {**expects, 'bgr_to_rgb': True}}, normalize=None)
    assert normalized(turned, RGB) == [0.0, 0.5, 0.5]
    # The statistics are then in the order blue, green, red as well.
    straight = build({**unet_config(), 'data_preprocessor': expects}, normalize=None)
    assert normalized(straight, RGB) == [4.0, 0.5, -0.5]
    grey = torch.full((1, 1, 1, 1), 0.4)
    assert normalized(straight, grey) == normalized(turned, grey) == [2.0, 0.5, 0.0]
    given = build({**unet_config(), 'data_preprocessor': expects}, normalize=dict(mean=[0, 0, 0], std=[255] * 3))
    assert normalized(given, RGB) == [0.2, 0.4, 0.6]


def test_default_normalisation(build):
    expected = [
        (255 * value - mean) / std
        for value, mean, std in zip((0.2, 0.4, 0.6), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    ]
    assert normalized(build(normalize=None), RGB) == pytest.approx(expected, abs=1e-4)


def test_normalisation_is_not_in_checkpoints(build):
    assert not {'mean', 'std'} & set(build().state_dict())


def test_one_channel_backbone(build, unet_config, make_batch):
    model, (inputs, samples) = build(unet_config(in_channels=1), normalize=dict(mean=[0], std=[255])), make_batch()
    assert normalized(model, RGB) == [round(0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6, 4)]
    assert torch.isfinite(model.parse_losses(model.loss(inputs, samples))[0])
    image = model.fuse(inputs)[0]
    torch.testing.assert_close(model._forward(inputs), model.segmentor._forward(split_luminance(image)[0]))


def test_colour(build, make_batch):
    inputs, _ = make_batch()
    coloured, grey = build(color='rgb').eval(), build(color='gray').eval()
    grey.load_state_dict(coloured.state_dict())
    image, one = coloured.predict(inputs)[0].fused_img.data, grey.predict(inputs)[0].fused_img.data
    assert image.shape == (3, 32, 48)
    assert one.shape == (1, 32, 48)
    inside = ((image > 0) & (image < 1)).all(0)  # Clipping changes a colour.
    assert inside.float().mean() > 0.9
    luminance, chroma = split_luminance(image[None])
    expected = split_luminance(inputs[:1, :3])[1]
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(chroma[0, :, inside], expected[0, :, inside], atol=1e-5, rtol=0)
    torch.testing.assert_close(luminance[0, 0, inside], one[0, inside], atol=1e-5, rtol=0)
    # Each segments what it shows.
    logits = grey.segmentor._forward(grey.normalize(grey.fuse(inputs)[0]))
    torch.testing.assert_close(grey.predict(inputs)[0].seg_logits.data, logits[0])


# Refusals ------------------------------------------------------------------------------------------------------
def test_refusals(build, unet_config, make_batch):
    with pytest.raises(ValueError, match=r"no decode_head \(its keys: \['backbone', 'type'\]\)"):
        build(dict(type='EncoderDecoder', backbone=unet_config()['backbone']))
    with pytest.raises(ValueError, match=r"unknown color 'ycbcr'"):
        build(color='ycbcr')
    with pytest.raises(ValueError, match='must not be negative, got -1'):
        build(loss_seg_weight=-1)
    with pytest.raises(ValueError, match='must not be negative, got nan'):
        build(loss_seg_weight=float('nan'))
    with pytest.raises(ValueError, match='unknown score'):
        build(scorer=dict(score='entropy'))
    with pytest.raises(ValueError, match=r'1 or 3 means and as many stds, got mean=\[1, 2\]'):
        build(normalize=dict(mean=[1, 2], std=[1, 2]))
    with pytest.raises(ValueError, match='takes mean and std, not bgr_to_rgb'):
        build(normalize=dict(mean=[1] * 3, std=[1] * 3, bgr_to_rgb=True))
    with pytest.raises(ValueError, match=r'4 channels .* got shape \(2, 3, 32, 48\)'):
        build().predict(make_batch()[0][:, :3])


def test_the_config_is_left_alone(model_config, unet_config):
    config = model_config(
        {**unet_config(), 'data_preprocessor': dict(type='SegDataPreProcessor', size=(8, 8))},
        test_cfg=dict(mode='slide', crop_size=(8, 8), stride=(8, 8)),
    )
    before = copy.deepcopy(config)
    model = MODELS.build(config)
    assert config == before
    assert model.segmentor.test_cfg.mode == 'slide'


@pytest.mark.parametrize(
    'fusion',
    [
        dict(type='AverageFusion'),
        dict(type='UAAFusion', num_stages=1, channels=4),
        dict(type='UAAFusion', num_stages=1, channels=4, weights='even', attention=None),
    ],
)
def test_labels_that_no_class_has_are_refused_whatever_the_fusion(build, make_batch, fusion):
    model = build(fusion=fusion)
    inputs, samples = make_batch()
    model.loss(inputs, samples)
    samples[1].gt_sem_seg.data[0, 3, 4] = 7
    with pytest.raises(ValueError, match=r'ids \[7\], outside 0\.\.2 and not ignore_index=255'):
        model.loss(inputs, samples)


@pytest.mark.parametrize(('direction', 'axes'), [('horizontal', [-1]), ('vertical', [-2]), ('diagonal', [-2, -1])])
def test_predictions_of_flipped_pairs_come_back_unflipped(build, make_batch, direction, axes):
    """As mmseg's heads give them: what the network sees is flipped, what a sample carries is not."""
    model = build().eval()
    inputs, samples = make_batch()
    logits = torch.rand(2, 3, *inputs.shape[-2:], generator=torch.Generator().manual_seed(0))
    for sample in samples:
        sample.set_metainfo(dict(flip=True, flip_direction=direction))
    for sample, scores in zip(model.postprocess_result(logits.flip(axes), samples), logits, strict=True):
        assert torch.equal(sample.seg_logits.data, scores)
        assert torch.equal(sample.pred_sem_seg.data, scores.argmax(0, keepdim=True))
