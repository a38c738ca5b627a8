"""Fusion by a gate: what it does with what it is told, how it is taught, and that labels leave no trace in images."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmfusion.models import UAAFusion
from mmfusion.models.fusion.gate import GateOutput
from mmfusion.registry import MODELS


def pair(batch=2, size=(16, 24), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 1, *size, generator=generator)


def decided(fusion):
    """A gate that has an opinion, and a head in which its strength can be seen."""
    nn.init.normal_(fusion.gate.tell.weight, std=4)
    with torch.no_grad():
        for name, weight in fusion.unfolding.named_parameters():
            if 'refine' in name or 'reconstruct' in name:
                weight.mul_(3)
    return fusion


@pytest.fixture
def gated():
    def make(**options):
        torch.manual_seed(0)
        return decided(UAAFusion(num_stages=3, channels=8, weights='gate', **options)).eval()

    return make


def scorer(images):
    return torch.cat([images, 1 - images], 1)


# UAAFusion -----------------------------------------------------------------------------------------------------------
def test_auto_attention():
    assert UAAFusion(num_stages=1, channels=4, weights='gate').attention == 'gate'
    assert UAAFusion(num_stages=1, channels=4, weights='attribution').attention == 'rms'
    assert UAAFusion(num_stages=1, channels=4, weights='even').attention == 'rms'
    assert UAAFusion(num_stages=1, channels=4, weights='gate', attention=None).attention is None


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(weights='gate'), False),
        (dict(weights='gate', attention=None), False),
        (dict(weights='gate', attention='rms'), True),
        (dict(weights='attribution', attention=None), True),
        (dict(weights='even', attention=None), False),
        (dict(weights='even'), True),
    ],
)
def test_who_asks_the_segmentor(options, expected):
    """Told, and true: without a scorer, or with one that fails, such a fusion works."""
    fusion = UAAFusion(num_stages=2, channels=4, **options)
    assert fusion.asks_segmentor == expected
    ir, vi = pair()
    calls = []

    def counting(images):
        calls.append(len(images))
        return scorer(images)

    fusion(ir, vi, counting)
    assert bool(calls) == expected


@pytest.mark.parametrize('strength', [0.0, 0.3, 1.0])
def test_weights_are_the_share_that_the_gate_tells(gated, strength):
    fusion, (ir, vi) = gated(), pair()
    result = fusion(ir, vi, strength=strength)
    share = fusion.gate(ir, vi).share.sigmoid()
    assert (share - 0.5).abs().max() > 0.1
    torch.testing.assert_close(result.weight_ir, 0.5 + strength * (share - 0.5))
    torch.testing.assert_close(result.weight_ir + result.weight_vi, torch.ones_like(ir))
    assert torch.equal(result.gate.share, fusion.gate(ir, vi).share)
    assert result.evidence is None


def test_the_head_gets_weights_and_strength(gated):
    fusion, (ir, vi) = gated(), pair()
    result = fusion(ir, vi)
    told = fusion.gate(ir, vi)
    weight = told.share.sigmoid()
    fused, _ = fusion.unfolding(ir, vi, weight, 1 - weight, lambda iterate: told.strength)
    torch.testing.assert_close(result.fused, fused)
    assert len(result.attention) == 3
    assert all(torch.equal(each, told.strength) for each in result.attention)
    # Both are seen in the image.
    blind, _ = fusion.unfolding(ir, vi, weight, 1 - weight)
    even, _ = fusion.unfolding(ir, vi, 0 * weight + 0.5, 0 * weight + 0.5, lambda iterate: told.strength)
    assert (blind - fused).abs().max() > 1e-3
    assert (even - fused).abs().max() > 1e-3


def test_attention_of_the_segmentor_beside_a_gate(gated):
    fusion, (ir, vi) = gated(attention='rms'), pair()
    with pytest.raises(ValueError, match=r"attention='rms' attributes a segmentor: .* attention='gate' or None"):
        fusion(ir, vi)
    result = fusion(ir, vi, scorer)
    assert torch.equal(result.weight_ir, fusion.gate(ir, vi).share.sigmoid())
    assert result.attention[-1].abs().max() > 0


def test_labels_have_no_say(gated):
    ir, vi = pair()
    first = torch.zeros(2, 16, 24, dtype=torch.long)
    second = torch.ones_like(first)
    for options in (dict(), dict(attention='rms'), dict(attention=None)):
        fusion = gated(**options)
        assert torch.equal(fusion(ir, vi, scorer, first).fused, fusion(ir, vi, scorer, second).fused)


def test_hooks_of_the_head_see_the_call(gated):
    """Analysis changes weights and attention in front of the head."""
    fusion, (ir, vi) = gated(), pair()
    before = fusion(ir, vi).fused
    seen = []

    def swap(module, args):
        seen.append(args)
        ir, vi, weight_ir, weight_vi, attend = args
        return ir, vi, weight_vi, weight_ir, attend

    fusion.unfolding.register_forward_pre_hook(swap)
    assert (fusion(ir, vi).fused - before).abs().max() > 1e-3
    assert len(seen) == 1


def test_gate_of_a_config():
    fusion = UAAFusion(num_stages=1, channels=4, weights='gate', gate=dict(type='FusionGate', channels=5))
    assert fusion.gate.tell.in_channels == 5
    assert UAAFusion(num_stages=1, channels=4).gate is None


# In front of a segmentor ---------------------------------------------------------------------------------------------
GATED = dict(type='UAAFusion', num_stages=2, channels=4, weights='gate')


@pytest.fixture
def build(model_config, unet_config):
    def make(fusion=GATED, **options):
        torch.manual_seed(0)
        model = MODELS.build(model_config(unet_config(dropout=0.2), fusion=fusion, **options)).train()
        nn.init.normal_(model.decode_head.conv_seg.weight)  # It sees several classes.
        if model.fusion.gate is not None:
            decided(model.fusion)
        return model

    return make


def fused_in_training(model, inputs, samples):
    """The fused image of a training pass, and the losses."""
    seen = []
    handle = model.fusion.register_forward_hook(lambda module, args, result: seen.append(result))
    torch.manual_seed(7)
    losses = copy.deepcopy(model).loss(inputs, samples)
    handle.remove()
    (result,) = seen
    return result, losses


def with_other_labels(samples):
    """Every pixel's class becomes the next one."""
    others = copy.deepcopy(samples)
    for sample in others:
        sample.gt_sem_seg.data = (sample.gt_sem_seg.data + 1) % 3
    return others


