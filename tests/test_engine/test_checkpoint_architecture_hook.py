"""Checkpoints of another architecture are refused before they do harm."""

import copy
from types import SimpleNamespace

import pytest
import torch

from mmfusion.engine.hooks import CheckpointArchitectureHook
from mmfusion.registry import MODELS

HOOKS = (dict(type='CheckpointArchitectureHook'),)


@pytest.fixture
def save(model_config, unet_config, tmp_path):
    """Function that writes a checkpoint of a model with so many classes; returns its path and weights."""

    def write(classes=3, name='checkpoint.pth', drop=(), prefix='', bare=False):
        torch.manual_seed(classes)
        weights = MODELS.build(model_config(unet_config(num_classes=classes))).state_dict()
        weights = {prefix + key: value for key, value in weights.items() if not key.startswith(tuple(drop) or ' ')}
        path = tmp_path / name
        torch.save(weights if bare else dict(meta={}, state_dict=weights), path)
        return str(path), weights

    return write


@pytest.fixture
def runner(make_runner):
    def make(load_from, hooks=HOOKS, **options):
        # No step size: what is loaded is what is there in the end.
        return make_runner(
            load_from=load_from,
            hooks=hooks,
            max_iters=1,
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0)),
            **options,
        )

    return make


def equal_weights(model, weights, prefix=''):
    state = model.state_dict()
    return [
        name
        for name in weights
        if name.startswith(prefix)
        and 'running' not in name
        and 'tracked' not in name
        and not torch.equal(state[name], weights[name])
    ] == []


def test_same_architecture_is_loaded(runner, save):
    path, weights = save()
    tested = runner(path)
    tested.test()
    assert equal_weights(tested.model, weights)


@pytest.mark.parametrize('options', [dict(prefix='module.'), dict(bare=True)])
def test_other_layouts_of_the_file(runner, save, options):
    path, weights = save(**options)
    tested = runner(path)
    tested.test()
    assert equal_weights(tested.model, {name.removeprefix('module.'): value for name, value in weights.items()})


def test_testing_is_strict_with_a_config_that_can_train(runner, save):
    path, _ = save(classes=5)
    with pytest.raises(
        ValueError,
        match=r'checkpoint\.pth is of another architecture .* and 2 have another shape: '
        r'segmentor\.decode_head\.conv_seg\.bias \(5,\) where the model has \(3,\)',
    ):
        runner(path).test()
    path, _ = save(drop=('fusion.unfolding.embed_ir',))
    with pytest.raises(ValueError, match=r"5 are missing, such as \['fusion\.unfolding\.embed_ir\.0\.bias'"):
        runner(path).test()


def test_the_switch(runner, save):
    path, weights = save(drop=('fusion.unfolding.embed_ir',))
    tested = runner(path, hooks=[dict(type='CheckpointArchitectureHook', strict=False)])
    tested.test()
    assert equal_weights(tested.model, weights)


def test_fine_tuning_takes_what_fits(runner, save):
    path, weights = save(classes=5)
    tuned = runner(path)
    tuned.train()
    del weights['segmentor.decode_head.conv_seg.weight'], weights['segmentor.decode_head.conv_seg.bias']
    assert equal_weights(tuned.model, weights)


@pytest.mark.parametrize('strict', [True, False])
def test_nothing_in_common_is_refused(runner, tmp_path, strict):
    torch.save(dict(state_dict={'backbone.conv.weight': torch.zeros(3)}), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'0 of \d+ weights fit, .* The checkpoint has 1 that the model has not'):
        runner(str(tmp_path / 'other.pth'), hooks=[dict(type='CheckpointArchitectureHook', strict=strict)]).train()


def test_resuming_is_strict(runner, save):
    path, _ = save(classes=5)
    with pytest.raises(ValueError, match='is of another architecture'):
        runner(path, resume=True).train()


def test_message_without_a_path():
    """`--resume` finds its file by itself."""
    runner = SimpleNamespace(model=torch.nn.Linear(2, 2), _train_loop=None, _resume=True, _load_from=None)
    with pytest.raises(ValueError, match=r'^the checkpoint is of another architecture'):
        CheckpointArchitectureHook().after_load_checkpoint(runner, dict(state_dict={'weight': torch.zeros(3, 2)}))


def test_test_time_augmentation(make_runner, model_config, save):
    """The wrapped model is compared, and averages a pass of each kind."""
    path, weights = save()
    load = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations')]
    flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]

    def run(transforms):
        runner = make_runner(
            model=dict(type='SegTTAModel', module=model_config()),
            load_from=path,
            hooks=HOOKS,
            test_evaluator=[dict(type='PerClassIoUMetric', iou_metrics=['mIoU'])],
        )
        augment = dict(type='TestTimeAug', transforms=[transforms, [dict(type='PackFusionInputs')]])
        runner._test_dataloader['dataset']['pipeline'] = [*copy.deepcopy(load), augment]
        runner._test_dataloader['batch_size'] = 1
        metrics = runner.test()
        assert equal_weights(runner.model.module, weights)
        return metrics

    both, single = run(flips), run(flips[:1])
    assert 0 <= both['mIoU'] <= 100
    plain = make_runner(load_from=path, hooks=HOOKS).test()
    assert single['mIoU'] == plain['mIoU']
