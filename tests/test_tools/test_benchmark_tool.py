"""tools/analysis_tools/benchmark.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools/analysis_tools/benchmark.py'
STAGES, STEPS, RELEASED_STEPS, CLASSES = 2, 2, 3, 3
ESTIMATORS = ('exact', 'multiplexed', 'endpoint', 'banzhaf')
VARIANTS = ('gradient-free', 'bfloat16', 'checkpointed')


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/benchmark.py')


@pytest.fixture(scope='module')
def config(model_config, unet_config, tmp_path_factory):
    path = tmp_path_factory.mktemp('benchmark') / 'tiny.py'
    fusion = dict(type='UAAFusion', num_stages=STAGES, channels=4, steps=STEPS)
    # True labels in training, as released: predicted ones would take a pass of both sources more.
    model = model_config(segmentor=unet_config(num_classes=7), fusion=fusion, train_labels='given')
    Config(dict(model=model)).dump(path)
    return path


@pytest.fixture(scope='module')
def run(config):
    """Function of arguments: the tool as a process of its own, since it forks."""

    def call(*arguments):
        command = [sys.executable, '-W', 'ignore', str(SCRIPT), '--config', str(config), *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=config.parent,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )

    return call


@pytest.fixture(scope='module')
def finished(run, tmp_path_factory):
    """One run of the tool: its report and what it printed."""
    target = tmp_path_factory.mktemp('report') / 'deep/report.json'
    process = run(
        '--size',
        24,
        32,
        '--inference-size',
        16,
        40,
        '--inference-batch-size',
        3,
        '--classes-present',
        CLASSES,
        '--num-classes',
        5,
        '--released-steps',
        RELEASED_STEPS,
        '--repeats',
        3,
        '--threads',
        1,
        '--estimator',
        *ESTIMATORS,
        '--variant',
        *VARIANTS,
        '--json',
        target,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(target.read_text()), process.stdout


def rows_of(report):
    return {(row['task'], row['implementation']): row for row in report['results']}


def test_report(finished):
    report, _ = finished
    assert sorted(report) == ['environment', 'results', 'settings']
    assert sorted(report['environment']) == ['device', 'name', 'threads', 'torch']
    assert report['environment']['threads'] == 1
    assert report['settings'] == dict(
        config='tiny.py',
        cfg_options={},
        num_classes=5,
        released_steps=RELEASED_STEPS,
        repeats=3,
        train_batch_size=2,
        train_size=[24, 32],
        inference_batch_size=3,
        inference_size=[16, 40],
    )
    order = [(row['task'], row['implementation']) for row in report['results']]
    assert order == [(task, name) for task in ('train', 'inference') for name in ('released', *ESTIMATORS, *VARIANTS)]
    for row in report['results']:
        assert sorted(row) == [
            'autograd_calls',
            'backward_images',
            'classes',
            'classes_present',
            'flops',
            'flops_fusion',
            'forward_images',
            'implementation',
            'memory_bytes',
            'parts',
            'seconds',
            'speedup',
            'task',
        ]
        assert row['classes'] == row['classes_present'] == CLASSES


def test_times(finished):
    rows = rows_of(finished[0])
    for (task, name), row in rows.items():
        seconds, speedup = row['seconds'], row['speedup']
        assert len(seconds['all']) == 3
        assert 0 < min(seconds['all']) == seconds['min'] <= seconds['median'] <= seconds['max'] == max(seconds['all'])
        theirs = rows[task, 'released']['seconds']
        assert speedup['median'] == pytest.approx(theirs['median'] / seconds['median'])
        quotients = [a / b for a, b in zip(theirs['all'], seconds['all'])]
        assert (speedup['min'], speedup['max']) == pytest.approx((min(quotients), max(quotients)))
        expected = dict(
            train={'attribution', 'attention', 'stages', 'segmentor', 'losses', 'backward', 'optimizer', 'other'},
            inference={'labels', 'attribution', 'attention', 'stages', 'segmentor', 'other'},
        )[task]
        if name == 'gradient-free':
            expected -= {'attention'}
        assert set(row['parts']) == expected, name
        # Medians of the parts need not add up to the median of the whole, but nothing is counted twice.
        assert all(0 < value < seconds['max'] for value in row['parts'].values())
        if sys.platform == 'linux':
            assert row['memory_bytes'] >= 0


def test_counts_by_hand(finished):
    """Images per sample through the segmentor, and calls of autograd, for a tiny case."""
    rows, later = rows_of(finished[0]), STAGES - 1

    def counts(task, name):
        row = rows[task, name]
        return row['forward_images'], row['backward_images'], row['autograd_calls']

    for task, theirs, passes, calls in (('train', 3, 3, 1), ('inference', 2, 3, 0)):
        # Training: fused, infrared and visible image; inference: labels, predicted from one image in the release and
        # from the two sources by ours, and the fused image.
        back = 3 if task == 'train' else 0
        points = 2 * RELEASED_STEPS
        assert counts(task, 'released') == (
            points + later + theirs,
            points * CLASSES + later + back,
            points * CLASSES + later + calls,
        )
        points = 2 * STEPS
        assert counts(task, 'exact') == (
            points + later + passes,
            points * CLASSES + later + back,
            CLASSES + later + calls,
        )
        assert counts(task, 'multiplexed') == (points + later + passes, points + later + back, 1 + later + calls)
        assert counts(task, 'endpoint') == (4 + later + passes, later + back, later + calls)
        shown = 4 if task == 'train' else 8  # One pair of images for each source, and two.
        for name in ('banzhaf', 'bfloat16', 'checkpointed'):
            assert counts(task, name) == (shown + later + passes, later + back, later + calls)
        assert counts(task, 'gradient-free') == (shown + passes, back, calls)


def conv_macs(channels, stages, last_memory, first_gates, first_merge):
    """Multiply-adds per pixel of the fusion network, from its description."""

    def unit(inputs, middle, outputs):
        return 9 * (inputs * middle + middle * outputs)

    c = channels
    stage = unit(1, c, c) + unit(3 * c, c, c) + unit(c, c, c) + unit(c, c // 2, 1)
    memory = unit(3 * c, c, c) + unit(c, c, c)
    cells = first_gates * 9 * c * c + (stages - 2 + last_memory) * 8 * 9 * c * c
    folded = 9 * (3 - first_merge) * c * c
    return 2 * unit(1, c // 2, c // 2) + stages * stage + (stages - 1 + last_memory) * memory + cells - folded


def test_operations_by_hand(finished):
    rows = rows_of(finished[0])
    pixels = 3 * 16 * 40
    # In its last stage the released network writes a memory that nobody reads.
    assert rows['inference', 'released']['flops_fusion'] == 2 * pixels * conv_macs(4, STAGES, 1, 3, 3)
    # The first stage has one memory in two places, which is convolved once.
    ours = {rows['inference', name]['flops_fusion'] for name in (*ESTIMATORS, *VARIANTS)}
    assert ours == {2 * pixels * conv_macs(4, STAGES, 0, 3, 2)}
    for (task, name), row in rows.items():
        assert row['flops'] > row['flops_fusion'] > 0
        assert name == 'released' or row['flops'] < rows[task, 'released']['flops']
    train = [rows['train', name]['flops'] for name in ('exact', 'multiplexed', 'endpoint', 'gradient-free')]
    assert train == sorted(train, reverse=True)


def test_tables(finished):
    report, text = finished
    head = text.splitlines()[0]
    assert report['environment']['name'] in head
    assert f'1 thread(s), torch {report["environment"]["torch"]}' in head
    for title in ('train, 2 x 24x32, 3 classes in the labels', 'inference, 3 x 16x40, 3 classes in the labels'):
        assert title in text
    for row in report['results']:
        cells = [line for line in text.splitlines() if row['implementation'] in line and 'MiB' in line]
        assert (
            any(
                f'{row["speedup"]["median"]:.2f} (' in line
                and f'{1e3 * row["seconds"]["median"]:.1f} (' in line
                and f'{row["flops"] / 1e9:.2f}' in line
                for line in cells
            )
            or sys.platform != 'linux'
        )


def test_without_the_reference(run, tmp_path):
    process = run(
        '--size',
        16,
        24,
        '--classes-present',
        2,
        '--num-classes',
        3,
        '--repeats',
        1,
        '--estimator',
        'endpoint',
        '--variant',
        '--skip-reference',
        '--cfg-options',
        'model.fusion.num_stages=1',
        '--json',
        tmp_path / 'report.json',
    )
    assert process.returncode == 0, process.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    assert [row['implementation'] for row in report['results']] == ['endpoint', 'endpoint']
    assert [row['speedup'] for row in report['results']] == [None, None]
    # One stage has no later one, so no attention; the option has arrived.
    assert report['results'][0]['backward_images'] == 3
    assert report['settings']['cfg_options'] == {'model.fusion.num_stages': '1'}
    assert report['settings']['inference_size'] == [16, 24]


@pytest.mark.slow
def test_against_a_gate(run, tmp_path):
    """The released computation reads the fused image, whatever ours does, and has the paper's size then."""
    process = run(
        *('--size', 16, 24, '--classes-present', 2, '--num-classes', 3, '--repeats', 1),
        *('--estimator', '--variant', 'config', '--json', tmp_path / 'report.json', '--cfg-options'),
        *(
            'model.fusion.weights=gate',
            'model.reads=pair+fused',
            'model.fusion.num_stages=1',
            'model.fusion.channels=2',
        ),
    )
    assert process.returncode == 0, process.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    rows = {(row['task'], row['implementation']): row for row in report['results']}
    assert set(rows) == {(task, name) for task in ('train', 'inference') for name in ('released', 'config')}
    ours, released = rows['inference', 'config'], rows['inference', 'released']
    assert (ours['forward_images'], ours['backward_images']) == (1, 0)
    assert ours['speedup']['median'] > 1
    assert released['flops_fusion'] > 50 * ours['flops_fusion']
    assert 'gate' in ours['parts']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--batch-size', '1'), '--batch-size must be at least 2'),
        (('--classes-present', '3', '16'), '--classes-present 16 is not within 1 and --num-classes 15'),
        (('--repeats', '0'), '--repeats must be at least 1, got 0'),
        (('--device', 'cuda'), '--device cuda needs a GPU'),
        (('--estimator', 'best'), "invalid choice: 'best'"),
    ],
)
def test_messages(tool, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as end:
        tool.main(list(arguments))
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_config(tool, capsys):
    assert tool.main(['--config', 'nowhere.py']) == 1
    assert capsys.readouterr().err.startswith('error: no config at nowhere.py')
    with pytest.raises(FileNotFoundError, match=r'no config at nowhere\.py'):
        tool.main(['--config', 'nowhere.py', '--traceback'])


def test_defaults(tool, monkeypatch):
    args = tool.parse_args([])
    assert Path(args.config).is_file()
    assert (args.inference_batch_size, args.inference_size) == (2, [128, 128])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    args = tool.parse_args(['--device', 'cuda'])
    assert (args.inference_batch_size, args.inference_size) == (1, [480, 640])
