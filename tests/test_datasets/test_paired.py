import logging

import cv2
import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from mmengine.registry import DefaultScope

from mmfusion.datasets import PairedSegDataset
from mmfusion.registry import DATASETS

CLASSES = dict(classes=('a', 'b', 'c'))


def write(root, folder, name, value=0):
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((4, 6), value, np.uint8))


@pytest.fixture
def root(tmp_path):
    """Three complete pairs, one in a sub-folder, with different suffixes."""
    for i, name in enumerate(('b', 'a', 'night/a')):
        write(tmp_path, 'vi', f'{name}.png', i)
        write(tmp_path, 'ir', f'{name}.bmp', i)
        write(tmp_path, 'labels', f'{name}.png', i)
    return tmp_path


def build(root, **kwargs):
    return PairedSegDataset(data_root=str(root), **{'metainfo': CLASSES, **kwargs})


def stems(dataset):
    return [dataset.get_data_info(i)['img_path'].split('/vi/')[1].rsplit('.', 1)[0] for i in range(len(dataset))]


def test_items_hold_everything_the_pipeline_needs(root):
    dataset = build(root)
    assert stems(dataset) == ['a', 'b', 'night/a']
    info = dataset.get_data_info(2)
    info.pop('sample_idx')
    assert info == dict(
        img_path=f'{root}/vi/night/a.png',
        vi_path=f'{root}/vi/night/a.png',
        ir_path=f'{root}/ir/night/a.bmp',
        seg_map_path=f'{root}/labels/night/a.png',
        label_map=None,
        reduce_zero_label=False,
        seg_fields=[],
        num_classes=3,
        ignore_index=255,
    )


def test_suffixes_tell_files_of_one_folder_apart(tmp_path):
    for name in ('x', 'y'):
        write(tmp_path, 'img', f'{name}_vi.png')
        write(tmp_path, 'img', f'{name}_IR.PNG')
        write(tmp_path, 'img', f'{name}_seg.png')
    dataset = build(
        tmp_path,
        vi_suffix='_vi.png',
        ir_suffix=('.bmp', '_ir.png'),
        seg_map_suffix='_seg.png',
        data_prefix=dict(vi_path='img', ir_path='img', seg_map_path='img'),
    )
    assert [dataset.get_data_info(i)['ir_path'] for i in range(2)] == [f'{tmp_path}/img/{n}_IR.PNG' for n in 'xy']


def test_longest_suffix_wins(tmp_path):
    write(tmp_path, 'vi', 'x.png')
    write(tmp_path, 'ir', 'x_ir.png')
    write(tmp_path, 'labels', 'x.png')
    assert build(tmp_path, ir_suffix=('.png', '_ir.png')).get_data_info(0)['ir_path'].endswith('x_ir.png')


def test_split_file_selects_and_orders(root):
    (root / 'split.txt').write_text('night/a\n\n  b.png \n')
    assert stems(build(root, ann_file='split.txt')) == ['night/a', 'b']


def test_split_file_that_is_wrong(root):
    with pytest.raises(FileNotFoundError, match=r'list of pairs does not exist: .*nowhere\.txt\. Correct ann_file'):
        build(root, ann_file='nowhere.txt')
    (root / 'split.txt').write_text('a\nzzz\n')
    with pytest.raises(ValueError, match=r'1 listed without a visible image in .*/vi: zzz'):
        build(root, ann_file='split.txt')
    (root / 'split.txt').write_text('\n')
    with pytest.raises(ValueError, match='names no pair'):
        build(root, ann_file='split.txt')


def test_held_out_pairs(tmp_path):
    for number in range(7):
        for folder in ('vi', 'ir', 'labels'):
            write(tmp_path, folder, f'{number}.png')
    assert stems(build(tmp_path, hold_out=3)) == ['0', '1', '3', '4', '6']
    assert stems(build(tmp_path, hold_out=3, part='held_out')) == ['2', '5']
    # Counted in the order of the list, behind what is left out.
    (tmp_path / 'split.txt').write_text('6\n5\n4\n3\n1\n')
    (tmp_path / 'overlaps.txt').write_text('train/2.png\n5.png\n')
    options = dict(ann_file='split.txt', exclude_file='overlaps.txt', hold_out=2)
    assert stems(build(tmp_path, **options)) == ['6', '3']
    assert stems(build(tmp_path, part='held_out', **options)) == ['4', '1']
    assert stems(build(tmp_path, exclude_file=str(tmp_path / 'overlaps.txt'))) == ['0', '1', '2', '3', '4', '6']


