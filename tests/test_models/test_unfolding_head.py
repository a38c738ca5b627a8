import itertools

import pytest
import torch
from torch import nn

from mmfusion.models import MemoryUnfoldingHead
from mmfusion.registry import MODELS

F64 = torch.float64


class Identity(nn.Module):
    """A stage whose proximal operator does nothing; keeps what came in."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, half, gate, long, short, state):
        self.seen.append((half, gate))
        return half, long, short, state


def draw(batch=2, size=(8, 10), seed=0, dtype=F64):
    generator = torch.Generator().manual_seed(seed)
    ir, vi, weight = (0.1 + 0.8 * torch.rand(3, batch, 1, *size, generator=generator, dtype=dtype)).unbind()
    return ir, vi, weight, 1 - weight


def build(seed=0, dtype=F64, **options):
    torch.manual_seed(seed)
    return MemoryUnfoldingHead(**{**dict(num_stages=3, channels=4), **options}).to(dtype)


def identity_stages(head):
    head.stages = nn.ModuleList(Identity() for _ in head.stages)
    return head


# Data step


def test_data_steps_by_hand():
    ir, vi, weight_ir, weight_vi = draw()
    head = identity_stages(build())
    alphas = [0.3, 0.5, -0.2]
    with torch.no_grad():
        head.alpha.copy_(torch.tensor(alphas))
    fused, _ = head(ir, vi, weight_ir, weight_vi)
    iterate = (ir + vi) / 2
    for alpha, stage in zip(alphas, head.stages):
        # The gradient of the objective, source by source, as it is written in the paper.
        iterate = iterate - alpha * (weight_ir * (iterate - ir) + weight_vi * (iterate - vi))
        torch.testing.assert_close(stage.seen[0][0], iterate)
    torch.testing.assert_close(fused, iterate)
    # Closed form of the linear recursion.
    target = weight_ir * ir + weight_vi * vi
    torch.testing.assert_close(fused, target + 0.7 * 0.5 * 1.2 * ((ir + vi) / 2 - target))


def test_a_full_step_reaches_the_weighted_mean():
    ir, vi, weight_ir, weight_vi = draw()
    fused, _ = identity_stages(build(num_stages=1, alpha=1.0))(ir, vi, weight_ir, weight_vi)
    torch.testing.assert_close(fused, weight_ir * ir + weight_vi * vi)


def test_without_data_step_the_first_stage_sees_the_mean():
    ir, vi, weight_ir, weight_vi = draw()
    head = identity_stages(build(data_step=False))
    assert head.alpha is None
    torch.testing.assert_close(head(ir, vi, weight_ir, weight_vi)[0], (ir + vi) / 2)


def test_steps_descend_the_objective():
    ir, vi, weight_ir, weight_vi = draw()

    def objective(image):
        return (weight_ir * (image - ir) ** 2 + weight_vi * (image - vi) ** 2).sum().item()

    head = identity_stages(build(num_stages=4))
    head(ir, vi, weight_ir, weight_vi)
    values = [objective((ir + vi) / 2)] + [objective(stage.seen[0][0]) for stage in head.stages]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


# One stage, written out


def unit(module, x):
    """Convolution, PReLU, convolution with reflected border."""
    pad = nn.functional.pad
    conv = nn.functional.conv2d
    x = conv(pad(x, (1,) * 4, mode='reflect'), module[0].weight, module[0].bias)
    x = torch.where(x > 0, x, module[1].weight * x)
    return conv(pad(x, (1,) * 4, mode='reflect'), module[2].weight, module[2].bias)


@pytest.mark.parametrize('residual', [True, False])
def test_cascade_written_out(residual):
    """Two stages as docs/method.md describes them, with the cell's own state."""
    ir, vi, weight_ir, weight_vi = draw()
    head = build(num_stages=2, residual=residual)
    maps = [torch.randn(2, 1, 8, 10, generator=torch.Generator().manual_seed(k), dtype=F64) for k in (5, 6)]
    remaining = iter(maps)
    iterates = []

    def attention(fused):
        iterates.append(fused)
        return next(remaining)

    with torch.no_grad():
        fused, attentions = head(ir, vi, weight_ir, weight_vi, attention)
        target = weight_ir * ir + weight_vi * vi
        expected = (ir + vi) / 2
        long = short = torch.cat([unit(head.embed_ir, ir), unit(head.embed_vi, vi)], 1)
        for k, stage in enumerate(head.stages):
            torch.testing.assert_close(iterates[k], expected)
            half = expected - 0.5 * (expected - target)
            f = unit(stage.embed, half)
            u = unit(stage.merge, torch.cat([f, long, short], 1))
            short = u + unit(stage.refine, u) / (1 + torch.exp(-maps[k]))
            change = unit(stage.reconstruct, short)
            expected = torch.sigmoid(change + torch.log(half / (1 - half)) if residual else change)
            if k == 0:
                i, o, j = stage.cell.gates(unit(stage.memory_in, torch.cat([f, u, short], 1))).chunk(3, 1)
                long = unit(stage.memory_out, o.sigmoid() * (i.sigmoid() * j.tanh()).tanh())
    torch.testing.assert_close(fused, expected)
    assert all(a is b for a, b in zip(attentions, maps))


