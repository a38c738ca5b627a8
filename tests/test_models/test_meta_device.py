"""Nothing on the way of a pair makes a GPU wait: seen on the meta device, see meta_device.py."""

from contextlib import ExitStack
from unittest import mock

import pytest
import torch
from meta_device import META, SynchronisationError, no_synchronisation
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmfusion.models import FusionDataPreProcessor, MemoryUnfoldingHead
from mmfusion.models.geometry import restore_logits
from mmfusion.models.scorer import SegmentorScorer
from mmfusion.models.segmentors.fused_prediction import attach_fusion, padding_mask, stretch_range
from mmfusion.models.segmentors.head_output import refined_losses
from mmfusion.registry import MODELS

CLASSES = 15
IGNORED = 255


def _no_accuracy(pred, target, topk=1, thresh=None, ignore_index=None):
    return pred.new_zeros(1)


# What makes a GPU wait and stays: the name, what stands in its place here, and why it stays.
WHAT_STAYS = [
    (
        'mmseg.models.decode_heads.decode_head.accuracy',
        _no_accuracy,
        'mmseg counts the pixels that are not ignored, through a mask, for the accuracy in the log. It is a figure of '
        'each decode head of mmseg, whose loss_by_feat would have to be written again to do without.',
    ),
]


def _without_what_stays(stack):
    for name, replacement, _ in WHAT_STAYS:
        stack.enter_context(mock.patch(name, replacement))


def _pairs(sizes=((30, 40), (32, 48)), dtype=torch.uint8, device='cpu'):
    """A batch as from a data loader: images B, G, R, infrared in 0..255, and labels with ignored pixels."""
    generator = torch.Generator().manual_seed(0)
    images, samples = [], []
    for number, size in enumerate(sizes):
        image = torch.randint(0, 256, (4, *size), generator=generator).to(dtype)
        labels = torch.randint(0, CLASSES, (1, *size), generator=generator)
        labels[:, :5, :7] = IGNORED
        sample = SegDataSample(metainfo=dict(img_path=f'{number}.png', ori_shape=size, img_shape=size))
        sample.gt_sem_seg = PixelData(data=labels.to(device))
        images.append(image.to(device))
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)


def _image(channels=1, batch=2, size=(32, 48), **options):
    return torch.zeros(batch, channels, *size, device=META, **options)


def _on_meta(*tensors):
    return all(tensor.device == META for tensor in tensors)


# The preprocessor ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('device', ['cpu', 'meta'])
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    'options', [dict(), dict(size_divisor=32), dict(pad_mode='constant', pad_val=7.0, size=(40, 60))]
)
def test_preprocessor(options, dtype, device, training):
    data = _pairs(dtype=dtype, device=device)
    preprocess = FusionDataPreProcessor(**options).to(META)
    with no_synchronisation():
        out = preprocess(data, training)
    expected = FusionDataPreProcessor(**options)(_pairs(dtype=dtype), training)
    assert _on_meta(out['inputs'], *(sample.gt_sem_seg.data for sample in out['data_samples']))
    assert (out['inputs'].shape, out['inputs'].dtype) == (expected['inputs'].shape, torch.float32)
    for sample, other in zip(out['data_samples'], expected['data_samples'], strict=True):
        assert sample.gt_sem_seg.data.shape == other.gt_sem_seg.data.shape
        assert sample.metainfo == other.metainfo


def test_preprocessor_of_a_stacked_batch_without_labels():
    preprocess = FusionDataPreProcessor(size_divisor=32).to(META)
    for inputs in (torch.zeros(2, 4, 30, 40), torch.zeros(2, 4, 30, 40, device=META)):
        with no_synchronisation():
            out = preprocess(dict(inputs=inputs))
        assert out['inputs'].shape == (2, 4, 32, 64)
        assert _on_meta(out['inputs'])


def test_preprocessor_that_is_told_to_wait():
    with pytest.raises(SynchronisationError, match=r'mmfusion/models/data_preprocessor\.py'), no_synchronisation():
        FusionDataPreProcessor(non_blocking=False).to(META)(_pairs(), True)


# The head, the scorer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(with_cp=True),
        dict(memory=False, data_step=False),
        dict(residual=False, channels_last=False),
        dict(scale=3),
    ],
)
def test_unfolding_head(options):
    head = MemoryUnfoldingHead(num_stages=3, channels=4, **options).to(META)
    ir, vi, weight = _image(), _image(), _image()
    with no_synchronisation():
        fused, attention = head(ir, vi, weight, 1 - weight, lambda iterate: 5 * (iterate.detach() - 0.5))
        fused.square().sum().backward()
    assert _on_meta(fused, *attention, *(parameter.grad for parameter in head.parameters()))
    assert fused.dtype == torch.float32


@pytest.fixture
def segmentor(unet_config):
    """A tiny mmseg segmentor of 15 classes without values."""
    with DefaultScope.overwrite_default_scope('mmfusion'):
        return MODELS.build(unet_config(num_classes=CLASSES)).to(META)


