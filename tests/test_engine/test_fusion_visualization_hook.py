"""Panels of predictions while validating and testing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.engine.hooks import FusionVisualizationHook
from mmfusion.engine.hooks.fusion_visualization_hook import panel_of

CLASSES, PALETTE = ('a', 'b'), [[0, 0, 0], [200, 60, 20]]
# 100 pixels wide, so that every pixel becomes two by two; titles and gaps as in mmfusion.visualization.panel.
SIZE, FACTOR, BAR, GAP = (30, 100), 2, 22, 4


def picture(panel, number):
    """The pictures of a panel, at their own size."""
    left = number * (SIZE[1] * FACTOR + GAP)
    return panel[BAR : BAR + SIZE[0] * FACTOR : FACTOR, left : left + SIZE[1] * FACTOR : FACTOR]


def prediction(label=True, **meta):
    generator = torch.Generator().manual_seed(1)
    sample = SegDataSample(metainfo=meta)
    sample.fused_img = PixelData(data=torch.rand(3, *SIZE, generator=generator))
    sample.fusion_weights = PixelData(data=torch.rand(1, *SIZE, generator=generator))
    sample.pred_sem_seg = PixelData(data=torch.randint(0, 2, (1, *SIZE), generator=generator))
    if label:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 2, (1, *SIZE), generator=generator))
    return sample


PAIR = torch.randint(0, 256, (4, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_pictures_of_a_panel():
    sample = prediction()
    panel = panel_of(PAIR, sample, CLASSES, PALETTE)
    assert panel.shape[1] == 6 * SIZE[1] * FACTOR + 5 * GAP
    rows = PAIR.permute(1, 2, 0).numpy()
    assert np.array_equal(picture(panel, 0), rows[..., [2, 1, 0]])
    assert np.array_equal(picture(panel, 1), rows[..., [3, 3, 3]])
    fused = (sample.fused_img.data * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(picture(panel, 3), fused)
    palette = np.array(PALETTE, dtype=np.uint8)
    assert np.array_equal(picture(panel, 4), palette[sample.pred_sem_seg.data[0].numpy()])
    assert np.array_equal(picture(panel, 5), palette[sample.gt_sem_seg.data[0].numpy()])


@pytest.mark.parametrize(('direction', 'axes'), [('horizontal', [-1]), ('vertical', [-2]), ('diagonal', [-2, -1])])
def test_a_flipped_pair_is_flipped_back(direction, axes):
    expected = panel_of(PAIR, prediction(), CLASSES, PALETTE)
    flipped = panel_of(PAIR.flip(axes), prediction(flip=True, flip_direction=direction), CLASSES, PALETTE)
    assert np.array_equal(flipped, expected)


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match=r"flip_direction is 'sideways'.*horizontal, vertical, diagonal"):
        panel_of(PAIR, prediction(flip=True, flip_direction='sideways'), CLASSES, PALETTE)


def test_a_pair_of_another_size():
    large = PAIR.repeat_interleave(2, 1).repeat_interleave(2, 2).float()
    panel = panel_of(large, prediction(), CLASSES, PALETTE)
    assert np.array_equal(panel, panel_of(PAIR, prediction(), CLASSES, PALETTE))


def test_labels_that_do_not_fit_are_left_out():
    sample = prediction(label=False)
    width = panel_of(PAIR, sample, CLASSES, PALETTE).shape[1]
    assert width == 5 * SIZE[1] * FACTOR + 4 * GAP
    sample.gt_sem_seg = PixelData(data=torch.zeros(1, 15, 50, dtype=torch.long))
    assert panel_of(PAIR, sample, CLASSES, PALETTE).shape[1] == width


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match='interval must be positive, got 0; use draw=False'):
        FusionVisualizationHook(interval=0)


class Keep(Hook):
    """Keeps what the visualisation hook was given."""

    priority = 'LOWEST'

    def __init__(self):
        self.seen = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen += list(zip(data_batch['inputs'], outputs))

    after_val_iter = after_test_iter


def drawn(runner):
    return {path.name: path for path in Path(runner.work_dir).rglob('vis_image/*')}


def run(make_runner, task, **options):
    runner = make_runner(default_hooks=dict(visualization=dict(type='FusionVisualizationHook', **options)))
    keep = Keep()
    runner.register_hook(keep)
    getattr(runner, task)()
    return runner, keep.seen


def test_every_pair_of_a_test(make_runner):
    runner, seen = run(make_runner, 'test', draw=True)
    files = drawn(runner)
    assert sorted(files) == [f'test_{i:03}_{i}.png' for i in range(6)]
    meta = runner.visualizer.dataset_meta
    for i, (pair, sample) in enumerate(seen):
        expected = panel_of(pair, sample, meta['classes'], meta['palette'])
        assert np.array_equal(cv2.imread(str(files[f'test_{i:03}_{i}.png']))[..., ::-1], expected)


def test_some_pairs_of_a_validation(make_runner):
    runner, _ = run(make_runner, 'val', draw=True, interval=2)
    # Batches of two: the first image of the first and of the third one.
    assert sorted(drawn(runner)) == ['val_000_0.png', 'val_004_0.png']


def test_nothing_unless_asked_for(make_runner):
    assert drawn(run(make_runner, 'test')[0]) == {}


def test_a_window_instead_of_files(make_runner, monkeypatch):
    shown = []
    monkeypatch.setattr(
        'mmengine.visualization.Visualizer.show',
        lambda self, image, win_name, wait_time: shown.append((win_name, wait_time)),
    )
    runner, _ = run(make_runner, 'test', draw=True, show=True, wait_time=0.5)
    assert shown == [(f'test_{i:03}', 0.5) for i in range(6)]
    assert drawn(runner) == {}
