"""The guard of the meta-device tests fails on each thing it is there for, and on nothing else."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from meta_device import META, SynchronisationError, no_synchronisation

from mmfusion.models.color import merge_luminance
from mmfusion.models.scorer import SegmentorScorer

BATCH = torch.zeros(4, 3, device=META)
COUNTS = torch.ones(4, dtype=torch.long, device=META)
MASK = torch.zeros(4, 3, dtype=torch.bool, device=META)
HOST = torch.zeros(4, 3)

WAITS = {
    'item': (lambda: BATCH.sum().item(), '_local_scalar_dense.*asks for a value'),
    'bool': (lambda: bool(MASK.any()), '_local_scalar_dense'),
    'float': (lambda: float(BATCH[0, 0]), '_local_scalar_dense'),
    'scalar argument': (lambda: torch.full((2,), BATCH[0, 0]), '_local_scalar_dense'),
    'contains': (lambda: 0.0 in BATCH, '_local_scalar_dense'),
    'one_hot': (lambda: F.one_hot(COUNTS), '_local_scalar_dense'),
    'equal': (lambda: torch.equal(BATCH, BATCH), r'aten\.equal'),
    'allclose': (lambda: torch.allclose(BATCH, BATCH), r'aten\.allclose'),
    'nonzero': (lambda: BATCH.nonzero(), r'aten\.nonzero.*shape of the result'),
    'where': (lambda: torch.where(MASK), r'aten\.nonzero'),
    'mask': (lambda: BATCH[MASK], r'aten\.index\.Tensor: indexing by a mask'),
    'mask of rows': (lambda: BATCH[:, MASK[0]], 'indexing by a mask'),
    'mask set': (lambda: BATCH.__setitem__(MASK, 0.0), r'aten\.index_put_\.default: indexing by a mask'),
    'masked_select': (lambda: BATCH.masked_select(MASK), r'aten\.masked_select'),
    'unique': (lambda: BATCH.unique(), r'aten\._unique2'),
    'bincount': (lambda: torch.bincount(COUNTS), r'aten\.bincount'),
    'repeat_interleave': (lambda: BATCH.repeat_interleave(COUNTS, 0), r'aten\.repeat_interleave'),
    'linalg': (lambda: torch.linalg.inv(torch.zeros(2, 2, device=META)), '_linalg_check_errors'),
    'to the device': (lambda: HOST.to(META), r'aten\._to_copy.*say non_blocking=True'),
    'copy_': (lambda: BATCH.copy_(HOST), r'aten\.copy_.*blocking copy'),
    'set': (lambda: BATCH.__setitem__(1, HOST[1]), r'aten\.copy_.*blocking copy'),
    'cpu': (lambda: BATCH.cpu(), 'values go to the host'),
    'cpu without waiting': (lambda: BATCH.to('cpu', non_blocking=True), 'values go to the host'),
    'tolist': (lambda: BATCH.tolist(), 'values go to the host'),
    'copied to the host': (lambda: HOST.clone().copy_(BATCH), 'values go to the host'),
    'tensor': (lambda: torch.tensor([1.0, 2.0], device=META), r"torch\.tensor: Python's numbers"),
    'tensor of a number': (lambda: torch.tensor(1.0, device=META), r'torch\.tensor'),
    'as_tensor': (lambda: torch.as_tensor([1.0], device=META), r'torch\.as_tensor'),
    'asarray': (lambda: torch.asarray([1.0], device=META), r'torch\.asarray'),
    'as_tensor of an array': (lambda: torch.as_tensor(np.zeros(2, np.float32), device=META), r'aten\._to_copy'),
    'new_tensor': (lambda: BATCH.new_tensor([[1.0, 2.0]]), r'Tensor\.new_tensor'),
    'data=': (lambda: BATCH.new_tensor(data=[1.0]), r'Tensor\.new_tensor'),
    'list index': (lambda: BATCH[[2, 1, 0, 3]], r'Tensor\.__getitem__: the index \[2, 1, 0, 3\]'),
    'list in an index': (lambda: BATCH[:, [2, 1]], r'Tensor\.__getitem__'),
    'array index': (lambda: BATCH[np.array([1, 0])], r'Tensor\.__getitem__'),
    'list index set': (lambda: BATCH.__setitem__([1, 2], 0.0), r'Tensor\.__setitem__'),
    'host index': (lambda: BATCH[torch.arange(2)], r'aten\.index\.Tensor: an index or value on cpu'),
    'host index set': (lambda: BATCH.__setitem__(torch.arange(2), 0.0), r'aten\.index_put_'),
    'index_select': (lambda: BATCH.index_select(0, torch.arange(2)), r'aten\.index_select.*an operand \(2,\) on cpu'),
    'operands': (lambda: BATCH + HOST, r'aten\.add.*an operand \(4, 3\) on cpu'),
    'cat': (lambda: torch.cat([BATCH, HOST]), r'aten\.cat'),
    'float64': (lambda: BATCH.double(), 'float64'),
    'new float64': (lambda: torch.ones(2, dtype=torch.float64, device=META), 'float64'),
}

PASSES = {
    'arithmetic': lambda: (BATCH * 2.0 + 1 - BATCH.mean(1, keepdim=True)).clamp(min=BATCH[0, 0]),
    'a number of the host': lambda: BATCH + torch.tensor(1.0),
    'a host number as index': lambda: BATCH[torch.tensor(1)],
    'device index': lambda: BATCH[torch.arange(2, device=META)],
    'slices': lambda: BATCH[1:, ..., None].flip(0),
    'set a slice': lambda: torch.ones(4, 3, device=META).__setitem__((slice(1), 0), 0.0),
    'masked_fill': lambda: BATCH.masked_fill(MASK, 0.0),
    'where': lambda: torch.where(MASK, BATCH, 0.0),
    'repeat_interleave': lambda: BATCH.repeat_interleave(COUNTS, 0, output_size=4),
    'new_tensor of a tensor': lambda: torch.as_tensor(BATCH, dtype=torch.float16),
    'to the device': lambda: HOST.to(META, non_blocking=True) + BATCH,
    'copy_': lambda: BATCH.clone().copy_(HOST, non_blocking=True),
    'one_hot': lambda: F.one_hot(COUNTS, 3),
    'made there': lambda: (torch.zeros((), device=META), torch.full((2,), 0.5, device=META), BATCH.new_zeros(3)),
    'host alone': lambda: (HOST.sum().item(), HOST[HOST > 0], torch.tensor([1.0], dtype=torch.float64), HOST[[1, 0]]),
}


def surroundings(name):
    return dict(plain=torch.enable_grad, no_grad=torch.no_grad, inference=torch.inference_mode)[name]()


@pytest.mark.parametrize('mode', ['plain', 'no_grad', 'inference'])
@pytest.mark.parametrize('name', WAITS)
def test_what_waits_is_refused(name, mode):
    call, told = WAITS[name]
    with surroundings(mode), pytest.raises(SynchronisationError, match=told) as error, no_synchronisation():
        call()
    assert f'{__file__}:' in str(error.value)


@pytest.mark.parametrize('mode', ['plain', 'no_grad', 'inference'])
@pytest.mark.parametrize('name', PASSES)
def test_what_does_not_wait_passes(name, mode):
    with surroundings(mode), no_synchronisation():
        PASSES[name]()


class Peek(torch.autograd.Function):
    """Looks at a value on the way back."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * gradient.sum().item()


