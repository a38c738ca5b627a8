from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmfusion.attribution import Attribution, infrared_share, region_attribution
from mmfusion.models import UAAFusion

EPS = 1e-8
ATTRIBUTION = {field.name for field in fields(Attribution)}


def pair(batch=2, size=(12, 15), seed=0):
    generator = torch.Generator().manual_seed(seed)
    ir, vi = (0.1 + 0.8 * torch.rand(2, batch, 1, *size, generator=generator)).unbind()
    return ir, vi, torch.randint(3, (batch, *size), generator=generator)


@pytest.fixture
def net():
    """A scorer of three classes, in training mode with batch norm and dropout."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        nn.Dropout(0.3),
        nn.Conv2d(6, 3, 3, padding=1),
        nn.Softmax(1),
    )
    with torch.no_grad():
        net[4].weight *= 4
    return net


def build(seed=0, **options):
    torch.manual_seed(seed)
    own = dict(num_stages=2, channels=4, attention_interval=1)
    attribution = dict(steps=3, estimator='exact', smoothing=0.0, label_source='mean')
    for name, value in options.items():
        (attribution if name in ATTRIBUTION else own)[name] = value
    return UAAFusion(attribution=attribution, **own)


def spread(share, labels):
    """Class values (B, C) to the pixels of each class, pixel by pixel."""
    out = torch.full((len(labels), 1, *labels.shape[1:]), 0.5)
    for b, row in enumerate(share):
        for c, value in enumerate(row):
            out[b, 0][labels[b] == c] = value
    return out


# Weights


@pytest.mark.parametrize('estimator', ['exact', 'endpoint'])
@pytest.mark.parametrize('region', ['sample', 'batch'])
@pytest.mark.parametrize('max_batch', [None, 'auto', 'batch', 1])
def test_weights_are_the_shares_of_two_separate_attributions(net, estimator, region, max_batch):
    ir, vi, labels = pair()
    labels[1][labels[1] == 2] = 0
    labels[:, :3] = 255
    fusion = build(estimator=estimator, region=region, max_batch=max_batch, rule='midpoint', baseline='mean')
    result = fusion(ir, vi, net, labels)
    options = dict(steps=3, rule='midpoint', baseline='mean', estimator=estimator, region=region)
    a_ir = region_attribution(net, ir, labels, 3, **options)
    a_vi = region_attribution(net, vi, labels, 3, **options)
    torch.testing.assert_close(result.region_ir, a_ir, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(result.region_vi, a_vi, rtol=1e-4, atol=1e-8)
    expected = spread((result.region_ir + EPS) / (result.region_ir + result.region_vi + 2 * EPS), labels)
    torch.testing.assert_close(result.weight_ir, expected)
    assert ((expected - 0.5).abs() > 0.1).any()
    assert torch.equal(result.labels, labels)


def test_weights_add_to_one_and_stay_in_range(net):
    ir, vi, labels = pair()
    result = build()(ir, vi, net, labels)
    torch.testing.assert_close(result.weight_ir + result.weight_vi, torch.ones_like(ir), rtol=0, atol=1e-6)
    for weight in (result.weight_ir, result.weight_vi):
        assert weight.shape == ir.shape
        assert weight.min() >= 0
        assert weight.max() <= 1


def test_ignored_pixels_and_pixels_without_evidence_share_equally(net):
    ir, vi, labels = pair()
    labels[:, :4] = 255
    result = build()(ir, vi, net, labels)
    assert result.weight_ir[:, :, :4].eq(0.5).all()
    assert result.weight_ir[:, :, 4:].ne(0.5).any()
    result = build()(ir, vi, lambda x: 0 * x.expand(-1, 3, -1, -1) + 0.3, labels)
    assert result.region_ir.eq(0).all()
    assert result.weight_ir.eq(0.5).all()


def test_eps_pulls_weak_evidence_to_one_half(net):
    ir, vi, labels = pair()
    plain = build()(ir, vi, net, labels).weight_ir
    pulled = build(eps=1e-2)(ir, vi, net, labels).weight_ir
    assert (pulled - 0.5).abs().max() < 0.2
    assert (plain - 0.5).abs().max() > 0.3
    torch.testing.assert_close(build(eps=1e3)(ir, vi, net, labels).weight_ir, torch.full_like(ir, 0.5))


def test_smoothing_pulls_weak_evidence_to_one_half(net):
    ir, vi, labels = pair()
    for estimator in ('exact', 'endpoint', 'banzhaf'):
        plain, smooth, flat = (
            build(estimator=estimator, smoothing=s).eval()(ir, vi, net, labels) for s in (0.0, 0.02, 1e3)
        )
        assert torch.equal(plain.region_ir, smooth.region_ir)
        expected = infrared_share(smooth.region_ir, smooth.region_vi, labels, estimator=estimator, smoothing=0.02)
        torch.testing.assert_close(smooth.weight_ir, spread(expected, labels))
        assert ((smooth.weight_ir - 0.5).abs() <= (plain.weight_ir - 0.5).abs() + 1e-6).all()
        assert (smooth.weight_ir - plain.weight_ir).abs().max() > 0.1
        torch.testing.assert_close(flat.weight_ir, torch.full_like(ir, 0.5), rtol=0, atol=1e-3)


@pytest.mark.parametrize('estimator', ['multiplexed', 'banzhaf'])
def test_predictions_repeat_themselves_and_training_draws_anew(net, estimator):
    ir, vi, labels = pair()
    fusion = build(estimator=estimator, pairs=1, smoothing=0.05).eval()
    state = torch.get_rng_state()
    assert torch.equal(fusion(ir, vi, net, labels).weight_ir, fusion(ir, vi, net, labels).weight_ir)
    assert torch.equal(torch.get_rng_state(), state)
    fusion.train()
    draws = [fusion(ir, vi, net, labels).weight_ir for _ in range(4)]
    assert any(not torch.equal(draws[0], other) for other in draws[1:])
    torch.manual_seed(3)
    one = fusion(ir, vi, net, labels).weight_ir
    torch.manual_seed(3)
    assert torch.equal(fusion(ir, vi, net, labels).weight_ir, one)


def test_strength(net):
    ir, vi, labels = pair()
    fusion = build()
    full, half, none = (fusion(ir, vi, net, labels, strength=s) for s in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half.weight_ir, 0.5 * full.weight_ir + 0.25)
    torch.testing.assert_close(half.weight_vi, 1 - half.weight_ir)
    assert none.weight_ir.eq(0.5).all()
    assert none.region_ir is None  # Not even computed.
    torch.testing.assert_close(half.region_ir, full.region_ir)
    assert (full.fused - none.fused).abs().max() > 0.01


@pytest.mark.parametrize('strength', [-0.1, 1.5, float('nan')])
def test_strength_out_of_range(net, strength):
    with pytest.raises(ValueError, match=f'strength .* got {strength}'):
        build()(*pair()[:2], net, strength=strength)


def contrast_scorer(x):
    """Class 1 where the image is structured, whatever its brightness."""
    variance = F.avg_pool2d(x**2, 3, 1, 1) - F.avg_pool2d(x, 3, 1, 1) ** 2
    background = torch.exp(-variance / 0.01)
    return torch.cat([background, 1 - background], 1)


@pytest.mark.parametrize('estimator', ['exact', 'multiplexed', 'endpoint'])
def test_evidence_in_one_source_only(estimator):
    torch.manual_seed(0)
    flat = torch.full((1, 1, 24, 30), 0.5)
    structured = torch.full((1, 1, 24, 30), 0.3)
    board = (torch.arange(8)[:, None] + torch.arange(10)) % 2
    structured[..., 8:16, 10:20] = 0.2 + 0.4 * board
    labels = torch.zeros(1, 24, 30, dtype=torch.long)
    labels[:, 8:16, 10:20] = 1
    fusion = build(estimator=estimator, channels=16, num_stages=3)
    inside = labels[:, None] == 1

    result = fusion(structured, flat, contrast_scorer, labels)
    assert result.weight_ir[inside].min() > 0.9
    neutral = fusion(structured, flat, contrast_scorer, labels, strength=0)
    to_ir = [(r.fused - structured)[inside].abs().mean().item() for r in (result, neutral)]
    assert to_ir[0] < 0.6 * to_ir[1]
    assert fusion(flat, structured, contrast_scorer, labels).weight_ir[inside].max() < 0.1


# Labels


def test_labels_are_predicted_from_the_mean(net):
    ir, vi, _ = pair()
    fusion = build()
    result = fusion(ir, vi, net)
    labels = net.eval()((ir + vi) / 2).argmax(1)
    assert len(labels.unique()) > 1
    by_hand = fusion(ir, vi, net, labels)
    assert torch.equal(result.labels, labels)
    assert torch.equal(result.fused, by_hand.fused)
    assert torch.equal(result.weight_ir, by_hand.weight_ir)


def test_padding_belongs_to_no_class(net):
    ir, vi, _ = pair()
    ignore = torch.zeros(2, 12, 15, dtype=torch.bool)
    ignore[:, 9:] = True
    fusion = build(ignore_index=77)
    result = fusion(ir, vi, net, ignore=ignore)
    labels = net.eval()((ir + vi) / 2).argmax(1)
    labels[:, 9:] = 77
    assert torch.equal(result.labels, labels)
    assert torch.equal(result.fused, fusion(ir, vi, net, labels).fused)
    assert result.weight_ir[:, :, 9:].eq(0.5).all()
    # Ground truth has its own ignored pixels.
    assert torch.equal(fusion(ir, vi, net, labels, ignore=~ignore).labels, labels)


def test_labels_of_the_two_sources():
    ir, vi, _ = pair()

    def scorer(x):
        return torch.cat([x**2, 0.5 * x], 1)

    result = build(label_source='sources')(ir, vi, scorer)
    # Where the two differ enough, the mean of the squares is the larger one and the square of the mean is not.
    expected = (ir**2 + vi**2 <= 0.5 * (ir + vi)).long()[:, 0]
    of_mean = (ir + vi <= 1).long()[:, 0]
    assert torch.equal(result.labels, expected)
    assert not torch.equal(expected, of_mean)
    assert torch.equal(build(label_source='mean')(ir, vi, scorer).labels, of_mean)


@pytest.mark.parametrize('interval', [1, 2, 3])
def test_attention_interval(net, interval):
    ir, vi, labels = pair()
    calls = []

    def scorer(x):
        calls.append(len(x))
        return net.eval()(x)

    result = build(num_stages=5, weights='even', attention_interval=interval)(ir, vi, scorer, labels)
    assert calls == [2] * -(-4 // interval)
    for k in range(1, 5):
        held = (k - 1) % interval != 0
        assert torch.equal(result.attention[k], result.attention[k - 1]) == held


@pytest.mark.parametrize('give', ['argument', 'attribute', 'scores'])
def test_number_of_classes(net, give):
    ir, vi, labels = pair()
    calls = []

    def scorer(x):
        calls.append(len(x))
        return net.eval()(x)

    if give == 'attribute':
        scorer.num_classes = 3
    fusion = build(num_classes=3 if give == 'argument' else None, attention=None)
    result = fusion(ir, vi, scorer, labels)
    assert result.region_ir.shape == (2, 3)
    # Both sources, three steps, two samples; eight at a time.
    assert calls == ([1, 8, 4] if give == 'scores' else [8, 4])


def test_wrong_number_of_classes(net):
    ir, vi, labels = pair()
    with pytest.raises(ValueError, match=r'\(8, 3, 12, 15\) where \(8, 5, 12, 15\)'):
        build(num_classes=5)(ir, vi, net, labels)
    with pytest.raises(ValueError, match=r'\[2\], outside 0..1'):
        build(num_classes=2)(ir, vi, net, labels)


# Attention


def test_attention_follows_the_iterates(net):
    """One map per stage, of root mean square one after the first; the gate sees it."""
    ir, vi, labels = pair()
    fusion = build(num_stages=3)
    result = fusion(ir, vi, net, labels)
    assert len(result.attention) == 3
    assert result.attention[0].eq(0).all()
    for attention in result.attention[1:]:
        torch.testing.assert_close(attention.square().mean((1, 2, 3)), torch.ones(2))
        assert not attention.requires_grad
    fusion.attention = None
    without = fusion(ir, vi, net, labels)
    assert torch.equal(without.weight_ir, result.weight_ir)
    assert all(attention.eq(0).all() for attention in without.attention)
    assert (without.fused - result.fused).abs().max() > 1e-5


def test_released_attention_is_a_gate_of_one_half(net):
    ir, vi, labels = pair(size=(24, 30))
    result = build(num_stages=3, attention='none')(ir, vi, net, labels)
    assert 0 < result.attention[2].abs().max() < 1e-3


# No scorer, no trace, no chance


@pytest.mark.parametrize('options', [dict(), dict(weights='even'), dict(attention=None)])
def test_without_scorer(options):
    with pytest.raises(ValueError, match='pass a scorer'):
        build(**options)(*pair()[:2])


def test_needs_no_scorer_when_both_are_off():
    ir, vi, _ = pair()
    result = build(weights='even', attention=None)(ir, vi)
    assert result.weight_ir.eq(0.5).all()
    assert result.region_ir is None
    assert result.labels is None
    assert result.fused.isfinite().all()


@pytest.mark.parametrize('context', [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize('labelled', [True, False])
def test_leaves_no_trace_in_the_scorer(net, context, labelled):
    ir, vi, labels = pair()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    fusion = build()
    torch.random.set_rng_state(state)
    with context():
        result = fusion(ir, vi, net, labels if labelled else None)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert all(module.training for module in net.modules())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(result.fused, fusion(ir, vi, net, labels if labelled else None).fused)
    if context is torch.enable_grad:
        result.fused.square().sum().backward()
        assert all(p.grad is None for p in net.parameters())
        assert fusion.unfolding.alpha.grad.ne(0).all()
        assert not result.weight_ir.requires_grad


def test_batch_mates(net):
    ir, vi, labels = pair()
    sample, batch = build(), build(region='batch')
    both = sample(ir, vi, net, labels)
    alone = sample(ir[:1], vi[:1], net, labels[:1])
    torch.testing.assert_close(both.weight_ir[:1], alone.weight_ir, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.fused[:1], alone.fused, rtol=1e-4, atol=1e-5)
    # As released, a sample depends on its batch-mates, and all share one weight per class.
    released = batch(ir, vi, net, labels)
    torch.testing.assert_close(released.region_ir[0], released.region_ir[1])
    torch.testing.assert_close(batch(ir[:1], vi[:1], net, labels[:1]).weight_ir, alone.weight_ir)
    assert (released.weight_ir - both.weight_ir).abs().max() > 0.01


@pytest.mark.parametrize('region', ['sample', 'batch'])
def test_multiplexed_follows_the_global_seed(net, region):
    ir, vi, labels = pair()
    fusion = build(estimator='multiplexed', region=region)

    def run(seed):
        torch.manual_seed(seed)
        return fusion(ir, vi, net, labels)

    first, again, other = run(1), run(1), run(2)
    assert torch.equal(first.weight_ir, again.weight_ir)
    assert torch.equal(first.fused, again.fused)
    assert not torch.equal(first.weight_ir, other.weight_ir)
    torch.manual_seed(1)  # Two passes of one run draw different signs.
    assert not torch.equal(fusion(ir, vi, net, labels).weight_ir, fusion(ir, vi, net, labels).weight_ir)


# What is refused


def test_refused_shapes(net):
    ir, vi, labels = pair()
    fusion = build()
    for images in ((ir, vi[..., :7]), (ir.expand(-1, 3, -1, -1), vi.expand(-1, 3, -1, -1)), (ir[0], vi[0])):
        with pytest.raises(ValueError, match='one shape'):
            fusion(*images, net, labels)
    for wrong in (labels[:, :6], labels[:1], labels[:, None]):
        for strength in (1.0, 0.0):  # Without attribution, the attention looks at the labels.
            with pytest.raises(ValueError, match='labels'):
                fusion(ir, vi, net, wrong, strength=strength)
