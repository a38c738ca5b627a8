"""The stopwatch."""

import torch

from mmfusion.analysis import stopwatch
from mmfusion.analysis.stopwatch import Stopwatch, Watched


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
    with watch.watching([Watched(Worker, 'inner', 'inner', ('silent',))]), watch.section('outer'):
        wait(1)
        assert worker.inner() == 'done'
        with watch.section('silent'):
            worker.inner()  # Belongs to the section that it is called from.
        wait(4)
    worker.inner()  # Not watched any longer.
    assert watch.seconds == dict(outer=5, inner=2, silent=2)
