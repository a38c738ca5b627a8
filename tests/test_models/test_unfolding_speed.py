"""What makes the unfolding faster or smaller must not change what it computes."""

import copy
import warnings

import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn

from mmfusion.models import MemoryUnfoldingHead, compilation
from mmfusion.models.compilation import compiled_or_eager, shared_compiled

F64 = torch.float64


@pytest.fixture(autouse=True)
def forget_compiled():
    """Dynamo compiles one function a limited number of times, and then runs it as it is."""
    yield
    torch.compiler.reset()


def build(**options):
    torch.manual_seed(0)
    return MemoryUnfoldingHead(**{**dict(num_stages=3, channels=4), **options}).to(F64)


def step(head):
    """Fused image and gradients of one step."""
    generator = torch.Generator().manual_seed(1)
    ir, vi, weight, target = torch.rand(4, 2, 1, 10, 12, generator=generator, dtype=F64)
    head.zero_grad()
    fused, _ = head(ir, vi, weight, 1 - weight, lambda x: 5 * (x.detach() - 0.5))
    (fused - target).square().sum().backward()
    return [fused.detach(), *(p.grad.clone() for p in head.parameters())]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('memory', [True, False])
def test_one_memory_in_both_places_is_convolved_once(memory):
    """Against the same network with the memory concatenated to itself."""
    head = build(memory=memory)
    plain = copy.deepcopy(head)
    given = []
    for stage in plain.stages:
        stage.register_forward_pre_hook(lambda _, args: (*args[:3], args[2] if args[3] is None else args[3], args[4]))
        stage.merge.register_forward_pre_hook(lambda _, args: given.append(args[0].shape[1]))
    widths = []
    for stage in head.stages:
        stage.merge.register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[1]))
    assert_same(step(head), step(plain))
    assert given == [12, 12, 12]
    assert widths == ([12, 12] if memory else [])


def test_channels_last():
    head, plain = build(channels_last=True), build(channels_last=False)
    seen = []
    for one in (head, plain):
        one.stages[1].refine[0].register_forward_hook(
            lambda _, args, out: seen.append(out.is_contiguous(memory_format=torch.channels_last))
        )
    assert_same(step(head), step(plain))
    assert seen == [True, False]
    # Weights from elsewhere keep the layout.
    head.load_state_dict(plain.state_dict())
    assert head.stages[0].refine[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_checkpointing_keeps_fewer_features():
    kept = {}
    for with_cp in (False, True):
        head, sizes = build(with_cp=with_cp), []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, into=sizes: into.append(x.numel()) or x, lambda x: x):
            result = step(head)
        kept[with_cp] = sum(sizes), result
    assert_same(kept[True][1], kept[False][1])
    assert kept[True][0] < 0.35 * kept[False][0]


def test_checkpointing_attributes_once():
    """Attention stands between the stages, so nothing of it is computed again."""
    calls = []
    ir, vi = torch.rand(2, 1, 1, 8, 8, dtype=F64)
    head = build(with_cp=True)
    fused, _ = head(ir, vi, ir, 1 - ir, lambda x: calls.append(1) or torch.zeros_like(x))
    fused.sum().backward()
    assert len(calls) == 3
    with torch.no_grad():  # And without gradients it is off.
        assert torch.equal(head(ir, vi, ir, 1 - ir)[0], build()(ir, vi, ir, 1 - ir)[0])


def test_compiled_stages():
    """Dynamo alone: what a backend makes of the graph is PyTorch's business."""
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*runs as it is')
        head = build(compile=dict(backend='eager'))
        assert_same(step(head), step(build()))
    clone = copy.deepcopy(head)
    with torch.no_grad():
        clone.stages[0].refine[2].bias += 1.0
    assert not torch.equal(step(clone)[0], step(head)[0])  # A copy does not run on the weights of its original.
    assert sorted(head.state_dict()) == sorted(build().state_dict())


def test_heads_with_equal_options_share_what_is_compiled(monkeypatch):
    """Options of a config are nested, and stand in any order."""
    made = []

    def compile_once(function, **options):
        made.append(options)
        return compiled_or_eager(function, **options)

    monkeypatch.setattr(compilation, 'compiled_or_eager', compile_once)
    monkeypatch.setattr(compilation, '_shared', {})
    options = dict(backend='eager', options=dict(passes=['a', 'b'], limits=dict(depth=2, width=3)))
    turned = ConfigDict(options=dict(limits=dict(width=3, depth=2), passes=['a', 'b']), backend='eager')
    plain = step(build())
    for given in (options, turned, copy.deepcopy(options)):
        with warnings.catch_warnings():
            warnings.filterwarnings('error', message='.*runs as it is')
            head = build(compile=given)
            assert_same(step(copy.deepcopy(head)), plain)
    assert made == [options]
    assert type(made[0]['options']) is dict
    step(build(compile=dict(options, options=dict(passes=['b', 'a']))))
    assert len(made) == 2


@pytest.mark.parametrize(
    ('first', 'second', 'same'),
    [
        ({}, {}, True),
        (dict(a=[1, {'b': 2}]), dict(a=(1, {'b': 2})), True),
        (dict(a=1, b=2), dict(b=2, a=1), True),
        (dict(a=1), dict(a=True), False),
        (dict(a=1), dict(a=2), False),
        (dict(a={}), dict(a=[]), False),
        (dict(a={}), {}, False),
    ],
)
def test_shared_compiled(first, second, same):
    def double(values):
        return 2 * values

    assert (shared_compiled(double, first) is shared_compiled(double, second)) == same
    assert shared_compiled(double, first) is not shared_compiled(lambda values: values, first)


def test_options_that_cannot_be_compared_are_refused_at_once():
    with pytest.raises(ValueError, match=r"options of torch\.compile are .*got \{'options': \{'a': \{1\}\}\}"):
        build(compile=dict(options=dict(a={1})))


@pytest.mark.slow
def test_compiled_by_inductor():
    """With a compiler it computes the same; without, it says so and runs as it is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        result = step(build(num_stages=1, compile=True))
    assert_same(result, step(build(num_stages=1)))
    told = [str(one.message) for one in caught if 'runs as it is' in str(one.message)]
    assert len(told) <= 1


def test_fallback_warns_once_and_computes():

    def backend(graph, inputs):
        raise RuntimeError('no compiler here')

    head = build(compile=dict(backend=backend))
    with pytest.warns(UserWarning, match=r'_Stage\.forward could not be compiled and runs as it is .*no compiler here'):
        result = step(head)
    assert_same(result, step(build()))
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*runs as it is')
        step(head)


def test_a_mistake_of_the_caller_is_no_failed_compilation():
    function = compiled_or_eager(lambda x: nn.functional.relu(x) + 1, backend='eager')
    with pytest.raises(TypeError):
        function(torch.ones(2), torch.ones(2))
    assert torch.equal(function(torch.tensor([-1.0, 2.0])), torch.tensor([1.0, 3.0]))
