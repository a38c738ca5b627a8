import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from mmfusion.attribution import region_attribution
from mmfusion.models import SegmentorScorer
from mmfusion.registry import MODELS


class Segmentor(nn.Module):
    """What a scorer needs of an mmseg segmentor; notes what it was given."""

    def __init__(self, out_channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.out_channels = out_channels
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, out_channels, 1)
        )

    def encode_decode(self, inputs, batch_img_metas):
        self.seen = (inputs, batch_img_metas)
        return self.layers(inputs)


def prepare(luminance):
    return (luminance.expand(-1, 3, -1, -1) - 0.5) / 0.25


@pytest.fixture
def luminance():
    return torch.rand(2, 1, 8, 10, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ('score', 'function'),
    [
        ('softmax', lambda x: x.exp() / x.exp().sum(1, keepdim=True)),
        ('sigmoid', lambda x: 1 / (1 + torch.exp(-x))),
        ('logit', lambda x: x),
    ],
)
def test_scores(luminance, score, function):
    segmentor = Segmentor().eval()
    scorer = SegmentorScorer(segmentor, prepare, score)
    scores = scorer(luminance)
    torch.testing.assert_close(scores, function(segmentor.layers(prepare(luminance))))
    assert scorer.num_classes == 3
    assert torch.equal(segmentor.seen[0], prepare(luminance))
    assert (
        segmentor.seen[1]
        == [dict(ori_shape=(8, 10), img_shape=(8, 10), pad_shape=(8, 10), padding_size=[0, 0, 0, 0])] * 2
    )


def test_softmax_adds_to_one(luminance):
    scores = SegmentorScorer(Segmentor().eval(), prepare)(luminance)
    torch.testing.assert_close(scores.sum(1), torch.ones(2, 8, 10))
    assert scores.std() > 0.01


@pytest.mark.parametrize('score', ['softmax', 'sigmoid', 'logit'])
def test_single_channel_is_a_binary_task(luminance, score):
    segmentor = Segmentor(out_channels=1).eval()
    scorer = SegmentorScorer(segmentor, prepare, score)
    scores = scorer(luminance)
    assert scorer.num_classes == 2
    assert scores.shape == (2, 2, 8, 10)
    torch.testing.assert_close(scores[:, 1:], segmentor.layers(prepare(luminance)).sigmoid())
    torch.testing.assert_close(scores[:, 0], 1 - scores[:, 1])


@pytest.mark.parametrize('mode', ['eval', 'keep'])
def test_mode(luminance, mode):
    segmentor = Segmentor()
    assert segmentor.training
    before = segmentor.layers[1].running_mean.clone()
    scorer = SegmentorScorer(segmentor, prepare, mode=mode)
    labels = torch.randint(3, (2, 8, 10), generator=torch.Generator().manual_seed(2))
    first = region_attribution(scorer, luminance, labels, 3)
    torch.manual_seed(5)
    second = region_attribution(scorer, luminance, labels, 3)
    changed = not torch.equal(before, segmentor.layers[1].running_mean)
    assert segmentor.training
    assert changed == (mode == 'keep')
    assert torch.equal(first, second) == (mode == 'eval')  # Dropout.


def test_eval_mode_outside_of_attribution_is_the_callers(luminance):
    """The scorer itself sets nothing; who attributes does."""
    segmentor = Segmentor()
    SegmentorScorer(segmentor, prepare)(luminance)
    assert segmentor.training


def test_mmseg_segmentor():
    torch.manual_seed(0)
    luminance = torch.rand(2, 1, 8, 12)
    config = dict(
        type='EncoderDecoder',
        backbone=dict(
            type='UNet',
            in_channels=3,
            base_channels=4,
            num_stages=2,
            strides=(2, 1),
            enc_num_convs=(1, 1),
            dec_num_convs=(1,),
            downsamples=(True,),
            enc_dilations=(1, 1),
            dec_dilations=(1,),
            upsample_cfg=dict(type='InterpConv'),
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=4,
            in_index=1,
            channels=4,
            num_convs=1,
            num_classes=3,
            concat_input=False,
            dropout_ratio=0.5,
        ),
        test_cfg=dict(mode='whole'),
    )
    with DefaultScope.overwrite_default_scope('mmfusion'):
        segmentor = MODELS.build(config).eval()
    scores = SegmentorScorer(segmentor, prepare)(luminance)
    head = segmentor.decode_head(segmentor.extract_feat(prepare(luminance)))
    assert head.shape[-2:] == (4, 6)  # The scores come back at the size of the image.
    logits = nn.functional.interpolate(head, (8, 12), mode='bilinear', align_corners=False)
    torch.testing.assert_close(scores, logits.softmax(1))


@pytest.mark.parametrize('options', [dict(score='argmax'), dict(mode='train')])
def test_unknown_options(options):
    with pytest.raises(ValueError, match=f'{next(iter(options.values()))!r}; choose one of'):
        SegmentorScorer(Segmentor(), prepare, **options)


def test_bfloat16(luminance):
    segmentor = Segmentor().eval()
    plain = SegmentorScorer(segmentor, prepare)
    half = SegmentorScorer(segmentor, prepare, dtype='bfloat16')
    seen = []
    segmentor.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    luminance.requires_grad_()
    scores = half(luminance)
    assert seen == [torch.bfloat16]
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, plain(luminance))
    torch.testing.assert_close(scores, plain(luminance), rtol=0, atol=0.02)
    gradients = [torch.autograd.grad(scorer(luminance)[:, 0].sum(), luminance)[0] for scorer in (half, plain)]
    torch.testing.assert_close(*gradients, rtol=0.1, atol=0.05 * gradients[1].abs().max().item())
    # The weights stay as they are, and so does what follows.
    assert segmentor.layers[0].weight.dtype == torch.float32
    assert not torch.is_autocast_enabled('cpu')


def test_unknown_dtype():
    with pytest.raises(ValueError, match="unknown dtype 'float16'"):
        SegmentorScorer(Segmentor(), prepare, dtype='float16')


@pytest.mark.parametrize('estimator', ['exact', 'multiplexed', 'endpoint', 'banzhaf'])
def test_backbone_with_activation_checkpointing(unet_config, estimator, luminance):
    """Features that are computed again leave no trace either, and are those of the evaluation mode."""
    labels = torch.randint(3, (2, 8, 10), generator=torch.Generator().manual_seed(2))
    results = []
    for with_cp in (False, True):
        config = unet_config()
        config['backbone']['with_cp'] = with_cp
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope('mmfusion'):
            segmentor = MODELS.build(config).train()
        torch.nn.init.normal_(segmentor.decode_head.conv_seg.weight)
        before = {name: value.clone() for name, value in segmentor.state_dict().items()}
        state = torch.get_rng_state()
        with torch.no_grad():
            results.append(
                region_attribution(
                    SegmentorScorer(segmentor, prepare),
                    luminance,
                    labels,
                    3,
                    estimator=estimator,
                    baseline='black',
                    generator=torch.Generator().manual_seed(0),
                )
            )
        assert all(torch.equal(value, before[name]) for name, value in segmentor.state_dict().items())
        assert all(module.training for module in segmentor.modules())
        assert all(p.grad is None and p.requires_grad for p in segmentor.parameters())
        assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(*results)
    assert results[0].gt(0).any()
