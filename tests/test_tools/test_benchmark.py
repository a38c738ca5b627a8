"""tools/analysis_tools/benchmark.py and its parts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools/analysis_tools/benchmark.py'
STAGES, STEPS, RELEASED_STEPS, CLASSES = 2, 2, 3, 3
ESTIMATORS = ('exact', 'multiplexed', 'endpoint', 'banzhaf')
VARIANTS = ('gradient-free', 'bfloat16', 'checkpointed')


@pytest.fixture
def part(monkeypatch, load_tool):
    """Function of a name in tools/analysis_tools that imports it."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools/analysis_tools'))
    return lambda name: load_tool(f'analysis_tools/{name}.py')


@pytest.fixture(scope='module')
def config(model_config, unet_config, tmp_path_factory):
    path = tmp_path_factory.mktemp('benchmark') / 'tiny.py'
    fusion = dict(type='UAAFusion', num_stages=STAGES, channels=4, steps=STEPS)
    Config(dict(model=model_config(segmentor=unet_config(num_classes=7), fusion=fusion))).dump(path)
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


# What is compared ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(('size', 'classes'), [((4, 128), 14), ((8, 33), 6), ((3, 5), 5), ((2, 7), 1)])
def test_stripes(part, size, classes):
    labels = part('_contenders').striped_labels(3, size, classes)
    assert labels.shape == (3, *size)
    for label in labels:
        ids, pixels = label.unique(return_counts=True)
        assert ids.tolist() == list(range(classes))
        assert pixels.max() - pixels.min() <= size[0]  # One column.
        assert torch.equal(label, label[:1].expand_as(label))


def test_stripes_need_columns(part):
    with pytest.raises(ValueError, match='6 stripes do not fit on 5 columns'):
        part('_contenders').striped_labels(1, (9, 5), 6)


@pytest.fixture
def cast(part, config):
    """Tiny model, the module, and all contenders on it."""
    module, device = part('_contenders'), torch.device('cpu')
    model = module.build_model(Config.fromfile(config), 5, device)
    segmentor = module.build_model(Config.fromfile(config), 5, device).segmentor
    contenders = [module.released_contender(model, segmentor, RELEASED_STEPS)]
    return module, model, [*contenders, *module.our_contenders(model, [*ESTIMATORS, *VARIANTS])]


def test_batch(cast):
    module, *_ = cast
    batch = module.make_batch(2, (24, 32), 4, torch.device('cpu'))
    assert batch.inputs.shape == (2, 4, 24, 32)
    assert 0 <= batch.inputs.min() < batch.inputs.max() <= 1
    assert torch.equal(batch.labels, module.striped_labels(2, (24, 32), 4))
    assert torch.equal(batch.inputs, module.make_batch(2, (24, 32), 4, torch.device('cpu')).inputs)
    means = [batch.inputs[:, 3][batch.labels == c].mean() for c in range(4)]
    assert np.ptp(means) > 0.1  # The classes can be told apart.


