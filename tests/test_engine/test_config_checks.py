"""Overrides that make sense pass; those that do not are in tests/test_careless."""

import pytest
from mmengine.config import Config

from mmfusion.engine.config_checks import check_config, check_overrides

CONFIG = dict(
    model=dict(type='FusionSegmentor', fusion=dict(type='UAAFusion')),
    train_dataloader=dict(batch_size=2, dataset=dict(pipeline=[dict(type='LoadPairFromFile')])),
    train_cfg=dict(type='IterBasedTrainLoop', max_iters=3),
    optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
    default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook')),
    of_my_own=3,
)


@pytest.mark.parametrize(
    'overrides',
    [
        # An argument that the config leaves at its default, of a module that will know.
        {'model.fusion.channels': 16},
        {'model.fusion.attribution.estimator': 'exact'},
        {'train_dataloader.dataset.pipeline.0.ir_range': 'dtype'},
        # Parts that the config has not, and mmengine reads.
        {'compile.backend': 'eager'},
        {'activation_checkpointing': ['backbone']},
        {'efficient_conv_bn_eval': 'backbone', 'sync_bn': 'torch', 'model_wrapper_cfg.broadcast_buffers': False},
        {'auto_scale_lr.enable': True, 'find_unused_parameters': True},
        {'env_cfg.cudnn_benchmark': True, 'env_cfg.dist_cfg.backend': 'gloo'},
        {'randomness.seed': 3, 'randomness.deterministic': True},
        {'train_dataloader.disable_subprocess_warning': True, 'train_dataloader.prefetch_factor': 4},
        {'val_dataloader.batch_size': 1},
        {'default_hooks.logger.interval': 10},
        # A hook that is new.
        {'default_hooks.ema.type': 'EMAHook', 'default_hooks.ema.momentum': 0.1},
        # What the config defines for itself.
        {'of_my_own': 4},
        {'resume': True, 'load_from': 'some.pth', 'work_dir': 'here', 'visualizer.name': 'mine'},
        None,
    ],
)
def test_what_makes_sense(overrides):
    check_overrides(Config(CONFIG), overrides)


def test_without_a_type_there_is_no_new_hook():
    with pytest.raises(ValueError, match=r'no default_hooks\.ema \(from default_hooks\.ema\.momentum\)'):
        check_overrides(Config(CONFIG), {'default_hooks.ema.momentum': 0.1})


def test_a_config_that_can_be_run():
    check_config(Config(CONFIG), 'train')
