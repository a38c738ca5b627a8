"""ONNX Runtime says what PyTorch says, at sizes and numbers of pairs that no exporter has seen."""

import json

import pytest
import torch

from mmfusion.apis import FusionInferencer
from mmfusion.deploy import export, export_onnx, onnx_runner

pytest.importorskip('onnx', reason="needs pip install 'mmfusion[onnx]'")
pytest.importorskip('onnxruntime', reason="needs pip install 'mmfusion[onnx]'")

DEMONSTRATION = 'uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128'
VIEWS = 'uaafusion-views_efficientnet-lite0_1xb4-300_cwfid-160x192'
DEEPLAB = 'uaafusion-gate_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256'
TWO_VIEWS = 'two-views_efficientnet-lite0_1xb4-300_cwfid-160x192'
SHAPES = [(1, 96, 128), (2, 75, 141), (1, 200, 64), (3, 64, 64)]


def agree(path, names, model, pairs, predicted, as_input, shapes=SHAPES):
    run = onnx_runner(str(path))
    for shape in shapes:
        wanted = predicted(model, pairs(*shape))
        found = dict(zip(names, run(as_input(pairs(*shape))), strict=True))
        for name, value in found.items():
            assert value.shape == wanted[name].shape
            torch.testing.assert_close(value, wanted[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    'name', [DEMONSTRATION, VIEWS, TWO_VIEWS, pytest.param(DEEPLAB, marks=pytest.mark.slow)], ids=lambda name: name[:22]
)
def test_joint_models(named, pairs, predicted, as_input, tmp_path, name):
    model = named(name).model
    found = export_onnx(model, tmp_path / 'model.onnx')
    assert list(found) == ['fused', 'weight_ir', 'scores']
    assert max(found.values()) < 1e-4
    agree(tmp_path / 'model.onnx', found, model, pairs, predicted, as_input)


def test_fusion_alone(named, pairs, predicted, as_input, tmp_path):
    model = named(DEMONSTRATION).model
    found = export_onnx(model, tmp_path / 'fusion.onnx', part='fusion')
    assert list(found) == ['fused', 'weight_ir']
    agree(tmp_path / 'fusion.onnx', found, model, pairs, predicted, as_input)


def test_rule_without_training(pairs, as_input, tmp_path):
    """What fuses where nobody names a config, at other sizes."""
    model = FusionInferencer(device='cpu').model
    export_onnx(model, tmp_path / 'rule.onnx')
    run = onnx_runner(str(tmp_path / 'rule.onnx'))
    for shape in SHAPES:
        pair = as_input(pairs(*shape))
        image, result = model.fuse(pair[:, [2, 1, 0, 3]] / 255)
        for told, wanted in zip(run(pair), (image, result.weight_ir), strict=True):
            torch.testing.assert_close(told, wanted, atol=1e-4, rtol=0)


def test_labels(tiny, pairs, predicted, as_input, tmp_path):
    model = tiny()
    found = export_onnx(model, tmp_path / 'model.onnx', labels=True)
    assert list(found) == ['fused', 'weight_ir', 'labels']
    run = onnx_runner(str(tmp_path / 'model.onnx'))
    for shape in SHAPES:
        told, wanted = run(as_input(pairs(*shape)))[2], predicted(model, pairs(*shape))
        assert told.dtype == torch.int64
        assert (told != wanted['labels']).float().mean() < 1e-3  # Where two scores are equal but for rounding.


@pytest.mark.parametrize(
    'options',
    [
        dict(fusion=dict(type='LaplacianPyramidFusion'), reads='fused', refine=None),
        dict(fusion=dict(type='UAAFusion', weights='gate', num_stages=2, channels=4)),  # Features at full resolution.
        dict(data_preprocessor=dict(type='FusionDataPreProcessor', size=(80, 96)), fusion=dict(type='MaximumFusion')),
    ],
    ids=['pyramid', 'full resolution', 'padded to a size'],
)
def test_tiny_models(tiny, pairs, predicted, as_input, tmp_path, options):
    if 'data_preprocessor' in options:
        options = dict(options, segmentor=_without_divisions())
    model = tiny(**options)
    found = export_onnx(model, tmp_path / 'model.onnx')
    agree(tmp_path / 'model.onnx', found, model, pairs, predicted, as_input)


def _without_divisions():
    """A segmentor for any size: mmseg's UNet takes none that it cannot halve."""
    backbone = dict(
        type='MobileNetV2',
        widen_factor=0.25,
        out_indices=(0, 1),
        norm_cfg=dict(type='BN'),
        strides=(1,) * 7,
        dilations=(1,) * 7,
    )
    head = dict(
        type='FCNHead',
        in_channels=8,
        in_index=0,
        channels=8,
        num_convs=0,
        concat_input=False,
        num_classes=3,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    return dict(
        type='EncoderDecoder', backbone=backbone, decode_head=head, train_cfg=dict(), test_cfg=dict(mode='whole')
    )


def test_a_fixed_size(tiny, pairs, predicted, as_input, tmp_path):
    model = tiny()
    found = export_onnx(model, tmp_path / 'model.onnx', size=(66, 90))
    agree(tmp_path / 'model.onnx', found, model, pairs, predicted, as_input, [(1, 66, 90)])
    with pytest.raises(Exception, match='Got invalid dimensions'):
        onnx_runner(str(tmp_path / 'model.onnx'))(as_input(pairs(1, 64, 90)))


def test_a_size_that_became_a_number_is_found(named, tmp_path, monkeypatch):
    """Without the replaced layers the graph holds for the traced size only; no file tells lies."""
    monkeypatch.setattr('mmfusion.deploy.deployed_fusion.replace_layers', lambda module: None)
    path = tmp_path / 'model.onnx'
    with pytest.raises(ValueError, match=r'pairs? of .*is not written; fix the size of its pairs .*--fixed-size'):
        export_onnx(named(DEMONSTRATION).model, path)
    assert not path.exists()


def test_a_divisor_too_small_is_found(named, tmp_path):
    inferencer = named(TWO_VIEWS)
    inferencer.model.data_preprocessor.test_target = (None, 8)
    with pytest.raises(ValueError, match=r'differs from the prediction .*data_preprocessor\.size_divisor'):
        export_onnx(inferencer.model, tmp_path / 'model.onnx')


def test_a_model_that_fails_by_itself(tiny, tmp_path):
    """mmseg's UNet refuses sides that it cannot halve."""
    model = tiny(data_preprocessor=dict(type='FusionDataPreProcessor'))
    with pytest.raises(ValueError, match=r'(cannot be exported|the model itself fails).*size_divisor'):
        export_onnx(model, tmp_path / 'model.onnx')


def test_metadata(tiny, tmp_path):
    import onnx

    export_onnx(tiny(), tmp_path / 'a/model.onnx', classes=('soil', 'crop', 'weed'))
    model = onnx.load(tmp_path / 'a/model.onnx')
    notes = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(notes['classes']) == ['soil', 'crop', 'weed']
    assert notes['pair'].startswith('float32 (N, 4, H, W), 0..255: blue, green, red, infrared')
    assert notes['sizes'] == 'any number of pairs, sides of at least 64 pixels'
    (pair,) = model.graph.input
    assert (pair.name, pair.doc_string) == ('pair', notes['pair'])
    assert [axis.dim_param or axis.dim_value for axis in pair.type.tensor_type.shape.dim] == [
        'batch',
        4,
        'height',
        'width',
    ]
    assert [value.name for value in model.graph.output] == ['fused', 'weight_ir', 'scores']


def test_missing_packages(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(export.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs onnx and onnxruntime, .*pip install 'mmfusion\[onnx\]'"):
        export_onnx(tiny(), tmp_path / 'model.onnx')


def test_places_that_cannot_be_written(tiny, tmp_path):
    with pytest.raises(IsADirectoryError, match='is a folder; give the path of the file'):
        export_onnx(tiny(), tmp_path)
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match=r'cannot be written .*choose another place'):
        export_onnx(tiny(), tmp_path / 'file/model.onnx')