def test_what_is_held_out_does_not_depend_on_labels(root):
    """Else a pair whose label appears later would wander from training into validation."""
    (root / 'labels/a.png').unlink()
    assert stems(build(root, hold_out=3, allow_unpaired=True)) == ['b']
    assert stems(build(root, hold_out=3, part='held_out')) == ['night/a']


def test_one_list_of_exclusions_for_several_splits(tmp_path):
    for split in ('train', 'test'):
        for folder in ('vi', 'ir', 'labels'):
            for name in ('1', '2', 'day/2'):
                write(tmp_path, f'{split}/{folder}', f'{name}.png')
    (tmp_path / 'overlaps.txt').write_text('test/2\nelsewhere/1\n')

    def left(split):
        prefix = dict(vi_path=f'{split}/vi', ir_path=f'{split}/ir', seg_map_path=f'{split}/labels')
        return stems(build(tmp_path, data_prefix=prefix, exclude_file='overlaps.txt'))

    assert left('test') == ['1', 'day/2']
    with pytest.raises(ValueError, match=r'names none of the pairs in .*train/vi: test/2, elsewhere/1'):
        left('train')


@pytest.mark.parametrize('folder', ['vi', 'ir', 'labels'])
def test_missing_and_empty_folders_are_named(root, folder):
    for file in sorted((root / folder).rglob('*.*')):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=f'no file that ends with.*{root}/{folder}.*empty'):
        build(root)
    (root / folder / 'notes.xyz').write_text('')
    with pytest.raises(FileNotFoundError, match=r'1 other files: notes\.xyz'):
        build(root)
    (root / folder).rename(root / 'moved')
    with pytest.raises(FileNotFoundError, match=f'does not exist: {root}/{folder}'):
        build(root)


def test_every_incomplete_pair_is_in_one_error(root):
    write(root, 'vi', 'only_vi.png')
    write(root, 'labels', 'only_vi.png')
    write(root, 'labels', 'nobody.png')  # a label without an image harms nobody
    for i in range(12):
        write(root, 'ir', f'only_ir_{i:02}.png')
    (root / 'labels' / 'b.png').unlink()
    with pytest.raises(ValueError, match='not every pair is complete') as error:
        build(root)
    message = str(error.value)
    assert f'12 infrared without a visible image in {root}/vi: only_ir_00, only_ir_01' in message
    assert 'only_ir_09, and 2 more' in message
    assert 'only_ir_10' not in message
    assert f'1 visible without an infrared image in {root}/ir: only_vi\n' in message
    assert f'1 without a label in {root}/labels: b\n' in message
    assert 'nobody' not in message
    assert 'allow_unpaired=True to use only the 2 complete pairs' in message


def test_allow_unpaired_uses_the_rest_and_says_so(root, monkeypatch):
    logged = []
    monkeypatch.setattr('mmfusion.datasets.paired.print_log', lambda *args: logged.append(args))
    write(root, 'vi', 'only_vi.png')
    (root / 'labels' / 'b.png').unlink()
    assert stems(build(root, allow_unpaired=True)) == ['a', 'night/a']
    ((message, _, level),) = logged
    assert level == logging.WARNING
    assert 'uses 2' in message
    assert 'only_vi' in message
    for name in ('a.bmp', 'night/a.bmp'):
        (root / 'ir' / name).unlink()
    with pytest.raises(ValueError, match='check the folders'):
        build(root, allow_unpaired=True)


def test_ambiguous_stem(root):
    write(root, 'ir', 'a.png')
    with pytest.raises(ValueError, match=r'a\.bmp and a\.png.*narrow ir_suffix'):
        build(root)
    assert len(build(root, ir_suffix='.bmp')) == 3


