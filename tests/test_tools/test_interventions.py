"""tools/analysis_tools/interventions.py and what it measures with."""

import copy
import json
import math
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from torch import nn

from mmfusion.apis import FusionInferencer
from mmfusion.models import UAAFusion
from mmfusion.registry import MODELS

SIZE = (30, 45)  # odd: the network sees padding
NUMBER = 5  # the last batch of two is a single pair
FUSION = dict(type='UAAFusion', num_stages=2, channels=4, steps=2, estimator='endpoint')


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/interventions.py')


@pytest.fixture
def parts(tool):
    """The module that measures."""
    return sys.modules['_interventions']


@pytest.fixture
def config(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Function of fusion options that gives a config file; the data are in tmp_path/data."""
    data = pair_folder(tmp_path / 'data', number=NUMBER, size=SIZE)

    def make(batch_size=2, **fusion):
        cfg = run_config(model_config(fusion={**FUSION, **fusion}), data, tmp_path / 'run')
        cfg.test_dataloader.batch_size = batch_size
        cfg.dump(tmp_path / 'tiny.py')
        return tmp_path / 'tiny.py'

    return make


@pytest.fixture
def checkpoint(tmp_path):
    """Function that writes random weights for a config, strong enough for every intervention to be seen."""

    def make(config):
        torch.manual_seed(0)
        model = MODELS.build(FusionInferencer(config).cfg.model)
        with torch.no_grad():
            model.decode_head.conv_seg.weight.normal_(std=3)
            for name, weight in model.fusion.head.named_parameters() if isinstance(model.fusion, UAAFusion) else ():
                if 'refine' in name or 'reconstruct' in name:
                    weight.mul_(3)
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
        return tmp_path / 'model.pth'

    return make


class Head(nn.Module):
    """Weighted mean plus the attention of it."""

    def forward(self, ir, vi, weight_ir, weight_vi, attend):
        mean = weight_ir * ir + weight_vi * vi
        return mean if attend is None else mean + attend(mean)


def by_name(parts, name):
    return next(one for one in parts.INTERVENTIONS if one.name == name)


def test_effect_of_every_intervention_by_hand(parts):
    """ir = 8, vi = 0 and a weight of 1/4 give 2; the attention of F is F times a ramp over the samples or columns."""
    ones = torch.ones(2, 1, 2, 4)
    ramp = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]]).view(2, 1, 1, 4).repeat(1, 1, 2, 1)
    moved = torch.tensor([[3.0, 4.0, 1.0, 2.0], [30.0, 40.0, 10.0, 20.0]]).view(2, 1, 1, 4).repeat(1, 1, 2, 1)
    expected = {
        'none': 2 + 2 * ramp,
        'weights swapped': 6 + 6 * ramp,
        'weights 0.5': 4 + 4 * ramp,
        'weights all infrared': 8 + 8 * ramp,
        'weights all visible': 0 * ramp,
        'attention zero': 2 * ones,
        'attention negated': 2 - 2 * ramp,
        'attention moved': 2 + 2 * moved,
        'attention of neighbour': 2 + 2 * ramp.flip(0),
        'weights 0.5, attention zero': 4 * ones,
    }
    assert [one.name for one in parts.INTERVENTIONS] == list(expected)
    head = Head()
    for name, value in expected.items():
        with parts.intervene(head, by_name(parts, name)):
            seen = head(8 * ones, 0 * ones, 0.25 * ones, 0.75 * ones, lambda fused: fused * ramp)
        assert torch.equal(seen, value), name


def test_moved_attention_is_moved_both_ways(parts):
    attention = torch.arange(24.0).view(1, 1, 4, 6)
    moved = by_name(parts, 'attention moved').attention(attention)
    assert torch.equal(moved[0, 0, 2:, 3:], attention[0, 0, :2, :3])
    assert torch.equal(moved[0, 0, :2, :3], attention[0, 0, 2:, 3:])


def test_head_is_as_before_even_after_an_error(parts):
    head, one = Head(), torch.ones(1, 1, 1, 1)
    arguments = (4 * one, 0 * one, one, 0 * one, None)
    with parts.intervene(head, by_name(parts, 'weights swapped')):
        assert head(*arguments).item() == 0
    with pytest.raises(TypeError, match='NoneType'), parts.intervene(head, by_name(parts, 'weights swapped')):
        head(4 * one, None, one, one, None)
    with (
        pytest.raises(ValueError, match='changes the attention, but the fusion has none'),
        parts.intervene(head, parts.ATTENTION_ZERO),
    ):
        head(*arguments)
    assert not head._forward_pre_hooks
    assert head(*arguments).item() == 4


def test_intervention_that_does_not_take_place_is_no_result(parts):
    with (
        pytest.raises(RuntimeError, match='the unfolding head was not called'),
        parts.intervene(Head(), by_name(parts, 'weights swapped')),
    ):
        pass


def test_tally_against_mmseg_and_by_hand(parts):
    rng = np.random.RandomState(0)
    tally, metric = parts.Tally(4), IoUMetric()
    metric.dataset_meta = dict(classes='abcd')
    pictures = []
    for size in ((5, 7), (8, 3), (6, 6)):
        labels, prediction = (torch.from_numpy(rng.randint(0, 3, size)) for _ in range(2))  # class 3 does not occur
        labels[0, :2] = 255
        fused, reference = (torch.from_numpy(rng.rand(*size)) for _ in range(2))
        tally.add(prediction, labels, fused, reference)
        metric.process({}, [dict(pred_sem_seg=dict(data=prediction[None]), gt_sem_seg=dict(data=labels[None]))])
        pictures.append([x.numpy().ravel() for x in (labels, prediction, fused, reference)])
    result = tally.result()
    assert round(result['mIoU'], 2) == pytest.approx(metric.compute_metrics(metric.results)['mIoU'])
    labels, prediction, fused, reference = (np.concatenate(x) for x in zip(*pictures))
    for c in range(3):
        inside = (labels == c) & (labels != 255)
        union = inside | ((prediction == c) & (labels != 255))
        assert result['IoU'][c] == pytest.approx(100 * (inside & (prediction == c)).sum() / union.sum(), rel=1e-6)
        assert result['change_by_class'][c] == pytest.approx(255 * np.abs(fused - reference)[inside].mean())
    assert result['mIoU'] == pytest.approx(np.mean(result['IoU'][:3]), rel=1e-6)
    assert result['change'] == pytest.approx(255 * np.abs(fused - reference).mean())  # ignored pixels as well
    assert math.isnan(result['IoU'][3])
    assert math.isnan(result['change_by_class'][3])


def test_standard_error_against_theory(parts):
    """Labels of one class, images of one size: mIoU is half a mean over the images, whose error is known."""
    right = np.random.RandomState(0).randint(0, 100, (40, 2))
    labels, image = torch.zeros(10, 10, dtype=torch.long), torch.zeros(10, 10)
    tallies = [parts.Tally(2) for _ in range(2)]
    for row in right:
        for tally, hits in zip(tallies, row):
            # Class 1 is always wrong: its IoU is 0.
            tally.add((torch.arange(100) >= hits).long().view(10, 10), labels, image, image)
    assert tallies[0].result()['mIoU'] == pytest.approx(right[:, 0].mean() / 2, rel=1e-6)
    difference = (right[:, 0] - right[:, 1]) / 2
    assert parts.difference_error(*tallies) == pytest.approx(difference.std() / 40**0.5, rel=0.1)
    assert parts.difference_error(tallies[0], tallies[0]) == 0
    single = parts.Tally(2)
    single.areas = tallies[0].areas[:1]
    assert math.isnan(parts.difference_error(single, single))


def test_labels_follow_flip_resize_and_padding(parts):
    labels = torch.tensor([[[0, 1], [2, 255]]])
    sample = SegDataSample(metainfo=dict(padding_size=(1, 2, 0, 3), flip=True, flip_direction='horizontal'))
    sample.gt_sem_seg = PixelData(data=labels)
    expected = np.full((7, 7), 9)
    expected[:4, 1:5] = np.kron(labels[0].numpy()[:, ::-1], np.ones((2, 2)))
    assert np.array_equal(parts.labels_at_input(sample, (7, 7), ignore_index=9)[0], expected)


def test_resized_pair(parts):
    image = torch.full((4, 6, 10), 200, dtype=torch.uint8)
    image[:, :, 5:] = 100
    sample = SegDataSample(metainfo=dict(img_path='x', ori_shape=(6, 10), img_shape=(6, 10)))
    sample.gt_sem_seg = PixelData(data=(image[:1] == 100).long() * 2)
    new = parts.resized(dict(inputs=image, data_samples=sample), 12)
    assert new['inputs'].shape == (4, 12, 12)
    assert new['inputs'][:, :, :5].unique().tolist() == [200]
    assert new['inputs'][:, :, 7:].unique().tolist() == [100]
    half = torch.zeros(1, 12, 12, dtype=torch.long)
    half[:, :, 6:] = 2
    assert torch.equal(new['data_samples'].gt_sem_seg.data, half)
    assert new['data_samples'].ori_shape == new['data_samples'].img_shape == (12, 12)
    assert sample.ori_shape == (6, 10)
    assert sample.gt_sem_seg.data.shape == (1, 6, 10)


def run(tool, tmp_path, *arguments):
    out = tmp_path / 'report.json'
    assert tool.main([str(x) for x in (*arguments, '--json', out, '--device', 'cpu')]) == 0
    return json.loads(out.read_text())


def test_command_line_against_the_test_loop(tool, parts, config, checkpoint, tmp_path, capsys):
    config = config()
    checkpoint = checkpoint(config)
    markdown = tmp_path / 'report.md'
    capsys.readouterr()
    report = run(tool, tmp_path, config, checkpoint, '--sizes', 32, 48, '--size-scenes', 2, '--out-md', markdown)
    printed = capsys.readouterr().out

    cfg = Config.fromfile(config)
    cfg.load_from = str(checkpoint)
    tested = Runner.from_cfg(cfg).test()
    none = report['interventions']['predicted'][0]
    assert none['intervention'] == 'none'
    assert none['mIoU'] == pytest.approx(tested['mIoU'], abs=0.0051)
    assert none['IoU'] == pytest.approx([tested[f'IoU/{c}'] for c in ('background', 'warm', 'printed')], abs=0.0051)

    names = [one.name for one in parts.INTERVENTIONS]
    for kind in ('predicted', 'given'):
        rows = {row['intervention']: row for row in report['interventions'][kind]}
        assert list(rows) == names
        assert rows['none']['change'] == rows['none']['mIoU_difference'] == 0
        for name in names[1:]:
            assert rows[name]['change'] > 0.01, name
            assert rows[name]['mIoU_difference'] == pytest.approx(rows[name]['mIoU'] - rows['none']['mIoU'])
            assert rows[name]['standard_error'] > 0
        # Away from 1/2 by the same on both sides.
        assert rows['weights 0.5']['change'] < rows['weights swapped']['change']
    assert report['left_out'] == []
    given, predicted = (report['interventions'][kind][0]['mIoU'] for kind in ('given', 'predicted'))
    assert given != predicted

    sizes = {(row['attention'], row['size']): row for row in report['sizes']}
    assert list(sizes) == [('rms', 32), ('rms', 48), ('none', 32), ('none', 48)]
    for size in (32, 48):
        # A map of root mean square 1: its gate spreads over about a fifth.
        assert 0.05 < sizes['rms', size]['gate_std'] < 0.3
        assert 0 < sizes['none', size]['gate_std'] < 1e-3 * sizes['rms', size]['gate_std']
        assert sizes['none', size]['change'] < 1e-2 * sizes['rms', size]['change']

    text = markdown.read_text()
    assert text.count('\n| none | ') == 2 + 2
    for row in report['interventions']['given']:
        assert f'| {row["intervention"]} | {row["mIoU"]:.2f} | {row["mIoU_difference"]:+.2f}' in text
        assert f'{row["mIoU"]:.2f}' in printed
        assert row['intervention'] in printed


def test_none_is_prediction_and_given_is_training(tool, parts, config, checkpoint):
    config = config()
    loaded = tool.load(str(config), str(checkpoint(config)), 'cpu')
    model, dataset = loaded.model, tool.build_dataset(loaded)
    packed = [dataset[i] for i in range(2)]
    data = model.data_preprocessor(pseudo_collate(copy.deepcopy(packed)), False)
    inputs, samples = data['inputs'], data['data_samples']
    with torch.no_grad():
        predicted = model.predict(inputs, copy.deepcopy(samples))
        image, result = parts.fuse(model, inputs, samples, 'predicted')
        for i, sample in enumerate(predicted):
            assert torch.equal(image[i, :, : SIZE[0], : SIZE[1]], sample.fused_img.data)
            assert torch.equal(result.weight_ir[i, :, : SIZE[0], : SIZE[1]], sample.fusion_weights.data)
        given = parts.fuse(model, inputs, samples, 'given')[1]
    for i, sample in enumerate(samples):
        assert torch.equal(given.labels[i, : SIZE[0], : SIZE[1]], sample.gt_sem_seg.data[0])
        assert (given.labels[i, :, SIZE[1] :] == 255).all()
        assert not torch.equal(result.labels[i], given.labels[i])


def test_model_is_as_before(tool, parts, config, checkpoint):
    config = config()
    loaded = tool.load(str(config), str(checkpoint(config)), 'cpu')
    model, dataset = loaded.model, tool.build_dataset(loaded)
    before = copy.deepcopy(model.state_dict())
    batches = [[dataset[0], dataset[1]]]
    rows = parts.measure(model, batches, parts.INTERVENTIONS, 3)
    parts.attention_effect(model, [dataset[0]], 'none', 'given')
    assert model.fusion.attention == 'rms'
    assert not model.fusion.head._forward_pre_hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert parts.measure(model, batches, parts.INTERVENTIONS[:1], 3)[0]['mIoU'] == rows[0]['mIoU']


def test_random_signs_are_the_same_in_every_row(tool, parts, config, checkpoint):
    """The multiplexed estimator draws; a difference between rows must not come from that."""
    config = config(estimator='multiplexed')
    loaded = tool.load(str(config), str(checkpoint(config)), 'cpu')
    dataset = tool.build_dataset(loaded)
    state = torch.get_rng_state()
    rows = parts.measure(loaded.model, [[dataset[0], dataset[1]]], [parts.NONE] * 2, 3)
    assert rows[1]['change'] == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_do_anything_is_left_out(tool, config, checkpoint, tmp_path, capsys):
    config_file = config(batch_size=1, attention=None)
    report = run(tool, tmp_path, config_file, checkpoint(config_file), '--labels', 'given', '--limit', 2)
    assert list(report['interventions']) == ['given']
    rows = report['interventions']['given']
    assert [row['intervention'] for row in rows] == [
        'none',
        'weights swapped',
        'weights 0.5',
        'weights all infrared',
        'weights all visible',
    ]
    assert report['sizes'] == []
    assert report['scenes'] == 2
    assert 'attention of neighbour' in report['left_out']
    assert 'left out' in capsys.readouterr().out

    config_file = config(batch_size=1)
    weights = checkpoint(config_file)
    alone, batched = (
        run(tool, tmp_path, config_file, weights, '--labels', 'given', '--limit', 3, '--sizes', *more)
        for more in ((), ('--batch-size', 2))
    )
    assert alone['left_out'] == ['attention of neighbour']
    assert batched['left_out'] == []
    assert alone['sizes'] == []
    for ours, theirs in zip(alone['interventions']['given'], batched['interventions']['given']):
        assert ours['mIoU'] == pytest.approx(theirs['mIoU'], abs=0.1) or 'neighbour' in theirs['intervention']


def test_released_head_throws_the_weights_away(tool, config, checkpoint, tmp_path):
    """Section 6 of the method: no data step, and an attention without effect."""
    config = config(attention='none', head=dict(data_step=False))
    report = run(tool, tmp_path, config, checkpoint(config), '--labels', 'given', '--sizes', 32)
    rows = {row['intervention']: row for row in report['interventions']['given']}
    assert rows['weights swapped']['change'] == rows['weights all visible']['change'] == 0
    assert rows['attention negated']['change'] < 1e-2
    assert [row['attention'] for row in report['sizes']] == ['none']


def test_drawn_scenes_are_drawn_at_each_size(tool, model_config, checkpoint, tmp_path, plain_configs, run_config):
    cfg = run_config(model_config(fusion=FUSION, segmentor=None), tmp_path, tmp_path / 'run')
    cfg.test_dataloader.dataset = dict(
        type='SyntheticThermalScenes',
        size=(48, 64),
        num_scenes=3,
        split='test',
        test_mode=True,
        pipeline=[dict(type='PackFusionInputs')],
    )
    cfg.model.segmentor.decode_head.num_classes = 4
    cfg.dump(tmp_path / 'drawn.py')
    report = run(
        tool,
        tmp_path,
        tmp_path / 'drawn.py',
        checkpoint(tmp_path / 'drawn.py'),
        '--labels',
        'predicted',
        '--limit',
        2,
        '--sizes',
        48,
    )
    assert report['classes'] == ['background', 'warm', 'printed', 'vehicle']
    assert [(row['attention'], row['scenes']) for row in report['sizes']] == [
        ('rms', 'resized'),
        ('rms', 'drawn'),
        ('none', 'resized'),
        ('none', 'drawn'),
    ]
    assert report['sizes'][0]['gate_std'] != report['sizes'][1]['gate_std']


def test_messages(tool, config, checkpoint, run_config, model_config, tmp_path, capsys):
    def error(*arguments):
        assert tool.main([str(x) for x in arguments]) == 1
        text = capsys.readouterr().err
        assert text.count('\n') == text.count('error: ') == 1
        return text

    file = config()
    weights = checkpoint(file)
    capsys.readouterr()
    assert 'no checkpoint at' in error(file, tmp_path / 'nothing.pth')
    cfg = Config.fromfile(file)
    cfg.test_dataloader.dataset.pipeline.pop(1)
    cfg.dump(tmp_path / 'unlabelled.py')
    text = error(tmp_path / 'unlabelled.py', weights)
    assert '000.png has no labels' in text
    assert 'whose pipeline loads them' in text
    cfg = Config.fromfile(file)
    cfg.model.fusion = dict(type='AverageFusion')
    cfg.dump(tmp_path / 'average.py')
    weights = checkpoint(tmp_path / 'average.py')
    capsys.readouterr()
    assert 'the fusion of the config is a AverageFusion' in error(tmp_path / 'average.py', weights)
    cfg.model = cfg.model.segmentor
    cfg.dump(tmp_path / 'plain.py')
    assert 'EncoderDecoder, which does not fuse' in error(tmp_path / 'plain.py', weights)
    for arguments in (('--limit', 0), ('--batch-size', -1), ('--size-scenes', 0), ('--sizes', 16), ('--labels', 'x')):
        with pytest.raises(SystemExit) as end:
            tool.main([str(x) for x in (file, weights, *arguments)])
        assert end.value.code == 2
    assert 'must be at least' in capsys.readouterr().err


def test_pairs_with_16_bits_and_two_sizes_in_a_batch(tool, config, checkpoint, tmp_path):
    """Padded to the larger one; figures are of the pairs alone."""
    config = config()
    weights = checkpoint(config)
    for folder in ('vi', 'ir', 'labels'):
        path = str(tmp_path / 'data' / folder / '001.png')
        image = cv2.imread(path, cv2.IMREAD_UNCHANGED)[:24, :33]
        cv2.imwrite(path, image.astype(np.uint16) * 257 if folder == 'ir' else image)
    report = run(tool, tmp_path, config, weights, '--labels', 'predicted', '--sizes')
    cfg = Config.fromfile(config)
    cfg.load_from = str(weights)
    tested = Runner.from_cfg(cfg).test()
    assert report['interventions']['predicted'][0]['mIoU'] == pytest.approx(tested['mIoU'], abs=0.0051)
