"""The config that trains a segmentor on fused images: the images, the pairs, and nothing else."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmfusion.analysis.fusion_evaluation import (
    find_fused,
    method_name,
    on_fused_images,
    pair_folders,
    rule_fusions,
    write_by_rule,
    write_config,
)
from mmfusion.analysis.run_summary import differing_keys
from mmfusion.analysis.work_folders import flatten
from mmfusion.command_line import read_config
from mmfusion.models import LaplacianPyramidFusion, SalienceFusion
from mmfusion.models.color import split_luminance
from mmfusion.registry import DATASETS, MODELS


@pytest.fixture
def fused(split_data, tmp_path):
    """Folder of fused images in colour, which are like neither source."""
    rng = np.random.RandomState(0)
    for split, number in (('train', 6), ('test', 2)):
        (tmp_path / 'fused' / split).mkdir(parents=True)
        for i in range(number):
            image = rng.randint(0, 256, (32, 48, 3), dtype=np.uint8)
            assert cv2.imwrite(str(tmp_path / 'fused' / split / f'{i:03}.png'), image)
    return tmp_path / 'fused'


def derive(cfg, fused, tmp_path):
    pairs = pair_folders(cfg)
    return on_fused_images(cfg, find_fused('theirs', fused, pairs), pairs, tmp_path / 'pairs')


def dataset_of(cfg, loader):
    with DefaultScope.overwrite_default_scope('mmfusion'):
        return DATASETS.build(cfg[f'{loader}_dataloader'].dataset)


@pytest.mark.parametrize('loader', ['train', 'val', 'test'])
def test_same_pairs_and_labels_other_images(split_config, fused, tmp_path, loader):
    cfg = split_config()
    ours, before = dataset_of(derive(cfg, fused, tmp_path), loader), dataset_of(cfg, loader)
    assert len(ours) == len(before)
    for i in range(len(ours)):
        new, old = ours[i], before[i]
        name = old['data_samples'].img_path.rsplit('/', 1)[1]
        image = cv2.imread(str(fused / ('test' if loader == 'test' else 'train') / name))
        assert torch.equal(new['inputs'][:3], torch.from_numpy(image).permute(2, 0, 1))
        assert torch.equal(new['data_samples'].gt_sem_seg.data, old['data_samples'].gt_sem_seg.data)


def test_a_list_that_names_the_split_still_counts(split_config, split_data, fused, tmp_path):
    """Fused images lie elsewhere, where 'train/001' would name none of them."""
    (split_data / 'exclude.txt').write_text('train/001\n')
    cfg = split_config()
    cfg.train_dataloader.dataset.exclude_file = 'exclude.txt'
    (fused / 'train').rename(fused / 'other')
    (fused / 'train').mkdir()
    (fused / 'other').rename(fused / 'train/fused')
    ours = dataset_of(derive(cfg, fused, tmp_path), 'train')
    assert [ours.get_data_info(i)['vi_path'][-7:-4] for i in range(len(ours))] == ['000', '002', '004', '005']


def test_segmentor_reads_the_image_of_the_file(split_config, fused, tmp_path):
    cfg = derive(split_config(reads='pair+fused', refine=dict(type='DetailRefiner', channels=4)), fused, tmp_path)
    sample = dataset_of(cfg, 'test')[1]
    with DefaultScope.overwrite_default_scope('mmfusion'):
        model = MODELS.build(cfg.model).eval()
    seen = []
    model.segmentor.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    prediction = model.test_step(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))[0]
    image = torch.from_numpy(cv2.imread(str(fused / 'test/001.png'))[..., ::-1].copy()).permute(2, 0, 1).float()
    assert (prediction.fused_img.data * 255 - image).abs().max() < 0.01
    assert (seen[-1] - (image - 127.5) / 64).abs().max() < 0.01
    # Whatever infrared shows.
    sample['inputs'][3] = 255 - sample['inputs'][3]
    other = model.test_step(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))[0]
    assert torch.equal(other.seg_logits.data, prediction.seg_logits.data)


def test_nothing_else_differs(split_config, fused, tmp_path):
    cfg = split_config()
    ours = derive(cfg, fused, tmp_path)
    allowed = ('model.fusion', 'model.reads', 'model.color', 'model.refine', 'model.sensor_dropout')
    allowed += ('model.source_loss_weight', 'fused_images')
    keys = differing_keys(flatten(cfg.to_dict()), flatten(ours.to_dict()))
    rest = [key for key in keys if not key.startswith(allowed)]
    of_data = ('ann_file', 'vi_path', 'ir_path', 'seg_map_path', 'vi_suffix', 'hold_out', 'part')
    unexpected = [key for key in rest if not ({*key.split('.')} & {*of_data} or 'evaluator' in key)]
    assert not unexpected
    assert [metric.type for metric in ours.test_evaluator] == ['PerClassIoUMetric']
    assert cfg.test_evaluator[1].type == 'FusionMetric'


def test_other_images_are_another_config(split_config, fused, tmp_path):
    cfg = split_config()
    before = derive(cfg, fused, tmp_path).fused_images
    image = cv2.imread(str(fused / 'train/000.png'))
    assert cv2.imwrite(str(fused / 'train/000.png'), 255 - image)
    assert derive(cfg, fused, tmp_path).fused_images != before


def test_written_and_read(split_config, fused, tmp_path, plain_configs):
    ours = derive(split_config(), fused, tmp_path)
    path = write_config(ours, 'theirs', tmp_path / 'average_unet_3_tiny-32x48.py', tmp_path / 'configs')
    assert path.name == 'theirs_unet_3_tiny-32x48.py'
    assert flatten(read_config(path).to_dict()) == flatten(ours.to_dict())
    with pytest.raises(ValueError, match='does not say which method'):
        write_config(ours, 'theirs', tmp_path / 'mine.py', tmp_path / 'configs')


def test_model_that_is_none_of_ours(split_config, fused, tmp_path):
    cfg = split_config()
    cfg.model = dict(type='EncoderDecoder')
    with pytest.raises(ValueError, match='EncoderDecoder, not FusionSegmentor; write a child of ten lines'):
        derive(cfg, fused, tmp_path)


@pytest.mark.parametrize('text', ['', 'a/b', 'ä', '-x'])
def test_names_of_methods(text):
    with pytest.raises(ValueError, match='cannot name a method'):
        method_name(text)


@pytest.mark.parametrize('rule', list(rule_fusions()))
def test_rules_as_files(split_config, split_data, tmp_path, rule):
    pairs = pair_folders(split_config())
    found = write_by_rule(rule, tmp_path / rule, pairs)
    path = found.images[split_data / 'test/vi']['001']
    assert path == tmp_path / rule / 'test/001.png'
    image = cv2.imread(str(path)).astype(float)
    vi = cv2.imread(str(split_data / 'test/vi/001.png')).astype(float)
    ir = cv2.imread(str(split_data / 'test/ir/001.png')).astype(float)
    if rule in ('visible', 'infrared'):
        assert np.array_equal(image, vi if rule == 'visible' else ir)
        return
    fused, light = (luminance(each) for each in (image, vi))
    if rule in ('laplacian-pyramid', 'salience'):
        tensors = [torch.from_numpy(each / 255)[None, None].float() for each in (ir[..., 0], light)]
        fusion = SalienceFusion() if rule == 'salience' else LaplacianPyramidFusion()
        expected = fusion(*tensors).fused[0, 0].numpy() * 255
    else:
        expected = (light + ir[..., 0]) / 2 if rule == 'average' else np.maximum(light, ir[..., 0])
    inside = (image.min(-1) > 0) & (image.max(-1) < 255)  # Chroma can leave what a file can hold.
    assert inside.mean() > 0.9
    assert np.abs(fused - expected)[inside].max() < 1.5


def luminance(image):
    """Of B, G, R in 0..255."""
    tensor = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    return split_luminance(tensor)[0][0, 0].numpy() * 255.0


def test_rules_are_written_once(split_config, split_data, tmp_path):
    pairs = pair_folders(split_config())
    path = write_by_rule('average', tmp_path / 'fused', pairs).images[split_data / 'test/vi']['000']
    path.write_bytes(b'kept')
    write_by_rule('average', tmp_path / 'fused', pairs)
    assert path.read_bytes() == b'kept'
    (tmp_path / 'fused/train/003.png').unlink()  # Not complete: all anew.
    write_by_rule('average', tmp_path / 'fused', pairs)
    assert cv2.imread(str(path)) is not None
    path.write_bytes(b'of other pairs')
    source = split_data / 'test/vi/000.png'
    assert cv2.imwrite(str(source), 255 - cv2.imread(str(source)))
    write_by_rule('average', tmp_path / 'fused', pairs)
    ir = cv2.imread(str(split_data / 'test/ir/000.png'), 0).astype(float)
    expected = (luminance(cv2.imread(str(source)).astype(float)) + ir) / 2
    assert np.abs(luminance(cv2.imread(str(path)).astype(float)) - expected).mean() < 1.5
    with pytest.raises(ValueError, match="no rule is called 'mean'; there are average, maximum"):
        write_by_rule('mean', tmp_path / 'fused', pairs)
