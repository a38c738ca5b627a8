"""The memory of a step."""

import sys

import pytest
import torch

from mmfusion.analysis.step_memory import peak_memory


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