FUSIONS = {
    'gate': GATED,
    'gate-rms': dict(GATED, attention='rms'),
    'attribution': dict(type='UAAFusion', num_stages=2, channels=4, weights='attribution'),
    'even': dict(type='UAAFusion', num_stages=2, channels=4, weights='even'),
}
READS = ('fused', 'pair+fused', dict(type='views', merge='scores'))


@pytest.mark.parametrize('reads', READS)
@pytest.mark.parametrize('name', FUSIONS)
def test_no_trace_of_labels(name, reads, build, make_batch):
    """With the default options the image of a training batch is the same, whatever its labels."""
    inputs, samples = make_batch()
    model = build(FUSIONS[name], reads=reads)
    assert model.train_labels == 'predicted'
    ours, losses = fused_in_training(model, inputs, samples)
    theirs, others = fused_in_training(model, inputs, with_other_labels(samples))
    assert torch.equal(ours.fused, theirs.fused)
    assert torch.equal(ours.weight_ir, theirs.weight_ir)
    assert all(torch.equal(*each) for each in zip(ours.attention, theirs.attention, strict=True))
    segmentation = 'decode.loss_ce'
    assert not torch.equal(losses[segmentation], others[segmentation])  # They do reach the losses.
    if 'gate' in name:
        assert not torch.equal(losses['fusion.loss_gate_share'], others['fusion.loss_gate_share'])


@pytest.mark.parametrize('reads', ['fused', 'pair+fused'])
def test_given_labels_do_leave_a_trace(reads, build, make_batch):
    """So the test above can fail."""
    inputs, samples = make_batch()
    model = build(FUSIONS['attribution'], reads=reads, train_labels='given')
    ours, _ = fused_in_training(model, inputs, samples)
    theirs, _ = fused_in_training(model, inputs, with_other_labels(samples))
    assert not torch.equal(ours.fused, theirs.fused)
    assert not torch.equal(ours.weight_ir, theirs.weight_ir)


@pytest.mark.parametrize('reads', READS)
def test_training_and_deployment_fuse_alike(reads, build, make_batch):
    """Nothing but the statistics of the gate's norms tells the two apart."""
    inputs, samples = make_batch()
    model = build(dict(GATED, gate=dict(type='FusionGate', norm_cfg=None)), reads=reads)
    trained, _ = fused_in_training(model, inputs, samples)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model.fuse(inputs)[1].fused, trained.fused)


@pytest.mark.parametrize('reads', READS)
def test_prediction_repeats_itself(reads, build, make_batch):
    inputs, samples = make_batch()
    model = build(reads=reads).eval()
    with torch.no_grad():
        first = [copy.deepcopy(sample) for sample in model.predict(inputs, samples)]
        torch.manual_seed(99)
        second = model.predict(inputs, samples)
    for ours, theirs in zip(first, second):
        for name in ('seg_logits', 'fused_img', 'fusion_weights'):
            assert torch.equal(ours.get(name).data, theirs.get(name).data)


# The teacher ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('reads', READS)
def test_the_teacher_reaches_the_gate_only(reads, build, make_batch):
    model = build(reads=reads)
    losses = model.loss(*make_batch())
    (losses['fusion.loss_gate_share'] + losses['fusion.loss_gate_strength']).backward()
    for name, parameter in model.named_parameters():
        if name.startswith('fusion.gate.'):
            assert parameter.grad.abs().max() > 0, name
        else:
            assert parameter.grad is None, name


