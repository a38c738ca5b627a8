"""The command that exports models."""

import pytest
import torch

from mmfusion.deploy import export
from mmfusion.registry import MODELS

AVERAGE = 'average_unet-tiny_1xb4-300_synthetic-96x128'
DEMONSTRATION = 'uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128'


@pytest.fixture
def trained(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Config file and checkpoint of a tiny model whose test pipeline resizes."""
    fusion = dict(type='UAAFusion', weights='gate', num_stages=1, channels=4)
    cfg = run_config(model_config(fusion=fusion), pair_folder(tmp_path / 'data', number=1), tmp_path / 'run')
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale=(48, 32)))
    cfg.dump(tmp_path / 'tiny.py')
    torch.save(dict(state_dict=MODELS.build(model_config(fusion=fusion)).state_dict()), tmp_path / 'tiny.pth')
    return tmp_path / 'tiny.py', tmp_path / 'tiny.pth'


def test_onnx(tool, trained, tmp_path, capsys):
    pytest.importorskip('onnxruntime', reason="needs pip install 'mmfusion[onnx]'")
    pytest.importorskip('onnx')
    path = tmp_path / 'out/model.onnx'
    assert tool('export', *trained, '--out', path, '--labels') == 0
    told = capsys.readouterr().out
    assert f'wrote {path} (' in told
    assert 'any number of pairs, sides of at least 64' in told
    assert 'blue, green, red, infrared' in told
    assert 'largest difference to PyTorch: fused ' in told
    assert 'not part of the file, to be done before: Resize of the test pipeline' in told
    outputs = export.onnx_runner(str(path))(torch.rand(1, 4, 70, 80))
    assert [tuple(output.shape) for output in outputs] == [(1, 3, 70, 80), (1, 1, 70, 80), (1, 70, 80)]


def test_program_of_a_fixed_size(tool, tmp_path, capsys):
    path = tmp_path / 'fusion'
    options = ('--part', 'fusion', '--format', 'pt2', '--fixed-size', 64, 70)
    assert tool('export', AVERAGE, '--out', path, *options) == 0
    told = capsys.readouterr().out
    assert 'one pair of 64 x 70 at a time' in told
    assert 'not part of the file' not in told
    fused, weight = torch.export.load(path).module()(torch.full((1, 4, 64, 70), 51.0))
    torch.testing.assert_close(fused, torch.full((1, 3, 64, 70), 0.2))
    assert weight.unique().tolist() == [0.5]


def test_messages(told, trained, tmp_path, monkeypatch):
    config, checkpoint = trained
    out = ('--out', tmp_path / 'model.onnx')
    assert 'is of another architecture' in told('export', DEMONSTRATION, checkpoint, *out)
    assert 'name it .onnx or .pt2' in told('export', config, checkpoint, '--out', tmp_path / 'model.trt')
    monkeypatch.setattr(export.importlib.util, 'find_spec', lambda name: None)
    assert "pip install 'mmfusion[onnx]'" in told('export', config, checkpoint, *out)
    assert 'is a folder' in told('export', config, checkpoint, '--out', tmp_path, '--format', 'pt2')
    (tmp_path / 'file').write_text('')
    assert 'choose another place' in told('export', config, checkpoint, '--out', tmp_path / 'file/model.pt2')
    attributed = 'uaafusion_unet-tiny_1xb4-300_synthetic-96x128'
    assert 'train with weights="gate"' in told('export', attributed, '--out', tmp_path / 'model.pt2')
    assert not list(tmp_path.glob('model*'))
