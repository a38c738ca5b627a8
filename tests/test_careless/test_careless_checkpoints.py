"""Files that are no checkpoint, or not this one's: named, with what to do, by everything that loads them."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmfusion.apis import FusionInferencer
from mmfusion.registry import MODELS


def broken(weights, value, which):
    name = next(name for name in weights if which in name)
    weights[name] = torch.full_like(weights[name], value)
    return weights


class Hidden:
    def __reduce__(self):
        return print, ('executed',)


# Name to (what is written, what is told). Weights are those of the model.
FILES = {
    'empty': (lambda path, weights: path.write_bytes(b''), 'cannot be read: it is no file of PyTorch'),
    'text': (lambda path, weights: path.write_text('iter 300'), 'cannot be read: it is no file of PyTorch'),
    'html': (lambda path, weights: path.write_text('<!DOCTYPE html><title>404</title>'), 'cannot be read'),
    'png': (lambda path, weights: path.write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(99)), 'cannot be read'),
    'arrays': (lambda path, weights: np.savez(path.open('wb'), weight=np.zeros(3)), 'cannot be read'),
    'pickle': (lambda path, weights: path.write_bytes(pickle.dumps(Hidden())), 'cannot be read'),
    'code': (
        lambda path, weights: torch.save(dict(state_dict=weights, x=Hidden()), path),
        'more than data, namely print',
    ),
    'whole model': (
        lambda path, weights: torch.save(torch.nn.Linear(2, 2), path),
        'more than data, namely torch.nn.modules',
    ),
    'list': (lambda path, weights: torch.save([1, 2], path), 'holds a list, not weights by name'),
    'number': (lambda path, weights: torch.save(3, path), 'holds a int, not weights by name'),
    'tensor': (lambda path, weights: torch.save(torch.zeros(3), path), 'holds a Tensor, not weights by name'),
    'nothing': (lambda path, weights: torch.save({}, path), 'holds no weights by name, but nothing'),
    'other key': (lambda path, weights: torch.save(dict(model=weights), path), "no weights by name, but 'model'; save"),
    'no dict': (lambda path, weights: torch.save(dict(state_dict=[1]), path), "no weights by name, but 'state_dict'"),
    'NaN': (
        lambda path, weights: torch.save(dict(state_dict=broken(weights, np.nan, 'conv')), path),
        'NaN or infinite values in 1',
    ),
    'infinite': (
        lambda path, weights: torch.save(dict(state_dict=broken(weights, np.inf, 'conv')), path),
        'had diverged',
    ),
    'NaN statistics': (
        lambda path, weights: torch.save(dict(state_dict=broken(weights, np.nan, 'running_var')), path),
        'had diverged',
    ),
    'half': (
        lambda path, weights: torch.save(dict(state_dict=dict(list(weights.items())[::2])), path),
        'is of another architecture than the config',
    ),
    'another network': (
        lambda path, weights: torch.save(dict(state_dict=dict(weight=torch.zeros(2, 2))), path),
        'is of another architecture than the config: 0 of',
    ),
    'text as meta': (
        lambda path, weights: torch.save(dict(state_dict=weights, meta='epoch 3'), path),
        'has a str as `meta`',
    ),
    'list as classes': (
        lambda path, weights: torch.save(dict(state_dict=weights, meta=dict(dataset_meta=['a'])), path),
        'has a list as `meta.dataset_meta`',
    ),
    'folder': (lambda path, weights: path.mkdir(), 'no checkpoint at'),
    'missing': (lambda path, weights: None, 'no checkpoint at'),
}


@pytest.fixture(scope='module')
def weights(model_config):
    with DefaultScope.overwrite_default_scope('mmfusion'):
        return MODELS.build(model_config()).state_dict()


@pytest.fixture
def file(tmp_path, weights):
    def write(name):
        path = tmp_path / 'given.pth'
        FILES[name][0](path, dict(weights))
        return path

    return write


def check(told, name):
    assert 'given.pth' in told
    assert FILES[name][1] in told
    assert len(told.splitlines()) == 1
    assert 'executed' not in told


@pytest.mark.parametrize('name', FILES)
def test_test(told, config, file, tmp_path, name):
    check(told('test', config, file(name)), name)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('name', FILES)
def test_fuse(told, paired_config, file, tmp_path, name):
    config = paired_config((32, 48), 2)
    folders = ('--ir', tmp_path / 'data/ir', '--vi', tmp_path / 'data/vi', '--out', tmp_path / 'out')
    check(told('fuse', config, file(name), *folders), name)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', FILES)
def test_inferencer(paired_config, file, name):
    with pytest.raises((ValueError, OSError)) as error:
        FusionInferencer(str(paired_config((32, 48), 2)), file(name), device='cpu')
    check(str(error.value), name)


# Fine-tuning starts with what fits, and mmengine looks for the file.
@pytest.mark.parametrize('name', [name for name in FILES if name not in ('half', 'folder', 'missing')])
def test_load_from(told, config, file, tmp_path, name):
    check(told('train', config, '--cfg-options', f'load_from={file(name)}'), name)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('name', ['empty', 'text', 'code', 'list', 'other key', 'half', 'text as meta'])
def test_resume_from_the_folder(told, config, tmp_path, file, name):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/last_checkpoint').write_text(str(file(name)))
    line = told('train', config, '--resume')
    assert 'given.pth' in line
    assert 'can be resumed from' in line


@pytest.mark.parametrize('tool_name', ['evidence', 'attribution_maps', 'coalitions', 'interventions'])
@pytest.mark.parametrize('name', ['code', 'NaN'])
def test_analysis_tools(load_tool, capfd, drawn_config, model_config, unet_config, tmp_path, tool_name, name):
    config = drawn_config((32, 48))
    weights = MODELS.build(model_config(unet_config(4))).state_dict()
    FILES[name][0](tmp_path / 'given.pth', dict(weights))
    more = ['--index', '0', '--out', str(tmp_path / 'out')] if tool_name == 'attribution_maps' else []
    assert load_tool(f'analysis_tools/{tool_name}.py').main([str(config), str(tmp_path / 'given.pth'), *more]) == 1
    check(capfd.readouterr().err.strip().splitlines()[-1], name)


class Greets:
    def __reduce__(self):
        return print, ('hello from the checkpoint',)


@pytest.mark.parametrize('tool_name', ['test', 'fuse'])
def test_trusted_by_its_owner(tool, capfd, config, weights, tmp_path, tool_name):
    torch.save(dict(state_dict=weights, greeting=Greets()), tmp_path / 'mine.pth')
    folders = ['--ir', tmp_path / 'data/ir', '--vi', tmp_path / 'data/vi', '--out', tmp_path / 'out']
    arguments = [tool_name, config, tmp_path / 'mine.pth', *(folders if tool_name == 'fuse' else [])]
    assert tool(*arguments) == 1
    assert 'hello' not in capfd.readouterr().out
    assert tool(*arguments, '--trust-checkpoint') == 0
    assert 'hello from the checkpoint' in capfd.readouterr().out


def test_a_released_checkpoint_trusted_by_its_owner(load_tool, released_checkpoint, capfd, tmp_path):
    """What the message advises is an option of the converter as well."""
    torch.save(dict(released_checkpoint, greeting=Greets()), tmp_path / 'mine.pth')
    convert = load_tool('model_converters/released_to_mmfusion.py').main
    arguments = [str(tmp_path / 'mine.pth'), str(tmp_path / 'new.pth')]
    assert convert(arguments) == 1
    told = capfd.readouterr()
    assert 'hello' not in told.out
    assert 'pass --trust-checkpoint' in told.err
    assert convert([*arguments, '--trust-checkpoint']) == 0
    assert 'hello from the checkpoint' in capfd.readouterr().out
    assert (tmp_path / 'new.pth').is_file()