def test_fusion_alone_needs_neither_labels_nor_classes(root):
    prefix = dict(vi_path='vi', ir_path='ir')
    dataset = PairedSegDataset(data_root=str(root), data_prefix=prefix, test_mode=True)
    info = dataset.get_data_info(0)
    assert 'seg_map_path' not in info
    assert info['num_classes'] is None
    assert len(PairedSegDataset(data_root=str(root), data_prefix=prefix, require_labels=False)) == 3
    assert len(PairedSegDataset(data_root=str(root), test_mode=True, require_labels=False)) == 3
    with pytest.raises(ValueError, match="needs labels, but data_prefix has no 'seg_map_path'"):
        PairedSegDataset(data_root=str(root), data_prefix=prefix)
    with pytest.raises(ValueError, match='require_labels=False contradicts'):
        PairedSegDataset(data_root=str(root), data_prefix=dict(prefix, seg_map_path='labels'), require_labels=False)
    with pytest.raises(ValueError, match='no class names'):
        PairedSegDataset(data_root=str(root), test_mode=True)


@pytest.mark.parametrize(
    ('kwargs', 'error', 'message'),
    [
        (dict(data_prefix=dict(img_path='vi', ir_path='ir')), ValueError, "not 'img_path'"),
        (dict(data_prefix=dict(vi_path='vi', seg_map_path='labels')), ValueError, r"lacks \['ir_path'\]"),
        (dict(img_suffix='.png'), TypeError, 'vi_suffix and ir_suffix'),
        (dict(vi_suffix=''), ValueError, "vi_suffix.*''"),
        (dict(ir_suffix=()), ValueError, 'ir_suffix'),
        (dict(part='held_out'), ValueError, 'needs hold_out'),
        (dict(hold_out=1), ValueError, 'leaves nothing to train with'),
        (dict(hold_out=4, part='held_out'), ValueError, 'No pair is left of 3 with hold_out=4'),
        (dict(exclude_file='nowhere.txt'), FileNotFoundError, 'Correct exclude_file or leave it out'),
    ],
)
def test_bad_arguments(root, kwargs, error, message):
    with pytest.raises(error, match=message):
        build(root, **kwargs)


def test_class_subset_has_new_ids_and_the_ignore_index(root):

    @DATASETS.register_module(force=True)
    class ThreeClasses(PairedSegDataset):
        METAINFO = dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]])

    try:
        dataset = ThreeClasses(data_root=str(root), metainfo=dict(classes=('c', 'a')), ignore_index=254)
        info = dataset.get_data_info(0)
        assert info['label_map'] == {0: 1, 1: 254, 2: 0}
        assert (info['num_classes'], info['ignore_index']) == (2, 254)
        assert dataset.metainfo['palette'] == [[2, 2, 2], [0, 0, 0]]
    finally:
        DATASETS.module_dict.pop('ThreeClasses')


def test_lazy_init_indices_serialisation_and_concat(root):
    lazy = build(root, lazy_init=True)
    assert lazy.data_list == []
    lazy.full_init()
    assert stems(lazy) == ['a', 'b', 'night/a']
    assert stems(build(root, indices=[2, 0])) == ['night/a', 'a']
    assert stems(build(root, indices=2)) == ['a', 'b']
    assert stems(build(root, serialize_data=False)) == ['a', 'b', 'night/a']
    assert len(ConcatDataset([build(root), build(root)])) == 6
    # A missing folder is no error before full_init.
    assert build(root / 'nowhere', lazy_init=True).metainfo['classes'] == CLASSES['classes']


@pytest.mark.parametrize(('scope', 'name'), [('mmfusion', 'PairedSegDataset'), ('mmseg', 'mmfusion.PairedSegDataset')])
def test_is_built_by_name(root, scope, name):
    with DefaultScope.overwrite_default_scope(scope):
        dataset = DATASETS.build(
            dict(type=name, data_root=str(root), metainfo=CLASSES, pipeline=[dict(type='mmfusion.LoadPairFromFile')])
        )
    img = dataset[2]['img']
    assert img.shape == (4, 6, 4)
    assert (img == 2).all()
