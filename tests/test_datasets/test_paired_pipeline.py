"""Pipelines of mmseg for single images, read as pipelines for pairs."""

import copy

import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmfusion.datasets import PairedSegDataset
from mmfusion.datasets.paired_pipeline import flipped_pipeline, paired_pipeline

NAMES = dict(classes=('background', 'warm', 'printed'), palette=[[0, 0, 0], [200, 60, 20], [40, 160, 220]])
SINGLE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomFlip', prob=1.0),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]


def types(steps):
    return [step['type'] for step in steps]


def test_what_takes_whose_place():
    given = copy.deepcopy(SINGLE)
    changed = paired_pipeline(given)
    assert types(changed) == [
        'LoadPairFromFile',
        'LoadPairAnnotations',
        'RandomFlip',
        'ApplyToModality',
        'PackFusionInputs',
    ]
    assert changed[1] == dict(type='LoadPairAnnotations')  # Label 0 is the business of the data set.
    assert changed[3] == dict(
        type='ApplyToModality', modality='visible', transforms=[dict(type='PhotoMetricDistortion')]
    )
    assert given == SINGLE


def test_prefixes_and_options():
    (changed,) = paired_pipeline([dict(type='mmseg.LoadImageFromFile', imdecode_backend='pillow', color_type='color')])
    assert changed == dict(type='LoadPairFromFile', imdecode_backend='pillow')


def test_inside_of_others():
    """As in mmseg's pipelines for test time augmentation."""
    inner = [[dict(type='RandomFlip', prob=0.0)], [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]
    changed = paired_pipeline([dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=inner)])
    assert [types(steps) for steps in changed[1]['transforms']] == [
        ['RandomFlip'],
        ['LoadPairAnnotations'],
        ['PackFusionInputs'],
    ]


def test_a_pipeline_for_pairs_stays():
    def brighten(results):
        return results

    wrapped = dict(type='ApplyToModality', transforms=[dict(type='PhotoMetricDistortion')])
    steps = [dict(type='LoadPairFromFile'), wrapped, brighten, dict(type='PackSegInputs')]
    assert paired_pipeline(steps) == steps
    assert paired_pipeline(()) == []


@pytest.mark.parametrize('bare', ['PhotoMetricDistortion', 'RGB2Gray', 'RandomGrayscale'])
def test_photometric_transforms_outside(bare):
    steps = [dict(type='LoadPairFromFile'), dict(type='RandomApply', transforms=[dict(type=bare)])]
    with pytest.raises(
        ValueError, match=rf"of MSRS has {bare} outside of ApplyToModality.*transforms=\[dict\(type='{bare}'"
    ):
        paired_pipeline(steps, 'MSRS')


@pytest.mark.parametrize('scope', ['mmseg', 'mmfusion'])
def test_in_a_data_set(pair_folder, tmp_path, scope):
    DefaultScope.get_instance(f'pipeline_{scope}', scope_name=scope)
    folder = pair_folder(tmp_path)
    data = PairedSegDataset(data_root=str(folder), metainfo=NAMES, pipeline=copy.deepcopy(SINGLE))
    plain = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations'), dict(type='PackFusionInputs')]
    as_it_is = PairedSegDataset(data_root=str(folder), metainfo=NAMES, pipeline=plain)[0]
    item, *others = [data[0] for _ in range(12)]  # Now and then, a distortion leaves the colours as they are.
    assert item['inputs'].shape[0] == 4
    labels = as_it_is['data_samples'].gt_sem_seg.data
    assert np.array_equal(item['data_samples'].gt_sem_seg.data, labels.flip(-1))
    assert np.array_equal(item['inputs'][3], as_it_is['inputs'][3].flip(-1))  # Infrared is not distorted.
    unchanged = as_it_is['inputs'][:3].flip(-1)
    assert not all(np.array_equal(each['inputs'][:3], unchanged) for each in (item, *others))


def test_flipped():
    """What resizes comes before, labels behind the flips."""
    steps = [dict(type='LoadPairFromFile'), dict(type='Resize', scale=(8, 8)), *types_of('LoadPairAnnotations', 'Pack')]
    *before, augment = flipped_pipeline(steps)
    assert before == steps[:2]
    flips, *others = augment['transforms']
    assert [(step['prob'], step['direction']) for step in flips] == [(0.0, 'horizontal'), (1.0, 'horizontal')]
    assert [types(choices) for choices in others] == [['LoadPairAnnotations'], ['Pack']]
    with pytest.raises(ValueError, match='nothing to augment'):
        flipped_pipeline([])


def types_of(*names):
    return [dict(type=name) for name in names]
