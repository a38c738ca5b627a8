"""The scripts for several processes, on CPUs: mmengine's launcher by itself would want a GPU for each."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.device import get_device

ROOT = Path(__file__).resolve().parents[2]


def start(script, *arguments):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    # torchrun lies beside the interpreter, and the package may be imported from here alone.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    packages = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    environment = dict(os.environ, PATH=path, PYTHONPATH=packages, PORT=str(port), OMP_NUM_THREADS='1')
    command = ['bash', str(ROOT / 'tools' / script), *map(str, arguments)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.skipif(get_device() != 'cpu', reason='with an accelerator, mmengine wants one for each process')
def test_train_and_test_in_two_processes(paired_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # mmengine gathers results in a folder below this one.
    config = paired_config((32, 48), 5)
    options = ['--cfg-options', 'log_level=INFO', 'default_hooks.checkpoint.interval=2', 'train_cfg.max_iters=2']
    start('dist_train.sh', config, 2, '--work-dir', tmp_path / 'run', *options)
    told = start('dist_test.sh', config, tmp_path / 'run/iter_2.pth', 2, '--cfg-options', 'log_level=INFO')
    assert 'Iter(test) [2/2]' in told  # Five pairs in batches of two, shared out among two.
    assert 'fusion/EN' in told