def test_what_the_teacher_says(build, make_batch):
    """What attribution finds in the pair, in the true regions, by the segmentor that reads both."""
    inputs, samples = make_batch()
    fusion = dict(GATED, attribution=dict(estimator='endpoint', smoothing=0.02))
    model = build(fusion, reads='pair+fused').eval()
    seen = []
    model.loss_gate.register_forward_hook(lambda module, args, result: seen.append(args))
    losses = model.loss(inputs, samples)
    ((gate, found),) = seen
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples])
    expected = model.fusion.attribution.joint_evidence(model.pair_scorer(), inputs[:, 3:], inputs[:, :3], labels)
    torch.testing.assert_close(found.ir, expected.ir)
    torch.testing.assert_close(found.vi, expected.vi)
    assert model.last_evidence is found
    assert isinstance(gate, GateOutput)
    assert torch.maximum(found.ir, found.vi).max() > 0
    assert found.regions.labels().equal(labels)
    for name, value in model.loss_gate(gate, expected).items():
        torch.testing.assert_close(losses[f'fusion.{name}'], value)


def test_the_teacher_asks_the_attribution_source(build, make_batch):
    model = build(reads='pair+fused')
    blind = copy.deepcopy(model.segmentor)
    for parameter in blind.parameters():
        nn.init.zeros_(parameter)
    model.set_attribution_source(blind)
    model.loss(*make_batch())
    assert model.last_evidence.ir.max() == model.last_evidence.vi.max() == 0


def test_without_a_teacher(build, make_batch):
    for model in (build(loss_gate=None), build(FUSIONS['even'])):
        losses = model.loss(*make_batch())
        assert model.loss_gate is None
        assert model.last_evidence is None
        assert not [name for name in losses if 'gate' in name]


def test_no_lesson_while_attribution_warms_up(build, make_batch):
    """At a strength of 0 the segmentor knows nothing yet, and the weights are one half."""
    model = build()
    model.attribution_strength = 0.0
    losses = model.loss(*make_batch())
    assert not [name for name in losses if 'gate' in name]
    model.attribution_strength = 0.5
    assert 'fusion.loss_gate_share' in model.loss(*make_batch())


def test_lessons_at_an_interval(build, make_batch):
    model, batch = build(teach_interval=2), make_batch()
    taught, evidence = [], []
    for _ in range(4):
        taught.append('fusion.loss_gate_share' in model.loss(*batch))
        evidence.append(model.last_evidence)
    assert taught == [True, False, True, False]
    assert evidence[0] is evidence[1]  # It stays on record.
    assert evidence[1] is not evidence[2]
    assert evidence[2] is evidence[3]
    with pytest.raises(ValueError, match='teach_interval must be at least 1, got 0'):
        build(teach_interval=0)


def test_the_runner_counts_the_iterations(build, make_batch):
    model, batch = build(teach_interval=3), make_batch()
    hub = MessageHub.get_current_instance()
    for iteration in (4, 5, 6, 7):
        hub.update_info('iter', iteration)
        assert ('fusion.loss_gate_share' in model.loss(*batch)) == (iteration == 6)
    # What a runner left behind does not stop the count.
    assert ['fusion.loss_gate_share' in model.loss(*batch) for _ in range(3)] == [False, True, False]


def test_the_gate_does_not_choose_the_weights_of_its_own_loss(build, make_batch):
    model = build()
    seen = []
    model.loss_fusion.register_forward_hook(lambda module, args, result: seen.append(args))
    model.loss(*make_batch())
    ((fused, _, _, weight_ir, weight_vi),) = seen
    assert fused.requires_grad
    assert not weight_ir.requires_grad
    assert not weight_vi.requires_grad
    assert (weight_ir - 0.5).abs().max() > 0.01


@pytest.mark.parametrize('reads', READS)
def test_the_lesson_leaves_no_trace_in_the_segmentor(reads, build, make_batch):
    """Batch norms see one pass, that of the segmentation."""
    model = build(reads=reads)
    inputs, samples = make_batch()
    passes = []
    model.segmentor.backbone.register_forward_hook(lambda *_: passes.append(model.segmentor.training))
    model.loss(inputs, samples)
    norms = [module for module in model.segmentor.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) >= 3
    assert {module.num_batches_tracked.item() for module in norms} == {1}
    assert passes.count(True) == 1
    assert passes.count(False) >= 1
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ('reads', 'told'),
    [
        ('pair', "that reads 'pair' does not see"),
        (dict(type='views', views=('visible', 'infrared')), "that reads 'visible' and 'infrared' does not see"),
    ],
)
@pytest.mark.parametrize('weights', ['attribution', 'even', 'gate'])
def test_attention_to_a_fused_image_that_nobody_reads(model_config, make_batch, reads, told, weights):
    fusion = dict(type='UAAFusion', num_stages=2, channels=4, weights=weights)
    with pytest.raises(ValueError, match=f"fusion.attention='rms' attributes the fused image, .* {told}; set fusion"):
        MODELS.build(model_config(reads=reads, fusion=dict(fusion, attention='rms')))
    # The remedies of the message.
    fusion['attention'] = 'gate' if weights == 'gate' else None
    losses = MODELS.build(model_config(reads=reads, fusion=fusion)).train().loss(*make_batch())
    assert all(torch.isfinite(value).all() for value in losses.values())
