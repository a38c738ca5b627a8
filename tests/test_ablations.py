"""Every ablation switches off what its name says, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmfusion.models.color import split_luminance
from mmfusion.models.losses.gradient_loss import sobel_magnitude
from mmfusion.registry import HOOKS, MODELS
from mmfusion.released import RELEASED_FUSION, RELEASED_HEAD

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
DATA = ('synthetic-96x128', 'cwfid-128x160')
NAMES = (
    'full',
    'no-attribution',
    'no-data-step',
    'no-attention',
    'no-memory',
    'no-attribution-loss',
    'black-baseline',
    'released',
)
SIZE = (48, 64)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmfusion'):
        yield


@pytest.fixture(params=DATA)
def data(request):
    return request.param


def load(name, data):
    return Config.fromfile(CONFIGS / f'ablations/uaafusion-{name}_unet-tiny_1xb4-300_{data}.py')


def build(name, data):
    """The model of an ablation, with weights by which everything that is on shows."""
    torch.manual_seed(0)
    model = MODELS.build(load(name, data).model)
    with torch.no_grad():
        for key, p in model.fusion.named_parameters():
            # A new proximal network changes next to nothing.
            if 'reconstruct.2.weight' in key:
                p *= 20
        model.decode_head.conv_seg.weight.normal_()
        # The evidence of an untrained segmentor is faint, and not in every draw is there any.
        options = model.fusion.attribution
        model.fusion.attribution = replace(options, smoothing=options.smoothing / 1000, test_pairs=1)
    return model


@pytest.fixture
def batch(make_batch):
    """Two pairs (2, 4, H, W), and labels with two classes."""
    inputs, samples = make_batch(SIZE)
    return inputs, torch.cat([sample.gt_sem_seg.data for sample in samples]).clamp(max=1), samples


def fuse(model, batch):
    model.eval()
    with torch.no_grad():
        return model.fuse(batch[0], batch[1])[1]


def head_output(model, batch, weight_ir, attention=None):
    """The unfolding by itself, with weights and attention of one's own."""
    ir, vi = batch[0][:, 3:], split_luminance(batch[0][:, :3])[0]
    weight = torch.full_like(ir, weight_ir)
    with torch.no_grad():
        return model.fusion.unfolding(ir, vi, weight, 1 - weight, attention)[0]


