"""A run that saves in every iteration."""

import pytest

SAFE = dict(type='SafeCheckpointHook', by_epoch=False, interval=1)


@pytest.fixture
def run(make_runner, tmp_path):
    """Function that trains in one folder and gives the runner."""

    def start(max_iters=4, hooks=(), checkpoint=None, folder='run', **options):
        runner = make_runner(
            work_dir=tmp_path / folder,
            max_iters=max_iters,
            hooks=[dict(type='IterSeedHook'), *hooks],
            default_hooks=dict(checkpoint={**SAFE, **(checkpoint or {})}),
            **options,
        )
        runner.train()
        return runner

    return start