def test_no_attention_is_a_gate_of_one_half():
    ir, vi, weight_ir, weight_vi = draw()
    head = identity_stages(build())
    _, attentions = head(ir, vi, weight_ir, weight_vi)
    assert len(attentions) == 3
    assert all(attention.eq(0).all() for attention in attentions)
    assert all(stage.seen[0][1].eq(0.5).all() for stage in head.stages)


# Every mechanism has an effect


def difference(first, second):
    # In double precision, where rounding is about 1e-16; a new network's proximal operator does little.
    return (first - second).abs().max().item()


def test_weights_matter():
    ir, vi, weight_ir, weight_vi = draw()
    head = build()
    assert difference(head(ir, vi, weight_ir, weight_vi)[0], head(ir, vi, weight_vi, weight_ir)[0]) > 0.01
    head = build(data_step=False)  # As released: they do not reach the image.
    assert difference(head(ir, vi, weight_ir, weight_vi)[0], head(ir, vi, weight_vi, weight_ir)[0]) == 0


def test_alpha_matters():
    inputs = draw()
    head = build()
    before = head(*inputs)[0]
    for k in range(3):
        with torch.no_grad():
            head.alpha[k] += 0.2
        after = head(*inputs)[0]
        assert difference(before, after) > 1e-4
        before = after


def test_attention_matters():
    inputs = draw()
    head = build()
    open_, shut, half = (
        head(*inputs, attention=lambda x, v=value: torch.full_like(x, v))[0] for value in (30.0, -30.0, 0.0)
    )
    assert difference(open_, shut) > 1e-5
    torch.testing.assert_close(half, head(*inputs)[0])


def test_memory_matters():
    inputs = draw()
    head = build()
    without = build(memory=False)
    without.load_state_dict({k: v for k, v in head.state_dict().items() if k in without.state_dict()})
    assert difference(head(*inputs)[0], without(*inputs)[0]) > 1e-5
    first, last = (build(num_stages=1, memory=memory) for memory in (True, False))
    last.load_state_dict(first.state_dict())  # One stage has nobody to remember for.
    assert difference(first(*inputs)[0], last(*inputs)[0]) == 0


def test_long_and_short_term_memory_both_reach_the_next_stage():
    inputs = draw()
    head = build(num_stages=2)
    before = head(*inputs)[0]
    with torch.no_grad():
        head.stages[0].memory_out[2].bias += 1.0
    assert difference(before, head(*inputs)[0]) > 1e-5
    # The short-term memory reaches the image of the next stage also where the first stage's own image is cut off.
    head.stages[0].reconstruct = nn.Sequential(nn.Conv2d(4, 1, 1).double())
    nn.init.zeros_(head.stages[0].reconstruct[0].weight)
    head.stages[0].cell.gates.weight.data.zero_()  # And the long-term one.
    before = head(*inputs)[0]
    with torch.no_grad():
        head.stages[0].refine[2].bias += 1.0
    assert difference(before, head(*inputs)[0]) > 1e-5


def test_squash_of_the_first_cell_matters():
    inputs = draw()
    head, other = build(), build(squash_first_cell=False)
    assert [stage.cell.squash_cell for stage in other.stages[:2]] == [False, True]
    with torch.no_grad():
        for model in (head, other):
            model.stages[0].cell.gates.bias += 1
    assert difference(head(*inputs)[0], other(*inputs)[0]) > 1e-8


@pytest.mark.parametrize('num_stages', [1, 2, 3])
@pytest.mark.parametrize(('data_step', 'memory', 'residual', 'squash'), itertools.product([True, False], repeat=4))
def test_every_parameter_gets_a_gradient(num_stages, data_step, memory, residual, squash):
    ir, vi, weight_ir, weight_vi = draw()
    head = build(
        num_stages=num_stages,
        channels=16,  # With a few, all may happen to be positive, and a PReLU's slope has nothing to do.
        data_step=data_step,
        memory=memory,
        residual=residual,
        squash_first_cell=squash,
    )
    fused, _ = head(ir, vi, weight_ir, weight_vi, attention=lambda x: 10 * (x.detach() - 0.5))
    (fused * torch.randn(fused.shape, generator=torch.Generator().manual_seed(9), dtype=F64)).sum().backward()
    for name, p in head.named_parameters():
        assert p.grad is not None, name
        assert p.grad.ne(0).any(), name
    if data_step:
        assert head.alpha.grad.ne(0).all()
        assert head.alpha.shape == (num_stages,)


def test_gradcheck_of_sources_and_weights():
    ir, vi, weight_ir, weight_vi = draw(batch=1, size=(3, 4))
    head = build(num_stages=2, channels=2)
    inputs = [x.requires_grad_() for x in (ir, vi, weight_ir, weight_vi)]
    assert torch.autograd.gradcheck(lambda *x: head(*x)[0], inputs)


