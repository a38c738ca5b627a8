"""Processes that run at a time and end together."""

import os
import sys
import threading
import time

import pytest

from mmfusion.analysis.comparison.processes import Processes, Stopped, last_lines, work_through


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid):
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_log_status_and_threads(tmp_path):
    code = "import os, sys; print(os.environ['OMP_NUM_THREADS']); print('oops', file=sys.stderr); sys.exit(3)"
    processes = Processes(threads=2)
    log = tmp_path / 'deep/log.txt'
    assert processes.run([sys.executable, '-c', code], log) == 3
    assert last_lines(log, 2) == ['2', 'oops']
    assert processes.run([sys.executable, '-c', ''], log) == 0
    assert len([line for line in log.read_text().splitlines() if line.startswith('$ ')]) == 2
    assert last_lines(tmp_path / 'none', 3) == []


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='looks at processes in /proc')
def test_stop_takes_children_along(tmp_path):
    # A parent that does not listen, with a child of its own, as a data loader has them.
    code = (
        'import signal, subprocess, sys, time, pathlib\n'
        'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid) + ' ')\n"
        'time.sleep(60)\n'
    )
    processes, told = Processes(patience=0.3), []

    def work():
        try:
            processes.run([sys.executable, '-c', code, str(tmp_path / 'pid')], tmp_path / 'log.txt')
        except Stopped:
            told.append('stopped')

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: (tmp_path / 'pid').is_file() and (tmp_path / 'pid').read_text().endswith(' '))
    child = int((tmp_path / 'pid').read_text())
    assert alive(child)
    processes.stop()
    thread.join(10)
    assert told == ['stopped']
    wait_for(lambda: not alive(child))
    with pytest.raises(Stopped):
        processes.run([sys.executable, '-c', ''], tmp_path / 'log.txt')


def test_as_many_at_a_time_as_asked_for():
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=10)

    def work(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()  # Comes through only if two work at a time.
        with lock:
            running -= 1
        return number

    assert sorted(work_through(range(6), work, 2, lambda: None)) == list(range(6))
    assert most == 2


def test_leaving_early_stops_the_rest():
    released, started = threading.Event(), []

    def work(number):
        started.append(number)
        if number:
            assert released.wait(10)
        return number

    results = work_through(range(10), work, 2, released.set)
    assert next(results) == 0
    results.close()
    assert released.is_set()
    assert len(started) <= 3


def test_refusals():
    with pytest.raises(ValueError, match='threads must be at least 1, got 0'):
        Processes(threads=0)
    with pytest.raises(ValueError, match='at least 1 run at a time is needed, got 0'):
        next(work_through([1], abs, 0, lambda: None))
