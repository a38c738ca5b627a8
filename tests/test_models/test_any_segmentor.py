"""The fusion in front of many kinds of mmseg segmentors: each takes a training step and predicts."""

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmfusion.registry import MODELS

CE = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
BINARY = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
BN = dict(type='BN')
MOBILENET = dict(type='MobileNetV2', widen_factor=0.25, strides=(1, 2, 2, 1, 1, 1, 1), out_indices=(1, 6), norm_cfg=BN)
HEAD = dict(num_classes=3, norm_cfg=BN, align_corners=False, loss_decode=CE)


def encoder_decoder(backbone, decode_head, **others):
    return dict(type='EncoderDecoder', backbone=backbone, decode_head={**HEAD, **decode_head}, **others)


def aspp():
    head = dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=80,
        in_index=1,
        channels=8,
        dilations=(1, 2, 3, 4),
        c1_in_channels=8,
        c1_channels=4,
    )
    auxiliary = dict(HEAD, type='FCNHead', in_channels=8, in_index=0, channels=4, num_convs=1, concat_input=False)
    return encoder_decoder(MOBILENET, head, auxiliary_head=auxiliary)


def psp():
    head = dict(type='PSPHead', in_channels=80, in_index=1, channels=8, pool_scales=(1, 2), align_corners=True)
    return encoder_decoder(MOBILENET, head)


def segformer():
    backbone = dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_stages=4,
        num_layers=[1] * 4,
        num_heads=[1, 1, 2, 2],
        patch_sizes=[7, 3, 3, 3],
        sr_ratios=[8, 4, 2, 1],
        out_indices=(0, 1, 2, 3),
        mlp_ratio=2,
        drop_path_rate=0.1,
    )
    head = dict(type='SegformerHead', in_channels=[8, 8, 16, 16], in_index=[0, 1, 2, 3], channels=8, dropout_ratio=0.1)
    return encoder_decoder(backbone, head)


def cascade():
    fcn = dict(HEAD, type='FCNHead', in_channels=80, in_index=1, channels=8, num_convs=1, concat_input=False)
    ocr = dict(HEAD, type='OCRHead', in_channels=80, in_index=1, channels=8, ocr_channels=4)
    return dict(type='CascadeEncoderDecoder', num_stages=2, backbone=MOBILENET, decode_head=[fcn, ocr])


def neck():
    backbone = dict(MOBILENET, strides=(1, 2, 2, 2, 1, 2, 1), out_indices=(1, 2, 4, 6))
    pyramid = dict(type='FPN', in_channels=[8, 8, 24, 80], out_channels=8, num_outs=4)
    head = dict(type='FPNHead', in_channels=[8] * 4, in_index=[0, 1, 2, 3], feature_strides=[4, 8, 16, 32], channels=8)
    auxiliary = dict(HEAD, type='FCNHead', in_channels=8, in_index=2, channels=4, num_convs=1, concat_input=False)
    return encoder_decoder(backbone, head, neck=pyramid, auxiliary_head=[auxiliary])


def released():
    # The prefix, because mmseg's EncoderDecoder builds its own parts; a default scope does it without.
    backbone = dict(
        type='mmfusion.DilatedMobileNetV2', in_channels=1, widen_factor=0.25, out_indices=(1, 6), norm_cfg=BN
    )
    return dict(
        type='EncoderDecoder',
        backbone=backbone,
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.0], std=[255.0]),
        decode_head=dict(HEAD, type='ReleasedDeepLabHead', in_channels=(8, 80), channels=8, shortcut_channels=4),
    )


SEGMENTORS = dict(aspp=aspp, psp=psp, segformer=segformer, cascade=cascade, released=released)


def one_step(model, inputs, samples):
    """One training step on pairs in [0, 1]; names of the parameters that did not move."""
    before = {name: value.clone() for name, value in model.named_parameters()}
    images = (inputs[:, [2, 1, 0, 3]] * 255).round().byte()
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    logs = model.train().train_step(dict(inputs=list(images), data_samples=samples), optimizer)
    assert all(torch.isfinite(value).all() for value in logs.values())
    return [name for name, value in model.named_parameters() if torch.equal(value, before[name])]


