"""tools/analysis_tools/coalitions.py."""

import json

import pytest


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/coalitions.py')


@pytest.fixture
def config(drawn_config):
    return drawn_config((48, 64), dict(type='UAAFusion', num_stages=1, channels=4), 4)


def test_table_and_files(tool, config, random_checkpoint, tmp_path, capsys):
    checkpoint = random_checkpoint(config)
    files = ['--json', str(tmp_path / 'out/errors.json'), '--out-md', str(tmp_path / 'out/errors.md')]
    line = [str(config), str(checkpoint), '--device', 'cpu', '--scenes', '2', '--pairs', '1', '4']
    assert tool.main([*line, '--reference-pairs', '8', *files]) == 0
    report = json.loads((tmp_path / 'out/errors.json').read_text())
    assert (report['scenes'], report['reference_pairs']) == (2, 8)
    assert {entry['pairs'] for entry in report['errors']} == {1, 4}
    printed = capsys.readouterr().out
    assert 'classes present' in printed
    markdown = (tmp_path / 'out/errors.md').read_text()
    for entry in report['errors']:
        assert f'{entry["mean"]:.4f}' in markdown
        assert f'{entry["mean"]:.4f}' in printed


def test_refused(tool, config, random_checkpoint, capsys):
    checkpoint = random_checkpoint(config)
    assert tool.main([str(config), str(checkpoint), '--device', 'cpu', '--scenes', '1000']) == 1
    assert '--scenes must be in 1..' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([str(config), str(checkpoint), '--pairs', '0'])
    assert '--pairs must be at least 1, got 0' in capsys.readouterr().err
