"""Fusing where nobody names a config."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmfusion.apis import FusionInferencer
from mmfusion.models import SalienceFusion
from mmfusion.models.color import merge_luminance, split_luminance


@pytest.fixture
def pairs(pair_folder, tmp_path):
    return pair_folder(tmp_path / 'data', number=2, size=(48, 64))


def test_as_the_rule_says(pairs):
    result = FusionInferencer(device='cpu')(ir=pairs / 'ir', vi=pairs / 'vi')
    assert result['names'] == ['000', '001']
    assert result['classes'] == ()
    assert 'labels' not in result
    vi = cv2.imread(str(pairs / 'vi/001.png'))[..., ::-1].copy()
    ir = cv2.imread(str(pairs / 'ir/001.png'), cv2.IMREAD_GRAYSCALE)
    visible, infrared = (torch.from_numpy(image).float().div(255) for image in (vi, ir))
    luminance, chroma = split_luminance(visible.permute(2, 0, 1)[None])
    expected = merge_luminance(SalienceFusion()(infrared[None, None], luminance).fused, chroma)[0].permute(1, 2, 0)
    assert np.abs(result['fused'][1].astype(float) - 255 * expected.clamp(0, 1).numpy()).max() <= 0.51


def test_files(pairs, tmp_path):
    fuse = FusionInferencer(device='cpu')
    fuse(ir=pairs / 'ir', vi=pairs / 'vi', out_dir=tmp_path / 'out', return_arrays=False)
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['fused', 'panels', 'weights']
    panel = cv2.imread(str(tmp_path / 'out/panels/000.png'))
    with_classes = FusionInferencer('average_unet-tiny_1xb4-300_synthetic-96x128', device='cpu')
    with_classes(ir=pairs / 'ir', vi=pairs / 'vi', out_dir=tmp_path / 'more', return_arrays=False)
    # A picture less: there is no prediction.
    assert panel.shape[1] < cv2.imread(str(tmp_path / 'more/panels/000.png')).shape[1]
    for kind in ('labels', 'overlays'):
        with pytest.raises(ValueError, match='takes a model that knows classes, and this one fuses only'):
            fuse(ir=pairs / 'ir', vi=pairs / 'vi', out_dir=tmp_path / 'out', save=('fused', kind))


def test_checkpoint_without_a_config():
    with pytest.raises(ValueError, match=r'the checkpoint model\.pth needs the config that it was trained with'):
        FusionInferencer(checkpoint='model.pth')


def test_trained_without_labels(pairs, tmp_path):
    """A FusionModel that learned something: by config and checkpoint, as any other model."""
    fusion = dict(type='UAAFusion', weights='gate', gate=dict(type='SalienceGate'), num_stages=2, channels=4)
    pipeline = [dict(type='LoadPairFromFile'), dict(type='PackFusionInputs')]
    cfg = Config(dict(model=dict(type='FusionModel', fusion=fusion), test_pipeline=pipeline))
    random = FusionInferencer(cfg, device='cpu')
    torch.save(dict(state_dict=random.model.state_dict()), tmp_path / 'model.pth')
    pair = dict(ir=pairs / 'ir/000.png', vi=pairs / 'vi/000.png')
    again = FusionInferencer(cfg, tmp_path / 'model.pth', device='cpu')
    assert np.array_equal(random(**pair)['fused'][0], again(**pair)['fused'][0])


def test_command(tool, pairs, tmp_path, capsys):
    code = tool('fuse', '--ir', pairs / 'ir', '--vi', pairs / 'vi', '--out', tmp_path / 'out', '--metrics', 'EN')
    out = capsys.readouterr().out
    assert code == 0
    assert 'wrote 2 pairs to' in out
    assert 'labels' not in out
    assert len(list((tmp_path / 'out/fused').iterdir())) == 2
