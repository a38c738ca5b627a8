"""Random numbers by iteration; what a resumed run passes over is in test_resume."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmfusion.engine.hooks import IterSeedHook, iter_seed_hook


@pytest.fixture(autouse=True)
def keep_the_stream():
    with torch.random.fork_rng():
        yield


def draw(seed, iteration, spoil=0):
    torch.rand(spoil)
    IterSeedHook().before_train_iter(SimpleNamespace(seed=seed, iter=iteration), batch_idx=iteration)
    return tuple(torch.rand(4).tolist())


def test_the_iteration_decides():
    assert draw(0, 5) == draw(0, 5, spoil=17)
    drawn = {draw(seed, iteration) for seed in range(4) for iteration in range(50)}
    assert len(drawn) == 200


def test_every_rank_draws_its_own(monkeypatch):
    drawn = set()
    for rank in range(4):
        monkeypatch.setattr(iter_seed_hook, 'get_rank', lambda rank=rank: rank)
        drawn |= {draw(0, iteration) for iteration in range(5)}
    assert len(drawn) == 20


def test_large_numbers():
    assert draw(2**31 - 1, 10**7) == draw(2**31 - 1, 10**7) != draw(2**31 - 1, 10**7 + 1)


def test_numpy_is_left_alone():
    np.random.seed(3)
    expected = np.random.rand(2)[1]
    np.random.seed(3)
    np.random.rand()
    draw(0, 0)
    assert np.random.rand() == expected


def test_passing_over_loads_the_data():
    class Iterator:
        loaded = 0

        def __next__(self):
            self.loaded += 1

        def skip_iter(self, number):
            """As the fork's: nothing is loaded."""

    iterator = Iterator()
    IterSeedHook().before_train(SimpleNamespace(train_loop=SimpleNamespace(dataloader_iterator=iterator)))
    iterator.skip_iter(3)
    assert iterator.loaded == 3
    # Upstream's iterator has nothing to replace.
    IterSeedHook().before_train(SimpleNamespace(train_loop=SimpleNamespace(dataloader_iterator=object())))


def test_samples_of_an_epoch_have_seeds_of_their_own():
    """Also those of data sets within others."""
    pipelines = [SimpleNamespace(transforms=[]) for _ in range(2)]
    parts = [SimpleNamespace(pipeline=pipeline) for pipeline in pipelines]
    dataset = SimpleNamespace(datasets=[SimpleNamespace(dataset=parts[0]), parts[1]])
    hook = IterSeedHook()
    loop = SimpleNamespace(dataloader=range(3))
    runner = SimpleNamespace(
        seed=4, iter=0, epoch=0, train_loop=loop, train_dataloader=SimpleNamespace(dataset=dataset)
    )
    hook.before_train(runner)
    drawn = set()
    for epoch in range(3):
        runner.epoch, runner.iter = epoch, 3 * epoch
        hook.before_train_epoch(runner)
        for sample in range(10):
            for pipeline in pipelines:
                (seed,) = pipeline.transforms
                seed(dict(sample_idx=sample))
                drawn.add((epoch, sample, np.random.rand(), random.random(), torch.rand(1).item()))
    assert len(drawn) == 30  # The same in both data sets.
    assert all(len({values[place] for values in drawn}) == 30 for place in (2, 3, 4))
