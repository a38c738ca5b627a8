"""A run that is interrupted and resumed equals one that is not, to the last bit."""

import os
import signal

import pytest
import torch
from checkpoint_tensors import flatten
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader

HOOKS = [
    dict(type='CheckpointArchitectureHook'),
    dict(type='IterSeedHook'),
    dict(type='AttributionFusionLossHook', source='ema', momentum=0.2, warmup_iters=1, ramp_iters=3, interval=1),
]
SCHEDULE = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=2),
    dict(type='PolyLR', power=1.0, eta_min=1e-4, by_epoch=False, begin=2, end=6),
]


@pytest.fixture
def train(make_runner, model_config, unet_config, tmp_path):
    """Function that trains six iterations with everything that draws random numbers: dropout, crops, flips."""

    def run(folder, hooks=HOOKS, model=None, checkpoint=None, last='iter_6.pth', **options):
        defaults = dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=6, val_interval=2), param_scheduler=SCHEDULE
        )
        checkpoint = checkpoint or dict(type='CheckpointHook', by_epoch=False, interval=1)
        runner = make_runner(
            model=model_config(unet_config(dropout=0.3), **(model or {})),
            work_dir=tmp_path / folder,
            max_iters=6,
            hooks=hooks,
            augment=True,
            default_hooks=dict(checkpoint=checkpoint),
            **{**defaults, **options},
        )
        runner.train()
        if options.get('num_workers'):
            # Left to the garbage collector, with other runs' workers about, this may take five seconds a worker.
            loop = runner.train_loop
            iterator = getattr(loop, 'dataloader_iterator', loop.dataloader)._iterator
            if iterator is not None:
                iterator._shutdown_workers()
        return CheckpointLoader.load_checkpoint(str(tmp_path / folder / last), map_location='cpu')

    return run


def differing(one, other):
    """Names of weights, running means and optimizer states that are not the same to the last bit."""
    names = []
    for part in ('state_dict', 'attribution_source', 'optimizer'):
        a, b = dict(flatten(one[part])), dict(flatten(other[part]))
        assert a
        assert set(a) == set(b)
        names += [f'{part}{name}' for name in a if not torch.equal(a[name], b[name])]
    return names


def test_interrupted_at_every_iteration(train, tmp_path):
    whole = train('whole')
    for iteration in range(1, 6):
        resumed = train(f'from{iteration}', load_from=str(tmp_path / f'whole/iter_{iteration}.pth'), resume=True)
        assert differing(resumed, whole) == [], f'resumed after iteration {iteration}'
        for ours, theirs in zip(resumed['param_schedulers'], whole['param_schedulers']):
            assert ours['_last_value'] == theirs['_last_value']


@pytest.mark.parametrize('iteration', [2, 3])
def test_lessons_of_a_gate_go_on_where_they_were(train, tmp_path, iteration):
    """One in every other iteration, whichever of them comes first after the interruption."""
    fusion = dict(type='UAAFusion', num_stages=2, channels=4, weights='gate')
    model = dict(fusion=fusion, reads='pair+fused', refine=dict(type='DetailRefiner', channels=4), teach_interval=2)
    whole = train('whole', model=model)
    checkpoint = str(tmp_path / f'whole/iter_{iteration}.pth')
    assert differing(train('resumed', model=model, load_from=checkpoint, resume=True), whole) == []


@pytest.mark.parametrize('workers', [1, 2])
def test_with_workers(train, tmp_path, workers):
    whole = train('whole', num_workers=workers)
    resumed = train('resumed', num_workers=workers, load_from=str(tmp_path / 'whole/iter_3.pth'), resume=True)
    assert differing(resumed, whole) == []


def test_without_the_seed_hook_it_differs(train, tmp_path):
    """So the comparison above can see it."""
    hooks = [HOOKS[0], HOOKS[2]]
    whole = train('whole', hooks=hooks)
    resumed = train('resumed', hooks=hooks, load_from=str(tmp_path / 'whole/iter_3.pth'), resume=True)
    assert differing(resumed, whole)


def test_two_whole_runs_are_one(train):
    assert differing(train('one'), train('two')) == []


def test_latest_checkpoint_is_found(train, tmp_path):
    whole = train('whole')
    (tmp_path / 'again').mkdir()
    (tmp_path / 'again/iter_4.pth').write_bytes((tmp_path / 'whole/iter_4.pth').read_bytes())
    (tmp_path / 'again/last_checkpoint').write_text(str(tmp_path / 'again/iter_4.pth'))
    assert differing(train('again', resume=True), whole) == []
    assert not (tmp_path / 'again/iter_3.pth').exists()


EPOCHS = [dict(type='StepLR', step_size=1, gamma=0.5, by_epoch=True)]


@pytest.fixture
def train_epochs(train):
    """Function that trains two epochs of three iterations."""

    def run(folder, interval=1, **options):
        return train(
            folder,
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=10),
            param_scheduler=EPOCHS,
            sampler=dict(type='DefaultSampler', shuffle=True),
            checkpoint=dict(type='SafeCheckpointHook', by_epoch=True, interval=interval),
            last='epoch_2.pth',
            **options,
        )

    return run


@pytest.mark.parametrize(('workers', 'persistent'), [(0, False), (2, False), (2, True)])
def test_epochs(train_epochs, tmp_path, workers, persistent):
    options = dict(num_workers=workers, persistent=persistent)
    whole = train_epochs('whole', **options)
    resumed = train_epochs('resumed', load_from=str(tmp_path / 'whole/epoch_1.pth'), resume=True, **options)
    assert differing(resumed, whole) == []


def test_epochs_do_not_depend_on_the_workers(train_epochs):
    assert differing(train_epochs('none'), train_epochs('two', num_workers=2)) == []


@pytest.mark.parametrize('iteration', [1, 2, 3, 4, 5])
def test_stopped_in_an_epoch(train_epochs, tmp_path, iteration):
    """By a signal in that iteration; the file of it is gone as soon as that of the epoch is there."""

    class Stop(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter + 1 == iteration:
                os.kill(os.getpid(), signal.SIGTERM)

    whole = train_epochs('whole')
    before = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(SystemExit):
        train_epochs('stopped', hooks=[*HOOKS, Stop()])
    signal.signal(signal.SIGCHLD, before)
    left = [path.name for path in (tmp_path / 'stopped').glob('iter_*.pth')]
    # A signal before an iteration saves what the one before it has left; at the end of an epoch, that is saved anyway.
    assert left == [f'iter_{iteration - 1}.pth'] * (iteration != 4)
    resumed = train_epochs('stopped', resume=True)
    assert differing(resumed, whole) == []
    assert sorted(path.name for path in (tmp_path / 'stopped').glob('*.pth')) == ['epoch_1.pth', 'epoch_2.pth']
    for ours, theirs in zip(resumed['param_schedulers'], whole['param_schedulers']):
        assert ours['_last_value'] == theirs['_last_value']
    assert resumed['meta']['iter'] == whole['meta']['iter']
