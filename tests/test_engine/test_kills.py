"""Training processes that are really killed, and go on: nothing that was saved is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from checkpoint_tensors import flatten
from mmengine.runner import CheckpointLoader

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS = 5
HOOKS = [
    dict(type='CheckpointArchitectureHook'),
    dict(type='IterSeedHook'),
    dict(type='AttributionFusionLossHook', source='ema', momentum=0.2, warmup_iters=1, ramp_iters=3, interval=1),
]


@pytest.fixture
def train(tool, run_config, model_config, unet_config, pair_folder, plain_configs, tmp_path):
    """Function that trains in a folder by tools/train.py, with all that draws random numbers; one file is kept."""
    run_config(
        model_config(unet_config(dropout=0.3)),
        pair_folder(tmp_path / 'data'),
        tmp_path / 'run',
        max_iters=ITERATIONS,
        hooks=HOOKS,
        augment=True,
        param_scheduler=[dict(type='PolyLR', power=1.0, eta_min=1e-4, by_epoch=False, begin=0, end=ITERATIONS)],
        default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=1)),
    ).dump(tmp_path / 'tiny.py')

    def run(folder, *options):
        return tool('train', tmp_path / 'tiny.py', '--work-dir', tmp_path / folder, *options)

    return run


def assert_same(folder, other):
    contents = []
    for each in (folder, other):
        assert [path.name for path in each.glob('*.pth')] == [f'iter_{ITERATIONS}.pth']
        contents.append(CheckpointLoader.load_checkpoint(str(each / f'iter_{ITERATIONS}.pth'), map_location='cpu'))
    for part in ('state_dict', 'attribution_source', 'optimizer'):
        one, two = (dict(flatten(content[part])) for content in contents)
        assert one.keys() == two.keys()
        assert [name for name in one if not torch.equal(one[name], two[name])] == []


def in_a_process(action):
    """Do something in a process of its own, which may be killed; gives its number."""
    process = os.fork()
    if process:
        return process
    status = 1
    with suppress(BaseException):
        status = action()
    os._exit(status)


def ended(process):
    """Wait for it; the number of the signal that killed it, or 0."""
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, 'the run failed by itself'
    return 0


def kill_at(call):
    """Let the process kill itself at one of its calls that write, replace or remove a file."""
    count = 0

    def dying(name, real):
        def function(*args):
            nonlocal count
            count += 1
            if count == call:
                if name == 'fsync' and os.fstat(args[0]).st_size:
                    with suppress(OSError):  # A folder.
                        os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)  # Half of it has reached the disk.
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args)

        return function

    for name in ('fsync', 'replace', 'remove'):
        setattr(os, name, dying(name, getattr(os, name)))


# A checkpoint makes six calls, and a seventh where an older one is removed: these are the second and the third one.
CALLS = range(7, 21)


@pytest.mark.parametrize(
    'call', [7, 8, 10, 13, *(pytest.param(n, marks=pytest.mark.slow) for n in CALLS if n not in (7, 8, 10, 13))]
)
def test_killed_inside_a_write(train, tmp_path, call):
    assert train('whole') == 0

    def killed():
        kill_at(call)
        return train('killed')

    assert ended(in_a_process(killed)) == signal.SIGKILL
    whole = list((tmp_path / 'killed').glob('*.pth'))
    assert whole  # Never without one, though one is kept only.
    for path in whole:
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    assert train('killed', '--resume') == 0
    assert_same(tmp_path / 'killed', tmp_path / 'whole')
    assert not list((tmp_path / 'killed').glob('.*'))


def kill_at_random(train, tmp_path, kills, seed):
    """Runs that are killed and resumed until that many were killed and the last one came to its end."""
    draw = random.Random(seed)
    assert train('whole') == 0
    start = time.monotonic()
    assert ended(in_a_process(lambda: train('timed'))) == 0
    duration = time.monotonic() - start
    count = run = 0
    while count < kills:
        run += 1
        while True:
            process = in_a_process(lambda folder=f'run{run}': train(folder, '--resume'))
            time.sleep(draw.uniform(0.1, 1.0) * duration)
            os.kill(process, signal.SIGKILL)
            if not ended(process):
                break
            count += 1
            if count >= kills:
                assert ended(in_a_process(lambda folder=f'run{run}': train(folder, '--resume'))) == 0
                break
        assert_same(tmp_path / f'run{run}', tmp_path / 'whole')
    return count


def test_killed_at_any_moment(train, tmp_path):
    assert kill_at_random(train, tmp_path, kills=3, seed=0) == 3


@pytest.mark.slow
def test_killed_at_any_of_twenty_moments(train, tmp_path):
    assert kill_at_random(train, tmp_path, kills=20, seed=1) == 20


@pytest.mark.slow
@pytest.mark.parametrize(('number', 'group'), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)])
def test_signals_and_persistent_workers(run_config, model_config, pair_folder, tmp_path, number, group):
    """The whole command in a process group of its own, which a terminal signals as a whole."""
    cfg = run_config(
        model_config(),
        pair_folder(tmp_path / 'data'),
        tmp_path / 'run',
        max_iters=100_000,
        hooks=[dict(type='IterSeedHook')],
        num_workers=2,
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
            checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=100_000),
        ),
        log_level='INFO',
    )
    cfg.dump(tmp_path / 'tiny.py')
    command = [sys.executable, str(ROOT / 'tools/train.py'), str(tmp_path / 'tiny.py')]
    with open(tmp_path / 'out.txt', 'w') as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=dict(os.environ, OMP_NUM_THREADS='1'),
        )
        deadline = time.monotonic() + 120
        while 'Iter(train)' not in (tmp_path / 'out.txt').read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        (os.killpg if group else os.kill)(process.pid, number)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number, errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f'{number.name}: stopped after iteration'), errors
    assert last.endswith(f'tools/train.py {tmp_path}/tiny.py --resume')
    (path,) = (tmp_path / 'run').glob('iter_*.pth')
    assert CheckpointLoader.load_checkpoint(str(path), map_location='cpu')['meta']['iter'] == int(path.stem[5:])
    assert 'Traceback' not in errors


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one and a half MiB."""
    folder = tmp_path / 'small'
    folder.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=1536k', 'tmpfs', str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f'no file system can be mounted here: {mounted.stderr.strip()}')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=False)


def test_a_disk_that_fills_up(train, small_disk, tmp_path, capfd):
    """The run stops, and the last checkpoint that fitted is whole."""
    assert train('whole') == 0
    size = (tmp_path / 'whole/iter_5.pth').stat().st_size
    (small_disk / 'ballast').write_bytes(bytes(1536 * 1024 - int(1.7 * size)))  # One fits, and a part of the next.
    assert train('small/run') == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f'error: [Errno 28] {small_disk}/run/iter_')
    assert 'could not be written (No space left on device): it takes 0.2 MiB, and 0.' in last
    assert 'MiB were free on that disk' in last
    (left,) = (small_disk / 'run').glob('*.pth')
    assert not list((small_disk / 'run').glob('.*'))
    CheckpointLoader.load_checkpoint(str(left), map_location='cpu')
    (small_disk / 'ballast').unlink()
    assert train('small/run', '--resume') == 0
    assert_same(small_disk / 'run', tmp_path / 'whole')
