"""What becomes of a pair does not depend on the size of the pairs beside it."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmfusion.apis import FusionInferencer
from mmfusion.models import FusionDataPreProcessor
from mmfusion.registry import MODELS

SIZES = [(20, 30), (40, 56), (20, 30), (37, 31)]


def pooling(unet):
    """A head that sees the whole image, padding included."""
    head = dict(type='PSPHead', pool_scales=(1, 2), in_channels=4, in_index=1, channels=4, num_classes=3)
    return {**unet, 'decode_head': {**head, 'norm_cfg': dict(type='BN'), 'align_corners': False, 'dropout_ratio': 0.0}}


MODEL = {
    'attribution': dict(),
    'gate': dict(
        fusion=dict(type='UAAFusion', num_stages=2, channels=4, weights='gate'),
        reads='pair+fused',
        refine=dict(type='DetailRefiner', channels=4),
    ),
}


@pytest.fixture
def build(model_config, unet_config):
    def make(name):
        torch.manual_seed(0)
        model = MODELS.build(model_config(pooling(unet_config()), **MODEL[name])).eval()
        with torch.no_grad():
            model.decode_head.conv_seg.weight.normal_(std=2)
        return model

    return make


def images():
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, 256, (4, *size), generator=generator, dtype=torch.uint8) for size in SIZES]


def same(one, other):
    for name in ('seg_logits', 'fused_img', 'fusion_weights', 'pred_sem_seg'):
        torch.testing.assert_close(getattr(one, name).data, getattr(other, name).data, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('step', ['test_step', 'val_step'])
@pytest.mark.parametrize('name', MODEL)
def test_predictions(build, name, step):
    model, pairs = build(name), images()
    with torch.no_grad():
        together = getattr(model, step)(dict(inputs=pairs))
        for pair, sample in zip(pairs, together):
            (alone,) = getattr(model, step)(dict(inputs=[pair]))
            assert sample.seg_logits.shape[-2:] == pair.shape[-2:]
            same(sample, alone)


def test_padding_beside_a_larger_pair_would_be_seen(build):
    """So the comparison above can fail."""
    model, pairs = build('gate'), images()
    with torch.no_grad():
        data = model.data_preprocessor(dict(inputs=pairs[:2]), False)
        padded = model.predict(**data)[0].seg_logits.data
        alone = model.test_step(dict(inputs=pairs[:1]))[0].seg_logits.data
    assert (padded - alone).abs().max() > 1e-2


def test_one_pass_for_pairs_of_one_size(build, monkeypatch):
    model, passes = build('gate'), []
    predict = model.predict
    monkeypatch.setattr(
        model, 'predict', lambda inputs, samples: (passes.append(len(inputs)), predict(inputs, samples))[1]
    )
    with torch.no_grad():
        model.test_step(dict(inputs=images()))
    assert passes == [2, 1, 1]


def test_stacked_batches_are_left_alone(build):
    with torch.no_grad():
        assert len(build('gate').test_step(dict(inputs=torch.stack(images()[::2])))) == 2


def test_fuse(paired_config, random_checkpoint, tmp_path):
    config = paired_config((32, 48), 2)
    fuse = FusionInferencer(Config.fromfile(config), random_checkpoint(config), device='cpu')
    rng = np.random.RandomState(0)
    for folder in ('ir', 'vi'):
        (tmp_path / 'sizes' / folder).mkdir(parents=True)
        for number, size in enumerate(SIZES):
            cv2.imwrite(str(tmp_path / 'sizes' / folder / f'{number}.png'), rng.randint(0, 256, size, dtype=np.uint8))
    folders = dict(ir=tmp_path / 'sizes/ir', vi=tmp_path / 'sizes/vi')
    one, four = fuse(**folders, batch_size=1), fuse(**folders, batch_size=4)
    for name in ('fused', 'weights', 'labels'):
        for alone, beside in zip(one[name], four[name]):
            np.testing.assert_allclose(alone.astype(float), beside.astype(float), atol=1e-4)


def test_training_to_a_fixed_size(build, make_batch):
    """Losses of a batch are the mean of those of its pairs, where norms do not look at the batch."""
    model = build('gate')  # Norms by running statistics.
    model.data_preprocessor = FusionDataPreProcessor(size=(64, 64))
    pairs = images()
    batches = [make_batch(size=size, batch=1, seed=number)[1][0] for number, size in enumerate(SIZES)]

    def fused(positions):
        data = dict(inputs=[pairs[i] for i in positions], data_samples=[batches[i].clone() for i in positions])
        data = model.data_preprocessor(data, training=True)
        return model.fuse(data['inputs'])[0]

    with torch.no_grad():
        together = fused(range(4))
        for number in range(4):
            torch.testing.assert_close(together[number], fused([number])[0], atol=1e-5, rtol=1e-4)


def test_training_pairs_of_several_sizes_are_mentioned(monkeypatch, make_batch):
    said = []
    monkeypatch.setattr('mmfusion.models.data_preprocessor.print_log', lambda text, *args: said.append(text))
    samples = [make_batch(size=size, batch=1)[1][0] for size in SIZES]
    for options, times in ((dict(size=(64, 64)), 0), (dict(size_divisor=32), 1)):
        preprocess = FusionDataPreProcessor(**options)
        for _ in range(2):
            preprocess(dict(inputs=images(), data_samples=[sample.clone() for sample in samples]), training=True)
        assert len(said) == times
    assert 'set data_preprocessor.size' in said[0]
