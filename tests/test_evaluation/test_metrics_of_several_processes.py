"""Metrics of two and of four processes are those of one, on the same checkpoint and pairs."""

import cv2
import numpy as np
import pytest
from mmengine.runner import Runner
from ranks import in_ranks

from mmfusion.engine.cpu_processes import join_cpu_processes

METRICS = ['EN', 'MI', 'SSIM']


@pytest.fixture
def config(run_config, model_config, pair_folder, tmp_path, random_checkpoint, plain_configs):
    """Five pairs, of which one is smaller: a number that neither two nor four processes can share out evenly."""
    data = pair_folder(tmp_path / 'data', number=5)
    for path in data.glob('*/002.png'):
        assert cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:24, :40])
    cfg = run_config(model_config(), data, tmp_path / 'run')
    cfg.test_evaluator = [
        dict(type='PerClassIoUMetric', iou_metrics=['mIoU']),
        dict(type='ProtocolIoUMetric', background='excluded', absent='zero', prefix='protocol'),
        dict(type='FusionMetric', metrics=METRICS),
    ]
    cfg.dump(tmp_path / 'tiny.py')
    cfg.load_from = str(random_checkpoint(tmp_path / 'tiny.py', gain=2))
    return cfg


def test_rank(rank, world, cfg):
    if world > 1:
        cfg.launcher = 'pytorch'
        join_cpu_processes(cfg)
    return {round_up: _tested(cfg, round_up) for round_up in (True, False)}


test_rank.__test__ = False


def _tested(cfg, round_up):
    cfg.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=False, round_up=round_up)
    cfg.experiment_name = cfg.visualizer.name = f'round_up{round_up}'
    return Runner.from_cfg(cfg).test()


def test_metrics_are_equal(config, tmp_path):
    """Whether the sampler fills the last batch with the first pairs again or not."""
    alone = in_ranks(test_rank, 1, tmp_path / 'ranks1', config)[0][True]
    assert {'mIoU', 'IoU/warm', 'protocol/mIoU (no background, absent=0)', 'fusion/SSIM'} <= set(alone)
    assert np.isfinite([alone['mIoU'], *(alone[f'fusion/{name}'] for name in METRICS)]).all()
    for world in (2, 4):
        for found in in_ranks(test_rank, world, tmp_path / f'ranks{world}', config):
            for metrics in found.values():
                # Batches of other pairs: sums in another order, far from what one pair more or less would change.
                assert metrics == pytest.approx(alone, rel=1e-7, nan_ok=True)
