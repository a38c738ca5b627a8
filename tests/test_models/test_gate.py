"""The gate and the loss that teaches it."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmfusion.attribution import Evidence, LabelRegions
from mmfusion.models import FusionGate, GateLoss
from mmfusion.models.fusion.gate import GateOutput, region_bce


def evidence_of(labels, ir, vi, scale=None, **options):
    ir, vi = torch.tensor(ir), torch.tensor(vi)
    regions = LabelRegions.from_labels(labels, ir.shape[1])
    return Evidence(regions, ir, vi, torch.ones_like(ir) if scale is None else torch.tensor(scale), **options)


def random_logits(labels, seed=0):
    return torch.randn(len(labels), 1, *labels.shape[1:], generator=torch.Generator().manual_seed(seed))


# The loss ------------------------------------------------------------------------------------------------------------
LABELS = torch.tensor([[[0, 0, 0, 1], [0, 0, 255, 255]], [[2, 2, 2, 2], [2, 2, 2, 1]]])
IR = [[0.6, 0.0, 0.5], [0.1, 0.9, 0.3]]
VI = [[0.2, 0.0, 0.1], [0.4, 0.8, 0.0]]


def by_hand(logits, target, balance):
    """A mean over the regions that there are of the mean over their pixels."""
    terms, weights = [], []
    for b in range(2):
        for c in range(3):
            region = LABELS[b] == c
            if region.any():
                said = logits[b, 0][region].sigmoid()
                terms.append(-(target[b][c] * said.log() + (1 - target[b][c]) * (1 - said).log()).mean())
                weights.append(len(said) ** (1 - balance))
    assert len(terms) == 4
    return sum(weight * term for weight, term in zip(weights, terms)) / sum(weights)


@pytest.mark.parametrize(('smoothing', 'balance'), [(0.0, 1.0), (0.1, 1.0), (0.1, 0.5), (0.1, 0.0)])
def test_loss_by_hand(smoothing, balance):
    found = evidence_of(LABELS, IR, VI, smoothing=smoothing)
    gate = GateOutput(random_logits(LABELS), random_logits(LABELS, 1))
    k = smoothing + 1e-8
    share = [[(i + k) / (i + v + 2 * k) for i, v in zip(*rows)] for rows in zip(IR, VI)]
    strength = [[min(i + v, 1.0) for i, v in zip(*rows)] for rows in zip(IR, VI)]
    assert strength[1][1] == 1.0
    losses = GateLoss(balance, loss_weight=0.5)(gate, found)
    assert sorted(losses) == ['loss_gate_share', 'loss_gate_strength']
    torch.testing.assert_close(losses['loss_gate_share'], 0.5 * by_hand(gate.share, share, balance))
    torch.testing.assert_close(losses['loss_gate_strength'], 0.5 * by_hand(gate.strength, strength, balance))


def test_strength_is_in_units_of_the_score():
    """Means over the pixels of a region shrink with its size; what is taught does not."""
    labels = torch.zeros(1, 4, 5, dtype=torch.long)
    gate = GateOutput(random_logits(labels), 1 + random_logits(labels, 1))
    per_pixel = evidence_of(labels, [[0.02]], [[0.01]], scale=[[20.0]])
    of_score = evidence_of(labels, [[0.4]], [[0.2]])
    ours, theirs = (GateLoss()(gate, found)['loss_gate_strength'] for found in (per_pixel, of_score))
    torch.testing.assert_close(ours, theirs)
    assert (ours - GateLoss()(gate, evidence_of(labels, [[0.02]], [[0.01]]))['loss_gate_strength']).abs() > 0.1


@pytest.mark.parametrize(('balance', 'expected'), [(1.0, 29.0), (0.5, 29**0.5), (0.0, 1.0)])
def test_what_a_pixel_counts(balance, expected):
    """The only pixel of a class as much as all 29 others together, or as one of them; pixels of no class nothing."""
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[0, 2, 3] = 1
    labels[0, 5] = 255
    logits = torch.zeros(1, 1, 6, 6, requires_grad=True)
    found = evidence_of(labels, [[0.9, 0.9]], [[0.0, 0.0]])
    region_bce(logits, found.share(), found, balance).backward()
    of_one, of_many = logits.grad[0, 0, 2, 3], logits.grad[0, 0][labels[0] == 0]
    assert len(of_many) == 29
    assert (of_one / of_many).tolist() == pytest.approx([expected] * 29, rel=1e-5)
    assert of_one < 0
    assert logits.grad[0, 0, 5].eq(0).all()


def test_no_region_no_loss():
    labels = torch.full((1, 2, 3), 255)
    logits = torch.zeros(1, 1, 2, 3, requires_grad=True)
    found = evidence_of(labels, [[0.0, 0.0]], [[0.0, 0.0]])
    loss = region_bce(logits, found.share(), found)
    loss.backward()
    assert loss == 0
    assert logits.grad.eq(0).all()


# The gate ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('size', [(1, 1), (1, 7), (5, 4), (16, 24), (33, 47)])
def test_any_size(size):
    gate = FusionGate(channels=4)
    torch.nn.init.normal_(gate.tell.weight)
    out = gate(torch.rand(2, 1, *size), torch.rand(2, 1, *size))
    for logits in out:
        assert logits.shape == (2, 1, *size)
        assert logits.isfinite().all()


def test_undecided_at_first():
    gate = FusionGate()
    gate.init_weights()
    out = gate(torch.rand(2, 1, 16, 24), torch.rand(2, 1, 16, 24))
    assert out.share.eq(0).all()
    assert out.strength.eq(0).all()


def test_float32_under_autocast():
    gate = FusionGate(channels=4)
    with torch.autocast('cpu', torch.bfloat16):
        out = gate(torch.rand(1, 1, 16, 24), torch.rand(1, 1, 16, 24))
    assert {logits.dtype for logits in out} == {torch.float32}


def test_refusals():
    with pytest.raises(ValueError, match='channels must be positive, got 0'):
        FusionGate(channels=0)
    for dilations in ((), (1, 0)):
        with pytest.raises(ValueError, match='dilations must be positive, got'):
            FusionGate(dilations=dilations)
    for weight in (-1.0, float('nan')):
        with pytest.raises(ValueError, match='loss_weight must not be negative, got'):
            GateLoss(loss_weight=weight)
    for balance in (-0.1, 1.1, float('nan')):
        with pytest.raises(ValueError, match=r'balance must be in \[0, 1\], got'):
            GateLoss(balance)


SHARES = (0.5, 0.9, 0.2)


def scenes(number, seed):
    """Pairs in which class 1 is a checkered square in infrared, class 2 one in the visible image."""
    g = torch.Generator().manual_seed(seed)
    images = 0.4 + 0.02 * torch.randn(number, 2, 32, 48, generator=g)
    labels = torch.zeros(number, 32, 48, dtype=torch.long)
    checkers = 0.2 * (2 * ((torch.arange(12)[:, None] // 3 + torch.arange(12) // 3) % 2) - 1)
    for n in range(number):
        for source in range(2):
            y = int(torch.randint(0, 20, (), generator=g))
            x = int(torch.randint(0, 10, (), generator=g)) + 24 * source
            images[n, source, y : y + 12, x : x + 12] += checkers
            labels[n, y : y + 12, x : x + 12] = 1 + source
    return images[:, :1], images[:, 1:], labels


def taught(labels):
    """Evidence with the shares of SHARES; next to nothing in the background."""
    amounts = (0.02, 0.8, 0.8)
    ir = [[amount * share for amount, share in zip(amounts, SHARES)]] * len(labels)
    vi = [[amount * (1 - share) for amount, share in zip(amounts, SHARES)]] * len(labels)
    return evidence_of(labels, ir, vi)


def test_learns_a_rule():
    torch.manual_seed(0)
    gate, loss = FusionGate(channels=8), GateLoss(balance=1.0, loss_weight=1.0)
    optimizer = torch.optim.Adam(gate.parameters(), lr=1e-2)
    for step in range(120):
        ir, vi, labels = scenes(4, seed=step)
        optimizer.zero_grad()
        sum(loss(gate(ir, vi), taught(labels)).values()).backward()
        optimizer.step()
    ir, vi, labels = scenes(4, seed=1000)
    with torch.no_grad():
        out = gate(ir, vi)
    share, strength = out.share.sigmoid()[:, 0], out.strength.sigmoid()[:, 0]
    for c, expected in enumerate(SHARES):
        assert share[labels == c].mean() == pytest.approx(expected, abs=0.1)
    assert strength[labels == 0].mean() < 0.3
    assert strength[labels > 0].mean() > 0.6
    # Smooth: no border of a region is a step, since neither it nor labels are seen.
    assert F.l1_loss(share[:, :, 1:], share[:, :, :-1]) < 0.05
    entropy = -sum(p * math.log(p) for p in (0.9, 0.1))
    assert loss(gate(ir, vi), taught(labels))['loss_gate_share'] < (math.log(2) + 2 * entropy) / 3 + 0.2


def test_no_unit_dies():
    """Whatever the norms do to it, a unit goes on learning: with ReLU, gates got stuck between two classes."""
    torch.manual_seed(0)
    gate = FusionGate(channels=4)
    torch.nn.init.normal_(gate.tell.weight)
    for module in gate.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.bias, -10.0)
    gate(torch.rand(2, 1, 16, 24), torch.rand(2, 1, 16, 24)).share.square().sum().backward()
    for name, parameter in gate.body.named_parameters():
        assert parameter.grad.abs().max() > 0, name
