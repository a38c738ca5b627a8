"""What a segmentor reads of a pair: channels and their order, and scores of views merged."""

import pytest
import torch
from torch import nn

from mmfusion.models.color import merge_luminance, split_luminance
from mmfusion.models.reading import READINGS, Inputs, Reading
from mmfusion.models.scorer import PairScorer
from mmfusion.models.segmentors.pair import Pair
from mmfusion.registry import MODELS


def inputs(batch=2, size=(6, 8)):
    g = torch.Generator().manual_seed(0)
    visible, infrared, luminance, weight = (
        torch.rand(batch, channels, *size, generator=g) for channels in (3, 1, 1, 1)
    )
    _, chroma = split_luminance(visible)
    return Inputs(visible, infrared, luminance, merge_luminance(luminance, chroma), weight)


def doubled(image):
    return 2 * image.expand(-1, 3, -1, -1)


def shifted(channel):
    return channel + 10


def compose(reads, batch=2):
    return Reading.of(reads).compose(inputs(batch), doubled, shifted)


@pytest.mark.parametrize(
    ('name', 'first', 'added'),
    [
        ('fused', 'colored', ()),
        ('pair', 'visible', ('infrared',)),
        ('fused+infrared', 'colored', ('infrared',)),
        ('pair+fused', 'visible', ('infrared', 'luminance')),
    ],
)
def test_channels(name, first, added):
    read, given = compose(name), inputs()
    assert torch.equal(read[:, :3], 2 * getattr(given, first))
    for number, channel in enumerate(added, start=3):
        assert torch.equal(read[:, number], getattr(given, channel)[:, 0] + 10)
    assert read.shape[1] == 3 + len(added)
    assert Reading.of(name).added == added


def test_views_stand_side_by_side():
    read, given = compose('views'), inputs()
    assert torch.equal(read, torch.cat([doubled(given.image(name)) for name in ('fused', 'visible', 'infrared')], 1))
    turned = compose(dict(type='views', views=['infrared', 'visible']))
    assert torch.equal(turned, torch.cat([doubled(given.infrared), 2 * given.visible], 1))


@pytest.mark.parametrize(
    'views',
    [
        ('fused', 'visible', 'infrared'),
        ('infrared', 'fused'),
        ('visible', 'infrared'),
        ('pair+fused', 'infrared'),
        ('visible', 'pair'),
    ],
)
def test_weights_of_views(views):
    """A view of both sensors counts as much as each by itself together, and these by the fusion's weights."""
    read, given = compose(dict(views=views, merge='weights', shared=False)), inputs()
    both = torch.ones(2, 1, 6, 8)
    raw = [dict(infrared=given.weight_ir, visible=1 - given.weight_ir).get(name, both) for name in views]
    expected = torch.cat([each / sum(raw) for each in raw], 1)
    torch.testing.assert_close(read[:, -len(views) :], expected)
    torch.testing.assert_close(read[:, -len(views) :].sum(1), torch.ones(2, 6, 8))


def test_views_of_more_channels():
    read = compose(dict(views=('pair+fused', 'infrared'), shared=False))
    assert torch.equal(read, torch.cat([compose('pair+fused'), doubled(inputs().infrared)], 1))
    reading = Reading.of(dict(views=('pair', 'fused+infrared')))  # As many channels: one backbone can read both.
    assert reading.added == ('infrared',)
    assert torch.equal(
        reading.compose(inputs(), doubled, shifted), torch.cat([compose('pair'), compose('fused+infrared')], 1)
    )
    scores = compose(dict(views=('pair', 'fused+infrared'), merge='scores'))
    assert torch.equal(scores, torch.cat([compose('pair'), compose('fused+infrared')]))


def test_views_whose_scores_are_merged_are_a_batch():
    reading = Reading.of(dict(type='views', merge='scores'))
    read, given = compose(reading), inputs()
    assert torch.equal(read, torch.cat([doubled(given.image(name)) for name in ('fused', 'visible', 'infrared')]))
    logits = torch.randn(6, 4, 6, 8)
    expected = sum(part.softmax(1) for part in (logits[:2], logits[2:4], logits[4:])) / 3
    torch.testing.assert_close(reading.merge_scores(logits).softmax(1), expected)
    single = torch.randn(6, 1, 6, 8)
    expected = sum(part.sigmoid() for part in (single[:2], single[2:4], single[4:])) / 3
    torch.testing.assert_close(reading.merge_scores(single).sigmoid(), expected)
    # Only there.
    assert Reading.of('views').merge_scores(logits) is logits


