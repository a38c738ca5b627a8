"""Programs of torch.export say what the model says, at sizes that no exporter has seen."""

import json

import pytest
import torch

from mmfusion.deploy import export_program

DEMONSTRATION = 'uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128'
VIEWS = 'uaafusion-views_efficientnet-lite0_1xb4-300_cwfid-160x192'
DEEPLAB = 'uaafusion-gate_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256'


def agree(path, model, pairs, predicted, as_input, shapes):
    notes = {'mmfusion.json': ''}
    module = torch.export.load(path, extra_files=notes).module()
    names = [name for name in json.loads(notes['mmfusion.json']) if name in ('fused', 'weight_ir', 'scores')]
    for shape in shapes:
        wanted = predicted(model, pairs(*shape))
        with torch.no_grad():
            found = dict(zip(names, module(as_input(pairs(*shape))), strict=True))
        for name, value in found.items():
            torch.testing.assert_close(value, wanted[name], atol=1e-4, rtol=0)
    return module, names


GATED = dict(type='UAAFusion', weights='gate', num_stages=1, channels=2)


@pytest.mark.parametrize('fusion', [dict(type='MaximumFusion'), pytest.param(GATED, marks=pytest.mark.slow)])
def test_fusion_alone(tiny, pairs, predicted, as_input, tmp_path, fusion):
    model = tiny(fusion=fusion, refine=None)
    found = export_program(model, tmp_path / 'model.pt2', part='fusion')
    assert list(found) == ['fused', 'weight_ir']
    shapes = [(1, 96, 128), (2, 75, 141), (3, 200, 64)]
    module, names = agree(tmp_path / 'model.pt2', model, pairs, predicted, as_input, shapes)
    assert names == ['fused', 'weight_ir']
    with pytest.raises(Exception, match='64'):
        module(as_input(pairs(1, 40, 64)))


@pytest.mark.slow
@pytest.mark.parametrize('name', [DEMONSTRATION, VIEWS, DEEPLAB], ids=lambda name: name[:22])
def test_joint_models(named, pairs, predicted, as_input, tmp_path, name):
    model = named(name).model
    export_program(model, tmp_path / 'model.pt2')
    _, names = agree(tmp_path / 'model.pt2', model, pairs, predicted, as_input, [(1, 96, 128), (2, 75, 141)])
    assert names == ['fused', 'weight_ir', 'scores']


def test_a_fixed_size(tiny, pairs, predicted, as_input, tmp_path):
    model = tiny(fusion=dict(type='AverageFusion'), reads='fused', refine=None)
    export_program(model, tmp_path / 'model.pt2', size=(66, 70))
    module, _ = agree(tmp_path / 'model.pt2', model, pairs, predicted, as_input, [(1, 66, 70)])
    with pytest.raises(Exception, match='66'):
        module(as_input(pairs(1, 64, 70)))


def test_a_size_that_became_a_number_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr('mmfusion.deploy.deployed_fusion.replace_layers', lambda module: None)
    model = tiny(fusion=dict(type='AverageFusion'), reads='fused', refine=None)
    with pytest.raises(ValueError, match='cannot be exported; fix the size of its pairs'):
        export_program(model, tmp_path / 'model.pt2')
    assert not list(tmp_path.iterdir())
