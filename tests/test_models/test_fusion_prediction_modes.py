"""Prediction of the joint model: padding, flips, sizes, windows, labels; and the tensor mode."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmfusion.registry import MODELS


@pytest.fixture
def build(model_config, make_batch):
    def make(segmentor=None, **options):
        torch.manual_seed(0)
        model = MODELS.build(model_config(segmentor, **options))
        # Statistics of real images, and a classifier that finds every class somewhere; mmseg's is almost nothing.
        classifier = model.segmentor.decode_head.conv_seg
        with torch.no_grad():
            torch.nn.init.normal_(classifier.weight)
            image = model.normalize(make_batch(seed=1)[0][:, :3])
            for _ in range(30):
                model.train().segmentor._forward(image)
            classifier.bias -= model.eval().segmentor._forward(image).mean((0, 2, 3))
        return model

    return make


def sample_of(**meta):
    return SegDataSample(metainfo=meta)


@torch.no_grad()
def seen(model, inputs, ignore=None):
    """Fused image, infrared weights and logits as the network has them."""
    image, result = model.fuse(inputs, ignore=ignore)
    return image, result.weight_ir, model.segmentor._forward(model.normalize(image))


def test_plain(build, make_batch):
    model, (inputs, _) = build(), make_batch()
    image, weight, logits = seen(model, inputs)
    with torch.no_grad():
        samples = model.predict(inputs)
    assert len(samples) == 2
    for i, sample in enumerate(samples):
        assert torch.equal(sample.fused_img.data, image[i])
        assert torch.equal(sample.fusion_weights.data, weight[i])
        assert 0 <= sample.fused_img.data.min() < sample.fused_img.data.max() <= 1
        torch.testing.assert_close(sample.seg_logits.data, logits[i])
        assert torch.equal(sample.pred_sem_seg.data, logits[i].argmax(0, keepdim=True))
        assert len(sample.pred_sem_seg.data.unique()) > 1
        assert sample.fusion_weights.data.std() > 0


def test_meta_of_an_unchanged_image_changes_nothing(build, make_batch):
    model, (inputs, samples) = build(), make_batch()
    with torch.no_grad():
        plain, told = model.predict(inputs), model.predict(inputs, samples)
    for a, b in zip(plain, told):
        for key in ('fused_img', 'fusion_weights', 'seg_logits', 'pred_sem_seg'):
            assert torch.equal(a.get(key).data, b.get(key).data)


def test_labels_have_no_say(build, make_batch):
    model, (inputs, samples) = build(), make_batch()
    with torch.no_grad():
        without = model.predict(inputs, [sample_of(**sample.metainfo) for sample in samples])
        for sample in samples:
            sample.gt_sem_seg.data.fill_(1)
        given = model.predict(inputs, samples)
    assert 'gt_sem_seg' in given[0]
    assert 'gt_sem_seg' not in without[0]
    assert torch.equal(given[0].fused_img.data, without[0].fused_img.data)
    assert torch.equal(given[0].seg_logits.data, without[0].seg_logits.data)
    with torch.no_grad():  # With labels in a training pass they do have.
        trained = model.fuse(inputs, torch.ones(2, 32, 48).long())[0]
    assert not torch.equal(trained[0], given[0].fused_img.data)


PADDING = (3, 5, 2, 4)  # left, right, top, bottom
FLIPS = {None: (), 'horizontal': (-1,), 'vertical': (-2,)}


@pytest.mark.parametrize('direction', FLIPS)
@pytest.mark.parametrize('padding', [(0, 0, 0, 0), PADDING])
@pytest.mark.parametrize('ori_shape', ['same', (40, 70)])
def test_original_geometry(build, make_batch, direction, padding, ori_shape):
    model, (inputs, _) = build(), make_batch()
    left, right, top, bottom = padding
    shape = (32 - top - bottom, 48 - left - right)
    ori_shape = shape if ori_shape == 'same' else ori_shape
    meta = dict(
        ori_shape=ori_shape,
        img_shape=shape,
        pad_shape=(32, 48),
        padding_size=padding,
        flip=direction is not None,
        flip_direction=direction,
    )
    ignore = torch.ones(2, 32, 48, dtype=torch.bool)
    ignore[:, top : 32 - bottom, left : 48 - right] = False
    expected = seen(model, inputs, ignore=ignore if any(padding) else None)
    with torch.no_grad():
        sample = model.predict(inputs, [sample_of(**meta), sample_of(**meta)])[1]
    for value, whole in zip((sample.fused_img, sample.fusion_weights, sample.seg_logits), expected):
        inner = whole[1:, :, top : 32 - bottom, left : 48 - right].flip(FLIPS[direction])
        if inner.shape[-2:] != ori_shape:
            inner = F.interpolate(inner, size=ori_shape, mode='bilinear', align_corners=False)
        assert value.data.shape[-2:] == ori_shape
        torch.testing.assert_close(value.data, inner[0])


def pointwise(images, metas):
    """Scores of a pixel by itself, so that what is around it cannot matter."""
    return torch.stack([images[:, 0], 1 - images[:, 0], images[:, 0] ** 2], dim=1) * 4


def test_padding_has_no_say_in_the_attribution(build, make_batch, monkeypatch):
    model = build(fusion=dict(type='UAAFusion', num_stages=1, channels=4, attribution=dict(steps=3, baseline='black')))
    monkeypatch.setattr(model.segmentor, 'encode_decode', pointwise)
    inputs, _ = make_batch()
    padded = F.pad(inputs, (0, 16, 0, 8))
    padded[:, 3, 32:] = padded[:, 3, :, 48:] = 0.45  # Infrared evidence for the class of most pixels.
    meta = dict(ori_shape=(32, 48), img_shape=(32, 48), pad_shape=(40, 64), padding_size=(0, 16, 0, 8))
    with torch.no_grad():
        alone = model.predict(inputs)
        inside = model.predict(padded, [sample_of(**meta), sample_of(**meta)])
        counted = model.fuse(padded)[1].weight_ir[:, :, :32, :48]
        result = model.fuse(padded, ignore=F.pad(torch.zeros(2, 32, 48), (0, 16, 0, 8), value=1).bool())[1]
    for i in range(2):
        torch.testing.assert_close(inside[i].fusion_weights.data, alone[i].fusion_weights.data)
    # Were the padding counted, the weights would be others.
    assert (counted[0] - alone[0].fusion_weights.data).abs().max() > 1e-3
    assert (result.labels[:, 32:] == 255).all()
    assert (result.weight_ir[:, :, 32:] == 0.5).all()


def test_odd_size_through_the_preprocessor(build):
    model = build(
        data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=32),
        fusion=dict(type='UAAFusion', num_stages=1, channels=2, attribution=dict(estimator='endpoint')),
    )
    image = torch.randint(0, 255, (4, 275, 377), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sample = sample_of(ori_shape=(275, 377), img_shape=(275, 377))
    with torch.no_grad():
        predicted = model.test_step(dict(inputs=[image], data_samples=[sample]))[0]
        padded = F.pad(image[None, [2, 1, 0, 3]].float() / 255, (0, 7, 0, 13), mode='replicate')
        ignore = F.pad(torch.zeros(1, 275, 377), (0, 7, 0, 13), value=1).bool()
        expected = seen(model, padded, ignore)
    for value, whole in zip((predicted.fused_img, predicted.fusion_weights, predicted.seg_logits), expected):
        assert value.data.shape[-2:] == (275, 377)
        torch.testing.assert_close(value.data, whole[0, :, :275, :377], atol=1e-5, rtol=1e-5)
    assert predicted.pred_sem_seg.data.shape == (1, 275, 377)


def test_sliding_window(build, unet_config, make_batch):
    inputs, samples = make_batch()
    whole = build(unet_config())
    windows = dict(mode='slide', crop_size=(16, 24), stride=(16, 24))
    slide = build(unet_config(), test_cfg=windows)
    slide.load_state_dict(whole.state_dict())
    # The fusion's attribution needs the segmentor as a function of the whole image; only the last pass slides.
    with torch.no_grad():
        a, b = whole.predict(inputs, copy.deepcopy(samples))[0], slide.predict(inputs, samples)[0]
        image = whole.normalize(whole.fuse(inputs)[0])
        tiles = [[whole.segmentor._forward(image[:1, :, y : y + 16, x : x + 24]) for x in (0, 24)] for y in (0, 16)]
    assert torch.equal(a.fused_img.data, b.fused_img.data)
    torch.testing.assert_close(b.seg_logits.data, torch.cat([torch.cat(row, -1) for row in tiles], -2)[0])
    assert not torch.allclose(a.seg_logits.data, b.seg_logits.data)
    assert samples[0].img_shape == (32, 48)  # mmseg writes the window's into the meta information it is given.

    slide.segmentor.test_cfg.update(crop_size=(32, 48), stride=(32, 48))
    with torch.no_grad():
        torch.testing.assert_close(slide.predict(inputs)[0].seg_logits.data, a.seg_logits.data)


def test_stretch(build, make_batch):
    inputs, _ = make_batch()
    plain, stretched = build(), build(stretch=True)
    with torch.no_grad():
        image, logits = plain.predict(inputs)[1].fused_img.data, plain.predict(inputs)[1].seg_logits.data
        other = stretched.predict(inputs)[1]
    torch.testing.assert_close(other.fused_img.data, (image - image.min()) / (image.max() - image.min()))
    assert torch.equal(other.seg_logits.data, logits)  # The segmentor sees the image as it is.


def test_tensor_mode_and_parts(build, make_batch):
    model, (inputs, samples) = build(), make_batch()
    logits = seen(model, inputs)[2]
    with torch.no_grad():
        torch.testing.assert_close(model(inputs, mode='tensor'), logits)
        torch.testing.assert_close(model.encode_decode(inputs, [sample.metainfo for sample in samples]), logits)
        features = model.extract_feat(inputs)
        torch.testing.assert_close(model.decode_head(features), logits)
    assert (model.num_classes, model.out_channels, model.align_corners) == (3, 3, False)
    assert model.with_decode_head


def test_prediction_leaves_the_model_as_it_was(build, make_batch):
    model, (inputs, samples) = build().train(), make_batch()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model.eval().predict(inputs, samples)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