def test_extreme_scores_stay_finite():
    reading = Reading('views', views=('visible', 'infrared'), merge='scores')
    for scores in (torch.tensor([[200.0, -200.0], [200.0, -200.0]]), torch.tensor([[200.0], [200.0]])):
        assert reading.merge_scores(scores.view(2, -1, 1, 1)).isfinite().all()


@pytest.mark.parametrize('name', READINGS)
def test_uses_fused(name):
    """Told, and true."""
    reading = Reading.of(name)
    given, other = inputs(), inputs()
    other.luminance, other.colored = 1 - other.luminance, 1 - other.colored
    same = torch.equal(*(reading.compose(each, doubled, shifted) for each in (given, other)))
    assert reading.uses_fused == (not same)
    assert not Reading('views', views=('visible', 'infrared')).uses_fused
    assert not Reading('views', views=('visible', 'pair'), shared=False).uses_fused
    assert Reading('views', views=('pair+fused', 'infrared'), shared=False).uses_fused


@pytest.mark.parametrize('color', ['rgb', 'gray'])
def test_inputs_before_any_fusion(color):
    given = inputs()
    mean = Inputs.of_mean(given.visible, given.infrared, color)
    luminance, chroma = split_luminance(given.visible)
    torch.testing.assert_close(mean.luminance, (luminance + given.infrared) / 2)
    assert mean.weight_ir.eq(0.5).all()
    expected = merge_luminance(mean.luminance, chroma) if color == 'rgb' else mean.luminance
    torch.testing.assert_close(mean.colored, expected)


@pytest.mark.parametrize(
    ('reads', 'error', 'message'),
    [
        ('infrared', ValueError, "unknown reads 'infrared'; choose one of fused, pair, "),
        (dict(type='views', views=('fused',)), ValueError, 'at least two different ones'),
        (dict(type='views', views=('fused', 'fused')), ValueError, 'at least two different ones'),
        (dict(type='views', views=('fused', 'depth')), ValueError, 'at least two different ones of fused, visible'),
        (
            dict(type='views', merge='maximum'),
            ValueError,
            "unknown merge 'maximum'; choose one of mean, weights, scores",
        ),
        (dict(type='views', merge='scores', shared=False), ValueError, 'takes one segmentor for all views'),
        (dict(type='views', views=('pair', 'infrared')), ValueError, 'different numbers of channels: set shared=False'),
        (dict(type='views', weights=1), TypeError, 'options are views, merge and shared'),
        (dict(type='pair', merge='mean'), TypeError, 'for the type views'),
    ],
)
def test_refusals(reads, error, message):
    with pytest.raises(error, match=message):
        Reading.of(reads)


def test_a_segmentor_without_a_backbone():
    for reads in ('pair', 'views'):
        with pytest.raises(ValueError, match=rf"Identity has no backbone that could read '{reads}'; use reads='fused'"):
            Reading.of(reads).adapt(nn.Identity(), 3)
    Reading.of('fused').adapt(nn.Identity(), 3)


# In the joint model --------------------------------------------------------------------------------------------------
@pytest.fixture
def joint(model_config, unet_config):
    def make(reads, in_channels=3, **options):
        torch.manual_seed(0)
        if in_channels == 1:
            options['normalize'] = dict(mean=[100.0], std=[50.0])
        fusion = dict(type='UAAFusion', num_stages=2, channels=4, weights='gate')
        model = MODELS.build(model_config(unet_config(in_channels=in_channels), fusion=fusion, reads=reads, **options))
        nn.init.normal_(model.decode_head.conv_seg.weight)
        return model.eval()

    return make