def test_gradcheck_of_parameters():
    inputs = draw(batch=1, size=(3, 3))
    head = build(num_stages=2, channels=2)
    names, values = zip(*head.named_parameters())

    def run(*parameters):
        return torch.func.functional_call(head, dict(zip(names, parameters)), inputs)[0]

    assert torch.autograd.gradcheck(run, [value.detach().requires_grad_() for value in values], fast_mode=True)


# What comes out


@pytest.mark.parametrize('size', [(27, 37), (5, 4), (275, 377)])
def test_odd_sizes(size):
    inputs = draw(batch=1, size=size, dtype=torch.float32)
    fused, attentions = build(num_stages=2, channels=2, dtype=torch.float32)(*inputs)
    assert fused.shape == attentions[0].shape == (1, 1, *size)
    assert fused.min() > 0
    assert fused.max() < 1


def test_samples_do_not_mix():
    inputs = draw()
    head = build()
    torch.testing.assert_close(head(*inputs)[0][1:], head(*(x[1:] for x in inputs))[0])


@pytest.mark.parametrize('seed', range(3))
def test_new_network_starts_close_to_the_data_steps(seed):
    inputs = draw(seed=seed)
    target = inputs[2] * inputs[0] + inputs[3] * inputs[1]
    close = build(seed, num_stages=1, alpha=1.0, channels=16)(*inputs)[0]
    assert (close - target).abs().mean() < 0.002  # Half a grey level of 8 bits.
    grey = build(seed, num_stages=1, alpha=1.0, channels=16, residual=False)(*inputs)[0]
    assert (grey - target).abs().mean() > 0.05


def test_black_and_white_sources_stay_finite():
    ir, vi = torch.zeros(1, 1, 6, 6), torch.ones(1, 1, 6, 6)
    head = build(dtype=torch.float32)
    for weight in (ir, vi):
        fused, _ = head(ir, vi, weight, 1 - weight)
        assert fused.isfinite().all()
        fused.sum().backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_autocast_keeps_the_image_in_float32():
    inputs = draw(dtype=torch.float32)
    head = build(dtype=torch.float32)
    plain = head(*inputs)[0]
    with torch.autocast('cpu', torch.bfloat16):
        half = head(*inputs)[0]
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, atol=0.02, rtol=0)
    assert build()(*draw())[0].dtype == F64


@pytest.mark.parametrize('with_cp', [False, True])
def test_autocast_keeps_the_memories_in_bfloat16(with_cp):
    """The gate comes from an attention in float32, to which it must not lift the features."""
    ir, vi, weight_ir, weight_vi = draw(dtype=torch.float32)
    head = build(dtype=torch.float32, num_stages=3, with_cp=with_cp)
    results = {}
    for name, enabled in (('float32', False), ('bfloat16', True)):
        seen = []

        def note(stage, inputs, outputs, seen=seen):
            seen.append([memory.dtype for memory in outputs[1:3]])

        hooks = [stage.register_forward_hook(note) for stage in head.stages[:-1]]
        head.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            fused, _ = head(ir, vi, weight_ir, weight_vi, lambda x: 5 * (x.detach() - 0.5))
        for hook in hooks:
            hook.remove()
        fused.square().sum().backward()
        assert seen == [[getattr(torch, name)] * 2] * 2  # long-term and short-term
        assert fused.dtype == torch.float32
        results[name] = fused.detach(), torch.cat([p.grad.flatten() for p in head.parameters()])
    (plain, plain_gradient), (half, half_gradient) = results['float32'], results['bfloat16']
    torch.testing.assert_close(half, plain, atol=0.02, rtol=0)
    # Each gradient has an error of its own; their direction is that of float32.
    assert torch.cosine_similarity(half_gradient, plain_gradient, dim=0) > 0.999


def test_released_size():
    """1.010 M in the release, of which some never take part; the count of what does, from its layer sizes."""
    head = MemoryUnfoldingHead()

    def conv(i, o):
        return 9 * i * o + o

    def unit_size(i, m, o):
        return conv(i, m) + 1 + conv(m, o)

    stage = unit_size(1, 32, 32) + unit_size(96, 32, 32) + unit_size(32, 32, 32) + unit_size(32, 16, 1)
    memory = unit_size(96, 32, 32) + unit_size(32, 32, 32)
    cells = conv(32, 96) + 3 * conv(64, 128)
    expected = 2 * unit_size(1, 16, 16) + 5 * stage + 4 * memory + cells + 5
    assert sum(p.numel() for p in head.parameters()) == expected
    assert expected < 1.010e6


def test_registered():
    head = MODELS.build(dict(type='mmfusion.MemoryUnfoldingHead', num_stages=2, channels=6))
    assert (head.num_stages, head.channels) == (2, 6)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_stages=0), 'num_stages=0'),
        (dict(channels=5), 'even, got channels=5'),
        (dict(channels=0), 'channels=0'),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        MemoryUnfoldingHead(**options)
