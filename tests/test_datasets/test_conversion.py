"""Every converter on a miniature of the real layout, and what its data set class reads of the result."""

import cv2
import numpy as np
import pytest

from mmfusion.datasets import (
    CWFIDDataset,
    FMBDataset,
    LoadPairAnnotations,
    LoadPairFromFile,
    MFNetDataset,
    MSRSDataset,
    PST900Dataset,
    SemanticRTDataset,
)
from mmfusion.datasets.conversion import CWFIDRecipe, convert, fmb, mfnet, msrs, pst900, semanticrt

RECIPES = dict(msrs=msrs, fmb=fmb, pst900=pst900, mfnet=mfnet, semanticrt=semanticrt, cwfid=CWFIDRecipe)
PIPELINE = [LoadPairFromFile(), LoadPairAnnotations()]
NAMES = sorted(RECIPES)
KINDS = ['folder', 'zip', 'tar', 'tar.gz']


def read(dataset, out, split):
    """A split of the result by the class of its data set, as the configs have it."""
    if dataset in (MFNetDataset, SemanticRTDataset):
        return dataset(data_root=str(out), ann_file=f'{split}.txt', pipeline=PIPELINE)
    prefix = {key: f'{split}/{folder}' for key, folder in dataset.DEFAULT_PREFIX.items()}
    listed = dataset(data_root=str(out), data_prefix=prefix, ann_file=f'{split}.txt', pipeline=PIPELINE)
    everything = dataset(data_root=str(out), data_prefix=prefix, pipeline=PIPELINE)
    assert [item['ir_path'] for item in listed] == [item['ir_path'] for item in everything]
    return everything


# Class, split, number of its pairs, which of them is looked at, infrared value and ids of the first rows.
READ = {
    'msrs': (MSRSDataset, 'train', 2, 1, 101, [0, 1, 8, 0]),
    'fmb': (FMBDataset, 'train', 2, 1, 101, [0, 1, 14, 0]),
    'pst900': (PST900Dataset, 'train', 2, 1, 101, [0, 4, 2, 0]),
    'mfnet': (MFNetDataset, 'test', 3, 1, 104, [0, 3, 8, 0]),
    'semanticrt': (SemanticRTDataset, 'test', 2, 1, 103, [0, 6, 12, 0]),
}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', sorted(READ))
def test_what_is_read_of_the_result(published, tmp_path, name, kind):
    dataset, split, count, number, infrared, ids = READ[name]
    convert(RECIPES[name](), published(name, kind), tmp_path / 'out')
    pairs = read(dataset, tmp_path / 'out', split)
    assert len(pairs) == count
    image = pairs[number]['img']
    assert (image[..., 3] == infrared).all()
    tolerance = 2 if name == 'semanticrt' else 0  # JPEG
    np.testing.assert_allclose(image[0, 0, :3].astype(int), [10, 20, 30], atol=tolerance)
    assert pairs[number]['gt_seg_map'][:4, 5].tolist() == ids
    assert not (tmp_path / '.out.part').exists()


@pytest.mark.parametrize('kind', KINDS)
def test_cwfid(published, tmp_path, kind):
    summary = convert(CWFIDRecipe(), published('cwfid', kind), tmp_path / 'out')
    train, test = (read(CWFIDDataset, tmp_path / 'out', split) for split in ('train', 'test'))
    # 28 is in both lists of the authors.
    assert [item['img_path'][-7:-4] for item in (*train, *test)] == ['002', '001', '028']
    image, ids = train[0]['img'], train[0]['gt_seg_map']
    assert image.shape == (6, 8, 4)
    assert (image[0, 0].tolist(), image[0, 7].tolist()) == ([40, 40, 40, 182], [80, 80, 80, 60])
    assert ids[:, 0].tolist() == [1, 1, 0, 0, 2, 2]
    assert (ids[:, 4:] == 0).all()
    assert 'bands: near-infrared is G, red is R' in summary.notes
    assert "in both of the authors' lists, and a test pair only here: 028" in summary.notes


def test_bands_of_cwfid_that_are_given(published, tmp_path):
    convert(CWFIDRecipe(nir_channel=2, red_channel=1, scale=1), published('cwfid'), tmp_path / 'out')
    item = read(CWFIDDataset, tmp_path / 'out', 'train')[0]
    assert item['img'].shape == (12, 16, 4)
    assert item['img'][0, 0].tolist() == [182, 182, 182, 70]
    source = published('cwfid')
    for path in sorted((source / 'dataset-master/images').iterdir()):
        cv2.imwrite(str(path), np.full((12, 16, 3), 90, np.uint8))
    with pytest.raises(ValueError, match=r'cannot be told apart: plants are 1\.00, 1\.00, 1\.00 times.*--nir-channel'):
        convert(CWFIDRecipe(), source, tmp_path / 'other')
    with pytest.raises(ValueError, match='both 1'):
        CWFIDRecipe(1, 1)
    with pytest.raises(ValueError, match=r'scale must be in \(0, 1\], got 2'):
        CWFIDRecipe(scale=2)


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def test_lists_and_files_of_mfnet(published, tmp_path):
    out = tmp_path / 'out'
    summary = convert(mfnet(), published('mfnet', 'zip'), out)
    stems = ['00001D', '00002N', '00003D', '00004N', '00005D']
    lists = ['test', 'test_day', 'test_night', 'train', 'val']
    expected = [*(f'images/{s}.png' for s in stems), *(f'labels/{s}.png' for s in stems), *(f'{n}.txt' for n in lists)]
    assert files_of(out) == expected
    assert (out / 'test_day.txt').read_text() == '00003D\n00005D\n'
    assert (out / 'train.txt').read_text() == '00001D\n'
    assert '1 mirrored copies (*_flip) left out of train' in summary.notes