def test_added_channels_are_normalised_like_the_others(joint, make_batch):
    model, (pairs, _) = joint('pair+fused'), make_batch()
    seen = []
    model.segmentor.backbone.register_forward_hook(lambda module, args, result: seen.append(args[0]))
    with torch.no_grad():
        fused = model.fuse(pairs)[1].fused
        model._forward(pairs)
    expected = (torch.cat([pairs, fused], 1) * 255 - 127.5) / 64
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize('reads', READINGS)
def test_a_backbone_of_one_channel(joint, make_batch, reads):
    """It gets luminance where others get colours."""
    model, (pairs, samples) = joint(reads, in_channels=1), make_batch()
    seen = []
    model.segmentor.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        model._forward(pairs)
        visible = (255 * split_luminance(pairs[:, :3])[0] - 100) / 50
    assert seen[0].shape[1] == {'views': 3}.get(reads, 1 + len(model.reading.added))
    if reads.startswith('pair'):
        torch.testing.assert_close(seen[0][:, :1], visible)
    model.train().parse_losses(model.loss(pairs, samples))[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_backbones_for_views_of_different_channels(joint, make_batch, tmp_path):
    """Pretrained weights fit each: where channels are added they are extended, and the fused one has no effect yet."""
    reads = dict(type='views', views=('infrared', 'pair+fused'), shared=False)
    plain, (pairs, samples) = joint('fused'), make_batch()
    torch.save(plain.segmentor.backbone.state_dict(), tmp_path / 'backbone.pth')
    model = joint(reads)
    backbone = model.segmentor.backbone
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'backbone.pth'))
    for one in (backbone.backbone, *backbone.others):
        one.init_cfg, one._is_init = pretrained, False
    model.init_weights()
    with torch.no_grad():
        visible, infrared = model.normalize(pairs[:, :3]), model.normalize(pairs[:, 3:])
        channel = model._normalize_channel(pairs[:, 3:])
        of_infrared = plain.segmentor.backbone(infrared)
        for luminance in (torch.zeros_like(channel), 9 * torch.ones_like(channel)):
            found = backbone(torch.cat([infrared, visible, channel, luminance], 1))
            of_pair = backbone.others[0](torch.cat([visible, channel, 0 * channel], 1))
            for ours, first, second in zip(found, of_infrared, of_pair, strict=True):
                torch.testing.assert_close(ours, (first + second) / 2)
    model.train().parse_losses(model.loss(pairs, samples))[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


STACKED = dict(type='views', views=('pair+fused', 'infrared'), shared=False)


@pytest.mark.parametrize('reads', [*READINGS, STACKED])
def test_pair_scorer(joint, make_batch, reads):
    """What attribution asks: probabilities of the pair, with the mean of both in the place of a fused image."""
    model, (pairs, _) = joint(reads), make_batch()
    scorer = model.pair_scorer()
    assert isinstance(scorer, PairScorer)
    assert scorer.num_classes == 3
    with torch.no_grad():
        scores = scorer(pairs[:, 3:], pairs[:, :3])
        read = model.compose(Inputs.of_mean(pairs[:, :3], pairs[:, 3:]))
        expected = model.segmentor._forward(read).softmax(1)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(scores.sum(1), torch.ones(2, 32, 48))


def test_one_image_is_not_enough(joint, make_batch):
    """Of a segmentor that reads more, no function of one image can be asked; the message says what can."""
    luminance = make_batch()[0][:, 3:]
    assert joint('fused').scorer()(luminance).shape == (2, 3, 32, 48)
    for reads in READINGS[1:]:
        with pytest.raises(ValueError, match=r'no function of one luminance image; ask pair_scorer\(\)'):
            joint(reads).scorer()(luminance)


def test_pair_scorer_of_merged_scores(joint, make_batch):
    model, (pairs, _) = joint(dict(type='views', merge='scores')), make_batch()
    with torch.no_grad():
        scores = model.pair_scorer()(pairs[:, 3:], pairs[:, :3])
        views = model.compose(Inputs.of_mean(pairs[:, :3], pairs[:, 3:])).chunk(3)
        expected = sum(model.segmentor._forward(view).softmax(1) for view in views) / 3
    torch.testing.assert_close(scores, expected)


def test_iterates_are_scored_beside_the_pair_as_it_is(joint, make_batch):
    """For the attention of the segmentor itself, which follows the fused image while it is made."""
    model, (pairs, _) = joint('pair+fused'), make_batch()
    weights = model.segmentor.state_dict()
    weights['backbone.encoder.0.0.convs.0.conv.weight'][:, 4] = 1.0  # It has learned to read the fused image.
    model.segmentor.load_state_dict(weights)
    fused = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(1))
    scorer = model._iterate_scorer(Pair.split(pairs), None)
    read = (torch.cat([pairs, fused], 1) * 255 - 127.5) / 64
    with torch.no_grad():
        torch.testing.assert_close(scorer(fused), model.segmentor._forward(read).softmax(1))
        assert not torch.allclose(scorer(fused), scorer(1 - fused))
