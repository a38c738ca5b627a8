"""Checkpoints of a segmentor without a fusion, as mmseg publishes them."""

import copy

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from mmfusion.engine.checkpoint import compare_checkpoint
from mmfusion.registry import MODELS


@pytest.fixture
def plain(unet_config, tmp_path):
    """A segmentor of mmseg and its checkpoint."""
    torch.manual_seed(1)
    DefaultScope.get_instance('plain', scope_name='mmseg')
    segmentor = MODELS.build(unet_config()).eval()
    for value in segmentor.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.1)
    path = tmp_path / 'plain.pth'
    torch.save(dict(meta=dict(epoch=1), state_dict=segmentor.state_dict()), path)
    return segmentor, str(path)


@pytest.fixture
def lines(monkeypatch):
    """What is told of weights."""
    told = []
    monkeypatch.setattr('mmfusion.models.segmentors.weight_names.print_log', lambda text, *_: told.append(text))
    return told


@pytest.mark.parametrize('way', ['load_checkpoint', 'init_cfg'])
def test_equal_predictions(plain, model_config, make_batch, way):
    """The joint model of an average says of it what the segmentor says."""
    segmentor, path = plain
    config = model_config(fusion=dict(type='AverageFusion'))
    if way == 'init_cfg':
        model = MODELS.build({**config, 'init_cfg': dict(type='Pretrained', checkpoint=path)})
        model.init_weights()
    else:
        model = MODELS.build(config)
        load_checkpoint(model, path)
    model.eval()
    inputs, samples = make_batch()
    with torch.no_grad():
        image, _ = model.fuse(inputs)
        wanted = segmentor.encode_decode(model.normalize(image), [sample.metainfo for sample in samples])
        found = torch.stack([sample.seg_logits.data for sample in model.predict(inputs, samples)])
    assert torch.equal(found, wanted)


def test_a_run_that_loads_it(plain, make_runner):
    segmentor, path = plain
    loaded = {}

    class Look(Hook):
        def before_train(self, runner):
            loaded.update(copy.deepcopy(runner.model.segmentor.state_dict()))

    make_runner(load_from=path, max_iters=1, hooks=[dict(type='CheckpointArchitectureHook'), Look()]).train()
    for name, value in segmentor.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_counts_are_told(plain, model_config, unet_config, lines):
    _, path = plain
    model = MODELS.build(model_config(segmentor=unet_config(num_classes=5)))
    load_checkpoint(model, path)
    number = len(model.segmentor.state_dict())
    (text,) = lines
    assert f'{number - 2} of {number} weights loaded into the segmentor, 0 missing, 2 of another shape' in text
    assert 'the fusion starts anew' in text


def test_extended_layers_count_as_loaded(plain, model_config, lines):
    segmentor, path = plain
    model = MODELS.build(model_config(reads='pair', fusion=dict(type='AverageFusion')))
    load_checkpoint(model, path)
    number = len(segmentor.state_dict())
    assert f'{number} of {number} weights loaded' in lines[0]


def test_a_backbone_for_each_sensor(plain, model_config):
    segmentor, path = plain
    reads = dict(type='views', views=('visible', 'infrared'), shared=False)
    model = MODELS.build(model_config(reads=reads, fusion=dict(type='AverageFusion')))
    load_checkpoint(model, path)
    for backbone in (model.backbone.backbone, *model.backbone.others):
        for name, value in segmentor.backbone.state_dict().items():
            assert torch.equal(backbone.state_dict()[name], value), name


@pytest.mark.parametrize('prefix', ['features.', 'segmentor.features.'])
def test_nothing_that_fits(model_config, prefix):
    model = MODELS.build(model_config())
    with pytest.raises(ValueError, match=r'nothing of the checkpoint fits: it has .*features'):
        model.load_state_dict({f'{prefix}{i}.weight': torch.zeros(1) for i in range(3)}, strict=False)


def test_former_names(model_config):
    """The unfolding was called head, which rates of mmseg's decode heads reached."""
    model, other = MODELS.build(model_config()), MODELS.build(model_config())
    with torch.no_grad():
        for value in model.parameters():
            value.uniform_()
    former = {name.replace('fusion.unfolding.', 'fusion.head.'): value for name, value in model.state_dict().items()}
    assert set(former) != set(model.state_dict())
    other.load_state_dict(former)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    weights = {name.removeprefix('fusion.'): value for name, value in former.items() if name.startswith('fusion.')}
    other.fusion.load_state_dict(weights)
    assert compare_checkpoint(other, former).complete  # What testing, resuming and the inferencer ask.
    with pytest.warns(DeprecationWarning, match='head is deprecated'):
        assert other.fusion.head is other.fusion.unfolding


def test_a_head_of_another_fusion_stays(model_config):
    """Only UAAFusion has renamed its own."""
    model = MODELS.build(model_config(fusion=dict(type='AverageFusion')))
    model.fusion.head = torch.nn.Linear(1, 1)
    assert compare_checkpoint(model, model.state_dict()).complete
    model.load_state_dict(model.state_dict())
