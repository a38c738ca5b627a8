"""Two processes with gloo: plain data-parallel training of the joint model."""

import copy
import os
import signal

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import CheckpointLoader, Runner
from ranks import in_ranks

from mmfusion.engine.cpu_processes import join_cpu_processes
from mmfusion.registry import MODELS


def gradients(model, batch):
    """Gradients of one training pass of a bare model or one that synchronises."""
    inputs, samples = batch
    losses = model(inputs, samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    module = getattr(model, 'module', model)
    return {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}


def train_one_rank(rank, world, config, state, batches):
    model = MODELS.build(config)
    model.load_state_dict(state)
    # Without looking for unused parameters: a parameter that gets no gradient would be an error in the second pass.
    parallel = MMDistributedDataParallel(model.train(), device_ids=None, broadcast_buffers=False)
    first = gradients(parallel, batches[rank])
    model.zero_grad()
    gradients(parallel, batches[rank])
    return first


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

    ranks = in_ranks(train_one_rank, 2, tmp_path / 'ranks', config, model.state_dict(), batches)

    alone = [gradients(copy.deepcopy(model), batch) for batch in batches]
    for name in alone[0]:
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], (alone[0][name] + alone[1][name]) / 2, rtol=1e-4, atol=1e-7)
    assert any(not torch.equal(alone[0][name], alone[1][name]) for name in alone[0])


def save_one_rank(rank, world, cfg):
    join_cpu_processes(cfg)
    runner = Runner.from_cfg(cfg)
    seen = []

    class Keep(Hook):
        priority = 'LOWEST'

        def before_val_iter(self, runner, batch_idx, data_batch=None):
            if batch_idx == 0:
                seen.append(statistics(runner.model))

    class Before(Hook):
        priority = 'NORMAL'

        def before_val_epoch(self, runner):
            seen.append(statistics(runner.model))

    runner.register_hook(Keep())
    runner.register_hook(Before())
    runner.train()
    return seen


def statistics(model):
    module = getattr(model, 'module', model)
    return {name: buffer.clone() for name, buffer in module.named_buffers() if 'running' in name}


def test_running_statistics_are_averaged_before_they_are_tested_and_saved(
    run_config, model_config, pair_folder, plain_configs, tmp_path
):
    checkpoint = dict(type='SafeCheckpointHook', by_epoch=False, interval=2)
    cfg = run_config(
        model_config(),
        pair_folder(tmp_path / 'data'),
        tmp_path / 'run',
        max_iters=2,
        hooks=[dict(type='IterSeedHook')],
        default_hooks=dict(checkpoint=checkpoint),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=1),
        launcher='pytorch',
    )
    ranks = in_ranks(save_one_rank, 2, tmp_path / 'ranks', cfg)
    (before, tested, *_), (other, also, *_) = ranks
    assert any(not torch.equal(before[name], other[name]) for name in before)  # Each has seen pairs of its own.
    for name in before:
        torch.testing.assert_close(tested[name], (before[name] + other[name]) / 2)
        assert torch.equal(tested[name], also[name]), name
    last = CheckpointLoader.load_checkpoint(str(tmp_path / 'run/iter_2.pth'), map_location='cpu')['state_dict']
    for name in before:
        assert torch.equal(last[name], ranks[0][-1][name]), name
        assert torch.equal(last[name], ranks[1][-1][name]), name


def stop_one_rank(rank, world, cfg):
    join_cpu_processes(cfg)
    runner = Runner.from_cfg(cfg)

    class Stop(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if rank == 1 and runner.iter == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    runner.register_hook(Stop())
    try:
        runner.train()
    except SystemExit as stopped:
        return f'{stopped.code} after {runner.iter + 1}'


def test_all_processes_stop_where_one_was_told_to(run_config, model_config, pair_folder, plain_configs, tmp_path):
    """The one that was not told would wait for the other for ever."""
    cfg = run_config(
        model_config(fusion=dict(type='AverageFusion')),
        pair_folder(tmp_path / 'data'),
        tmp_path / 'run',
        max_iters=30,
        default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=100)),
        launcher='pytorch',
    )
    assert in_ranks(stop_one_rank, 2, tmp_path / 'ranks', cfg) == ['143 after 10'] * 2
    (path,) = (tmp_path / 'run').glob('*.pth')
    assert CheckpointLoader.load_checkpoint(str(path), map_location='cpu')['meta']['iter'] == 10
