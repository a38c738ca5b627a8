"""The refiner of scores: what it adds, and to what."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmfusion.models import DetailRefiner
from mmfusion.registry import MODELS


def refiner(features=0, seed=0, learned=False, **options):
    torch.manual_seed(seed)
    refine = DetailRefiner(num_classes=3, feature_channels=features, channels=4, **options)
    if learned:
        nn.init.normal_(refine.correct.weight)
        nn.init.normal_(refine.correct.bias)
    return refine.eval()


def inputs(size=(20, 24), scores=(5, 6), features=None, channels=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits, pair = torch.randn(2, 3, *scores, generator=g), torch.rand(2, 4, *size, generator=g)
    return logits, pair, None if features is None else torch.randn(2, channels, *features, generator=g)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(20, 24), (19, 23), (1, 1), (5, 8)])
def test_nothing_at_first(size, align_corners):
    refine = refiner()
    refine.init_weights()
    logits, pair, _ = inputs(size)
    fine = refine(logits, pair, align_corners=align_corners)
    assert torch.equal(fine, F.interpolate(logits, size, mode='bilinear', align_corners=align_corners))
    same = torch.randn(2, 3, *size)
    assert torch.equal(refine(same, pair, align_corners=align_corners), same)


@pytest.mark.parametrize('size', [(20, 24), (19, 23), (20, 23), (19, 24)])
def test_odd_sizes_are_padded_by_their_own_border(size):
    refine = refiner(learned=True)
    logits, pair, _ = inputs(size)
    fine = refine(logits, pair)
    assert fine.shape == (2, 3, *size)
    even = [side + side % 2 for side in size]
    rows, columns = (torch.arange(side).clamp(max=limit - 1) for side, limit in zip(even, size))
    larger = refine(torch.zeros(2, 3, 5, 6), pair[:, :, rows][..., columns])
    ours = refine(torch.zeros(2, 3, 5, 6), pair)
    torch.testing.assert_close(ours, larger[..., : size[0], : size[1]])
    assert ours.abs().max() > 0.1


def test_a_correction_is_added_to_every_pixel():
    """Its four channels per class are the pixels of a square."""
    refine = refiner(learned=True)
    nn.init.zeros_(refine.correct.weight)
    with torch.no_grad():
        refine.correct.bias.copy_(torch.arange(12.0))
    logits, pair, _ = inputs()
    change = refine(logits, pair) - F.interpolate(logits, (20, 24), mode='bilinear')
    for c in range(3):
        square = torch.tensor([[0.0, 1.0], [2.0, 3.0]]) + 4 * c
        torch.testing.assert_close(change[:, c], square.repeat(10, 12).expand(2, -1, -1), rtol=0, atol=1e-5)


def test_detail_is_seen():
    """A border between two pixels, of either sensor, which the scores cannot show."""
    refine = refiner(learned=True)
    logits, pair, _ = inputs()
    before = refine(logits, pair)
    for channel in (0, 3):
        changed = pair.clone()
        changed[:, channel, 10, 12] += 0.5
        difference = (refine(logits, changed) - before).abs().amax((0, 1))
        assert difference[10, 12] > 1e-3
        assert difference[:3].max() == 0  # Far away nothing changes.


@pytest.mark.parametrize('resolution', [(10, 12), (20, 24), (7, 9)])
def test_features_of_any_resolution(resolution):
    refine = refiner(features=2, learned=True)
    logits, pair, features = inputs(features=resolution)
    fine = refine(logits, pair, features)
    shrunk = F.adaptive_avg_pool2d(features, (10, 12))
    torch.testing.assert_close(fine, refine(logits, pair, shrunk))
    assert (fine - refine(logits, pair, 0 * features)).abs().max() > 0.01


def test_features_are_required_or_not():
    logits, pair, features = inputs(features=(10, 12))
    with pytest.raises(
        ValueError, match=r'made for 2 channels of the unfolding, got none; set refine\.feature_channels'
    ):
        refiner(features=2)(logits, pair)
    with pytest.raises(ValueError, match='made for 0 channels of the unfolding, got 2'):
        refiner()(logits, pair, features)


@pytest.mark.parametrize('options', [dict(num_classes=0), dict(feature_channels=-1), dict(channels=0)])
def test_refused_options(options):
    with pytest.raises(ValueError, match='must be positive and feature_channels not negative'):
        DetailRefiner(**{**dict(num_classes=3), **options})


def test_float32_under_autocast():
    refine = refiner(features=2, learned=True)
    logits, pair, features = inputs(features=(10, 12))
    with torch.autocast('cpu', torch.bfloat16):
        fine = refine(logits, pair, features.bfloat16())
    assert fine.dtype == torch.float32
    torch.testing.assert_close(fine, refine(logits, pair, features), rtol=0.1, atol=0.3)


def test_norms_can_be_chosen():
    refine = refiner(norm_cfg=dict(type='GN', num_groups=2))
    assert any(isinstance(module, nn.GroupNorm) for module in refine.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in refine.modules())


# In the joint model --------------------------------------------------------------------------------------------------
REFINE = dict(type='DetailRefiner', channels=4)
UNFOLDING = dict(type='UAAFusion', num_stages=2, channels=4, weights='gate')


@pytest.fixture
def joint(model_config, unet_config):
    def make(refine=REFINE, fusion=UNFOLDING, **options):
        torch.manual_seed(0)
        model = MODELS.build(model_config(unet_config(), fusion=fusion, refine=refine, **options))
        nn.init.normal_(model.decode_head.conv_seg.weight)
        return model

    return make


@pytest.mark.parametrize('fusion', [UNFOLDING, dict(UNFOLDING, head=dict(scale=2)), dict(type='AverageFusion')])
@pytest.mark.parametrize('size', [(32, 48), (31, 47)])
def test_scores_are_unchanged_at_first(joint, make_batch, fusion, size):
    inputs, _ = make_batch(size=size)
    refined, plain = joint(fusion=fusion).eval(), joint(None, fusion=fusion).eval()
    assert refined.refine.feature_channels == (4 if fusion['type'] == 'UAAFusion' else 0)
    plain.load_state_dict({key: value for key, value in refined.state_dict().items() if not key.startswith('refine.')})
    inputs = nn.functional.pad(inputs, (0, inputs.shape[-1] % 2, 0, inputs.shape[-2] % 2), mode='replicate')
    with torch.no_grad():
        for ours, theirs in zip(refined.predict(inputs), plain.predict(inputs)):
            assert torch.equal(ours.seg_logits.data, theirs.seg_logits.data)
        nn.init.normal_(refined.refine.correct.weight)
        assert not torch.equal(refined.predict(inputs)[0].seg_logits.data, plain.predict(inputs)[0].seg_logits.data)


def test_losses_of_refined_scores(joint, make_batch):
    """The refiner learns from labels; at first its loss is that of the scores at full resolution."""
    inputs, samples = make_batch()
    model = joint()
    losses = model.loss(inputs, samples)
    assert {'decode.loss_ce', 'refined.loss_ce', 'refined.acc_seg'} <= set(losses)
    torch.testing.assert_close(losses['refined.loss_ce'], losses['decode.loss_ce'])  # The head is at full resolution.
    losses['refined.loss_ce'].backward()
    assert model.refine.correct.weight.grad.abs().max() > 0
    assert model.decode_head.conv_seg.weight.grad.abs().max() > 0


def test_scores_of_views_are_merged_before_they_are_refined(joint, make_batch):
    """While training as in a prediction: at first the refined loss is that of the merged scores."""
    inputs, samples = make_batch()
    model = joint(fusion=dict(type='AverageFusion'), reads=dict(type='views', merge='scores')).eval()
    losses = model.loss(inputs, samples)
    merged = model.encode_decode(inputs, [dict(sample.metainfo) for sample in samples])
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples])[:, None]
    expected = F.cross_entropy(merged, labels[:, 0], ignore_index=255)
    torch.testing.assert_close(losses['refined.loss_ce'], expected)


def test_losses_of_refined_scores_can_be_chosen(joint, make_batch):
    ce = dict(type='WeightedCrossEntropy', class_weight=[1.0, 2.0, 3.0])
    inputs, samples = make_batch()
    model = joint(loss_refined=[ce, dict(ce, class_weight=None, loss_name='loss_plain'), ce])
    losses = model.loss(inputs, samples)
    assert 'refined.loss_plain' in losses
    torch.testing.assert_close(losses['refined.loss_plain'], losses['decode.loss_ce'])
    weight = torch.tensor([1.0, 2.0, 3.0])
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples])
    logits = model.train()._forward(inputs)
    expected = 2 * (F.cross_entropy(logits, labels, weight, reduction='none')).mean()  # Two of one name are added.
    torch.testing.assert_close(losses['refined.loss_ce'], expected, rtol=1e-4, atol=1e-5)
    single = joint(loss_refined=ce).loss(inputs, samples)
    torch.testing.assert_close(single['refined.loss_ce'], expected / 2, rtol=1e-4, atol=1e-5)
