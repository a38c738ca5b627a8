"""Config files that are none, or that nothing can be made of: the file, the line and the remedy."""

import pytest

GOOD = (
    "model = dict(type='FusionSegmentor', fusion=dict(type='AverageFusion'), segmentor=dict(type='EncoderDecoder'))\n"
)
# What is in the file, what is told when it is used to train, and when it is used to fuse (the same unless said).
FILES = {
    'empty': ('', ['no model']),
    'a comment': ('# nothing yet\n', ['no model']),
    'syntax': ("a = 1\nmodel = dict(type='X'\n", ['given.py', 'line 2']),
    'indent': ('a = 1\n    b = 2\n', ['given.py', 'line 2']),
    'unknown name': ('a = 1\n\nmodel = segmentor\n', ['given.py', 'line 3', "'segmentor' is not defined"]),
    'division': ('a = 1\nb = a / 0\n', ['given.py', 'line 2', 'division by zero']),
    'custom import': ("custom_imports = dict(imports=['no_such_package'])\n" + GOOD, ['no_such_package']),
    'base is missing': ("_base_ = './nowhere.py'\n", ['given.py', 'nowhere.py']),
    'base of an unknown package': ("_base_ = 'mmnothing::some/a.py'\n", ['given.py', 'mmnothing']),
    'base is itself': ("_base_ = './given.py'\n", ['given.py']),
    'two bases say the same': ("_base_ = ['./one.py', './two.py']\n", ['given.py', 'a']),
    'unknown key of a base': ("_base_ = './one.py'\nb = _base_.b\n", ['given.py', "'b'"]),
    'model is text': ("model = 'UAAFusion'\n", ['no model']),
    'model is a list': ('model = []\n', ['no model']),
    'model without type': ('model = dict(fusion=dict())\n', ['no model']),
    'unknown model': ("model = dict(type='Fusion')\n", ['no train_cfg'], ['no test pipeline']),
    'model alone': (GOOD, ['no train_cfg'], ['no test pipeline']),
    'text': ('Dear Sir or Madam,\n', ['given.py', 'line 1']),
    'bytes': (b'\x00\x01\xff\xfe', ['given.py']),
    'latin 1': ('# Größe\nmodel = dict()\n'.encode('latin-1'), ['given.py']),
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    def write(name):
        content = FILES[name][0]
        (tmp_path / 'one.py').write_text('a = 1\n')
        (tmp_path / 'two.py').write_text('a = 2\n')
        (tmp_path / 'given.py').write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.chdir(tmp_path)
        return tmp_path / 'given.py'

    return write


def check(line, words):
    for word in words:
        assert word in line, line
    assert len(line) < 500, line


@pytest.mark.parametrize('name', FILES)
def test_train(told, file, tmp_path, name):
    path = file(name)
    before = sorted(tmp_path.iterdir())
    check(told('train', path), FILES[name][1])
    assert sorted(each for each in tmp_path.iterdir() if each.name != '__pycache__') == before


@pytest.mark.parametrize('name', FILES)
def test_fuse(told, file, tmp_path, name):
    check(told('fuse', file(name), '--ir', 'ir.png', '--vi', 'vi.png', '--out', tmp_path / 'out'), FILES[name][-1])


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('nowhere.py', ['no config at nowhere.py']),
        ('configs/nowhere', ['no config at configs/nowhere']),
        (
            'uaafusion_unet',
            ["is called 'uaafusion_unet'", 'closest names: uaafusion_unet-tiny_1xb4-300_cwfid'],
        ),
        ('', ['no config']),
        ('.', ['no config']),
        ('given.json', ['no model']),
        ('given.txt', ['given.txt']),
    ],
)
@pytest.mark.parametrize('tool_name', ['train', 'fuse'])
def test_paths(told, tmp_path, monkeypatch, path, words, tool_name):
    monkeypatch.chdir(tmp_path)
    for name in ('given.json', 'given.txt'):
        (tmp_path / name).write_text('{}')
    more = () if tool_name == 'train' else ('--ir', 'ir.png', '--vi', 'vi.png', '--out', 'out')
    check(told(tool_name, path, *more), words)