@pytest.mark.parametrize('name', SEGMENTORS)
def test_step_and_predict(name, model_config, make_batch):
    torch.manual_seed(3)
    options = dict(normalize=None) if name == 'released' else {}
    model = MODELS.build(
        model_config(
            SEGMENTORS[name](),
            fusion=dict(
                type='UAAFusion',
                num_stages=2,
                channels=8,
                attribution=dict(steps=2, rule='gauss_legendre', estimator='exact', smoothing=0.0, label_source='mean'),
            ),
            train_labels='given',
            **options,
        )
    )
    inputs, samples = make_batch()
    still = one_step(model, inputs, samples)
    assert not [each for each in still if not each.startswith('segmentor.backbone')]
    # A batch norm may happen to silence a channel of such a small backbone; not many of them.
    assert len(still) <= 0.1 * len(list(model.parameters()))
    regions = torch.cat([model.last_evidence.ir, model.last_evidence.vi])
    assert regions.shape == (4, 3)
    assert regions.max() > 0

    with torch.no_grad():
        predicted = model.eval().predict(inputs, samples)
    assert predicted[0].seg_logits.data.shape == (3, 32, 48)
    assert torch.equal(predicted[0].pred_sem_seg.data, predicted[0].seg_logits.data.argmax(0, keepdim=True))
    assert predicted[0].fused_img.data.shape == (3, 32, 48)
    assert (predicted[0].fusion_weights.data != 0.5).any()


def test_binary_head(model_config, unet_config, make_batch):
    torch.manual_seed(0)
    segmentor = unet_config(num_classes=2, out_channels=1, threshold=0.4)
    segmentor['decode_head']['loss_decode'] = BINARY
    fusion = dict(type='UAAFusion', num_stages=2, channels=8)
    model = MODELS.build(model_config(segmentor, fusion=fusion, train_labels='given'))
    inputs, samples = make_batch()
    for sample in samples:
        sample.gt_sem_seg.data = (sample.gt_sem_seg.data > 0).long()
    assert not one_step(model, inputs, samples)
    assert model.out_channels == 1
    assert torch.cat([model.last_evidence.ir, model.last_evidence.vi]).shape == (
        4,
        2,
    )  # Both classes of a binary task are attributed.
    assert (torch.cat([model.last_evidence.ir, model.last_evidence.vi]).amax(0) > 0).all()
    with torch.no_grad():
        sample = model.eval().predict(inputs, samples)[0]
        logits = model(inputs, mode='tensor')
    torch.testing.assert_close(sample.seg_logits.data, logits[0].sigmoid())
    assert torch.equal(sample.pred_sem_seg.data, (logits[0].sigmoid() > 0.4).float())


@pytest.mark.parametrize(
    'fusion',
    [
        dict(type='AverageFusion'),
        dict(type='MaximumFusion'),
        dict(type='VisibleOnly'),
        dict(type='InfraredOnly'),
        dict(type='ConcatenationFusion', channels=8),
    ],
)
def test_any_fusion(fusion, model_config, make_batch):
    torch.manual_seed(0)
    model = MODELS.build(model_config(fusion=fusion))
    inputs, samples = make_batch()
    assert not one_step(model, inputs, samples)
    assert model.last_evidence is None
    with torch.no_grad():
        sample = model.eval().predict(inputs, samples)[0]
    assert sample.fused_img.data.shape == (3, 32, 48)
    weight = dict(VisibleOnly=0, InfraredOnly=1, AverageFusion=0.5).get(fusion['type'])
    if weight is not None:
        assert (sample.fusion_weights.data == weight).all()


# Whatever is read ----------------------------------------------------------------------------------------------------
READS = {
    'fused': 'fused',
    'pair': 'pair',
    'fused+infrared': 'fused+infrared',
    'pair+fused': 'pair+fused',
    'mean': dict(type='views', merge='mean'),
    'weights': dict(type='views', merge='weights'),
    'scores': dict(type='views', merge='scores'),
    'backbones': dict(type='views', views=('visible', 'infrared'), shared=False),
}
GATED = dict(type='UAAFusion', num_stages=2, channels=4, weights='gate', head=dict(scale=2))


@pytest.fixture
def reader(model_config):
    """Function of (segmentor, reads) that gives a gated model with a refiner, of sliding inference if asked for."""

    def make(segmentor, reads, slide=False, **options):
        torch.manual_seed(0)
        test_cfg = dict(mode='slide', crop_size=(16, 32), stride=(16, 16)) if slide else None
        refine = dict(type='DetailRefiner', channels=4)
        return MODELS.build(
            model_config(segmentor, fusion=GATED, reads=READS[reads], refine=refine, test_cfg=test_cfg, **options)
        )

    return make


