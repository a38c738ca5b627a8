"""Ids, palettes, ignored ids and splits of published data sets, against what their authors say; on tiny drawn files."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmfusion.datasets import (
    FMBDataset,
    LoadPairAnnotations,
    LoadPairFromFile,
    MFNetDataset,
    MSRSDataset,
    PST900Dataset,
    SemanticRTDataset,
)
from mmfusion.registry import DATASETS

PIPELINE = [LoadPairFromFile(), LoadPairAnnotations()]
# Id to name and R, G, B, from the authors: issue 10 of SegMiF; util.py of MFNet-pytorch; utilities.py (B, G, R there)
# and pst_inference.py of pst900_thermal_rgb; README of SemanticRT.
PUBLISHED = {
    FMBDataset: {
        0: ('unlabelled', (0, 0, 0)),
        1: ('road', (179, 228, 228)),
        2: ('sidewalk', (181, 57, 133)),
        3: ('building', (67, 162, 177)),
        4: ('traffic lamp', (200, 178, 50)),
        5: ('traffic sign', (132, 45, 199)),
        6: ('vegetation', (66, 172, 84)),
        7: ('sky', (179, 73, 79)),
        8: ('person', (76, 99, 166)),
        9: ('car', (66, 121, 253)),
        10: ('truck', (137, 165, 91)),
        11: ('bus', (155, 97, 152)),
        12: ('motorcycle', (105, 153, 140)),
        13: ('bicycle', (222, 215, 158)),
        14: ('pole', (135, 113, 90)),
    },
    MFNetDataset: {
        0: ('unlabelled', (0, 0, 0)),
        1: ('car', (64, 0, 128)),
        2: ('person', (64, 64, 0)),
        3: ('bike', (0, 128, 192)),
        4: ('curve', (0, 0, 192)),
        5: ('car_stop', (128, 128, 0)),
        6: ('guardrail', (64, 64, 128)),
        7: ('color_cone', (192, 128, 128)),
        8: ('bump', (192, 64, 0)),
    },
    PST900Dataset: {
        0: ('background', (0, 0, 0)),
        1: ('fire extinguisher', (0, 0, 255)[::-1]),
        2: ('backpack', (0, 255, 0)[::-1]),
        3: ('hand drill', (255, 0, 0)[::-1]),
        4: ('survivor', (255, 255, 255)),
    },
    SemanticRTDataset: {
        0: ('background', (0, 0, 0)),
        1: ('car stop', (72, 61, 39)),
        2: ('bike', (0, 0, 255)),
        3: ('bicyclist', (148, 0, 211)),
        4: ('motorcycle', (128, 128, 0)),
        5: ('motorcyclist', (64, 64, 128)),
        6: ('car', (0, 139, 139)),
        7: ('tricycle', (131, 139, 139)),
        8: ('traffic light', (192, 64, 0)),
        9: ('box', (126, 192, 238)),
        10: ('pole', (244, 164, 96)),
        11: ('curve', (211, 211, 211)),
        12: ('person', (205, 155, 155)),
    },
}


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmfusion'):
        yield


@pytest.mark.parametrize('kind', PUBLISHED, ids=lambda kind: kind.__name__)
def test_ids_and_palette(kind):
    meta = kind(lazy_init=True).metainfo
    found = {number: (name, tuple(colour)) for number, (name, colour) in enumerate(zip(*map(meta.get, KEYS)))}
    assert found == PUBLISHED[kind]
    assert DATASETS.get(kind.__name__) is kind
    assert kind(lazy_init=True).ignore_index == 255


KEYS = ('classes', 'palette')


def test_msrs_has_the_ids_of_mfnet():
    assert MSRSDataset.METAINFO['palette'] == MFNetDataset.METAINFO['palette']
    assert MSRSDataset.METAINFO['classes'][1:] == MFNetDataset.METAINFO['classes'][1:]


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def draw(folder, prefix, stems, label=1):
    for number, stem in enumerate(stems):
        write(folder / prefix['vi_path'] / f'{stem}.png', np.full((8, 12, 3), (10, 20, 30 + number), np.uint8))
        write(folder / prefix['ir_path'] / f'{stem}.png', np.full((8, 12), 100 + number, np.uint8))
        write(folder / prefix['seg_map_path'] / f'{stem}.png', np.full((8, 12), label, np.uint8))


@pytest.mark.parametrize('kind', [FMBDataset, PST900Dataset, SemanticRTDataset])
def test_pairs_of_the_default_folders(kind, tmp_path):
    draw(tmp_path, kind.DEFAULT_PREFIX, ['a', 'b'], label=3)
    second = kind(data_root=str(tmp_path), pipeline=PIPELINE)[1]
    assert second['img'][0, 0].tolist() == [10, 20, 31, 101]
    assert (second['gt_seg_map'] == 3).all()


def test_mfnet_takes_one_file_apart(tmp_path):
    image = np.dstack([np.full((6, 9), value, np.uint8) for value in (11, 22, 33, 0)])
    image[..., 3] = np.arange(54).reshape(6, 9)  # A transparency of 0 must not darken anything.
    for stem in ('00001D', '00002N'):
        write(tmp_path / f'images/{stem}.png', image)
        write(tmp_path / f'labels/{stem}.png', np.full((6, 9), 8, np.uint8))
    (tmp_path / 'test_night.txt').write_text('00002N\n')
    dataset = MFNetDataset(data_root=str(tmp_path), ann_file='test_night.txt', pipeline=PIPELINE)
    assert len(dataset) == 1
    assert dataset[0]['img_path'] == dataset[0]['ir_path'] == str(tmp_path / 'images/00002N.png')
    np.testing.assert_array_equal(dataset[0]['img'], image)
    assert len(MFNetDataset(data_root=str(tmp_path))) == 2


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_four_channels_of_every_backend(tmp_path, backend):
    image = np.random.RandomState(0).randint(0, 256, (6, 9, 4), dtype=np.uint8)
    write(tmp_path / 'a.png', image)
    both = str(tmp_path / 'a.png')
    found = LoadPairFromFile(imdecode_backend=backend)(dict(vi_path=both, ir_path=both))['img']
    np.testing.assert_array_equal(found, image)


def test_one_file_of_three_channels_is_both_images(tmp_path):
    """As it always was: the infrared image is the mean of the colours."""
    write(tmp_path / 'a.png', np.full((4, 6, 3), (10, 20, 60), np.uint8))
    both = str(tmp_path / 'a.png')
    pair = LoadPairFromFile()(dict(vi_path=both, ir_path=both))
    assert pair['img'][0, 0].tolist() == [10, 20, 60, 30]


def test_transparency_of_two_files_is_no_infrared(tmp_path):
    write(tmp_path / 'vi.png', np.full((4, 6, 4), 200, np.uint8))
    write(tmp_path / 'ir.png', np.full((4, 6), 7, np.uint8))
    pair = LoadPairFromFile()(dict(vi_path=str(tmp_path / 'vi.png'), ir_path=str(tmp_path / 'ir.png')))
    assert pair['img'][0, 0].tolist() == [200, 200, 200, 7]


def test_fourteen_classes_of_fmb(tmp_path):
    """0 is ignored, and every other id is one less."""
    draw(tmp_path, FMBDataset.DEFAULT_PREFIX, ['a'])
    write(tmp_path / 'Label/a.png', np.arange(96).reshape(8, 12).astype(np.uint8) % 15)
    dataset = FMBDataset(data_root=str(tmp_path), pipeline=PIPELINE, metainfo=dict(classes=FMBDataset.LABELLED))
    found = dataset[0]['gt_seg_map'].ravel()[:15].tolist()
    assert found == [255, *range(14)]
    assert dataset.metainfo['palette'] == FMBDataset.METAINFO['palette'][1:]


def test_the_config_of_fourteen_classes_names_them():
    cfg = Config.fromfile('configs/_base_/datasets/fmb14_256x256.py')
    for split in ('train', 'val', 'test'):
        assert tuple(cfg[f'{split}_dataloader'].dataset.metainfo.classes) == FMBDataset.LABELLED
