"""A running mean of the whole model (mmengine's EMAHook): validated, saved, resumed, and in two processes."""

import pytest
import torch
from checkpoint_tensors import flatten
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader, Runner
from ranks import in_ranks

from mmfusion.engine.cpu_processes import join_cpu_processes

ATTRIBUTED = dict(type='AttributionFusionLossHook', source='ema', momentum=0.4, interval=1)


def averaging(update_buffers):
    return dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.3, update_buffers=update_buffers)


class Record(Hook):
    """State of the model after each iteration, and while it is validated."""

    priority = 'LOWEST'

    def __init__(self):
        self.trained, self.validated = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.trained.append(state(runner))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            self.validated.append(state(runner))


def state(runner):
    model = getattr(runner.model, 'module', runner.model)
    return {name: value.cpu().clone() for name, value in model.state_dict().items()}


def saved(folder, name):
    return CheckpointLoader.load_checkpoint(str(folder / name), map_location='cpu')


def mean_of(states, name):
    """mmengine's first state is the mean; each later one counts 0.3."""
    mean = states[0][name]
    for each in states[1:]:
        mean = 0.7 * mean + 0.3 * each[name]
    return mean


@pytest.fixture
def config(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Function of (folder, iterations, update_buffers, ...) that gives a run that validates and saves twice or once."""
    data = pair_folder(tmp_path / 'data')

    def make(folder, iterations, update_buffers=False, **options):
        cfg = run_config(
            model_config(),
            data,
            tmp_path / folder,
            iterations,
            hooks=[dict(type='IterSeedHook'), averaging(update_buffers), ATTRIBUTED],
            default_hooks=dict(
                checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=2, save_best='mIoU', rule='greater')
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=2),
            **options,
        )
        cfg.experiment_name = cfg.visualizer.name = f'{folder}{iterations}'
        return cfg

    return make


def train(cfg):
    runner, record = Runner.from_cfg(cfg), Record()
    runner.register_hook(record)
    runner.train()
    return record


@pytest.mark.parametrize('update_buffers', [False, True])
def test_the_mean_is_validated_and_saved(config, tmp_path, update_buffers):
    """Weights are averaged; running statistics are those of the model, or averaged where that was asked for."""
    record = train(config('run', 2, update_buffers))
    checkpoint = saved(tmp_path / 'run', 'iter_2.pth')
    (validated,), live = record.validated, record.trained[-1]
    for name, value in live.items():
        assert torch.equal(checkpoint['ema_state_dict'][f'module.{name}'], value), name  # What training goes on with.
        assert torch.equal(checkpoint['state_dict'][name], validated[name]), name
        if 'tracked' in name:
            continue  # Whole numbers are not averaged, and nobody reads this one.
        is_averaged = value.is_floating_point() and (update_buffers or 'running' not in name)
        expected = mean_of(record.trained, name) if is_averaged else value
        torch.testing.assert_close(validated[name], expected, rtol=1e-5, atol=1e-7, msg=name)
    assert any(not torch.equal(validated[name], value) for name, value in live.items())


def differing(one, other):
    """Names of the tensors that are not the same to the last bit."""
    names = []
    for part in ('state_dict', 'ema_state_dict', 'attribution_source', 'optimizer'):
        a, b = dict(flatten(one[part])), dict(flatten(other[part]))
        assert a
        assert a.keys() == b.keys()
        names += [f'{part}{name}' for name in a if not torch.equal(a[name], b[name])]
    return names


def test_resumed_as_uninterrupted(config, tmp_path, forget_globals):
    train(config('whole', 4))
    forget_globals()
    resumed = config('resumed', 4, load_from=str(tmp_path / 'whole/iter_2.pth'), resume=True)
    train(resumed)
    assert differing(saved(tmp_path / 'resumed', 'iter_4.pth'), saved(tmp_path / 'whole', 'iter_4.pth')) == []


def one_rank(rank, world, cfgs):
    records = []
    for cfg in cfgs:
        cfg.launcher = 'pytorch'
        join_cpu_processes(cfg)
        records.append(train(cfg).validated)
    return records


@pytest.mark.parametrize('update_buffers', [False, True])
def test_two_processes(config, tmp_path, update_buffers):
    """What is saved is what was validated, in each process; a resumed run equals one that was not stopped."""
    whole = config('whole', 4, update_buffers)
    start = str(tmp_path / 'whole/iter_2.pth')
    resumed = config('resumed', 4, update_buffers, load_from=start, resume=True)
    ranks = in_ranks(one_rank, 2, tmp_path / 'ranks', [whole, resumed])
    for iteration, validated in zip((2, 4), ranks[0][0]):
        checkpoint = saved(tmp_path / 'whole', f'iter_{iteration}.pth')
        for name, value in validated.items():
            assert torch.equal(ranks[1][0][iteration // 2 - 1][name], value), name
            assert torch.equal(checkpoint['state_dict'][name], value), name
    (best,) = (tmp_path / 'whole').glob('best_*.pth')
    iteration = int(best.stem.split('_')[-1])
    for name, value in saved(tmp_path / 'whole', best.name)['state_dict'].items():
        assert torch.equal(value, ranks[0][0][iteration // 2 - 1][name]), name
    assert differing(saved(tmp_path / 'resumed', 'iter_4.pth'), saved(tmp_path / 'whole', 'iter_4.pth')) == []
