"""From the files to the model's input, through mmengine's own data loader and the dataset bases of the configs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image

import mmfusion.datasets
from mmfusion.models.data_preprocessor import FusionDataPreProcessor

ROOT = Path(__file__).resolve().parents[2]
DATA = (ROOT / '../shared/data').resolve()
BASES = {'msrs_weak': 'msrs_256x256.py', 'msrs_png': 'msrs_256x256.py', 'cwfid': 'cwfid_256x256.py'}
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f'no image pairs at {DATA}')


def loader(name, split, batch_size, **pipeline):
    config = Config.fromfile(ROOT / 'configs/_base_/datasets' / BASES[name])
    cfg = config[f'{split}_dataloader'].to_dict()
    cfg.update(batch_size=batch_size, num_workers=0, persistent_workers=False)
    cfg['dataset'].update(data_root=str(DATA / name), **pipeline)
    with DefaultScope.overwrite_default_scope('mmfusion'):
        return Runner.build_dataloader(cfg, seed=0), config


@pytest.mark.parametrize('name', ['msrs_weak', 'cwfid'])
def test_training_batches(name):
    np.random.seed(0)
    train, config = loader(name, 'train', 3)
    size = tuple(side + 16 for side in config.crop_size)
    preprocess = FusionDataPreProcessor(size=size)
    num_classes = len(train.dataset.metainfo['classes'])
    for _, data in zip(range(3), train):
        batch = preprocess(data, training=True)
        inputs = batch['inputs']
        assert inputs.shape == (3, 4, *size)
        assert inputs.dtype == torch.float32
        assert 0 <= inputs.min() < 0.3 < inputs.max() <= 1
        for sample in batch['data_samples']:
            label = sample.gt_sem_seg.data
            height, width = sample.img_shape
            assert sample.img_shape == config.crop_size
            inside = torch.zeros(label.shape, dtype=torch.bool)
            inside[:, :height, :width] = True
            assert (label[~inside] == 255).all()
            assert (label[inside] < num_classes).all()
            assert sample.ori_shape == ((480, 640) if name == 'msrs_weak' else (483, 648))
            assert Path(sample.ir_path).stem == Path(sample.img_path).stem
            assert Path(sample.ir_path).parent.name == 'ir'


@pytest.mark.parametrize('name', ['msrs_png', 'cwfid'])
def test_testing_gives_the_files_themselves(name):
    test, _ = loader(name, 'test', 2)
    data = next(iter(test))
    batch = FusionDataPreProcessor(test_cfg=dict(size_divisor=32))(data)
    # JPEG decoders may differ by a grey value or two.
    tolerance = 1e-6 if name == 'msrs_png' else 2.1 / 255
    for pair, sample in zip(batch['inputs'], batch['data_samples']):
        height, width = sample.ori_shape
        vi = np.asarray(Image.open(sample.vi_path).convert('RGB')) / 255
        ir = np.asarray(Image.open(sample.ir_path).convert('L')) / 255
        pair = pair.numpy()
        np.testing.assert_allclose(pair[:3, :height, :width], vi.transpose(2, 0, 1), atol=tolerance)
        np.testing.assert_allclose(pair[3, :height, :width], ir, atol=tolerance)
        np.testing.assert_array_equal(
            pair[:, height:, :width], np.repeat(pair[:, height - 1 : height, :width], pair.shape[1] - height, axis=1)
        )
        assert pair.shape[1] % 32 == pair.shape[2] % 32 == 0
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0], np.asarray(Image.open(sample.seg_map_path)))


def test_crops_and_flips_hit_both_images_and_the_label():
    """Found again in the original by template matching in infrared, then visible and label are compared there."""
    crop = (96, 128)
    pipeline = [
        dict(type='LoadPairFromFile'),
        dict(type='LoadPairAnnotations'),
        dict(type='RandomCrop', crop_size=crop),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackFusionInputs'),
    ]
    np.random.seed(1)
    train, _ = loader('msrs_weak', 'train', 4, pipeline=pipeline)
    flips, corners = set(), set()
    for _, data in zip(range(3), train):
        batch = FusionDataPreProcessor()(data, training=True)
        for pair, sample in zip(batch['inputs'], batch['data_samples']):
            flips.add(bool(sample.flip))
            pair, label = pair.numpy(), sample.gt_sem_seg.data[0].numpy()
            if sample.flip:
                assert sample.flip_direction == 'horizontal'
                pair, label = pair[..., ::-1], label[..., ::-1]
            ir = cv2.imread(sample.ir_path, cv2.IMREAD_GRAYSCALE)
            template = np.ascontiguousarray(np.rint(pair[3] * 255).astype(np.uint8))
            _, _, (x, y), _ = cv2.minMaxLoc(cv2.matchTemplate(ir, template, cv2.TM_SQDIFF))
            corners.add((x, y))
            window = slice(y, y + crop[0]), slice(x, x + crop[1])
            np.testing.assert_array_equal(ir[window], template)
            vi = cv2.cvtColor(cv2.imread(sample.vi_path), cv2.COLOR_BGR2RGB)[window] / 255
            np.testing.assert_allclose(pair[:3].transpose(1, 2, 0), vi, atol=1e-6)
            np.testing.assert_array_equal(label, np.asarray(Image.open(sample.seg_map_path))[window])
    assert flips == {True, False}
    assert len(corners) > 8


def test_distortion_changes_visible_only():
    plain = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations'), dict(type='PackFusionInputs')]
    distorted = [
        *plain[:2],
        dict(type='ApplyToModality', modality='visible', transforms=[dict(type='PhotoMetricDistortion')]),
        plain[2],
    ]
    before, after = (loader('msrs_png', 'test', 4, pipeline=pipeline)[0] for pipeline in (plain, distorted))
    np.random.seed(0)
    before, after = (torch.stack(next(iter(batches))['inputs']) for batches in (before, after))
    assert torch.equal(before[:, 3], after[:, 3])
    assert (before[:, :3] != after[:, :3]).float().mean() > 0.3


def test_unequal_sizes_are_refused_by_name():
    with pytest.raises(ValueError, match=r'roadscene_unequal/vi/.*roadscene_unequal/ir/.*resize_to='):
        mmfusion.datasets.PairedSegDataset(
            data_root=str(DATA / 'roadscene_unequal'),
            test_mode=True,
            require_labels=False,
            pipeline=[mmfusion.datasets.LoadPairFromFile()],
        )[0]


@pytest.mark.parametrize(('folder', 'count'), [('roadscene', 12), ('fusion_pairs', 8), ('tno_salient', 6)])
def test_every_other_set_loads_without_labels(folder, count):
    dataset = mmfusion.datasets.PairedSegDataset(
        data_root=str(DATA / folder),
        test_mode=True,
        require_labels=False,
        pipeline=[mmfusion.datasets.LoadPairFromFile(), mmfusion.datasets.PackFusionInputs()],
    )
    assert len(dataset) == count
    batch = FusionDataPreProcessor(size_divisor=32)(
        dict(zip(('inputs', 'data_samples'), zip(*((item['inputs'], item['data_samples']) for item in dataset))))
    )
    assert len(batch['inputs']) == count
    assert all(sample.img_shape == sample.ori_shape for sample in batch['data_samples'])
