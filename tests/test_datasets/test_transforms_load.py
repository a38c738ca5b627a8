import re

import cv2
import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmfusion.datasets import LoadPairAnnotations, LoadPairFromFile, PackFusionInputs
from mmfusion.datasets.transforms import load_pair as load_pair_module
from mmfusion.datasets.transforms import load_pair_annotations as annotations_module

RNG = np.random.default_rng(0)


def image(*shape, dtype=np.uint8, size=(5, 7)):
    return RNG.integers(0, np.iinfo(dtype).max, (*size, *shape), dtype, endpoint=True)


@pytest.fixture
def load(tmp_path):
    """Writes two images, RGB order, with Pillow or OpenCV, and loads them as a pair."""

    def load_pair(vi, ir, suffix='.png', **kwargs):
        paths = {}
        for name, img in dict(vi_path=vi, ir_path=ir).items():
            paths[name] = str(tmp_path / f'{name}{suffix}')
            bgr = img[..., [2, 1, 0, 3][: img.shape[2]]] if img.ndim == 3 else img
            assert cv2.imwrite(paths[name], bgr)
        return LoadPairFromFile(**kwargs)(paths)

    return load_pair


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('channels', [(), (3,), (4,)])
def test_eight_bit_pair(load, backend, channels):
    vi, ir = image(*channels), image()
    results = load(vi, ir, imdecode_backend=backend)
    img = results['img']
    assert img.dtype == np.uint8
    bgr = np.stack([vi] * 3, axis=-1) if vi.ndim == 2 else vi[..., 2::-1]
    np.testing.assert_array_equal(img, np.dstack([bgr, ir]))
    assert results['img_shape'] == results['ori_shape'] == (5, 7)
    assert results['img_path'] == results['vi_path']
    floats = load(vi, ir, imdecode_backend=backend, to_float32=True)['img']
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, img)


def test_img_path_stands_in_for_vi_path(load):
    results = load(image(3), image())
    again = LoadPairFromFile()(dict(img_path=results['vi_path'], ir_path=results['ir_path']))
    np.testing.assert_array_equal(again['img'], results['img'])
    with pytest.raises(ValueError, match='PairedSegDataset'):
        LoadPairFromFile()(dict(img_path=results['vi_path']))


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_sixteen_bit_keeps_its_precision(load, suffix):
    vi, ir = image(3, dtype=np.uint16), image(dtype=np.uint16)
    img = load(vi, ir, suffix, ir_range='dtype')['img']
    assert img.dtype == np.float32
    expected = np.dstack([vi[..., ::-1], ir]) / 65535 * 255
    np.testing.assert_allclose(img, expected, rtol=1e-6)
    # All 16 bit can be had back.
    np.testing.assert_array_equal(np.rint(img[..., 3].astype(float) * 257), ir)


@pytest.mark.parametrize('offset', [0, 7000])
def test_fourteen_bit_is_stretched(load, offset):
    """A thermal scene fills a part of what a file can hold; a dead pixel and the sun are beyond it."""
    rng = np.random.RandomState(0)
    ir = (offset + rng.randint(0, 900, (60, 80))).astype(np.uint16)
    ir[0, 0], ir[0, 1] = 0, 65535
    found = load(image(3, size=(60, 80)), ir)['img'][..., 3]
    low, high = np.percentile(ir, (0.5, 99.5))
    np.testing.assert_allclose(found, np.clip((ir.astype(float) - low) / (high - low), 0, 1) * 255, atol=1e-4)
    assert found.std() > 60
    assert load(image(3, size=(60, 80)), ir, ir_range='dtype')['img'][..., 3].std() < 10  # What was the default.


def test_flat_images_of_many_bits(load):
    ir = np.full((60, 80), 8000, np.uint16)
    assert (load(image(3, size=(60, 80)), ir)['img'][..., 3] == 0).all()
    ir[3, 4] = 9000  # Less than half a percent.
    found = load(image(3, size=(60, 80)), ir)['img'][..., 3]
    assert (found[3, 4], found.sum()) == (255, 255)


