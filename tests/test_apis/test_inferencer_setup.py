"""Which weights and classes FusionInferencer takes, and what it refuses."""

import re

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmfusion.apis import FusionInferencer
from mmfusion.apis.inputs import build_pipeline

AVERAGE = dict(type='AverageFusion')


def pair():
    return np.full((21, 30), 90, np.uint8), np.full((21, 30, 3), 100, np.uint8)


# Weights and classes ---------------------------------------------------------------------------------------------


def test_checkpoint_of_another_architecture(config, checkpoint, unet_config, tmp_path):
    with pytest.raises(ValueError, match=r'checkpoint\.pth is of another architecture .* 2 have another shape'):
        FusionInferencer(config(), checkpoint(segmentor=unet_config(num_classes=5)))
    with pytest.raises(ValueError, match=r'5 are missing, such as .*fusion\.unfolding\.embed_ir'):
        FusionInferencer(config(), checkpoint(drop=('fusion.unfolding.embed_ir',)))
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        FusionInferencer(config(), tmp_path / 'absent.pth')
    for content in (b'', b'no weights'):
        (tmp_path / 'broken.pth').write_bytes(content)
        with pytest.raises(ValueError, match=r'broken\.pth cannot be read'):
            FusionInferencer(config(), tmp_path / 'broken.pth')
    torch.save([1, 2], tmp_path / 'broken.pth')
    with pytest.raises(ValueError, match=r'broken\.pth holds a list'):
        FusionInferencer(config(), tmp_path / 'broken.pth')


def test_random_weights_are_told(config, checkpoint, warnings):
    FusionInferencer(config(AVERAGE))
    assert 'so its labels mean nothing' in warnings[-1]
    FusionInferencer(config())
    assert 'so its fused images, weights and labels mean nothing' in warnings[-1]
    learns = dict(type='UAAFusion', weights='gate', num_stages=1, channels=2)
    pipeline = [dict(type='LoadPairFromFile'), dict(type='PackFusionInputs')]
    FusionInferencer(Config(dict(model=dict(type='FusionModel', fusion=learns), test_pipeline=pipeline)))
    assert 'so its fused images and weights mean nothing' in warnings[-1]
    del warnings[:]
    FusionInferencer()  # A rule, without classes.
    assert not warnings
    path = checkpoint()
    FusionInferencer(config(), path)
    assert warnings == []
    # Everything fits, but the checkpoint knows another fusion.
    FusionInferencer(config(AVERAGE), path)
    assert re.search(r'checkpoint\.pth has \d+ weights that the model has not, .*fusion\.', warnings[-1])


def test_weights_of_the_checkpoint_are_used(config, checkpoint, model_config):
    path = checkpoint()
    torch.manual_seed(5)
    fuse = FusionInferencer(config(), path, device='cpu')
    expected = torch.load(path, weights_only=True)['state_dict']
    state = fuse.model.state_dict()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert not fuse.model.training


def test_classes_of_the_checkpoint_come_first(config, checkpoint):
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c'), palette=[[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    result = FusionInferencer(config(), checkpoint(meta))
    assert result.classes == ('a', 'b', 'c')
    assert result.palette == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    # Those of another number of classes are not this model's.
    meta['dataset_meta']['classes'] = ('a', 'b')
    assert FusionInferencer(config(), checkpoint(meta)).classes == ('background', 'warm', 'printed')


def test_unknown_classes_are_numbered(config, unet_config):
    fuse = FusionInferencer(config(AVERAGE, segmentor=unet_config(num_classes=5)), device='cpu')
    assert fuse.classes == ('0', '1', '2', '3', '4')
    assert len({tuple(color) for color in fuse.palette}) == 5


def test_scope_of_the_process_stays(config):
    DefaultScope.get_instance('mine', scope_name='mmseg')
    FusionInferencer(config(AVERAGE))
    assert DefaultScope.get_current_instance().scope_name == 'mmseg'


# Refusals --------------------------------------------------------------------------------------------------------


def test_configs_that_do_not_fuse(config, unet_config):
    cfg = config()
    cfg.model = unet_config()
    with pytest.raises(TypeError, match='is a EncoderDecoder, which does not fuse'):
        FusionInferencer(cfg)
    cfg.pop('model')
    with pytest.raises(ValueError, match='no model'):
        FusionInferencer(cfg)
    cfg = config()
    cfg.pop('test_dataloader')
    with pytest.raises(ValueError, match='no test pipeline'):
        FusionInferencer(cfg)
    cfg.test_pipeline = [dict(type='LoadPairFromFile'), dict(type='PackFusionInputs')]
    assert FusionInferencer(cfg).classes == ('0', '1', '2')


