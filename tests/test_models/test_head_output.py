"""What a head says is noted, and its losses for refined scores; heads that say something else take a second pass."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmfusion.models.segmentors.head_output import HeadOutput, refined_losses
from mmfusion.registry import MODELS

BN = dict(type='BN')
CE = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
HEAD = dict(num_classes=3, norm_cfg=BN, align_corners=False, loss_decode=CE, in_channels=4, in_index=1, channels=4)
FCN = dict(HEAD, type='FCNHead', num_convs=1, concat_input=False)


def plain(segmentor):
    return segmentor


def cascade(segmentor):
    """The last head counts."""
    ocr = dict(HEAD, type='OCRHead', ocr_channels=4)
    return dict(segmentor, type='CascadeEncoderDecoder', num_stages=2, decode_head=[FCN, ocr])


def encoding(segmentor):
    """Its head tells which classes there are, besides."""
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.2)
    return dict(
        segmentor,
        decode_head=dict(HEAD, type='EncHead', in_channels=[4], in_index=[1], num_codes=2, loss_se_decode=loss),
    )


def dual_attention(segmentor):
    """Its head tells three scores."""
    return dict(segmentor, decode_head=dict(HEAD, type='DAHead', pam_channels=4))


@pytest.mark.parametrize(('kind', 'passes'), [(plain, 1), (cascade, 1), (encoding, 2), (dual_attention, 2)])
@pytest.mark.parametrize('reads', ['fused', 'pair+fused'])
def test_passes_of_the_backbone(kind, passes, reads, model_config, unet_config, make_batch):
    torch.manual_seed(0)
    config = kind(unet_config())
    model = MODELS.build(
        model_config(
            config,
            fusion=dict(type='UAAFusion', num_stages=2, channels=4, weights='gate'),
            reads=reads,
            refine=dict(type='DetailRefiner', channels=4),
            loss_gate=None,  # Attribution has passes of its own.
        )
    ).train()
    seen = []
    model.segmentor.backbone.register_forward_hook(lambda *_: seen.append(1))
    losses = model.loss(*make_batch())
    assert len(seen) == passes
    assert losses['refined.loss_ce'].isfinite()
    model.parse_losses(losses)[0].backward()
    assert model.refine.correct.weight.grad.abs().max() > 0
    with torch.no_grad():
        assert model.eval().predict(make_batch()[0])[0].seg_logits.data.shape == (3, 32, 48)


class Head(nn.Conv2d):
    """As mmseg's heads do, it calls its own `forward`."""

    def loss(self, x):
        return self.forward(x).mean()


def test_forward_is_noted_and_put_back():
    head, x = Head(2, 3, 1), torch.rand(1, 2, 4, 4)
    with HeadOutput(head) as output:
        assert output.logits(3) is None
        head.loss(x)
    assert torch.equal(output.logits(3), head(x))
    assert 'forward' not in vars(head)
    torch.testing.assert_close(copy.deepcopy(head)(x), head(x))


def test_put_back_after_an_error():
    head = Head(2, 3, 1)
    with pytest.raises(RuntimeError), HeadOutput(head):
        head.loss(torch.rand(1, 5, 4, 4))
    assert 'forward' not in vars(head)


@pytest.mark.parametrize('said', [(torch.zeros(1, 3, 4, 4),), torch.zeros(1, 3, 4), torch.zeros(1, 2, 4, 4), None])
def test_what_are_no_scores(said):
    class Other(nn.Module):
        def forward(self):
            return said

    head = Other()
    with HeadOutput(nn.ModuleList([nn.Identity(), head])) as output:
        head()
    assert output.logits(3) is None


# Losses by hand ------------------------------------------------------------------------------------------------------
def samples_of(labels):
    return [SegDataSample(gt_sem_seg=PixelData(data=each[None])) for each in labels]


class Unusual(nn.Module):
    """A head whose losses are none of scores."""

    ignore_index = 255

    def loss_by_feat(self, *_):
        raise AssertionError


@pytest.fixture
def labels():
    labels = torch.randint(3, (2, 6, 8), generator=torch.Generator().manual_seed(0))
    labels[:, :2] = 255
    return labels


def test_cross_entropy_for_an_unusual_head(labels):
    logits = torch.randn(2, 3, 6, 8)
    losses = refined_losses(nn.ModuleList([nn.Identity(), Unusual()]), logits, samples_of(labels))
    assert list(losses) == ['refined.loss_ce']
    torch.testing.assert_close(losses['refined.loss_ce'], F.cross_entropy(logits, labels, ignore_index=255))


def test_binary_cross_entropy_for_a_single_channel(labels):
    logits, foreground = torch.randn(2, 1, 6, 8), torch.where(labels == 2, 1, labels)
    losses = refined_losses(Unusual(), logits, samples_of(foreground))
    known = foreground != 255
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][known], foreground[known].float())
    torch.testing.assert_close(losses['refined.loss_ce'], expected)


@pytest.mark.parametrize('channels', [1, 3])
def test_everything_ignored(channels):
    logits = torch.randn(1, channels, 2, 2, requires_grad=True)
    (loss,) = refined_losses(Unusual(), logits, samples_of(torch.full((1, 2, 2), 255))).values()
    loss.backward()
    assert loss == 0
    assert logits.grad.eq(0).all()