def test_eight_bit_is_left_as_it_is(load):
    ir = np.full((20, 30), 7, np.uint8)
    assert (load(image(3, size=(20, 30)), ir)['img'][..., 3] == 7).all()


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (dict(ir_range='dtype'), r"ir_path\.png uses 1\.4 % of the range 0 to 65535 .* set ir_range='auto'"),
        (dict(ir_range=(0, 16383)), r'ir_path\.png uses 5\.5 % of the range 0 to 16383'),
        (dict(), None),
        (dict(ir_range=(7000, 8000)), None),
    ],
)
def test_little_of_the_range_is_mentioned_once(load, monkeypatch, options, told):
    monkeypatch.setattr(load_pair_module, '_mentioned', set())
    said = []
    monkeypatch.setattr(load_pair_module, 'print_log', lambda text, *args: said.append(text))
    ir = np.linspace(7000, 7899, 20 * 30).reshape(20, 30).astype(np.uint16)
    for _ in range(2):
        load(image(3, size=(20, 30)), ir, **options)
    assert len(said) == (told is not None)
    assert told is None or re.search(told, said[0])


def test_one_sixteen_bit_source_makes_both_float(load):
    vi, ir = image(3), image(dtype=np.uint16)
    img = load(vi, ir, ir_range='dtype')['img']
    np.testing.assert_array_equal(img[..., 2::-1], vi.astype(np.float32))
    np.testing.assert_allclose(img[..., 3], ir / 257, rtol=1e-6)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_ranges_stretch_and_clip(load, dtype):
    vi, ir = image(3, dtype=dtype), image(dtype=dtype)
    img = load(vi, ir, ir_range=(50, 150), vi_range=[0, 200])['img']
    assert img.dtype == np.float32
    np.testing.assert_allclose(img[..., 3], np.interp(ir.astype(float), [50, 150], [0, 255]), rtol=1e-6)
    np.testing.assert_allclose(img[..., 2::-1], np.interp(vi.astype(float), [0, 200], [0, 255]), rtol=1e-6)


def test_float_files_need_a_range(load):
    vi, ir = image(), RNG.random((5, 7), np.float32) * 40 - 10
    with pytest.raises(ValueError, match=r'ir_path\.tif holds float32.*give ir_range=\(low, high\)'):
        load(vi, ir, '.tif')
    img = load(vi, ir, '.tif', ir_range=(-10, 30))['img']
    np.testing.assert_allclose(img[..., 3], (ir + 10.0) / 40 * 255, rtol=1e-5, atol=1e-4)


def test_three_channel_infrared(load):
    vi, ir = image(3), image(3)
    np.testing.assert_array_equal(load(vi, ir)['img'][..., 3], np.rint(ir.mean(axis=2)))
    np.testing.assert_allclose(load(vi, ir, to_float32=True)['img'][..., 3], ir.mean(axis=2), rtol=1e-6)
    for channel, name in enumerate('BGR'):
        np.testing.assert_array_equal(load(vi, ir, ir_channel=channel)['img'][..., 3], ir[..., 'RGB'.index(name)])


def test_different_sizes_name_both_files(load):
    with pytest.raises(ValueError, match=r'vi_path\.png has 5x7 and .*ir_path\.png has 5x6 .*resize_to='):
        load(image(3), image()[:, :6])


@pytest.mark.parametrize('which', ['vi_path', 'ir_path'])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_broken_files_are_named(load, which, backend):
    paths = {key: value for key, value in load(image(3), image()).items() if key in ('vi_path', 'ir_path')}
    with open(paths[which], 'wb') as file:
        file.write(b'no picture at all')
    transform = LoadPairFromFile(imdecode_backend=backend)
    with pytest.raises(ValueError, match=f'cannot be read: .*{which}'):
        transform(dict(paths))
    open(paths[which], 'wb').close()
    with pytest.raises(ValueError, match=f'empty file.*{which}'):
        transform(dict(paths))
    with pytest.raises(FileNotFoundError, match=f'does not exist: .*{which}.png.gone'):
        transform(dict(paths, **{which: paths[which] + '.gone'}))