def test_a_pipeline_of_mmseg_is_read_as_one_for_pairs(config, data):
    cfg = config(AVERAGE)
    wanted = FusionInferencer(cfg)(data / 'ir', data / 'vi')['fused']
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    cfg.test_dataloader.dataset.pipeline = steps
    found = FusionInferencer(cfg)(data / 'ir', data / 'vi')['fused']
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted))
    with pytest.raises(ValueError, match='single images by LoadImageFromFile'):
        build_pipeline(dict(test_pipeline=[LoadImageFromFile()]))


def test_devices(config):
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        FusionInferencer(config(AVERAGE), device='gpu')
    with pytest.raises(ValueError, match='there is no device cuda:99'):
        FusionInferencer(config(AVERAGE), device='cuda:99')
    expected = 'cuda' if torch.cuda.is_available() else 'cpu'
    assert FusionInferencer(config(AVERAGE)).device.type == expected


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(ir=np.zeros((4, 4, 5), np.uint8)), r'one or three channels, .* ir has shape \(4, 4, 5\)'),
        (dict(ir=np.zeros((4, 4), np.uint8)), 'vi has 21x30 and ir has 4x4 pixels'),
        (dict(ir=np.zeros((0, 4), np.uint8)), r'ir is empty: its shape is \(0, 4\)'),
        (dict(ir=np.zeros((21, 30), np.int64)), 'ir holds int64 values, whose range is unknown'),
        (dict(ir=np.full((21, 30), np.nan)), 'ir holds NaN or infinite'),
        (dict(ir=np.full((21, 30), np.inf)), 'ir holds NaN or infinite'),
        (dict(ir=np.full((21, 30), 256.0)), 'ir holds values from 256 to 256; .* 0..255 scale'),
        (
            dict(ir=np.full((21, 30), 0.5)),
            'ir holds values from 0.5 to 0.5, which would be black: .* Multiply it by 255',
        ),
        (dict(ir=[], vi=[]), 'nothing to fuse'),
        (dict(ir=[np.zeros((21, 30), np.uint8)] * 2), '2 infrared and 1 visible'),
        (dict(batch_size=0), 'batch_size must be a positive whole number, got 0'),
        (dict(batch_size=True), 'batch_size must be a positive whole number, got True'),
        (dict(allow_unpaired=True), 'allow_unpaired is for folders'),
    ],
)
def test_wrong_values(average, change, message):
    ir, vi = pair()
    with pytest.raises(ValueError, match=message):
        average(**{**dict(ir=ir, vi=vi), **change})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(ir=3), 'ir must be a path, an array, a list of them or a folder, got int'),
        (dict(ir=[None], vi=['a.png']), r'ir\[0\] must be a path or an array, got NoneType'),
        (dict(ir='a.png'), 'ir and vi are an array and a path; read the file'),
        (dict(vi=torch.zeros(3, 21, 30)), 'vi must be a path, an array, a list of them or a folder, got Tensor'),
    ],
)
def test_wrong_types(average, change, message):
    ir, vi = pair()
    with pytest.raises(TypeError, match=message):
        average(**{**dict(ir=ir, vi=vi), **change})


def test_wrong_files(average, data, tmp_path):
    file = data / 'ir/000.png'
    with pytest.raises(FileNotFoundError, match=r'visible image does not exist: .*absent'):
        average(file, data / 'vi/absent.png')
    with pytest.raises(ValueError, match='ir is a folder, but vi is none, or does not exist'):
        average(data / 'ir', data / 'vi/000.png')
    with pytest.raises(ValueError, match=r'vi\[0\] is a folder'):
        average([file], [data / 'vi'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match="folder of 'vi_path' has no file"):
        average(data / 'ir', tmp_path / 'empty')
    assert cv2.imwrite(str(data / 'vi/003.png'), np.zeros((8, 9), np.uint8))
    with pytest.raises(ValueError, match=r'must have the same size, but .*vi/003\.png has 8x9 and .*ir/003\.png has'):
        average(data / 'ir', data / 'vi', batch_size=6)


def test_pipeline_that_rejects(config):
    cfg = config(AVERAGE)
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='SkipLowContrast'))
    flat = np.full((20, 30), 9, np.uint8)
    with pytest.raises(ValueError, match=r'rejects the pair 000000'):
        FusionInferencer(cfg, device='cpu')(flat, flat)
