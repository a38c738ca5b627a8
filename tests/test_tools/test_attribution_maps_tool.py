"""tools/analysis_tools/attribution_maps.py."""

import json

import cv2
import numpy as np
import pytest

SIZE = (30, 45)  # odd: the network sees padding


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/attribution_maps.py')


@pytest.fixture
def config(paired_config):
    """Function of a fusion that gives a config file; the data are in tmp_path/data."""
    return lambda fusion=None: paired_config(SIZE, 3, fusion)


def test_index_and_files_are_one_pair(tool, config, random_checkpoint, tmp_path, capsys):
    config = config()
    checkpoint = random_checkpoint(config)
    data, name = tmp_path / 'data', '002.png'
    by_index = [config, checkpoint, '--index', 2, '--out', tmp_path / 'a']
    by_files = [
        config,
        checkpoint,
        '--out',
        tmp_path / 'b',
        '--ir',
        data / 'ir' / name,
        '--vi',
        data / 'vi' / name,
        '--label',
        data / 'labels' / name,
    ]
    capsys.readouterr()
    for arguments in (by_index, by_files):
        assert tool.main([str(x) for x in arguments]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f'wrote {tmp_path / "b/002.png"} {tmp_path / "b/002.json"}'
    numbers = [json.loads((tmp_path / x / '002.json').read_text()) for x in 'ab']
    assert numbers[0] == numbers[1]
    label = cv2.imread(str(data / 'labels' / name), cv2.IMREAD_UNCHANGED)
    assert {k: v['pixels'] for k, v in numbers[0]['classes'].items()} == {
        k: int((label == c).sum()) for c, k in enumerate(('background', 'warm', 'printed'))
    }
    for entry in numbers[0]['classes'].values():
        for source in ('infrared', 'visible'):
            part = entry['convergence'][source]
            for rule in ('right', 'gauss_legendre'):
                expected = np.abs(np.array(part['integral'][rule]) - part['score_difference'])
                np.testing.assert_allclose(part['delta'][rule], expected, atol=1e-7)
    # Two renderings of one thing, and not an empty page.
    a, b = (cv2.imread(str(tmp_path / x / '002.png')) for x in 'ab')
    assert np.array_equal(a, b)
    assert a.std() > 20


def test_messages(tool, config, random_checkpoint, tmp_path, capsys):
    config = config()
    checkpoint = random_checkpoint(config)
    data = tmp_path / 'data'
    pair = ['--ir', data / 'ir/000.png', '--vi', data / 'vi/000.png']
    cv2.imwrite(str(tmp_path / 'wrong.png'), np.full(SIZE, 7, np.uint8))

    def error(*arguments):
        assert tool.main([str(x) for x in (config, checkpoint, '--out', tmp_path / 'out', *arguments)]) == 1
        text = capsys.readouterr().err
        assert text.count('\n') == text.count('error: ') == 1
        return text

    capsys.readouterr()
    assert '--index must be in 0..2' in error('--index', 3)
    assert 'are files here' in error('--ir', data / 'ir', '--vi', data / 'vi')
    assert 'holds the id(s) [7]' in error(*pair, '--label', tmp_path / 'wrong.png')
    assert 'steps=0' in error(*pair, '--steps', 0)
    assert not (tmp_path / 'out').exists()
    for arguments in ([], pair[:2], [*pair, '--index', 0], ['--index', 0, '--label', 'x']):
        with pytest.raises(SystemExit) as end:
            tool.main([str(x) for x in (config, checkpoint, '--out', 'o', *arguments)])
        assert end.value.code == 2
