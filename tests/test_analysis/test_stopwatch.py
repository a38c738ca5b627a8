"""How the benchmark measures."""

import sys

import pytest
import torch
from torch import nn

from mmfusion.analysis import stopwatch
from mmfusion.analysis.stopwatch import Stopwatch, counting, flop_counter, peak_memory


# How it is measured --------------------------------------------------------------------------------------------------
def test_stopwatch(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(stopwatch.time, 'perf_counter', lambda: clock[0])

    def wait(seconds):
        clock[0] += seconds

    class Worker:
        def inner(self):
            wait(2)
            return 'done'

    watch, worker = Stopwatch(torch.device('cpu')), Worker()
    with watch.watching([(Worker, 'inner', 'inner', ('silent',))]), watch.section('outer'):
        wait(1)
        assert worker.inner() == 'done'
        with watch.section('silent'):
            worker.inner()  # Belongs to the section that it is called from.
        wait(4)
    worker.inner()  # Not watched any longer.
    assert watch.seconds == dict(outer=5, inner=2, silent=2)


def test_counts_of_a_convolution():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    forward = 2 * 5 * 4 * 6 * 3 * 8 * 9  # 2 x images x pixels x channels in x channels out x taps
    with counting(conv) as counts:
        image = torch.rand(5, 3, 4, 6, requires_grad=True)
        output = conv(image * 1)  # PyTorch's own counter does not take a leaf.
        torch.autograd.grad(output.sum(), image, retain_graph=True)  # For the image alone: as much as forward.
        output.mean().backward()  # For image and weights: twice.
        with torch.no_grad():
            conv(image[:2].detach())
    assert (counts.forward_images, counts.backward_images, counts.autograd_calls) == (7, 10, 2)
    assert counts.flops == forward * (1 + 1 + 2) + forward * 2 // 5
    conv(image).sum().backward()
    assert counts.forward_images == 7  # Over is over.


@pytest.mark.parametrize(
    ('layer', 'forward'),
    [
        (nn.Conv2d(12, 12, 3, padding=1, groups=12), 2 * 2 * 5 * 7 * 12 * 9),
        (nn.Conv2d(12, 8, 3, stride=2, groups=4), 2 * 2 * 2 * 3 * 3 * 8 * 9),
        (nn.ConvTranspose2d(12, 8, 3, stride=2), 2 * 2 * 5 * 7 * 12 * 8 * 9),
    ],
)
def test_operations_of_special_convolutions(layer, forward):
    with flop_counter() as flops:
        output = layer(torch.rand(2, 12, 5, 7, requires_grad=True) * 1)
    assert flops.get_total_flops() == forward
    with flop_counter() as flops:
        output.sum().backward()
    assert flops.get_total_flops() == 2 * forward


def test_counts_once_per_backward_pass():

    class Pyramid(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    pyramid = Pyramid()
    with counting(pyramid) as counts:
        low, high = pyramid(torch.rand(3, 1, 2, 2, requires_grad=True))
        (low + high).sum().backward()
    assert counts.backward_images == 3


@pytest.mark.skipif(sys.platform != 'linux', reason='the peak of resident memory is measured on Linux')
def test_peak_memory():
    mebi = 2**20

    def step():
        ones = torch.ones(48 * mebi // 4)
        del ones
        torch.ones(mebi // 4)

    # What the process took and gave back before, in large and in small pieces, does not count.
    cycle = [torch.ones(64 * mebi // 4), *(bytearray(10_000) for _ in range(5_000))]
    cycle.append(cycle)
    del cycle
    assert 46 * mebi < peak_memory(step, torch.device('cpu')) < 60 * mebi
    with pytest.raises(RuntimeError, match=r'(?s)while its memory was measured.*ZeroDivisionError'):
        peak_memory(lambda: 1 / 0, torch.device('cpu'))
