"""tools/analysis_tools/evaluate_fusion.py: on a stand-in for train.py and test.py, and once on the real ones."""

import csv
import json
import shutil

import cv2
import pytest

TOOL = 'analysis_tools/evaluate_fusion.py'
# Leaves what a runner leaves, at once. mIoU is the mean grey level of the first image that would be read, and the seed.
STAND_IN = """
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('checkpoint', nargs='?')
parser.add_argument('--work-dir', type=pathlib.Path)
parser.add_argument('--cfg-options', nargs='+')
args = parser.parse_args()
folder, name = args.work_dir, pathlib.Path(args.config).name
options = dict(option.split('=', 1) for option in args.cfg_options)
folder.mkdir(parents=True, exist_ok=True)
(folder / name).write_text('train_cfg = dict(max_iters=3)')
if WHAT == 'train':
    (folder / 'iter_3.pth').write_text('weights')
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_3.pth'))
    sys.exit()
import cv2
scope = {}
exec(pathlib.Path(args.config).read_text(), scope)
data = scope['test_dataloader']['dataset']
root = pathlib.Path(options.get('test_dataloader.dataset.data_root', data['data_root']))
image = cv2.imread(str(root / data['data_prefix']['vi_path'] / '001.png'))
(folder / '20260102_000000').mkdir()
figures = {'mIoU': float(image.mean()) / 2 + int(options['randomness.seed']), 'IoU/warm': 50.0}
(folder / '20260102_000000/20260102_000000.json').write_text(json.dumps(figures))
"""


@pytest.fixture
def bench(load_tool, split_config, split_data, tmp_path, monkeypatch, capsys, plain_configs):
    """Function of arguments that gives exit code, output and errors; 'theirs' has the infrared images."""
    for split in ('train', 'test'):
        shutil.copytree(split_data / split / 'ir', tmp_path / 'theirs' / split)
    (tmp_path / 'baselines').mkdir()
    split_config(reads='pair').dump(tmp_path / 'baselines/early_unet_3_tiny-32x48.py')
    for name in ('train', 'test'):
        (tmp_path / f'{name}.py').write_text(f'WHAT = {name!r}\n{STAND_IN}')
    tool = load_tool(TOOL)
    monkeypatch.setattr(tool, 'TOOLS', tmp_path)

    def run(*arguments):
        capsys.readouterr()
        fixed = ['--segmentor', tmp_path / 'baselines/early_unet_3_tiny-32x48.py', '--work-dir', tmp_path / 'work']
        code = tool.main([str(argument) for argument in (*arguments, *fixed)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def grey(path):
    return float(cv2.imread(str(path)).mean())


def test_tables(bench, split_data, tmp_path):
    early = tmp_path / 'baselines/early_unet_3_tiny-32x48.py'
    files = ('--out-md', tmp_path / 'out/t.md', '--out-csv', tmp_path / 'out/t.csv')
    code, out, err = bench(tmp_path / 'theirs', '--seeds', '0', '2', '--with', early, '--metrics', 'EN', 'SD', *files)
    assert code == 0, err
    assert '8 runs, 8 of them to do' in out
    means = {
        'theirs': grey(split_data / 'test/ir/001.png'),
        'average (baseline)': grey(tmp_path / 'work/fused/average/test/001.png'),
        'maximum (baseline)': grey(tmp_path / 'work/fused/maximum/test/001.png'),
        'early (baseline)': grey(split_data / 'test/vi/001.png'),  # As its config has it.
    }
    for name, mean in means.items():
        assert f'| {name} | {mean / 2 + 1:.2f} ± 1.41 |' in out
    best = max(mean for name, mean in means.items() if 'baseline' in name)
    assert f'| theirs | {(means["theirs"] - best) / 2:+.2f} ± 0.00 |' in out
    assert 'Protocol: the config' in out
    assert '## fused images, 2 pairs' in out
    assert '| method | EN | SD |' in out
    assert (tmp_path / 'out/t.md').read_text() in out
    with open(tmp_path / 'out/t.csv', newline='') as file:
        methods = {row['method'] for row in csv.DictReader(file)}
    assert methods == {'theirs', 'average', 'maximum', 'early'}


def test_goes_on_and_notices_other_images(bench, tmp_path):
    arguments = ('theirs-again=' + str(tmp_path / 'theirs'), '--rules', '--seeds', '0', '--metrics', 'EN')
    assert bench(*arguments)[0] == 0
    assert '1 runs, 0 of them to do' in bench(*arguments)[1]
    code, out, _ = bench(*arguments, '--report-only')
    assert code == 0
    assert 'to do' not in out
    path = tmp_path / 'theirs/train/000.png'
    assert cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    code, _, err = bench(*arguments)
    assert code == 1
    assert 'fused_images.digest' in err
    code, out, _ = bench(*arguments, '--force')
    assert code == 0
    assert '1 of them to do' in out


def test_dry_run_and_other_data(bench, split_data, tmp_path):
    shutil.copytree(split_data, tmp_path / 'moved')
    shutil.rmtree(split_data / 'test')
    early = tmp_path / 'baselines/early_unet_3_tiny-32x48.py'
    code, out, err = bench('--data-root', tmp_path / 'moved', '--seeds', '0', '--with', early, '--dry-run')
    assert code == 0, err
    assert [line.split()[1] for line in out.splitlines() if not line.startswith(' ')] == [
        f'{name}_unet_3_tiny-32x48_s0' for name in ('average', 'maximum', 'early')
    ]
    assert f'test_dataloader.dataset.data_root={tmp_path / "moved"}' in out
    assert not list((tmp_path / 'work').glob('*_s0'))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--rules'], 'nothing to evaluate: name a folder of fused images, or some of the --rules'),
        (['average=x'], "two methods are called 'average'; give one of the folders as NAME=FOLDER"),
        (['a/b=x'], "'a/b' cannot name a method"),
        (['nowhere'], 'nowhere: there is no folder nowhere'),
        (['--cfg-options', 'nonsense=1'], 'nonsense'),
        (['--rules', 'average', '--metrics', 'none'], 'none'),
        (['--rules', 'average', '--metrics', 'VIF'], 'VIF over four scales needs images of at least 41x41'),
    ],
)
def test_errors_in_one_line(bench, arguments, message):
    code, _, err = bench(*arguments)
    assert code == 1
    assert message in err
    assert err.count('\n') == 1


@pytest.mark.slow
def test_real_training(load_tool, split_config, split_data, tmp_path, plain_configs, capsys):
    """The segmentor sees what is in the files: of black ones it learns nothing, of the labels all."""
    for split in ('train', 'test'):
        for source, method in (('labels', 'labels'), ('vi', 'black')):
            for path in (split_data / split / source).iterdir():
                target = tmp_path / method / split / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(target), cv2.imread(str(path), 0) * (100 if method == 'labels' else 0))
    split_config(max_iters=500).dump(tmp_path / 'any_unet_3_tiny-32x48.py')
    arguments = [tmp_path / 'labels', tmp_path / 'black', '--rules', '--seeds', '0', '--metrics', 'EN']
    arguments += ['--segmentor', tmp_path / 'any_unet_3_tiny-32x48.py', '--work-dir', tmp_path / 'work', '--jobs', '2']
    code = load_tool(TOOL).main([str(argument) for argument in arguments])
    out = capsys.readouterr().out
    assert code == 0, out
    found = {}
    for method in ('labels', 'black'):
        record = json.loads((tmp_path / f'work/{method}_unet_3_tiny-32x48_s0/comparison.json').read_text())
        found[method] = record['results']['test']['mIoU']
    assert found['labels'] > found['black'] + 20