def test_backward_is_looked_at():
    image = BATCH[None, None].clone().requires_grad_()
    kernel = torch.ones(1, 1, 3, 3, device=META)
    with no_synchronisation():
        F.conv2d(image, kernel).square().sum().backward()
    assert image.grad.shape == image.shape
    with no_synchronisation():
        loss = Peek.apply(image).sum()
        with pytest.raises(SynchronisationError, match='_local_scalar_dense'):
            loss.backward()


def test_the_line_of_the_package_is_told():
    with pytest.raises(SynchronisationError, match=r'mmfusion/models/color\.py:\d+'), no_synchronisation():
        merge_luminance(torch.zeros(1, 1, 2, 2, device=META), torch.zeros(1, 2, 2, 2))


def test_the_line_of_a_caller_in_the_package_is_told():
    def rule(values):
        return values.sum().item()

    scorer = SegmentorScorer(Network(rule), lambda luminance: luminance)
    told = rf'{re.escape(__file__)}:\d+, called at .*mmfusion/models/scorer\.py:\d+'
    with pytest.raises(SynchronisationError, match=told), no_synchronisation():
        scorer(torch.zeros(1, 1, 2, 2, device=META))


class Network(torch.nn.Module):
    """What a scorer asks of a segmentor."""

    out_channels = 2

    def __init__(self, rule):
        super().__init__()
        self.encode_decode = lambda images, metas: rule(images)


def test_nothing_is_left_behind():
    with no_synchronisation():
        pass
    with pytest.raises(RuntimeError, match='cannot be called on meta tensors'):  # PyTorch's own refusal
        BATCH.sum().item()
    assert BATCH.new_tensor([1.0]).device == META