def test_taught_segmentor_predicts_the_classes(cast):
    module, model, _ = cast
    for classes in (2, 4):
        batch = module.make_batch(3, (32, 48), classes, torch.device('cpu'))
        assert module.teach(model, batch) == classes
        with torch.no_grad():
            assert len(model.eval().fuse(batch.inputs)[1].labels.unique()) == classes
    assert {m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_same_segmentor_same_loss(cast):
    """Both compute with the same weights, and each moves its own."""
    module, _, contenders = cast
    batch = module.make_batch(2, (24, 32), CLASSES, torch.device('cpu'))
    released, ours = contenders[:2]
    states = [contender.segmentor.state_dict() for contender in (released, ours)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert released.segmentor is not ours.segmentor
    for contender in contenders:
        before = {name: parameter.clone() for name, parameter in contender.model.named_parameters()}
        contender.run('train', batch)
        moved = {name for name, new in contender.model.named_parameters() if not torch.equal(before[name], new)}
        assert {f'segmentor.{name}' for name, _ in contender.segmentor.named_parameters()} < moved
        if contender.name == 'released':
            assert 'network.blockflow.0.lstm.conv_xi.weight' in moved
            assert not any('blockflow.1.lstm' in name for name in moved)  # Idle.
        else:
            assert {'fusion.head.alpha', 'fusion.head.stages.0.cell.gates.weight'} < moved


def test_batch_norms_see_every_released_pass(cast):
    module, _, contenders = cast
    batch = module.make_batch(2, (24, 32), CLASSES, torch.device('cpu'))
    for contender, passes in zip(contenders, (2 * RELEASED_STEPS + STAGES - 1 + 3, 1, 1, 1)):
        norm = next(m for m in contender.segmentor.modules() if isinstance(m, nn.BatchNorm2d))
        before = norm.num_batches_tracked.item()
        contender.run('train', batch)
        assert norm.num_batches_tracked.item() - before == passes
        contender.run('inference', batch)
        assert norm.num_batches_tracked.item() - before == passes


def test_class_weights_of_another_number_go(part):
    heads = [dict(num_classes=4, loss_decode=dict(class_weight=[1.0] * n)) for n in (4, 5)]
    segmentor = dict(decode_head=heads[0], auxiliary_head=[heads[1]])
    part('_contenders').set_num_classes(segmentor, 5)
    assert [head['num_classes'] for head in heads] == [5, 5]
    assert [head['loss_decode']['class_weight'] for head in heads] == [None, [1.0] * 5]


def test_other_models_are_refused(part, model_config, tmp_path):
    cfg = Config(dict(model=model_config(fusion=dict(type='AverageFusion'))))
    with pytest.raises(ValueError, match='with UAAFusion, not FusionSegmentor with AverageFusion'):
        part('_contenders').build_model(cfg, 3, torch.device('cpu'))


# How it is measured --------------------------------------------------------------------------------------------------
def test_stopwatch(part, monkeypatch):
    module = part('_measure')
    clock = [0.0]
    monkeypatch.setattr(module.time, 'perf_counter', lambda: clock[0])

    def wait(seconds):
        clock[0] += seconds

    class Worker:
        def inner(self):
            wait(2)
            return 'done'

    watch, worker = module.Stopwatch(torch.device('cpu')), Worker()
    with watch.watching([(Worker, 'inner', 'inner', ('silent',))]), watch.section('outer'):
        wait(1)
        assert worker.inner() == 'done'
        with watch.section('silent'):
            worker.inner()  # Belongs to the section that it is called from.
        wait(4)
    worker.inner()  # Not watched any longer.
    assert watch.seconds == dict(outer=5, inner=2, silent=2)


def test_counts_of_a_convolution(part):
    conv = nn.Conv2d(3, 8, 3, padding=1)
    forward = 2 * 5 * 4 * 6 * 3 * 8 * 9  # 2 x images x pixels x channels in x channels out x taps
    with part('_measure').counting(conv) as counts:
        image = torch.rand(5, 3, 4, 6, requires_grad=True)
        output = conv(image * 1)  # PyTorch's own counter does not take a leaf.
        torch.autograd.grad(output.sum(), image, retain_graph=True)  # For the image alone: as much as forward.
        output.mean().backward()  # For image and weights: twice.
        with torch.no_grad():
            conv(image[:2].detach())
    assert (counts.forward_images, counts.backward_images, counts.autograd_calls) == (7, 10, 2)
    assert counts.flops == forward * (1 + 1 + 2) + forward * 2 // 5
    conv(image).sum().backward()
    assert counts.forward_images == 7  # Over is over.


@pytest.mark.parametrize(
    ('layer', 'forward'),
    [
        (nn.Conv2d(12, 12, 3, padding=1, groups=12), 2 * 2 * 5 * 7 * 12 * 9),
        (nn.Conv2d(12, 8, 3, stride=2, groups=4), 2 * 2 * 2 * 3 * 3 * 8 * 9),
        (nn.ConvTranspose2d(12, 8, 3, stride=2), 2 * 2 * 5 * 7 * 12 * 8 * 9),
    ],
)
def test_operations_of_special_convolutions(part, layer, forward):
    with part('_measure').flop_counter() as flops:
        output = layer(torch.rand(2, 12, 5, 7, requires_grad=True) * 1)
    assert flops.get_total_flops() == forward
    with part('_measure').flop_counter() as flops:
        output.sum().backward()
    assert flops.get_total_flops() == 2 * forward


def test_counts_once_per_backward_pass(part):

    class Pyramid(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    pyramid = Pyramid()
    with part('_measure').counting(pyramid) as counts:
        low, high = pyramid(torch.rand(3, 1, 2, 2, requires_grad=True))
        (low + high).sum().backward()
    assert counts.backward_images == 3


@pytest.mark.skipif(sys.platform != 'linux', reason='the peak of resident memory is measured on Linux')
def test_peak_memory(part):
    module, mebi = part('_measure'), 2**20

    def step():
        ones = torch.ones(48 * mebi // 4)
        del ones
        torch.ones(mebi // 4)

    # What the process took and gave back before, in large and in small pieces, does not count.
    cycle = [torch.ones(64 * mebi // 4), *(bytearray(10_000) for _ in range(5_000))]
    cycle.append(cycle)
    del cycle
    assert 46 * mebi < module.peak_memory(step, torch.device('cpu')) < 60 * mebi
    with pytest.raises(RuntimeError, match=r'(?s)while its memory was measured.*ZeroDivisionError'):
        module.peak_memory(lambda: 1 / 0, torch.device('cpu'))


# The tool ------------------------------------------------------------------------------------------------------------
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
def test_messages(part, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as end:
        part('benchmark').main(list(arguments))
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_config(part):
    with pytest.raises(FileNotFoundError, match=r'no config at nowhere\.py'):
        part('benchmark').main(['--config', 'nowhere.py'])


def test_defaults(part, monkeypatch):
    module = part('benchmark')
    args = module.parse_args([])
    assert Path(args.config).is_file()
    assert (args.inference_batch_size, args.inference_size) == (2, [128, 128])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    args = module.parse_args(['--device', 'cuda'])
    assert (args.inference_batch_size, args.inference_size) == (1, [480, 640])
