"""Losses that are no numbers: who looks at them, when, and who stops."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from ranks import in_ranks

from mmfusion.models.segmentors.finite import FiniteWatch
from mmfusion.registry import MODELS

GOOD, NAN, INF = torch.tensor(1.0), torch.tensor(float('nan')), torch.tensor(float('inf'))


def look(watch, value):
    watch.look(value, {'decode.loss_ce': value, 'decode.acc_seg': GOOD, 'loss': value})


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_at_once_on_the_cpu(value):
    watch = FiniteWatch(50)
    look(watch, GOOD)
    with pytest.raises(FloatingPointError, match=r'not finite: decode\.loss_ce\. All terms: decode\.loss_ce='):
        look(watch, value)


def test_a_sum_may_overflow():
    watch = FiniteWatch(50)
    with pytest.raises(FloatingPointError, match='not finite: the sum'):
        watch.look(INF, {'a.loss_ce': GOOD, 'b.loss_ce': GOOD})


def test_a_scaler_may_skip():
    watch = FiniteWatch(50)
    watch.scaled = True
    for _ in range(3):
        for _ in range(19):
            look(watch, INF)
        look(watch, GOOD)  # It has found its scale.
    for _ in range(19):
        look(watch, INF)
    with pytest.raises(FloatingPointError):
        look(watch, INF)


class Late(torch.Tensor):
    """A tensor that says it is on an accelerator."""

    device = torch.device('meta')


def late(value):
    return value.clone().as_subclass(Late)


def test_one_iteration_late_on_an_accelerator(monkeypatch):
    stack = torch.stack
    monkeypatch.setattr(
        torch, 'stack', lambda values: late(stack([value.as_subclass(torch.Tensor) for value in values]))
    )
    watch = FiniteWatch(3)
    for _ in range(2):
        look(watch, late(NAN))  # Not looked at.
    look(watch, late(NAN))
    with pytest.raises(FloatingPointError, match='the loss is nan'):
        look(watch, late(GOOD))


def one_rank(rank, world):
    watch, seen = FiniteWatch(50), []
    for iteration in range(5):
        try:
            look(watch, NAN if rank == 1 and iteration == 3 else GOOD)
        except FloatingPointError as error:
            seen.append(f'{iteration}: {error}')
            break
    return seen


def test_all_processes_stop_together(tmp_path):
    (of_first,), (of_second,) = in_ranks(one_rank, 2, tmp_path / 'ranks')
    assert of_first.startswith('3: the loss of another process is not finite')
    assert of_second.startswith('3: the loss is nan')


@pytest.mark.parametrize('scaled', [False, True])
def test_the_model_tells_whether_losses_are_scaled(model_config, make_batch, scaled):
    """By the wrapper of its optimizer, in every step."""
    torch.manual_seed(0)
    model = MODELS.build(model_config(fusion=dict(type='AverageFusion')))
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0))
    if scaled:
        optimizer.loss_scaler = object()
    with torch.no_grad():
        model.decode_head.conv_seg.bias.fill_(float('nan'))
    inputs, samples = make_batch()
    data = dict(inputs=list((inputs[:, [2, 1, 0, 3]] * 255).byte()), data_samples=samples)
    if scaled:
        model.train_step(data, optimizer)
    else:
        with pytest.raises(FloatingPointError):
            model.train_step(data, optimizer)
