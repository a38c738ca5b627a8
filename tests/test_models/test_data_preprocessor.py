import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.structures import SegDataSample

from mmfusion.models.data_preprocessor import FusionDataPreProcessor
from mmfusion.registry import MODELS

SIZES = [(5, 7), (6, 4)]


def batch(sizes=SIZES, dtype=torch.uint8, labels=True):
    torch.manual_seed(0)
    inputs = [(torch.rand(4, *size) * 255).to(dtype) for size in sizes]
    samples = []
    for i, size in enumerate(sizes):
        sample = SegDataSample(metainfo=dict(img_path=f'pair{i}.png', ori_shape=size))
        if labels:
            sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, *size)))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def oracle(image, height, width, mode='edge', **kwargs):
    """R, G, B, infrared in [0, 1] with numpy's padding."""
    image = np.asarray(image, np.float64)[[2, 1, 0, 3]] / 255
    _, h, w = image.shape
    return np.pad(image, ((0, 0), (0, height - h), (0, width - w)), mode, **kwargs)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(
    ('target', 'padded'),
    [
        ({}, (6, 7)),
        (dict(size_divisor=4), (8, 8)),
        (dict(size=(9, 6)), (9, 7)),
        (dict(size=(2, 2)), (6, 7)),
        (dict(size_divisor=32), (32, 32)),
    ],
)
def test_values_and_meta(dtype, training, target, padded):
    data = batch(dtype=dtype)
    out = FusionDataPreProcessor(**target)(data, training)
    assert out['inputs'].dtype == torch.float32
    for i, (image, sample) in enumerate(zip(data['inputs'], out['data_samples'])):
        np.testing.assert_allclose(out['inputs'][i], oracle(image, *padded), atol=1e-7)
        (height, width), meta = SIZES[i], sample.metainfo
        padding = (0, padded[1] - width, 0, padded[0] - height)
        expected = dict(
            img_path=f'pair{i}.png',
            ori_shape=SIZES[i],
            img_shape=SIZES[i],
            pad_shape=padded,
            padding_size=padding,
            img_padding_size=padding,
        )
        assert {key: meta[key] for key in expected} == expected
        assert all(type(meta[key]) is tuple for key in expected if key != 'img_path')
        label, before = sample.gt_sem_seg.data, data['data_samples'][i].gt_sem_seg.data
        if training:
            np.testing.assert_array_equal(
                label, np.pad(before, ((0, 0), (0, padding[3]), (0, padding[1])), constant_values=255)
            )
        else:  # compared at ori_shape
            assert torch.equal(label, before)


def test_the_given_batch_stays():
    data = batch()
    before = [one.clone() for one in data['inputs']], [one.gt_sem_seg.data.clone() for one in data['data_samples']]
    FusionDataPreProcessor(size_divisor=16)(data, training=True)
    for i, sample in enumerate(data['data_samples']):
        assert torch.equal(data['inputs'][i], before[0][i])
        assert torch.equal(sample.gt_sem_seg.data, before[1][i])
        assert 'padding_size' not in sample.metainfo


def test_constant_padding_and_channel_order():
    data = batch()
    out = FusionDataPreProcessor(pad_mode='constant', pad_val=51, seg_pad_val=9)(data, True)
    np.testing.assert_allclose(
        out['inputs'][1], oracle(data['inputs'][1], 6, 7, 'constant', constant_values=0.2), atol=1e-7
    )
    assert (out['data_samples'][1].gt_sem_seg.data[..., 4:] == 9).all()
    as_given = FusionDataPreProcessor(bgr_to_rgb=False)(data)['inputs'][0, :, :5]
    np.testing.assert_allclose(as_given, data['inputs'][0] / 255, atol=1e-7)


def test_other_maps_are_padded_too():
    data = batch()
    for sample in data['data_samples']:
        sample.set_data(dict(gt_edge_map=PixelData(data=torch.ones_like(sample.gt_sem_seg.data))))
    out = FusionDataPreProcessor()(data, True)['data_samples'][0]
    assert out.gt_edge_map.shape == (6, 7)
    assert out.gt_edge_map.data[0, -1].tolist() == [255] * 7


def test_test_cfg_overrides():
    data = batch()
    preprocess = FusionDataPreProcessor(size=(20, 30), test_cfg=dict(size_divisor=5))
    assert preprocess(data, True)['inputs'].shape == (2, 4, 20, 30)
    assert preprocess(data, False)['inputs'].shape == (2, 4, 10, 10)
    assert FusionDataPreProcessor(size=(20, 30), test_cfg={})(data)['inputs'].shape == (2, 4, 6, 7)


def test_stacked_batch_equals_list():
    data = batch([(5, 7)] * 3)
    stacked = dict(data, inputs=torch.stack(data['inputs']))
    preprocess = FusionDataPreProcessor(size_divisor=8)
    assert torch.equal(preprocess(data, True)['inputs'], preprocess(stacked, True)['inputs'])


@pytest.mark.parametrize('samples', [{}, dict(data_samples=None)])
def test_without_data_samples_the_padding_is_still_known(samples):
    out = FusionDataPreProcessor(size_divisor=8)(dict(inputs=batch()['inputs'], **samples))
    assert [one.ori_shape for one in out['data_samples']] == SIZES
    assert [one.padding_size for one in out['data_samples']] == [(0, 1, 0, 3), (0, 4, 0, 2)]


