"""The memory that a step needs at its peak."""

import ctypes
import gc
import multiprocessing
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch


def _resident(entry: str) -> int:
    """Resident memory of this process in bytes on Linux: 'VmRSS' now, 'VmHWM' at its peak."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{entry}:'):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f'/proc/self/status has no {entry}')


def _forget_peak() -> int:
    """Start the peak anew from what is resident now, and return that.

    What the parent left free, as garbage or in the allocator's hands, would otherwise hide as much of what the step
    takes.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc has it.
    if trim is not None:
        trim(0)
    Path('/proc/self/clear_refs').write_text('5')
    return _resident('VmRSS')


def peak_memory(step: Callable[[], None], device: torch.device) -> int | None:
    """Bytes that a step needs above what was there before (weights, states of the optimiser).

    Args:
        step (Callable): Runs once. On a CPU it runs in a forked process with one thread, before anything else has
            opened a second one: what grows is the peak of the resident memory, with whatever PyTorch's libraries take.
        device (torch.device): On CUDA it is the peak of what PyTorch allocates.

    Returns:
        int | None: None where it cannot be measured: a CPU without fork, or one that is no Linux.

    Raises:
        RuntimeError: The step failed in the forked process.
    """
    if device.type == 'cuda':
        return _peak_on_gpu(step, device)
    if sys.platform != 'linux':  # Elsewhere the peak is counted in another unit, or from another start.
        return None
    return _peak_in_fork(step)


def _peak_on_gpu(step: Callable[[], None], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_in_fork(step: Callable[[], None]) -> int:
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        try:
            torch.set_num_threads(1)
            before = _forget_peak()
            step()
            sender.send(_resident('VmHWM') - before)
        except BaseException:
            sender.send(traceback.format_exc())

    process = context.Process(target=child)
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        answer = 'it ended without a word, perhaps for want of memory'
    process.join()
    if isinstance(answer, str):
        raise RuntimeError(f'a step failed while its memory was measured: {answer}')
    return answer
