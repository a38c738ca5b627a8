"""Parts of a batch, one after the other or in several processes, train as the whole batch does."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from ranks import in_ranks

from mmfusion.engine.cpu_processes import join_cpu_processes


@pytest.fixture
def config(run_config, model_config, unet_config, pair_folder, tmp_path, plain_configs):
    """Function of (batch size, accumulated batches, iterations) that gives a run on six pairs, without batch norm."""
    data = pair_folder(tmp_path / 'data')

    def make(batch_size, counts, iterations, model=None, **options):
        cfg = run_config(model or model_config(unet_config(norm=None)), data, tmp_path / 'run', iterations, **options)
        cfg.optim_wrapper = dict(
            type='OptimWrapper', accumulative_counts=counts, optimizer=dict(type='SGD', lr=0.2, momentum=0.9)
        )
        cfg.train_dataloader.batch_size = batch_size
        cfg.experiment_name = cfg.visualizer.name = f'{batch_size}x{counts}x{iterations}'
        return cfg

    return make


def trained(rank, world, cfgs):
    """Weights before and after each run."""
    found = []
    for cfg in cfgs:
        if world > 1:
            cfg.launcher = 'pytorch'
            join_cpu_processes(cfg)
        runner, start = Runner.from_cfg(cfg), Start()
        runner.register_hook(start)
        runner.train()
        found.append((start.weights, weights(runner)))
    return found


class Start(Hook):
    """Weights that training starts from."""

    def before_train(self, runner):
        self.weights = {name: value.clone() for name, value in weights(runner).items()}


def weights(runner):
    model = getattr(runner.model, 'module', runner.model)
    return {name: value.detach() for name, value in model.named_parameters()}


def test_as_one_step_of_the_whole_batch(config, tmp_path):
    """Two updates of four pairs each, which are also those that the loaders of two processes give."""
    (((before, whole), (_, halves)),) = in_ranks(trained, 1, tmp_path / 'rank', [config(4, 1, 2), config(2, 2, 4)])
    ranks = in_ranks(trained, 2, tmp_path / 'ranks', [config(2, 1, 2), config(1, 2, 4)])
    assert max((whole[name] - before[name]).abs().max() for name in whole if name.startswith('fusion.')) > 1e-2
    for name, value in whole.items():
        moved = (value - before[name]).abs().max()
        close = dict(rtol=0, atol=1e-3 * moved.item() + 1e-6, msg=name)
        torch.testing.assert_close(halves[name], value, **close)
        for rank in ranks:
            for _, found in rank:
                torch.testing.assert_close(found[name], value, **close)


class Record(Hook):
    """What happened in each iteration."""

    def __init__(self):
        self.strengths, self.lessons, self.updates = [], [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.before = {name: value.clone() for name, value in weights(runner).items()}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.strengths.append(runner.model.attribution_strength)
        if 'fusion.loss_gate_share' in outputs:
            self.lessons.append(runner.iter)
        if any(not torch.equal(value, self.before[name]) for name, value in weights(runner).items()):
            self.updates.append(runner.iter)


def test_hooks_and_lessons_count_iterations(config, model_config):
    """Warm-up, ramp, running mean and lessons go by passes of the model, of which an update here takes two."""
    fusion = dict(type='UAAFusion', num_stages=2, channels=4, weights='gate', gate=dict(type='FusionGate', channels=4))
    model = model_config(fusion=fusion, reads='pair+fused', teach_interval=2)
    warm = dict(type='AttributionFusionLossHook', warmup_iters=1, ramp_iters=2, source='ema', momentum=0.3)
    runner = Runner.from_cfg(config(1, 2, 6, model=model, hooks=[warm]))
    record = Record()
    runner.register_hook(record, priority='LOWEST')
    runner.train()
    assert record.updates == [1, 3, 5]
    assert record.strengths == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1])
    assert record.lessons == [2, 4]  # The first half of each update, once the warm-up is over.
    (hook,) = [hook for hook in runner.hooks if hasattr(hook, 'warmup_iters')]
    assert hook._average.steps == 6
