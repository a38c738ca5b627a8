"""tools/analysis_tools/robustness.py: the mIoU of models whose sensors fail, against tools/test.py."""

import csv
import json

import cv2
import pytest
import torch
from mmengine.config import Config

from mmfusion.registry import MODELS

TOOL = 'analysis_tools/robustness.py'


@pytest.fixture
def run(load_tool):
    """Function of command-line arguments that gives the exit code."""
    return lambda *arguments: load_tool(TOOL).main([str(argument) for argument in arguments])


@pytest.fixture
def trained(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Data folder, config file and two checkpoints of a tiny model that reads the pair."""
    data = pair_folder(tmp_path / 'data', number=4)
    model = model_config(reads='pair', fusion=dict(type='AverageFusion'))
    run_config(model, data, tmp_path / 'run').dump(tmp_path / 'tiny.py')
    for seed in range(2):
        torch.manual_seed(seed)
        network = MODELS.build(model)
        torch.nn.init.normal_(network.decode_head.conv_seg.weight)
        torch.save(dict(state_dict=network.state_dict()), tmp_path / f'seed{seed}.pth')
    return data, tmp_path / 'tiny.py', tmp_path / 'seed0.pth', tmp_path / 'seed1.pth'


def read(path):
    table = {}
    for row in csv.DictReader(path.open()):
        table.setdefault((row['model'], row['degradation']), []).append(float(row['mIoU']))
    return table


def miou_of_a_test(load_tool, forget_globals, monkeypatch, config, checkpoint, data, work_dir):
    """mIoU by tools/test.py."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    forget_globals()
    arguments = [str(config), str(checkpoint), '--work-dir', str(work_dir)]
    load_tool('test.py').main([*arguments, '--cfg-options', f'test_dataloader.dataset.data_root={data}'])
    (result,) = work_dir.glob('*/*.json')
    return json.loads(result.read_text())['mIoU']


def test_against_a_test_of_degraded_files(run, trained, load_tool, forget_globals, monkeypatch, tmp_path, pair_folder):
    data, config, first, second = trained
    black = pair_folder(tmp_path / 'black', number=4)
    for path in (black / 'ir').iterdir():
        cv2.imwrite(str(path), 0 * cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    out = tmp_path / 'out/robustness'
    arguments = ('--degrade', 'infrared:black', 'visible:blur=5', '--device', 'cpu')
    models = ('--model', 'both', config, first, second, '--model', 'one', config, second)
    files = ('--out-csv', f'{out}.csv', '--out-md', f'{out}.md', '--out-plot', f'{out}.png')
    assert run(*models, *arguments, *files) == 0
    assert cv2.imread(f'{out}.png').std() > 10
    found = read(out.with_suffix('.csv'))
    assert list(found) == [
        (name, degradation)
        for name in ('both', 'one')
        for degradation in ('both sensors', 'infrared:black', 'visible:blur=5')
    ]
    for number, checkpoint in enumerate((first, second)):
        for degradation, folder in (('both sensors', data), ('infrared:black', black)):
            work_dir = tmp_path / f'{folder.name}{number}'
            expected = miou_of_a_test(load_tool, forget_globals, monkeypatch, config, checkpoint, folder, work_dir)
            assert found['both', degradation][number] == pytest.approx(expected, abs=0.011)
    assert found['one', 'both sensors'] == found['both', 'both sensors'][1:]
    values = {degradation: found['one', degradation][0] for _, degradation in found}
    assert len(set(values.values())) == 3, values
    text = out.with_suffix('.md').read_text()
    assert '| model | both sensors | infrared:black | visible:blur=5 |' in text
    # Four digits.
    assert f'| one | {values["both sensors"]:#.4g} | {values["infrared:black"]:#.4g} |' in text


def test_other_data(run, trained, pair_folder, tmp_path, capsys):
    _, config, first, _ = trained
    other = pair_folder(tmp_path / 'other', number=2, size=(48, 64))
    arguments = ('--model', 'm', config, first, '--degrade', 'infrared:black', '--device', 'cpu')
    assert run(*arguments, '--out-csv', tmp_path / 'here.csv') == 0
    assert run(*arguments, '--data-root', other, '--out-csv', tmp_path / 'other.csv') == 0
    assert read(tmp_path / 'here.csv') != read(tmp_path / 'other.csv')
    told = capsys.readouterr().out
    assert 'mIoU in % with a sensor degraded' in told
    assert 'per class results' not in told


def test_drawn_pairs(run, tmp_path, model_config, plain_configs, unet_config):
    """They come out of no file."""
    drawn = dict(
        type='SyntheticThermalScenes',
        num_scenes=2,
        size=(48, 64),
        test_mode=True,
        pipeline=[dict(type='PackFusionInputs')],
    )
    model = model_config(unet_config(num_classes=4), reads='pair', fusion=dict(type='AverageFusion'))
    sampler = dict(type='DefaultSampler', shuffle=False)
    cfg = Config(
        dict(
            model=model,
            test_dataloader=dict(batch_size=1, num_workers=0, sampler=sampler, dataset=drawn),
            test_evaluator=dict(type='PerClassIoUMetric'),
        )
    )
    cfg.dump(tmp_path / 'drawn.py')
    torch.manual_seed(0)
    network = MODELS.build(model)
    torch.nn.init.normal_(network.decode_head.conv_seg.weight)
    torch.save(dict(state_dict=network.state_dict()), tmp_path / 'drawn.pth')
    arguments = ('--model', 'm', tmp_path / 'drawn.py', tmp_path / 'drawn.pth', '--degrade', 'infrared:black')
    assert run(*arguments, '--device', 'cpu', '--out-csv', tmp_path / 'drawn.csv') == 0
    intact, black = read(tmp_path / 'drawn.csv').values()
    assert intact != black
    cfg.test_dataloader.dataset.pipeline = []
    cfg.dump(tmp_path / 'drawn.py')
    assert run(*arguments) == 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--model', 'm', '{config}'], "a name, a config and at least one checkpoint, got 'm "),
        (
            ['--model', 'm', '{config}', 'c', '--model', 'm', '{config}', 'c'],
            "the name 'm' is there already; give each --model another one",
        ),
        (['--model', 'm', '{config}', 'nowhere.pth'], 'no checkpoint at nowhere.pth'),
        (['--model', 'm', '{config}', 'c', '--degrade', 'infrared'], "such as infrared:black, got 'infrared'"),
        (['--model', 'm', '{config}', 'c', '--degrade', 'infrared:fog'], "infrared:fog: unknown kind 'fog'"),
        (['--model', 'm', '{config}', 'c', '--degrade', 'infrared:dark=x'], 'infrared:dark=x: could not convert'),
    ],
)
def test_mistakes_are_named(run, trained, arguments, message, capsys):
    assert run(*(argument.format(config=trained[1]) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
