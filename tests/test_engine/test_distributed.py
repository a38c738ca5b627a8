"""Two processes with gloo: plain data-parallel training of the joint model."""

import copy
import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel

from mmfusion.registry import MODELS


def free_port():
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


def gradients(model, batch):
    """Gradients of one training pass of a bare model or one that synchronises."""
    inputs, samples = batch
    losses = model(inputs, samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    module = getattr(model, 'module', model)
    return {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}


def train_one_rank(rank, port, config, state, batches, folder):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE='2')
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=2)
    model = MODELS.build(config)
    model.load_state_dict(state)
    # Without looking for unused parameters: a parameter that gets no gradient would be an error in the second pass.
    parallel = MMDistributedDataParallel(model.train(), device_ids=None, broadcast_buffers=False)
    first = gradients(parallel, batches[rank])
    model.zero_grad()
    gradients(parallel, batches[rank])
    torch.save(first, folder / f'{rank}.pt')
    dist.destroy_process_group()


@pytest.mark.parametrize('estimator', ['exact', 'endpoint'])
def test_gradients_are_the_mean_over_ranks(model_config, make_batch, tmp_path, estimator):
    """Also where the ranks see different classes, so that they attribute different numbers of them."""
    config = model_config(
        fusion=dict(type='UAAFusion', num_stages=2, channels=4, attribution=dict(steps=2, estimator=estimator))
    )
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    batches = [make_batch(seed=seed) for seed in (0, 1)]
    for sample in batches[1][1]:
        label = sample.gt_sem_seg.data
        label[label == 2] = 0
    assert len(batches[0][1][0].gt_sem_seg.data.unique()) > len(batches[1][1][0].gt_sem_seg.data.unique())

    mp.spawn(train_one_rank, (free_port(), config, model.state_dict(), batches, tmp_path), nprocs=2)

    alone = [gradients(copy.deepcopy(model), batch) for batch in batches]
    ranks = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]
    for name in alone[0]:
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], (alone[0][name] + alone[1][name]) / 2, rtol=1e-4, atol=1e-7)
    assert any(not torch.equal(alone[0][name], alone[1][name]) for name in alone[0])
