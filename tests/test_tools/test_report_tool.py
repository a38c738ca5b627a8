"""tools/analysis_tools/report.py on real tiny runs."""

import json

import pytest
from html_page import Page

TOOL = 'analysis_tools/report'


@pytest.fixture
def trained(tool, run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Work folders of tools/train.py with two seeds, one of which tools/test.py has tested as well; the data."""
    data = pair_folder(tmp_path / 'data')
    model = model_config(fusion=dict(type='AverageFusion'))
    cfg = run_config(model, data, tmp_path / 'unused', max_iters=2)
    cfg.train_cfg.val_interval = 1
    cfg.dump(tmp_path / 'average_unet_2_pairs-32x48.py')
    for seed in (3, 7):
        arguments = (tmp_path / 'average_unet_2_pairs-32x48.py', '--work-dir', tmp_path / f'work/run{seed}')
        assert tool('train', *arguments, '--cfg-options', f'randomness.seed={seed}') in (None, 0)
    return tmp_path / 'work', data


def test_page_of_plain_runs(tool, trained, tmp_path, capsys):
    work, _ = trained
    out = tmp_path / 'deep/report.html'
    capsys.readouterr()
    assert tool(TOOL, work, '--out', out, '--panels', '2', '--device', 'cpu', '--title', 'Two <seeds>') == 0
    told = capsys.readouterr().out
    assert told.startswith(f'{out}: 2 runs; ')
    page = Page(out.read_text('utf-8'))
    assert page.problems == []
    values = []
    for seed in (3, 7):
        (log,) = (work / f'run{seed}').glob('*/vis_data/scalars.json')
        values.append([json.loads(line)['mIoU'] for line in log.read_text().splitlines() if 'mIoU' in line][-1])
    mean, spread = sum(values) / 2, abs(values[0] - values[1]) / 2**0.5
    assert page.tables['mIoU in %, by method and data set'] == [
        ['method', 'pairs'],
        ['average', f'{mean:.2f} ± {spread:.2f}'],
    ]
    pictures = [image['alt'] for image in page.named('img')]
    assert len(pictures) == 2 * (3 + 2)
    assert pictures[0].startswith('Visible image of 00')
    assert 'Two <seeds>' in page.texts
    labels = [drawing.get('aria-label') for drawing in page.named('svg')]
    assert 'Validation mIoU over the iterations on pairs, of 1 method.' in labels
    row = page.tables['All runs, by folder'][1]
    assert (row[0], row[3], row[7]) == ('run3', '3', 'iter_2.pth')


def test_tests_and_validations(tool, trained, tmp_path):
    work, data = trained
    (config,) = (work / 'run3').glob('*.py')
    tool('test', config, work / 'run3/iter_2.pth', '--work-dir', work / 'run3')
    out = tmp_path / 'report.html'
    assert tool(TOOL, work, '--out', out, '--panels', '0') == 0
    page = Page(out.read_text('utf-8'))
    assert page.tables['Runs that failed, or are not finished'][1] == ['run7', 'has no test result, only val']
    assert 'Fusion metrics, pairs' in page.tables
    assert page.named('img') == []
    # Data that are gone cost the pictures, and nothing else.
    data.rename(tmp_path / 'gone')
    assert tool(TOOL, work / 'run3', work / 'run7', '--results', 'val', '--out', out) == 0
    page = Page(out.read_text('utf-8'))
    assert page.named('img') == []
    assert any('cannot be shown: ' in text for text in page.texts)
    assert tool(TOOL, work, '--results', 'val', '--out', out, '--data-root', f'pairs={tmp_path / "gone"}') == 0
    assert len(Page(out.read_text('utf-8')).named('img')) == 3 * (3 + 2)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere'], 'no work folder at nowhere'),
        (['{nothing}'], 'is neither the work folder of a run nor a folder of some'),
        (['{run}', '--baselines', 'late'], "no run is of the baseline 'late'; methods are empty"),
        (['{run}', '--data-root', 'x=y'], '--data-root x=...: no run is on'),
        (['{run}', '--panels', '-1'], '--panels must not be negative, got -1'),
    ],
)
def test_mistakes_are_named(told, tmp_path, arguments, message):
    folders = dict(run=tmp_path / 'empty_s0', nothing=tmp_path / 'nothing')
    for folder in folders.values():
        folder.mkdir()
    arguments = [argument.format(**folders) for argument in arguments]
    assert message in told(TOOL, *arguments, '--out', tmp_path / 'report.html')
    assert not (tmp_path / 'report.html').exists()


def test_an_empty_run_has_a_page(tool, tmp_path):
    (tmp_path / 'early_unet_a_s0').mkdir()
    assert tool(TOOL, tmp_path / 'early_unet_a_s0', '--out', tmp_path / 'report.html') == 0
    page = Page((tmp_path / 'report.html').read_text('utf-8'))
    (_, (name, reason)) = page.tables['Runs that failed, or are not finished']
    assert name == 'early_unet_a_s0'
    assert 'there is no config' in reason
