"""docs/own_pairs.md: its configs are written and its commands run, in its order; its messages are those of the code."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs/own_pairs.md').read_text('utf-8')
# A config has its path in the line before it.
CONFIGS = re.findall(r'`(mine/[\w.-]+\.py)`:\n\n```python\n(.*?)```', PAGE, flags=re.S)
COMMANDS = [
    line
    for block in re.findall(r'```bash\n(.*?)```', PAGE, flags=re.S)
    for line in block.splitlines()
    if line.startswith('python ')
]


def test_there_is_something_to_run():
    assert len(CONFIGS) == 4
    assert len(COMMANDS) == 14
    assert PAGE.count('```python') == len(CONFIGS)


def test_messages_are_those_of_the_code():
    code = ' '.join(path.read_text('utf-8') for path in (ROOT / 'mmfusion').rglob('*.py'))
    # Strings are broken over lines, and have values in them.
    code = re.sub(r"'\s*\n\s*f?'", '', code)
    messages = re.findall(r'^\| `([^`]+)` \|', PAGE[PAGE.index('| message |') :], flags=re.M)
    assert len(messages) == 10
    assert not [message for message in messages if message not in code]


def test_metrics_are_all_there():
    from mmfusion.evaluation import FUSION_METRICS

    rows = PAGE[PAGE.index('| metric |') : PAGE.index('More is not always better')].splitlines()[2:]
    assert {name for row in rows if row for name in row.split('|')[1].replace(' ', '').split(',')} == set(
        FUSION_METRICS
    )


@pytest.mark.slow
def test_all_commands(load_tool, pair_folder, tmp_path, monkeypatch, forget_globals, plain_configs, capsys):
    for split, number in (('train', 10), ('test', 2)):
        pair_folder(tmp_path / 'data/mine' / split, number=number, size=(64, 96))
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    for name, text in CONFIGS:
        # As the page has it, but for minutes of training and weights that may not be installed.
        short = '\ntrain_cfg = dict(max_iters=2, val_interval=2)\ndefault_hooks = dict(checkpoint=dict(interval=2))\n'
        if name.startswith('mine/uaafusion'):
            short += "model['segmentor']['backbone'] = dict(init_cfg=None)\n"
        (tmp_path / name).write_text(text + (short if './uaafusion' not in text else ''))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    for command in COMMANDS:
        forget_globals()
        # One seed is as good as two here.
        shorter = command.replace('iter_300', 'iter_2').replace('--seeds 0 1', '--seeds 0')
        _, tool, *arguments = shlex.split(shorter)
        arguments = [
            str(found) for text in arguments for found in (sorted(Path().glob(text)) if '*' in text else [text])
        ]
        code = load_tool(tool.removeprefix('tools/')).main(arguments)
        captured = capsys.readouterr()
        assert not code, f'{command}\n{captured.out[-2000:]}\n{captured.err[-3000:]}'
    assert len(list(Path('work_dirs/fused/test/fused').iterdir())) == 2
    assert len(list(Path('data/mine/train/pseudo/labels').iterdir())) == 10
    assert '<table' in Path('work_dirs/report.html').read_text()
    assert Path('work_dirs/model.onnx').stat().st_size > 1e5
