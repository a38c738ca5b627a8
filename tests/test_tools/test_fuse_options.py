"""What tools/fuse.py writes and tells on request."""

import csv
import sys

import cv2
import numpy as np
import pytest

from mmfusion.evaluation import DEFAULT_METRICS, FUSION_METRICS

AVERAGE = 'average_unet-tiny_1xb4-300_synthetic-96x128'


@pytest.fixture
def fuse(load_tool, pair_folder, tmp_path):
    """Function of command-line arguments that gives the exit code, on a folder of six pairs."""
    data = pair_folder(tmp_path / 'data')
    inputs = [AVERAGE, '--ir', data / 'ir', '--vi', data / 'vi', '--out', tmp_path / 'out']
    return lambda *arguments: load_tool('fuse.py').main([str(argument) for argument in (*inputs, *arguments)])


def test_kinds_and_formats(fuse, tmp_path, capsys):
    assert fuse('--save', 'fused', 'overlays', 'labels', '--format', 'jpg') == 0
    files = {path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('00*')}
    assert files == {
        f'{kind}/00{number}.{"png" if kind == "labels" else "jpg"}'
        for kind in ('fused', 'overlays', 'labels')
        for number in range(6)
    }
    told = capsys.readouterr().out
    assert f'wrote 6 pairs to {tmp_path / "out/fused"}, {tmp_path / "out/overlays"}, {tmp_path / "out/labels"}' in told


def test_metrics(fuse, tmp_path, capsys):
    assert fuse('--metrics', 'EN', 'Nabf') == 0
    with open(tmp_path / 'out/metrics.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['name'] for row in rows] == [f'00{number}' for number in range(6)]
    mean = np.mean([float(row['EN']) for row in rows])
    told = capsys.readouterr().out
    assert f'mean of 6, all in {tmp_path / "out/metrics.csv"}:\nEN {mean:.4g}  Nabf ' in told


def test_metrics_by_default(fuse, capsys):
    assert fuse('--metrics') == 1  # VIF needs larger images than these.
    assert 'VIF over four scales needs images of at least 41x41 pixels' in capsys.readouterr().err
    assert set(DEFAULT_METRICS) < set(FUSION_METRICS)


def test_metrics_of_packages_that_are_not_there(fuse, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyiqa', None)
    assert fuse('--metrics', 'EN', 'PI') == 1
    assert 'error: the metric PI needs pyiqa, not installed here: pip install pyiqa' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_errors_are_listed(fuse, tmp_path, capsys):
    (tmp_path / 'data/ir/003.png').write_bytes(b'no image')
    assert fuse() == 1
    assert fuse('--skip-errors', '--save', 'fused') == 1
    told = capsys.readouterr()
    assert 'wrote 5 pairs' in told.out
    last = told.err.strip().splitlines()[-2:]
    assert last[0] == f'left out 1 of 6 pairs, listed in {tmp_path / "out/errors.txt"}:'
    assert last[1].startswith('003: The infrared image cannot be read')
    assert (tmp_path / 'out/errors.txt').read_text() == last[1] + '\n'
    (tmp_path / 'data/ir/003.png').write_bytes((tmp_path / 'data/ir/002.png').read_bytes())
    assert fuse('--skip-errors', '--save', 'fused') == 0
    assert not (tmp_path / 'out/errors.txt').exists()


def test_nothing_could_be_read(fuse, tmp_path, capsys):
    for path in (tmp_path / 'data/vi').iterdir():
        path.write_bytes(b'no image')
    assert fuse('--skip-errors', '--metrics', 'EN') == 1
    told = capsys.readouterr()
    assert 'wrote' not in told.out
    assert 'left out 6 of 6 pairs' in told.err


def test_pairs_that_do_not_fit(fuse, tmp_path, capsys):
    path = tmp_path / 'data/ir/002.png'
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path), 0), None, fx=2, fy=2))
    assert fuse('--save', 'fused') == 1
    assert "resize_to='vi'" in capsys.readouterr().err
    assert fuse('--save', 'fused', '--resize-to', 'vi') == 0
    # Noise has nothing in common.
    assert fuse('--save', 'fused', '--resize-to', 'vi', '--align', 'euclidean', '--skip-errors') == 1
    assert 'cannot be aligned' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'told'), [(('--save', 'masks'), 'masks'), (('--format', 'gif'), 'gif')])
def test_refused(fuse, capsys, arguments, told):
    with pytest.raises(SystemExit):
        fuse(*arguments)
    assert told in capsys.readouterr().err


def test_unknown_motion(fuse, capsys):
    assert fuse('--align', 'elastic') == 1
    assert 'motion must be one of translation, euclidean, affine, homography' in capsys.readouterr().err