def test_files_of_pst900(published, tmp_path):
    convert(pst900(), published('pst900'), tmp_path / 'out')
    assert {path.split('/')[1] for path in files_of(tmp_path / 'out') if '/' in path} == {'rgb', 'thermal', 'labels'}
    convert(pst900(raw=True), published('pst900'), tmp_path / 'raw')
    prefix = dict(vi_path='train/rgb', ir_path='train/thermal_raw', seg_map_path='train/labels')
    load = [LoadPairFromFile(ir_range=(7000, 7001)), LoadPairAnnotations()]
    pairs = PST900Dataset(data_root=str(tmp_path / 'raw'), data_prefix=prefix, pipeline=load)
    assert [float(item['img'][0, 0, 3]) for item in pairs] == [0, 255]


def test_the_result_is_a_source_too(published, tmp_path):
    """So that a folder that has been converted, or was unpacked by hand, can be checked."""
    for name in sorted(READ):
        convert(RECIPES[name](), published(name), tmp_path / name)
        again = convert(RECIPES[name](), tmp_path / name, tmp_path / 'nothing', dry_run=True)
        assert sum(split.pairs for split in again.splits.values()) >= 3
    assert not (tmp_path / 'nothing').exists()


@pytest.mark.parametrize('name', NAMES)
def test_figures(published, tmp_path, name):
    summary = convert(RECIPES[name](), published(name), tmp_path / 'out', dry_run=True)
    assert not (tmp_path / 'out').exists()
    if name == 'cwfid':
        assert summary.shares('train') == pytest.approx(dict(soil=100 * 2 / 3, crop=100 / 6, weed=100 / 6))
        assert summary.splits['test'].infrared == {'uint8': (60, 208)}
        assert summary.splits['train'].sizes == {(6, 8): 1}
        return
    _, split, count, _, infrared, ids = READ[name]
    figures = summary.splits[split]
    assert (figures.pairs, figures.sizes) == (count, {(12, 16): count})
    assert figures.infrared['uint8'][1] == max(infrared, 100 + count - 1 + (3 if name == 'mfnet' else 0))
    shares = summary.shares(split)
    assert shares[summary.classes[ids[1]]] == shares[summary.classes[ids[2]]] == pytest.approx(100 / 12)
    assert sum(shares.values()) == pytest.approx(100)


def test_nothing_is_overwritten(published, tmp_path):
    out = tmp_path / 'out'
    source = published('msrs')
    (out / 'train/ir').mkdir(parents=True)
    (out / 'train/ir/00002N.png').write_bytes(b'mine')
    (out / 'mine.txt').write_bytes(b'mine too')
    before = files_of(out)
    with pytest.raises(FileExistsError, match=r'1 of the files already, such as train/ir/00002N\.png; --force'):
        convert(msrs(), source, out)
    assert files_of(out) == before
    assert (out / 'train/ir/00002N.png').read_bytes() == b'mine'
    convert(msrs(), source, out, force=True)
    assert cv2.imread(str(out / 'train/ir/00002N.png'), cv2.IMREAD_UNCHANGED)[0, 0] == 101
    assert (out / 'mine.txt').read_bytes() == b'mine too'
    (tmp_path / 'file').write_text('')
    with pytest.raises(FileExistsError, match='is a file'):
        convert(msrs(), source, tmp_path / 'file', force=True)


def test_all_or_nothing(published, tmp_path):
    """A file that cannot be read is the last one, and none of the others is at its place."""
    source = published('msrs')
    (source / 'MSRS-main/test/ir/00003D.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'MSRS-main/test/ir/00003D\.png cannot be read'):
        convert(msrs(), source, tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['download']


def test_what_a_killed_run_left_is_not_taken_over(published, tmp_path):
    (tmp_path / '.out.part').mkdir()
    (tmp_path / '.out.part/old.png').write_bytes(b'')
    convert(msrs(), published('msrs'), tmp_path / 'out')
    assert 'old.png' not in files_of(tmp_path / 'out')


def test_a_result_inside_of_the_source(published):
    source = published('msrs')
    with pytest.raises(ValueError, match='the result would be in the source'):
        convert(msrs(), source, source / 'MSRS-main/out')
    with pytest.raises(ValueError, match='--dry-run checks it'):
        convert(msrs(), source, source, force=True)