def differences(a, b, path=''):
    """Dotted keys in which two configs differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return {k for key in {**a, **b} for k in differences(a.get(key), b.get(key), f'{path}.{key}' if path else key)}
    return set() if a == b else {path}


EXPECTED = {
    'full': set(),
    'no-attribution': {'model.fusion.weights'},
    'no-data-step': {'model.fusion.head'},
    'no-attention': set(),  # None is also what an absent key gives here; see below.
    'no-memory': {'model.fusion.head'},
    'no-attribution-loss': set(),
    'black-baseline': {'model.fusion.attribution'},
    'released': {
        *(f'model.fusion.{key}' for key in (*RELEASED_FUSION, 'head')),
        'model.scorer',
        'model.loss_fusion',
        'model.loss_gradient',
        'model.batch_sources',
        'model.source_loss_weight',
        'model.train_labels',
        'custom_hooks',
    },
}


def test_there_are_all_of_them():
    found = {
        path.stem for path in (CONFIGS / 'ablations').glob('uaafusion-[!gv]*.py')
    }  # A gate's: test_gate_ablations.
    assert found == {f'uaafusion-{name}_unet-tiny_1xb4-300_{data}' for name in NAMES for data in DATA}
    assert set(EXPECTED) == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_an_ablation_overrides_the_difference_only(name, data):
    base = Config.fromfile(CONFIGS / f'uaafusion/uaafusion_unet-tiny_1xb4-300_{data}.py').to_dict()
    ours = load(name, data).to_dict()
    assert differences(base, ours) == EXPECTED[name]
    added = {key for key in ('attention',) if key in ours['model']['fusion'] and key not in base['model']['fusion']}
    assert added == ({'attention'} if name in ('no-attention', 'released') else set())
    assert ('loss_fusion' in ours['model']) == (name in ('no-attribution-loss', 'released'))


def test_full(data, batch):
    """The reference for what follows: everything is on."""
    model = build('full', data)
    result = fuse(model, batch)
    assert (result.weight_ir - 0.5).abs().max() > 0.1
    gates = [a.sigmoid() for a in result.attention]
    assert all(gate.std() > 0.05 for gate in gates[1:])
    low, high = (head_output(model, batch, w) for w in (0.0, 1.0))
    assert (low - high).abs().max() > 0.02
    assert model.loss_fusion is not None
    assert sorted(model.loss(batch[0], batch[2])) == [
        'decode.acc_seg',
        'decode.loss_ce',
        'fusion.loss_grad',
        'fusion.loss_ir',
        'fusion.loss_vi',
    ]


def test_no_attribution(data, batch):
    model = build('no-attribution', data)
    result = fuse(model, batch)
    assert result.region_ir is None
    assert torch.equal(result.weight_ir, torch.full_like(result.weight_ir, 0.5))
    assert torch.equal(result.weight_vi, torch.full_like(result.weight_vi, 0.5))
    full = build('full', data)  # The same weights of the network.
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), full.state_dict().values()))
    # The attention is still there, and it is the image that changed.
    assert all(a.std() > 0.5 for a in result.attention[1:])
    assert (fuse(full, batch).fused - result.fused).abs().max() > 1e-3
    ir, vi = batch[0][:, 3:], split_luminance(batch[0][:, :3])[0]
    losses = model.loss(batch[0], batch[2])
    fused = model.fuse(batch[0], batch[1])[1].fused
    for name, source in (('ir', ir), ('vi', vi)):
        torch.testing.assert_close(
            losses[f'fusion.loss_{name}'], (0.5 * (fused - source) ** 2).mean(), rtol=0.02, atol=0
        )


def test_no_data_step(data, batch):
    model = build('no-data-step', data)
    assert model.fusion.unfolding.alpha is None
    low, high = (head_output(model, batch, w) for w in (0.0, 1.0))
    assert torch.equal(low, high)
    assert (fuse(model, batch).weight_ir - 0.5).abs().max() > 0.1  # They still weigh the loss.


def test_no_attention(data, batch):
    model = build('no-attention', data)
    result = fuse(model, batch)
    assert all(torch.equal(a.sigmoid(), torch.full_like(a, 0.5)) for a in result.attention)
    assert (result.weight_ir - 0.5).abs().max() > 0.1
    full = build('full', data)
    with_gate = fuse(full, batch)
    torch.testing.assert_close(with_gate.weight_ir, result.weight_ir)
    assert (with_gate.fused - result.fused).abs().max() > 1e-3
    # It is the attention alone: with a gate of zeros the full network does the same.
    ir, vi = batch[0][:, 3:], split_luminance(batch[0][:, :3])[0]
    with torch.no_grad():
        half = full.fusion.unfolding(ir, vi, result.weight_ir, result.weight_vi, torch.zeros_like)[0]
    torch.testing.assert_close(half, result.fused)


def test_no_memory(data, batch):
    model, full = build('no-memory', data), build('full', data)
    assert not [name for name, _ in model.named_parameters() if '.cell.' in name or '.memory_' in name]
    assert [name for name, _ in full.named_parameters() if '.cell.' in name]

    def seen(model):
        """Long- and short-term memory that comes to every stage."""
        inputs = []
        hooks = [
            stage.register_forward_pre_hook(lambda _, args: inputs.append(args[2:4]))
            for stage in model.fusion.unfolding.stages
        ]
        fuse(model, batch)
        for hook in hooks:
            hook.remove()
        return inputs

    (features, short), *later = seen(model)
    assert len(later) == 2
    assert short is None  # The features of the sources are in both places.
    assert all(torch.equal(features, long) and short is None for long, short in later)
    (features, short), *later = seen(full)
    assert short is None
    for long, short in later:
        assert not torch.allclose(features, long)
        assert not torch.allclose(features, short)


def test_no_attribution_loss(data, batch):
    model, full = build('no-attribution-loss', data), build('full', data)
    assert model.loss_fusion is None
    result, with_loss = fuse(model, batch), fuse(full, batch)
    assert torch.equal(result.fused, with_loss.fused)  # Data step, attention and memory are as they were.
    assert (result.weight_ir - 0.5).abs().max() > 0.1
    ours, theirs = model.loss(batch[0], batch[2]), full.loss(batch[0], batch[2])
    assert set(theirs) - set(ours) == {'fusion.loss_ir', 'fusion.loss_vi'}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_black_baseline(data):
    """Adding structureless light to the infrared image is evidence for a black baseline, and none for ours."""
    black, full = build('black-baseline', data), build('full', data)
    assert (black.fusion.attribution.baseline, full.fusion.attribution.baseline) == ('black', 'blur')
    flat = torch.full((1, 1, *SIZE), 0.6)
    labels = torch.zeros(1, *SIZE, dtype=torch.long)

    def scorer(x):
        return torch.cat([x, 1 - x], dim=1)

    dark = flat / 2
    with torch.no_grad():
        by_black, by_blur = (model.fusion(flat, dark, scorer, labels) for model in (black, full))
    # A linear score from X0 = 0: its difference is X.
    torch.testing.assert_close(by_black.region_ir[0, 0].item(), 0.6, rtol=1e-4, atol=0)
    # The brighter source gets 2 of 3 parts.
    torch.testing.assert_close(by_black.weight_ir, torch.full_like(flat, 2 / 3), rtol=1e-3, atol=0)
    assert by_blur.region_ir[0, 0] < 1e-3 * by_black.region_ir[0, 0]


def test_released_is_what_the_released_network_does(data, batch):
    cfg = load('released', data)
    fusion = cfg.model.fusion
    assert {key: fusion[key] for key in RELEASED_FUSION} == RELEASED_FUSION
    assert fusion.head == RELEASED_HEAD
    assert HOOKS.build(cfg.custom_hooks[-1]).strength(0) == 1  # No warm-up in the release.

    model = build('released', data)
    assert torch.equal(*(head_output(model, batch, w) for w in (0.0, 1.0)))
    result = fuse(model, batch)
    gates = torch.stack([a.sigmoid() for a in result.attention])
    assert (gates - 0.5).abs().max() < 0.01
    assert result.attention[-1].abs().max() > 0  # Computed, and of no effect.
    # Regions run over the batch, so both samples have one attribution.
    assert torch.equal(result.region_ir[0], result.region_ir[1])
    assert not torch.equal(*fuse(build('full', data), batch).region_ir)
    # Nothing of the image that the stage gets is left where the proximal network gives nothing.
    with torch.no_grad():
        for stage in model.fusion.unfolding.stages:
            stage.reconstruct[-1].weight.zero_()
            stage.reconstruct[-1].bias.zero_()
    assert torch.equal(fuse(model, batch).fused, torch.full_like(result.fused, 0.5))


def test_released_losses(data, batch):
    model = build('released', data)
    inputs, _, samples = batch
    model.train()
    before = {name: value.clone() for name, value in model.segmentor.named_buffers() if 'num_batches' in name}
    seen = []
    model.fusion.register_forward_hook(lambda module, args, result: seen.append(result))
    losses = model.loss(inputs, samples)
    ir, vi, result = inputs[:, 3:], split_luminance(inputs[:, :3])[0], seen[0]
    # The weights are squared along.
    expected = (result.weight_ir * (result.fused - ir)).square().mean()
    torch.testing.assert_close(losses['fusion.loss_ir'], expected)
    g_fused, g_ir, g_vi = (sobel_magnitude(x, 'zeros') for x in (result.fused, ir, vi))
    torch.testing.assert_close(losses['fusion.loss_grad'], (g_fused - torch.maximum(g_ir, g_vi)).abs().mean())
    # One pass for each of the three images.
    assert {name for name in losses if name.endswith('loss_ce')} == {
        f'{name}.decode.loss_ce' for name in ('fused', 'infrared', 'visible')
    }
    # The attributed segmentor stays in training mode: two nodes for each source, a pass for each stage but the first,
    # and the three of the losses.
    stages = model.fusion.unfolding.num_stages
    for name, value in model.segmentor.named_buffers():
        if 'num_batches' in name:
            assert value - before[name] == 2 * model.fusion.attribution.steps + (stages - 1) + 3


def test_ours_leaves_the_segmentor_alone(data, batch):
    """The counterpart: only the pass of the losses is seen by the batch norms."""
    model = build('full', data).train()
    model.loss(batch[0], batch[2])
    counts = {int(value) for name, value in model.segmentor.named_buffers() if 'num_batches' in name}
    assert counts == {1}
