"""tools/analysis_tools/interventions.py."""

import functools
import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmfusion.analysis.interventions import INTERVENTIONS

SIZE = (30, 45)  # odd: the network sees padding
NUMBER = 5  # the last batch of two is a single pair
FUSION = dict(type='UAAFusion', num_stages=2, channels=4, attribution=dict(estimator='endpoint'))


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/interventions.py')


@pytest.fixture
def config(paired_config):
    """Function of fusion options that gives a config file; the data are in tmp_path/data."""
    return lambda batch_size=2, **fusion: paired_config(SIZE, NUMBER, {**FUSION, **fusion}, batch_size)


@pytest.fixture
def checkpoint(random_checkpoint):
    """Function that writes random weights for a config, strong enough for every intervention to be seen."""
    return functools.partial(random_checkpoint, gain=3)


def run(tool, tmp_path, *arguments):
    out = tmp_path / 'report.json'
    assert tool.main([str(x) for x in (*arguments, '--json', out, '--device', 'cpu')]) == 0
    return json.loads(out.read_text())


def test_command_line_against_the_test_loop(tool, config, checkpoint, tmp_path, capsys):
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

    names = [one.name for one in INTERVENTIONS]
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
    """Padded to the larger one, since neighbours lend their weights; figures are of what is not padding."""
    config = config()
    weights = checkpoint(config)
    for folder in ('vi', 'ir', 'labels'):
        path = str(tmp_path / 'data' / folder / '001.png')
        image = cv2.imread(path, cv2.IMREAD_UNCHANGED)[:24, :33]
        cv2.imwrite(path, image.astype(np.uint16) * 257 if folder == 'ir' else image)
    report = run(tool, tmp_path, config, weights, '--labels', 'predicted', '--sizes')
    cfg = Config.fromfile(config)
    cfg.load_from = str(weights)
    # A test predicts each size by itself; here all are padded to the larger one.
    cfg.model.data_preprocessor = dict(type='FusionDataPreProcessor', size=(30, 46))
    tested = Runner.from_cfg(cfg).test()
    assert report['interventions']['predicted'][0]['mIoU'] == pytest.approx(tested['mIoU'], abs=0.0051)