def test_mmseg_takes_the_padding_off_again():
    """The contract with ``BaseSegmentor.postprocess_result``: logits come back at ori_shape, in place."""

    class Segmentor(BaseSegmentor):
        align_corners = False
        loss = predict = encode_decode = extract_feat = _forward = None

    data = batch()
    out = FusionDataPreProcessor(size_divisor=16)(data)
    results = Segmentor().postprocess_result(out['inputs'], out['data_samples'])
    for image, sample in zip(data['inputs'], results):
        np.testing.assert_allclose(sample.seg_logits.data, oracle(image, *image.shape[1:]), atol=1e-6)


def test_overshoot_is_clipped():
    image = torch.full((4, 3, 3), 280.0)
    image[0] = -20
    out = FusionDataPreProcessor()(dict(inputs=[image]))['inputs']
    assert out[0, 2].eq(0).all()
    assert out[0, :2].eq(1).all()


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 65535.0, -100.0])
def test_values_that_cannot_be_a_pair_name_the_file(value):
    data = batch(dtype=torch.float32)
    data['inputs'][1][3, 2, 1] = value
    with pytest.raises(ValueError, match=r'pair1\.png holds values'):
        FusionDataPreProcessor()(data)
    del data['data_samples']
    with pytest.raises(ValueError, match='image 1 of the batch'):
        FusionDataPreProcessor()(data)


@pytest.mark.parametrize(
    ('device', 'given', 'expected'),
    [
        ('meta', None, True),  # in the place of a GPU
        ('cpu', None, False),  # from a GPU to the CPU, values would be read before they are there
        ('cpu', True, True),
        ('meta', False, False),
    ],
)
def test_who_waits_for_a_copy(monkeypatch, device, given, expected):
    told = []
    to = torch.Tensor.to

    def noted(tensor, *args, **kwargs):
        if 'non_blocking' in kwargs:
            told.append(kwargs['non_blocking'])
        return to(tensor, *args, **kwargs)

    preprocess = FusionDataPreProcessor(non_blocking=given).to(device)
    monkeypatch.setattr(torch.Tensor, 'to', noted)
    out = preprocess(batch(), True)
    assert out['inputs'].device.type == device
    assert set(told) == {expected}
    assert len(told) == 4  # two images, two label maps


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(inputs=[torch.zeros(3, 4, 4), torch.zeros(4, 4, 4)]), ValueError, r'pair0\.png has \(3, 4, 4\)'),
        (dict(inputs=[torch.zeros(4, 4, 4), torch.zeros(4, 0, 4)]), ValueError, r'pair1\.png has \(4, 0, 4\)'),
        (dict(inputs=torch.zeros(4, 4, 4)), ValueError, r'\(B, 4, H, W\)'),
        (dict(inputs='abc'), TypeError, "'inputs' must be a list"),
        (dict(inputs=[]), ValueError, 'empty'),
        (dict(data_samples=None), ValueError, 'Training needs'),
        (dict(data_samples='ab'), TypeError, 'pseudo_collate'),
        (dict(data_samples=[SegDataSample()]), ValueError, '2 images, but 1 data samples'),
    ],
)
def test_bad_batches(change, error, message):
    with pytest.raises(error, match=message):
        FusionDataPreProcessor()(dict(batch(), **change), True)


def test_no_batch_at_all():
    with pytest.raises(TypeError, match="with 'inputs'"):
        FusionDataPreProcessor()([torch.zeros(4, 4, 4)])


def test_labels_of_another_size():
    data = batch()
    data['data_samples'][1].gt_sem_seg = PixelData(data=torch.zeros(1, 3, 3))
    with pytest.raises(ValueError, match=r'gt_sem_seg of pair1\.png has \(3, 3\) pixels, but its image \(6, 4\)'):
        FusionDataPreProcessor()(data, True)
    FusionDataPreProcessor()(data, False)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(size=(4, 4), size_divisor=2), 'not both'),
        (dict(size=32), '32'),
        (dict(size=(0, 4)), r'\(0, 4\)'),
        (dict(size_divisor=0), '0'),
        (dict(size_divisor=1.5), '1.5'),
        (dict(pad_mode='reflect'), "'reflect'"),
        (dict(pad_mode='constant', pad_val=300), '300'),
        (dict(pad_val=10), "pad_mode='constant'"),
        (dict(test_cfg=dict(size=(4, 4), size_divisor=2)), 'test_cfg.*not both'),
        (dict(test_cfg=dict(pad_val=2)), 'pad_val'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FusionDataPreProcessor(**kwargs)


def test_is_registered_and_has_no_state():
    preprocess = MODELS.build(dict(type='FusionDataPreProcessor', size_divisor=32))
    assert not preprocess.state_dict()
    assert not list(preprocess.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_moves_to_the_device():
    data = batch()
    out = FusionDataPreProcessor(size_divisor=8).cuda()(data, True)
    assert out['inputs'].is_cuda
    assert out['data_samples'][0].gt_sem_seg.data.is_cuda
    expected = FusionDataPreProcessor(size_divisor=8)(data, True)['inputs']
    torch.testing.assert_close(out['inputs'].cpu(), expected, atol=1e-6, rtol=0)
