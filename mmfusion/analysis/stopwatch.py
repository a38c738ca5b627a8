"""Stopwatch, counters and memory."""

import ctypes
import functools
import gc
import math
import multiprocessing
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch.autograd.graph import register_multi_grad_hook
from torch.utils.flop_counter import FlopCounterMode


class Stopwatch:
    """Times of nested sections, each without what is nested in it, so that they add up to the whole.

    Args:
        device (torch.device): A CUDA device is waited for at both ends of a section.

    Attributes:
        seconds (dict): Time per section.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[list] = []

    def now(self) -> float:
        """The time in seconds, after the device has done its work."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time what is inside under a name."""
        frame = [name, 0.0]
        started = self.now()
        self._open.append(frame)
        try:
            yield
        finally:
            self._open.pop()
            spent = self.now() - started
            self.seconds[name] += spent - frame[1]
            if self._open:
                self._open[-1][1] += spent

    def wrap(self, function: Callable, name: str, unless: tuple[str, ...] = ()) -> Callable:
        """A function that is timed under a name, unless it is called from one of the other sections."""

        @functools.wraps(function)
        def timed(*args, **kwargs):
            if any(frame[0] in unless for frame in self._open):
                return function(*args, **kwargs)
            with self.section(name):
                return function(*args, **kwargs)

        return timed

    @contextmanager
    def watching(self, targets: list[tuple]) -> Iterator[None]:
        """Time functions of modules, classes or objects.

        Args:
            targets (list[tuple]): Owner, name of the function, section and optionally the sections in which it is not
                timed by itself.
        """
        with ExitStack() as stack:
            for owner, name, *how in targets:
                stack.enter_context(mock.patch.object(owner, name, self.wrap(getattr(owner, name), *how)))
            yield


@dataclass
class Counts:
    """What a step does, whatever the machine."""

    forward_images: int = 0
    """Images that went through the backbone."""
    backward_images: int = 0
    """Images whose gradient came back to the backbone, counted again in every backward pass."""
    autograd_calls: int = 0
    """Calls of ``torch.autograd.grad`` and ``backward``."""
    flops: int = 0
    """Floating point operations of matrix products and convolutions, forward and backward; 2 per multiply-add."""


def _convolution_backward(grad_shape: list, x_shape: list, weight_shape: list, *args, **kwargs) -> int:
    """Operations of a convolution's backward pass: as many as forward for the image, and again for the weight.

    PyTorch's own formula takes the weight of a depthwise convolution for a full one.
    """
    transposed, output_mask = args[4], args[7]
    positions = math.prod((x_shape if transposed else grad_shape)[2:])
    return 2 * x_shape[0] * positions * math.prod(weight_shape) * sum(output_mask[:2])


def flop_counter() -> FlopCounterMode:
    """Counts operations of matrix products and convolutions, silently."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward})


@contextmanager
def counting(backbone: nn.Module) -> Iterator[Counts]:
    """Count what happens inside the context.

    Args:
        backbone (nn.Module): Every pass of the segmentor goes through it once.

    Yields:
        Counts: ``flops`` is filled in on leaving.
    """
    counts = Counts()

    def passed(module: nn.Module, inputs: tuple, outputs: Tensor | tuple) -> None:
        images = len(inputs[0])
        counts.forward_images += images
        outputs = [outputs] if isinstance(outputs, Tensor) else outputs
        differentiable = [output for output in outputs if output.requires_grad]
        if differentiable:

            def came_back(gradient: Tensor) -> None:
                counts.backward_images += images

            # Once per backward pass, whichever of the feature maps it comes through first.
            register_multi_grad_hook(differentiable, came_back, mode='any')

    def counted(function: Callable) -> Callable:

        @functools.wraps(function)
        def call(*args, **kwargs):
            counts.autograd_calls += 1
            return function(*args, **kwargs)

        return call

    hook = backbone.register_forward_hook(passed)
    try:
        with (
            mock.patch.object(torch.autograd, 'grad', counted(torch.autograd.grad)),
            mock.patch.object(torch.autograd, 'backward', counted(torch.autograd.backward)),
            flop_counter() as flops,
        ):
            yield counts
    finally:
        hook.remove()
    counts.flops = flops.get_total_flops()


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
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if sys.platform != 'linux':  # Elsewhere the peak is counted in another unit, or from another start.
        return None
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
