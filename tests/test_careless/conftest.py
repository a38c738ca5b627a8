"""A config of which everything can be got wrong."""

import pytest


@pytest.fixture
def config(run_config, model_config, pair_folder, plain_configs, tmp_path):
    """Its file; the data are in tmp_path/data, and the work folder would be tmp_path/run."""
    cfg = run_config(
        model_config(),
        pair_folder(tmp_path / 'data'),
        tmp_path / 'run',
        max_iters=1,
        hooks=[dict(type='CheckpointArchitectureHook'), dict(type='DataCheckHook')],
        default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=1)),
    )
    cfg.dump(tmp_path / 'tiny.py')
    return tmp_path / 'tiny.py'
