"""tools/analysis_tools/fusion_quality.py: rules and trained models on folders without labels."""

import csv
import shutil
import statistics

import cv2
import numpy as np
import pytest
import torch

from mmfusion.apis import FusionInferencer
from mmfusion.evaluation.functional import fusion_metrics
from mmfusion.registry import MODELS

TOOL = 'analysis_tools/fusion_quality.py'
METRICS = ('SD', 'Qabf', 'SSIM')


@pytest.fixture
def run(load_tool):
    """Function of command-line arguments that gives the exit code."""
    return lambda *arguments: load_tool(TOOL).main([str(argument) for argument in arguments])


@pytest.fixture
def pairs(pair_folder, tmp_path):
    """Three pairs of images, whose labels nobody needs."""
    data = pair_folder(tmp_path / 'data', number=3)
    shutil.rmtree(data / 'labels')
    return data


@pytest.fixture
def trained(run_config, model_config, pairs, tmp_path, plain_configs):
    """Config file and two checkpoints of a tiny model."""
    run_config(model_config(), pairs, tmp_path / 'run').dump(tmp_path / 'tiny.py')
    for seed in range(2):
        torch.manual_seed(seed)
        torch.save(dict(state_dict=MODELS.build(model_config()).state_dict()), tmp_path / f'seed{seed}.pth')
    return tmp_path / 'tiny.py', tmp_path / 'seed0.pth', tmp_path / 'seed1.pth'


def luminance(image):
    return image @ np.array([0.299, 0.587, 0.114])


def by_hand(pairs, fused_of):
    """Means of the metrics of fused luminance in 0..255."""
    figures = []
    for number in range(3):
        vi, ir = (cv2.imread(str(pairs / name / f'{number:03}.png'), flag) for name, flag in (('vi', 1), ('ir', 0)))
        vi = luminance(vi[..., ::-1])
        fused = fused_of(number, ir.astype(float), vi)
        tensors = (torch.from_numpy(image)[None, None].double() for image in (fused, ir, vi))
        figures.append({name: value.item() for name, value in fusion_metrics(*tensors, METRICS).items()})
    return {name: statistics.fmean(each[name] for each in figures) for name in METRICS}


def read(path):
    table = {}
    for row in csv.DictReader(path.open()):
        key = row['folder'], row['method'], row['metric']
        table.setdefault(key, []).append(float(row['value']))
    return table


def test_rules(run, pairs, tmp_path, capsys):
    out = tmp_path / 'deep/quality'
    assert (
        run('--pairs', f'here={pairs}', '--metrics', *METRICS, '--out-csv', f'{out}.csv', '--out-md', f'{out}.md') == 0
    )
    found = read(out.with_suffix('.csv'))
    assert {key[1] for key in found} == {'average', 'maximum', 'laplacian-pyramid', 'salience'}
    for method, rule in (
        ('average', lambda n, ir, vi: (ir + vi) / 2),
        ('maximum', lambda n, ir, vi: np.maximum(ir, vi)),
    ):
        expected = by_hand(pairs, rule)
        for metric in METRICS:
            # Colour of the visible image is kept, and cut where it leaves the range; then come the 8 bits.
            assert found['here', method, metric] == [pytest.approx(expected[metric], rel=0.02)]
    assert found['here', 'average', 'SD'] != found['here', 'laplacian-pyramid', 'SD']
    text = out.with_suffix('.md').read_text()
    assert text.startswith('## here, 3 pairs\n\n| method | SD | Qabf | SSIM |')
    assert f'| average | {found["here", "average", "SD"][0]:#.4g} |' in text
    assert 'laplacian-pyramid' in capsys.readouterr().out


def test_sheets(run, pairs, trained, tmp_path, capsys):
    out = tmp_path / 'sheets'
    common = ('--pairs', f'here={pairs}', '--metrics', 'SD', '--rules', 'average', '--sheet-width', 128)
    assert run(*common, '--out-sheets', out, '--model', 'ours', *trained) == 0
    assert f'wrote {out / "here_1.png"}' in capsys.readouterr().out
    height, width = cv2.imread(str(pairs / 'vi/000.png')).shape[:2]
    # Visible, infrared, the rule, and the model's first checkpoint.
    expected = 24 + 3 * (round(height * 128 / width) + 24), 4 * 128 + 3 * 4
    assert cv2.imread(str(out / 'here_1.png')).shape[:2] == expected


def test_models(run, pairs, trained, tmp_path):
    config, first, second = trained
    arguments = ('--pairs', f'a={pairs}', f'b={pairs}', '--metrics', 'SD', '--rules', 'maximum', '--device', 'cpu')
    out = tmp_path / 'quality.csv', tmp_path / 'quality.md'
    assert (
        run(
            *arguments,
            '--model',
            'two',
            *trained,
            '--model',
            'one',
            config,
            first,
            '--out-csv',
            out[0],
            '--out-md',
            out[1],
        )
        == 0
    )
    found = read(out[0])
    assert list(dict.fromkeys(key[:2] for key in found)) == [
        (folder, method) for folder in 'ab' for method in ('maximum', 'two', 'one')
    ]
    for number, checkpoint in enumerate((first, second)):
        fused = FusionInferencer(config, checkpoint, 'cpu')(pairs / 'ir', pairs / 'vi')['fused']
        expected = statistics.fmean(luminance(image.astype(float)).std() for image in fused)
        assert found['a', 'two', 'SD'][number] == pytest.approx(expected, rel=1e-3)
    assert found['a', 'one', 'SD'] == found['a', 'two', 'SD'][:1] == found['b', 'one', 'SD']
    values = found['a', 'two', 'SD']
    assert values[0] != values[1]
    assert f'| two | {statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f} |' in out[1].read_text()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--pairs', 'data'], "--pairs takes NAME=DIR, got 'data'"),
        (['--pairs', 'a=x', 'a=y'], "--pairs names 'a' twice"),
        (['--pairs', 'a=nowhere'], "nowhere has no folder 'ir'; pairs are expected as ir/NAME.png and vi/NAME.png"),
        (['--pairs', 'a=x', '--rules'], 'nothing to measure: give --model, or at least one of the --rules'),
        (['--pairs', 'a=x', '--model', 'm', 'c'], "a name, a config and at least one checkpoint, got 'm c'"),
        (['--pairs', 'a=x', '--model', 'average', 'c', 'p'], "the name 'average' is there already"),
        (['--pairs', 'a=x', '--model', 'm', 'no-such-config', 'p'], 'no-such-config'),
        (['--pairs', 'a={pairs}', '--metrics', 'SDD'], 'SDD'),
    ],
)
def test_mistakes_are_named(run, pairs, arguments, message, capsys):
    assert run(*(argument.format(pairs=pairs) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