def test_palette_image_is_no_grey_image_for_pillow(tmp_path):
    path = str(tmp_path / 'palette.png')
    picture = Image.fromarray(image())
    picture.putpalette(RNG.integers(0, 256, 768, np.uint8).tobytes())
    picture.save(path)
    with pytest.raises(ValueError, match=r"'P'.*cv2"):
        LoadPairFromFile(imdecode_backend='pillow')(dict(vi_path=path, ir_path=path))
    img = LoadPairFromFile()(dict(vi_path=path, ir_path=path))['img']
    np.testing.assert_array_equal(img[..., 2::-1], np.asarray(picture.convert('RGB')))


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(ir_channel=3),
        dict(ir_channel=True),
        dict(ir_channel='max'),
        dict(ir_range='minmax'),
        dict(ir_range=(5, 5)),
        dict(vi_range=(0, float('inf'))),
        dict(vi_range=7),
        dict(imdecode_backend='turbojpeg'),
    ],
)
def test_bad_load_arguments(kwargs):
    name, value = next(iter(kwargs.items()))
    with pytest.raises(ValueError, match=name) as error:
        LoadPairFromFile(**kwargs)
    assert repr(value) in str(error.value)


# ---- labels


@pytest.fixture
def label(tmp_path):
    """Writes a label map and returns the results that it is loaded into."""

    def write(values, name='label.png', **results):
        path = str(tmp_path / name)
        Image.fromarray(np.asarray(values)).save(path)
        return dict(
            dict(
                seg_map_path=path,
                img_path='vi.png',
                ori_shape=(5, 7),
                reduce_zero_label=False,
                label_map=None,
                seg_fields=[],
            ),
            **results,
        )

    return write


IDS = RNG.integers(0, 6, (5, 7), np.uint8)
IDS[0, :2] = 255


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 2, 1: 255, 2: 0, 3: 1, 4: 255, 5: 255}])
def test_labels_equal_those_of_mmseg(label, reduce_zero_label, label_map):
    """mmseg's own transform is the oracle for what is no error."""
    given = label(IDS, reduce_zero_label=reduce_zero_label, label_map=label_map)
    ours = LoadPairAnnotations(num_classes=6)(dict(given, seg_fields=[]))
    theirs = LoadAnnotations()(dict(given, seg_fields=[]))
    np.testing.assert_array_equal(ours['gt_seg_map'], theirs['gt_seg_map'])
    assert ours['gt_seg_map'].dtype == theirs['gt_seg_map'].dtype
    assert ours['seg_fields'] == ['gt_seg_map']


def test_ids_without_a_class(label):
    given = label(IDS, num_classes=4, ignore_index=255)
    with pytest.raises(ValueError, match=r'label\.png holds the id\(s\) \[4, 5\].*0\.\.3 and the ignore index 255'):
        LoadPairAnnotations()(given)
    LoadPairAnnotations(num_classes=6)(dict(given))
    # The other ignore index makes 255 wrong; the file's own id is reported, not the renamed one.
    with pytest.raises(ValueError, match=r'\[255\]'):
        LoadPairAnnotations(num_classes=6, ignore_index=254)(dict(given))
    with pytest.raises(ValueError, match=r'\[5\].*reduce_zero_label=True'):
        LoadPairAnnotations(num_classes=4)(dict(given, reduce_zero_label=True))
    zero_ignored = LoadPairAnnotations(num_classes=5, ignore_index=200)(dict(given, reduce_zero_label=True))
    np.testing.assert_array_equal(zero_ignored['gt_seg_map'] == 200, (IDS == 0) | (IDS == 255))


def test_without_classes_only_the_form_is_checked(label):
    np.testing.assert_array_equal(LoadPairAnnotations()(label(IDS))['gt_seg_map'], IDS)


def test_label_size_is_compared_with_the_original_image(label):
    given = label(IDS, img_shape=(10, 14))  # resized for testing, labels are not
    LoadPairAnnotations()(dict(given))
    with pytest.raises(ValueError, match=r'label\.png has 5x7.*vi\.png has 7x5'):
        LoadPairAnnotations()(dict(given, ori_shape=(7, 5)))
    del given['ori_shape']
    with pytest.raises(ValueError, match='LoadPairFromFile before'):
        LoadPairAnnotations()(given)