@pytest.mark.parametrize('score', ['softmax', 'sigmoid', 'logit'])
def test_scorer(segmentor, score):
    scorer = SegmentorScorer(segmentor, lambda luminance: luminance.expand(-1, 3, -1, -1), score=score)
    luminance = _image().requires_grad_()
    with no_synchronisation():
        scores = scorer(luminance)
        (gradient,) = torch.autograd.grad(scores[:, 3].sum(), luminance)
    assert scores.shape == (2, CLASSES, 32, 48)
    assert _on_meta(scores, gradient)


def test_scorer_in_bfloat16_needs_a_device_with_autocast(segmentor):
    scorer = SegmentorScorer(segmentor, lambda luminance: luminance.expand(-1, 3, -1, -1), dtype='bfloat16')
    with pytest.raises(ValueError, match=r"no autocast to torch\.bfloat16 on a device of type 'meta'"):
        scorer(_image())


# Predictions ---------------------------------------------------------------------------------------------------------

METAS = [
    dict(ori_shape=(32, 48)),
    dict(ori_shape=(30, 40), padding_size=(0, 8, 0, 2)),
    dict(ori_shape=(60, 90), padding_size=(1, 2, 0, 2), flip=True, flip_direction='horizontal'),
    dict(ori_shape=(60, 90), flip=True, flip_direction='vertical'),
    dict(ori_shape=(16, 24), flip=True, flip_direction='diagonal'),
]


@pytest.mark.parametrize('stretch', [False, True])
def test_attach_fusion(stretch):
    samples = [SegDataSample(metainfo=meta) for meta in METAS]
    with no_synchronisation():
        attach_fusion(samples, _image(3, batch=len(METAS)), _image(batch=len(METAS)), stretch)
    for sample, meta in zip(samples, METAS, strict=True):
        assert sample.fused_img.data.shape == (3, *meta['ori_shape'])
        assert _on_meta(sample.fused_img.data, sample.fusion_weights.data)


def test_stretch_range():
    with no_synchronisation():
        assert _on_meta(stretch_range(_image()[0]))


def test_padding_mask():
    with no_synchronisation():
        mask = padding_mask(METAS, _image(4, batch=len(METAS)))
    assert mask.shape == (len(METAS), 32, 48)
    assert _on_meta(mask)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('meta', METAS)
def test_restore_logits(meta, align_corners):
    with no_synchronisation():
        logits = restore_logits(_image(CLASSES)[0], meta, align_corners)
    assert logits.shape == (CLASSES, *meta['ori_shape'])
    assert _on_meta(logits)


# The joint model -----------------------------------------------------------------------------------------------------


@pytest.fixture
def joint_model(unet_config):
    """Function of (device, weights of the fusion, **options) that gives a FusionSegmentor with a fusion's defaults."""

    def make(device, weights='attribution', **options):
        torch.manual_seed(0)
        model = MODELS.build(
            dict(
                type='FusionSegmentor',
                data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=16),
                fusion=dict(type='UAAFusion', weights=weights),
                segmentor=unet_config(num_classes=CLASSES),
                **options,
            )
        )
        return model.to(device)

    return make


def _optimizer(model):
    return OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))


@pytest.mark.parametrize('train_labels', ['given', 'predicted'])
def test_train_step_of_the_joint_model(joint_model, train_labels):
    """From the batch of a data loader to the step of the optimiser, twice: the second finds the optimiser's state."""
    model = joint_model(META).train()
    model.train_labels = train_labels
    optimizer = _optimizer(model)
    with ExitStack() as stack:
        _without_what_stays(stack)
        stack.enter_context(no_synchronisation())
        for _ in range(2):
            terms = model.train_step(_pairs(), optimizer)
    assert {'loss', 'decode.loss_ce', 'fusion.loss_ir', 'fusion.loss_vi', 'fusion.loss_grad'} <= set(terms)
    assert _on_meta(*(value for name, value in terms.items() if 'loss' in name))
    moments = [state['exp_avg'] for state in optimizer.optimizer.state.values()]
    assert len(moments) == len(list(model.parameters()))
    assert _on_meta(*moments)


# What the recipes have: a gate, the pair beside the fused image, a refiner.
GATED = dict(weights='gate', reads='pair+fused', refine=dict(type='DetailRefiner'))


