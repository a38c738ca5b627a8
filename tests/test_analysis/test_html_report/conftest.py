"""Work folders as compare.py leaves them, without a training."""

import json
from pathlib import Path

import pytest

ENVIRONMENT = """2026/01/02 03:04:05 - mmengine - INFO -
System environment:
    sys.platform: linux
    Python: 3.11.7 (main, May  9 2026) [GCC 12.2.0]
    CUDA available: True
    GPU 0: NVIDIA T4
    PyTorch: 2.9.0
  - CPU capability usage: AVX2
"""
CONFIG = {'train_cfg.max_iters': 20, 'test_dataloader.dataset.type': 'CWFIDDataset'}


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(json.dumps(record) for record in records) + '\n')


@pytest.fixture
def write_run(tmp_path):
    """Function of (name of the config, seed, test results, ...) that writes a run into tmp_path/work; its folder."""

    def write(name, seed, test=None, *, losses=(), validations=(), log='', config=None, folder='baselines'):
        run = tmp_path / 'work' / f'{name}_s{seed}'
        start = run / '20260102_030405'
        train = [{'loss': loss, 'head.loss_ce': loss / 2, 'iter': 10 * i, 'step': 10 * i} for i, loss in losses]
        write_lines(start / 'vis_data/scalars.json', [*train, *({'mIoU': x, 'step': 10 * i} for i, x in validations)])
        (start / f'{start.name}.log').write_text(ENVIRONMENT)
        results = {} if test is None else {'test': test}
        record = dict(config={**CONFIG, 'randomness.seed': seed, **(config or {})}, seconds=90.0, results=results)
        record['checkpoint'] = None if test is None else 'iter_20.pth'
        (run / 'comparison.json').write_text(json.dumps(record))
        command = f'$ python tools/train.py configs/{folder}/{name}.py --work-dir {run}\n'
        (run / 'comparison.log').write_text(command + log)
        return run

    return write


@pytest.fixture
def work(write_run):
    """The folder of a comparison: two data sets, one baseline, a method of ours with two seeds on the first."""

    def figures(miou, sky, **fusion):
        return {'mIoU': miou, 'IoU/sky': sky, 'IoU/road <b>': miou - 5, **{f'fusion/{k}': v for k, v in fusion.items()}}

    losses = [(1, 2.0), (2, 1.0)]
    write_run('early_unet_20_a', 0, figures(50.0, 60.0, EN=6.0, MSE=100.0), losses=losses)
    write_run('early_unet_20_a', 1, figures(54.0, 62.0, EN=6.2, MSE=120.0), losses=losses)
    write_run('early_unet_20_b', 0, figures(80.0, 90.0), losses=losses)
    ours = dict(losses=[(1, 4.0), (2, 3.0)], validations=[(1, 40.0), (2, 55.0)], folder='ours')
    write_run('ours_unet_20_a', 0, figures(61.0, 70.0, EN=6.5, MSE=90.0), **ours)
    last = write_run('ours_unet_20_a', 1, figures(58.0, 72.0, EN=6.4, MSE=95.0), **ours)
    return Path(last).parent