def test_what_is_no_label_map(label, tmp_path):
    with pytest.raises(ValueError, match=r'colour\.png has shape \(5, 7, 3\)'):
        LoadPairAnnotations()(label(image(3), 'colour.png'))
    with pytest.raises(ValueError, match=r'wide\.png holds uint16 values from 0 to 256'):
        LoadPairAnnotations()(label(np.array([[0, 256]], np.uint16), 'wide.png'))
    with pytest.raises(ValueError, match=r'float\.tif holds float32'):
        LoadPairAnnotations()(label(np.zeros((5, 7), np.float32), 'float.tif'))
    given = label(IDS)
    with open(given['seg_map_path'], 'wb') as file:
        file.write(b'no picture at all')
    with pytest.raises(ValueError, match=r'cannot be read: .*label\.png'):
        LoadPairAnnotations()(given)
    open(given['seg_map_path'], 'wb').close()
    with pytest.raises(ValueError, match=r'empty.*label\.png'):
        LoadPairAnnotations()(given)
    with pytest.raises(FileNotFoundError, match=r'gone\.png'):
        LoadPairAnnotations()(dict(given, seg_map_path=str(tmp_path / 'gone.png')))
    del given['seg_map_path']
    with pytest.raises(ValueError, match=r'no label for vi\.png: remove LoadPairAnnotations'):
        LoadPairAnnotations()(given)


def test_palette_label_is_read_as_ids(tmp_path, label):
    given = label(IDS)
    picture = Image.fromarray(IDS)
    picture.putpalette(RNG.integers(0, 256, 768, np.uint8).tobytes())
    picture.save(given['seg_map_path'])
    np.testing.assert_array_equal(LoadPairAnnotations()(given)['gt_seg_map'], IDS)


@pytest.fixture
def said(monkeypatch):
    """What is mentioned in the log about labels, from the beginning."""
    lines = []
    monkeypatch.setattr(annotations_module, '_doubts', annotations_module._Doubts())
    monkeypatch.setattr(annotations_module, 'print_log', lambda text, *args: lines.append(text))
    return lines


def test_masks_of_0_and_255_are_mentioned(label, said):
    mask = np.zeros((5, 7), np.uint8)
    mask[2:] = 255
    for name in ('a.png', 'a.png', 'b.png', 'c.png', 'd.png'):
        LoadPairAnnotations(num_classes=2)(label(mask, name))
    assert len(said) == 3
    assert re.search(
        r'a\.png holds the ids 0, 255 only, and 255 is ignored: .* has to be converted to 0 and 1', said[0]
    )


def test_labels_of_a_single_class_are_mentioned(label, said):
    for number in range(30):
        LoadPairAnnotations(num_classes=2)(label(np.zeros((5, 7), np.uint8), f'{number}.png'))
    assert len(said) == 1
    assert 'the first 20 labels, such as' in said[0]
    assert 'hold the id 0 only' in said[0]


def test_labels_of_two_classes_are_not(label, said):
    for number in range(30):
        LoadPairAnnotations(num_classes=2)(label(np.full((5, 7), number % 2, np.uint8), f'{number}.png'))
    ignored = np.ones((5, 7), np.uint8)
    ignored[0] = 255
    LoadPairAnnotations(num_classes=2)(label(ignored))
    assert not said


@pytest.mark.parametrize('kwargs', [dict(num_classes=0), dict(num_classes=257), dict(ignore_index=-100)])
def test_bad_label_arguments(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        LoadPairAnnotations(**kwargs)


def test_pack_keeps_values_and_paths():
    img, ids = image(4), IDS.copy()
    packed = PackFusionInputs()(dict(img=img, gt_seg_map=ids, img_path='v', vi_path='v', ir_path='i', ori_shape=(5, 7)))
    np.testing.assert_array_equal(packed['inputs'].numpy(), img.transpose(2, 0, 1))
    sample = packed['data_samples']
    np.testing.assert_array_equal(sample.gt_sem_seg.data.numpy(), ids[None])
    assert {key: sample.metainfo[key] for key in ('img_path', 'vi_path', 'ir_path', 'ori_shape')} == dict(
        img_path='v', vi_path='v', ir_path='i', ori_shape=(5, 7)
    )
    assert set(
        PackFusionInputs(meta_keys=['ir_path'])(dict(img=img, ir_path='i', img_path='v'))['data_samples'].metainfo
    ) == {'ir_path'}