@pytest.mark.parametrize(
    'options',
    [
        GATED,
        dict(GATED, reads=dict(type='views', merge='weights')),
        dict(GATED, reads=dict(type='views', merge='scores')),
        dict(GATED, sensor_dropout=dict(type='SensorDropout', prob=0.5), train_labels='given'),
        dict(GATED, loss_refined=dict(type='WeightedCrossEntropy', class_weight=[1.0] * CLASSES), teach_interval=2),
        dict(weights='attribution', reads='pair+fused'),
    ],
)
def test_train_step_and_prediction_of_other_readings(joint_model, options):
    model = joint_model(META, **options).train()
    optimizer = _optimizer(model)
    with ExitStack() as stack:
        _without_what_stays(stack)
        stack.enter_context(no_synchronisation())
        terms = [model.train_step(_pairs(), optimizer) for _ in range(2)]
    expected = {'loss', 'decode.loss_ce', 'fusion.loss_ir', 'fusion.loss_vi', 'fusion.loss_grad'}
    if options['weights'] == 'gate':
        expected |= {'refined.loss_ce', 'fusion.loss_gate_share', 'fusion.loss_gate_strength'}
    assert expected <= set(terms[0])
    assert ('fusion.loss_gate_share' in terms[1]) == (options['weights'] == 'gate' and 'teach_interval' not in options)
    assert _on_meta(*(value for name, value in terms[0].items() if 'loss' in name))
    assert len(optimizer.optimizer.state) == len(list(model.parameters()))
    model.eval()
    with torch.no_grad(), no_synchronisation():
        samples = model.test_step(_pairs())
    for sample, size in zip(samples, ((30, 40), (32, 48)), strict=True):
        assert sample.seg_logits.data.shape == (CLASSES, *size)
        assert _on_meta(sample.seg_logits.data, sample.fused_img.data, sample.fusion_weights.data)


def test_refined_losses_of_an_unusual_head():
    """Cross entropy without a mask as an index."""

    class Unusual(torch.nn.Module):
        ignore_index = IGNORED
        loss_by_feat = None

    for channels in (1, CLASSES):
        samples = [SegDataSample(gt_sem_seg=PixelData(data=_image(dtype=torch.long)[0])) for _ in range(2)]
        logits = _image(channels).requires_grad_()
        with no_synchronisation():
            (loss,) = refined_losses(Unusual(), logits, samples).values()
            loss.backward()
        assert _on_meta(loss, logits.grad)


@pytest.mark.parametrize(
    ('direction', 'context'),
    [(None, torch.no_grad), ('horizontal', torch.no_grad), ('diagonal', torch.inference_mode)],
)
def test_prediction_of_the_joint_model(joint_model, direction, context):
    model = joint_model(META).eval()
    data = _pairs()
    for sample in data['data_samples']:
        sample.set_metainfo(dict(flip=direction is not None, flip_direction=direction))
    with context(), no_synchronisation():
        samples = model.test_step(data)
    for sample, size in zip(samples, ((30, 40), (32, 48)), strict=True):
        for name, channels in (('pred_sem_seg', 1), ('seg_logits', CLASSES), ('fused_img', 3), ('fusion_weights', 1)):
            values = sample.get(name).data
            assert values.shape == (channels, *size)
            assert _on_meta(values)


def test_losses_are_looked_at_every_so_many_iterations(joint_model):
    """The look is there, and it is what waits: of every third iteration, when the next one begins."""
    model = joint_model(META, check_finite_interval=3)
    with no_synchronisation():
        for _ in range(3):
            model.parse_losses(dict(loss=_image()))
    for _ in range(2):
        with pytest.raises(SynchronisationError, match='value'), no_synchronisation():
            model.parse_losses(dict(loss=_image()))
        with no_synchronisation():
            for _ in range(3):
                model.parse_losses(dict(loss=_image()))


@pytest.mark.parametrize('name', [name for name, _, _ in WHAT_STAYS])
def test_what_stays_does_wait(joint_model, name):
    """Whatever no longer waits has no place in the list."""
    model = joint_model(META).train()
    seg_logits = _image(CLASSES)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=_image(dtype=torch.long)[0])) for _ in range(2)]
    with ExitStack() as stack:
        for other, replacement, _ in WHAT_STAYS:
            if other != name:
                stack.enter_context(mock.patch(other, replacement))
        stack.enter_context(pytest.raises(SynchronisationError, match=r'mmseg/models/'))
        stack.enter_context(no_synchronisation())
        model.decode_head.loss_by_feat(seg_logits, samples)


@pytest.fixture
def cuda_without_synchronisation():
    """Function that gives a context in which CUDA refuses to wait."""

    class Refusing:
        def __enter__(self):
            self.before = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode('error')

        def __exit__(self, *exception):
            torch.cuda.set_sync_debug_mode(self.before)

    return Refusing


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('options', [dict(), GATED])
def test_joint_model_on_cuda(joint_model, cuda_without_synchronisation, options):
    """The same by CUDA's own word. The first step is not looked at: libraries are set up in it."""
    model = joint_model('cuda', **options).train()
    optimizer = _optimizer(model)
    with ExitStack() as stack:
        _without_what_stays(stack)
        model.train_step(_pairs(), optimizer)
        with cuda_without_synchronisation():
            terms = model.train_step(_pairs(), optimizer)
    assert torch.isfinite(terms['loss'])
    model.eval()
    model.test_step(_pairs())
    with cuda_without_synchronisation():
        samples = model.test_step(_pairs())
    assert all(sample.fused_img.data.isfinite().all() for sample in samples)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda_refuses_to_wait(cuda_without_synchronisation):
    values = torch.ones(2, device='cuda')
    with cuda_without_synchronisation(), pytest.raises(RuntimeError, match='synchronizing CUDA operation'):
        values.sum().item()
