"""Released checkpoints through the converter: into a FusionSegmentor, weight by weight and by their numbers."""

import errno
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmfusion.engine import atomic_files
from mmfusion.engine.hooks import CheckpointArchitectureHook
from mmfusion.registry import MODELS
from mmfusion.released import RELEASED_FUSION, RELEASED_HEAD

DATA = Path(__file__).resolve().parents[1] / 'data'
MODEL = dict(
    type='FusionSegmentor',
    fusion=dict(type='UAAFusion', num_stages=2, channels=32, **RELEASED_FUSION, head=dict(RELEASED_HEAD)),
    normalize=dict(mean=[0.0], std=[255.0]),
    scorer=dict(score='sigmoid', mode='keep'),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(
            type='DilatedMobileNetV2',
            in_channels=1,
            strides=(1, 2, 2, 2, 1, 1, 1),
            dilations=(1, 1, 1, 1, 1, 1, 2),
            rest_dilations=(1, 1, 1, 1, 1, 2, 1),
            out_indices=(1, 6),
        ),
        decode_head=dict(type='ReleasedDeepLabHead', num_classes=15),
    ),
)


@pytest.fixture
def converter(load_tool):
    return load_tool('model_converters/released_to_mmfusion.py')


@pytest.fixture
def released(released_checkpoint, tmp_path):
    """Function that writes parts of the released checkpoint."""

    def write(*parts, prefix='', **others):
        checkpoint = {part: {prefix + k: v for k, v in released_checkpoint[part].items()} for part in parts}
        torch.save({**checkpoint, **others}, tmp_path / 'released.pth')
        return tmp_path / 'released.pth'

    return write


@pytest.fixture
def reference():
    with np.load(DATA / 'uaafusion_released.npz') as fusion, np.load(DATA / 'released_segmentor.npz') as segmentor:
        return {name: torch.from_numpy(part[name]) for part in (fusion, segmentor) for name in part.files}


def near(actual, expected):
    return actual.shape == expected.shape and (actual - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_numbers(converter, released, reference, tmp_path):
    done = converter.convert(released('model_f', 'model_s', epoch=40), tmp_path / 'new/converted.pth')
    channels = reference['model_f/blockflow.0.conv1.conv_unit.0.weight'].shape[0]
    assert done == [f'fusion network with 2 stages of {channels} channels', 'segmentor']
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['converted.pth']
    checkpoint = torch.load(tmp_path / 'new/converted.pth', weights_only=True)
    assert checkpoint['meta']['source'] == 'released.pth'

    model = MODELS.build({**MODEL, 'fusion': {**MODEL['fusion'], 'channels': channels}}).eval()
    runner = SimpleNamespace(model=model, _train_loop=None, _resume=False, _load_from='')
    CheckpointArchitectureHook().after_load_checkpoint(runner, checkpoint)
    model.load_state_dict(checkpoint['state_dict'], strict=True)

    with torch.no_grad():
        assert near(model.scorer()(reference['input'])[:, :, ::2, ::2], reference['output'])

        def stand_in(x):
            x = F.conv2d(x, reference['segmentor/c1.weight'], reference['segmentor/c1.bias'], padding=1).relu()
            return F.conv2d(x, reference['segmentor/c2.weight'], reference['segmentor/c2.bias'], padding=1).sigmoid()

        result = model.fusion(reference['ir'], reference['vi'], stand_in, reference['label'])
        assert near(result.fused, reference['fused'])
        assert near(result.weight_ir, reference['w_ir'])

        # And together, through the model.
        inputs = torch.cat([reference['vi'].expand(-1, 3, -1, -1), reference['ir']], dim=1)[:1]
        sample = model.predict(inputs)[0]
        expected = model.fusion(inputs[:, 3:], inputs[:, :1], model.scorer()).fused
    assert torch.allclose(sample.fused_img.data, expected[0].expand(3, -1, -1), atol=1e-5)
    assert sample.seg_logits.data.shape == (15, 48, 64)


@pytest.mark.parametrize(('part', 'name'), [('model_f', 'fusion.'), ('model_s', 'segmentor.')])
def test_one_network(converter, released, tmp_path, part, name):
    converter.convert(released('model_f', 'model_s'), tmp_path / 'both.pth')
    assert len(converter.convert(released(part, prefix='module.'), tmp_path / 'one.pth')) == 1
    both = torch.load(tmp_path / 'both.pth', weights_only=True)['state_dict']
    one = torch.load(tmp_path / 'one.pth', weights_only=True)['state_dict']
    assert set(one) == {key for key in both if key.startswith(name)}
    assert all(torch.equal(value, both[key]) for key, value in one.items())


def write_text(path):
    path.write_text('not a checkpoint')


def write_list(path):
    torch.save([torch.zeros(1)], path)


def write_other_keys(path):
    torch.save(dict(state_dict={}, epoch=3), path)


def write_other_fusion(path):
    torch.save(dict(model_f={'conv1.weight': torch.zeros(1)}), path)


def write_other_segmentor(path):
    torch.save(dict(model_s={'conv1.weight': torch.zeros(1)}), path)


def write_no_weights(path):
    torch.save(dict(model_f=3), path)


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (lambda path: None, 'no checkpoint at '),
        (write_text, 'cannot be read: it is no file of PyTorch'),
        (write_list, 'holds a list, not weights by name'),
        (write_other_keys, "holds neither model_f nor model_s, but ['epoch', 'state_dict']"),
        (write_other_fusion, 'not a released UAAFusion network'),
        (write_other_segmentor, 'not a released UAAFusion segmentor'),
        (write_no_weights, "no weights of 'model_f' found"),
    ],
)
def test_refusals_leave_nothing_behind(converter, tmp_path, capsys, write, message):
    write(tmp_path / 'source.pth')
    assert converter.main([str(tmp_path / 'source.pth'), str(tmp_path / 'out/target.pth')]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith('error: ')
    assert message in captured.err
    assert captured.out == ''
    assert not (tmp_path / 'out').exists()


def test_an_older_target_survives_a_refusal(converter, tmp_path):
    (tmp_path / 'target.pth').write_text('older')
    write_text(tmp_path / 'source.pth')
    assert converter.main([str(tmp_path / 'source.pth'), str(tmp_path / 'target.pth')]) == 1
    assert (tmp_path / 'target.pth').read_text() == 'older'


def test_a_full_disk_leaves_nothing_behind(converter, released, tmp_path, monkeypatch):
    source = released('model_f')

    def full(descriptor):
        """Whatever was written does not get to the disk."""
        raise OSError(errno.ENOSPC, 'no space left on device')

    monkeypatch.setattr(atomic_files.os, 'fsync', full)
    with pytest.raises(OSError, match='no space left'):
        converter.convert(source, tmp_path / 'out/target.pth')
    assert list((tmp_path / 'out').iterdir()) == []


def test_command_line(converter, released, tmp_path, capsys):
    assert converter.main([str(released('model_s')), str(tmp_path / 'target.pth')]) == 0
    assert capsys.readouterr().out == f'{tmp_path / "target.pth"}: segmentor\n'
    with pytest.raises(SystemExit) as end:
        converter.main(['--help'])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert 'source' in text
    assert 'target' in text