@pytest.mark.parametrize('reads', READS)
@pytest.mark.parametrize('segmentor', [aspp, neck, cascade, segformer])
def test_any_reading(segmentor, reads, reader, make_batch):
    """Auxiliary heads, necks and cascades train on whatever is read, and predict at the original size."""
    slide = segmentor is neck
    model = reader(segmentor(), reads, slide).train()
    inputs, samples = make_batch()
    losses = model.loss(inputs, samples)
    assert ('aux.loss_ce' in losses or 'aux_0.loss_ce' in losses) == (segmentor in (aspp, neck))
    assert {'refined.loss_ce', 'fusion.loss_gate_share', 'fusion.loss_ir'} <= set(losses)
    model.parse_losses(losses)[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    reached = [name for name, parameter in model.named_parameters() if parameter.grad.any()]
    assert any(name.startswith('segmentor.backbone.') for name in reached)
    assert any(name.startswith('segmentor.decode_head.') for name in reached)
    assert 'refine.correct.weight' in reached
    assert len(reached) >= 0.8 * len(list(model.parameters()))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    optimizer.step()

    for sample in samples:
        sample.set_metainfo(dict(ori_shape=(50, 75)))
    with torch.no_grad():
        predicted = model.eval().predict(inputs, samples)
    for sample in predicted:
        assert sample.seg_logits.data.shape == (3, 50, 75)
        assert sample.seg_logits.data.isfinite().all()
        assert torch.equal(sample.pred_sem_seg.data, sample.seg_logits.data.argmax(0, keepdim=True))
        assert sample.fused_img.data.shape == (3, 50, 75)
        assert sample.fusion_weights.data.shape == (1, 50, 75)


@pytest.mark.parametrize('reads', READS)
def test_sliding_inference_of_one_window_is_whole_inference(reads, reader, unet_config, make_batch):
    inputs, samples = make_batch(size=(16, 32))
    whole, slide = (reader(unet_config(), reads, slide).eval() for slide in (False, True))
    with torch.no_grad():
        for ours, theirs in zip(whole.predict(inputs), slide.predict(inputs)):
            torch.testing.assert_close(ours.seg_logits.data, theirs.seg_logits.data)
    slide.segmentor.test_cfg.update(crop_size=(16, 16))
    with torch.no_grad():
        other = slide.predict(inputs, samples)[0].seg_logits.data
    assert not torch.allclose(other, whole.predict(inputs)[0].seg_logits.data, rtol=1e-3)


@pytest.mark.parametrize('reads', READS)
def test_a_batch_is_its_samples(reads, reader, unet_config, make_batch):
    """Views of several pairs are not mixed up."""
    inputs, _ = make_batch()
    model = reader(unet_config(), reads).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    with torch.no_grad():
        together = torch.stack([sample.seg_logits.data for sample in model.predict(inputs)])
        alone = torch.cat([model.predict(pair[None])[0].seg_logits.data[None] for pair in inputs])
        raw = model.encode_decode(inputs, [dict(ori_shape=(32, 48), img_shape=(32, 48))] * 2)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, raw)
    assert (together[0] - together[1]).abs().max() > 0.01


@pytest.mark.parametrize('reads', READS)
def test_what_is_read_matters(reads, reader, unet_config, make_batch):
    """A sensor that is read has an effect; so has the fused image, or not."""
    inputs, _ = make_batch()
    model = reader(unet_config(), reads).eval()
    model.refine = None
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)

    def scores(pairs):
        with torch.no_grad():
            return model.encode_decode(pairs, [dict(ori_shape=(32, 48), img_shape=(32, 48))] * 2)

    before = scores(inputs)
    for channels in (slice(0, 3), slice(3, 4)):
        changed = inputs.clone()
        changed[:, channels] = 1 - changed[:, channels]
        assert (scores(changed) - before).abs().max() > 0.01
    torch.nn.init.normal_(model.fusion.gate.tell.weight, std=5)
    assert torch.equal(scores(inputs), before) != (reads not in ('pair', 'pair+fused', 'backbones'))
