"""The page: its figures are those of the comparison, every text is escaped, and it needs nothing else."""

import itertools
import json
import re

import pytest
from html_page import Page

from mmfusion.analysis.comparison.costs import COSTS, Cost, CostReport
from mmfusion.analysis.comparison.sheets import class_sheet, gain_sheet, score_sheet
from mmfusion.analysis.html_report import build_page, find_costs, gather
from mmfusion.analysis.html_report.figure_tables import LOWER_IS_BETTER, UNITS
from mmfusion.analysis.html_report.pictures import Gallery, MethodPictures, Scene
from mmfusion.evaluation import FUSION_METRICS

SCORES, MARKED = 'mIoU in %, by method and data set', '|(best)'
HOSTILE = '<img src=x onerror=alert(1)>&amp;"$x^1$'


@pytest.fixture
def read():
    """Function of work folders, and options of the page, that gives it as read and as text."""

    def make(*folders, **options):
        html = build_page(gather(folders), 'Runs', 'report.py', **options).render()
        page = Page(html)
        assert page.problems == []
        return page, html

    return make


def test_figures_are_those_of_the_sheets(read, work):
    scores = gather([work]).scores
    page, _ = read(work)
    found = {row[0]: row[1:] for row in page.tables[SCORES][1:]}
    means, gains = score_sheet(scores, 'test', [0, 1]), gain_sheet(scores, 'test', [0, 1])
    assert page.tables[SCORES][0] == means.header
    for row, gain in zip(means.rows, gains.rows):
        method = row[0].removesuffix(' (baseline)')
        for cell, mean, difference in zip(found[method], row[1:], gain[1:]):
            told = cell.replace(MARKED, '').split('|')
            assert told == [mean, *([] if difference == '-' else [difference])]
    classes = class_sheet(scores, 'a', 'test', [0, 1])
    assert page.tables['IoU in %, a'][0] == ['method', 'sky', 'road <b>']
    for row, expected in zip(page.tables['IoU in %, a'][1:], classes.rows):
        assert [cell.replace(MARKED, '') for cell in row[1:]] == expected[1:]


def test_every_fusion_metric_is_explained():
    assert list(UNITS) == list(FUSION_METRICS)
    assert set(LOWER_IS_BETTER) == {'MSE', 'Nabf', 'Qcv', 'LPIPS', 'PI'}


def test_figures_by_hand(read, work):
    page, _ = read(work)
    rows = {row[0]: row[1:] for row in page.tables[SCORES]}
    assert rows['early'] == [
        '52.00 ± 2.83|best baseline',  # 50 and 54
        '80.00 (n=1)|best baseline',
        '65.00 (n=1)|+0.00 (n=1)',
    ]
    assert rows['ours'] == ['59.50 ± 2.12|(best)|+7.50 ± 4.95', '-', '-']  # +11 and +4
    fusion = {row[0]: row[1:] for row in page.tables['Fusion metrics, a']}
    assert fusion['method'] == ['n', 'EN ↑', 'MSE ↓']
    assert fusion['early'] == ['2', '6.100|± 0.141', '110.0|± 14.1']
    assert fusion['ours'] == ['2', '6.450|(best)|± 0.071', '92.50|(best)|± 3.54']  # Less is better, of MSE.


def test_what_it_is_about(read, work, write_run):
    write_run('ours_unet_20_b', 0, folder='ours', log='error: no data\n')
    page, _html = read(work)
    text = ' '.join(' '.join(page.texts).split())
    for told in (
        '6, of which 5 have results; seeds 0, 1',
        '2026-01-02 03:04',
        'platform linux, Python 3.11.7, PyTorch 2.9.0; this page: mmfusion',
        'GPU 0: NVIDIA T4',
        'a (CWFIDDataset), b (CWFIDDataset)',
        '1 of 6 runs has no result',
        'compare.py CONFIG... --work-dir DIR --report-only --cost',
        'no validations were logged',
    ):
        assert told in text, told
    (_, failed) = page.tables['Runs that failed, or are not finished']
    assert failed == ['ours_unet_20_b_s0', 'failed: error: no data (no iteration logged)']
    assert len(page.tables['All runs, by folder']) == 7
    assert page.tables['All runs, by folder'][1] == [
        *('early_unet_20_a_s0', 'early', 'a', '0', '50.00', '2026-01-02 03:04', '1.5', 'not kept')
    ]


def test_curves(read, work):
    page, html = read(work)
    drawn = [attributes['aria-label'] for attributes in page.named('svg') if 'aria-label' in attributes]
    assert [label for label in drawn if 'over the iterations' in label] == [
        'Training loss loss over the iterations on a, of 2 methods.',
        'Validation mIoU over the iterations on a, of 1 method.',
        'Training loss loss over the iterations on b, of 1 method.',
        'Training loss head.loss_ce over the iterations on a, of 2 methods.',
        'Training loss head.loss_ce over the iterations on b, of 1 method.',
    ]
    assert 'Losses one by one, a (1)' in html


def test_nothing_from_elsewhere(read, work):
    page, html = read(work, galleries=[gallery_of('early', 'ours')])
    for _, attributes in page.elements:
        for name in ('src', 'href', 'xlink:href', 'action', 'srcset', 'data'):
            assert attributes.get(name, 'data:').startswith(('data:', '#')), attributes
    assert not re.search(r'@import|url\((?!#)', html)
    (policy,) = (meta['content'] for meta in page.named('meta') if 'http-equiv' in meta)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in policy


def gallery_of(*methods):
    uri = 'data:image/png;base64,AAAA'
    shown = [MethodPictures(method, uri, uri, 0) for method in methods]
    return Gallery('a', [Scene(HOSTILE, 4, uri, uri, uri, shown)], [(HOSTILE, '#00ff00')], {HOSTILE: HOSTILE})


def test_everything_is_escaped(read, write_run):
    folder = f'{HOSTILE}_unet_20_{HOSTILE}'
    log = f'error: {HOSTILE}\n'
    losses = [(1, 2.0), (2, 1.0)]
    write_run(folder, 0, {'mIoU': 50.0, f'IoU/{HOSTILE}': 50.0, f'fusion/{HOSTILE}': 1.0}, losses=losses)
    kind = {'test_dataloader.dataset.type': HOSTILE}
    work = write_run(folder, 1, log=log, config=kind).parent
    html = build_page(gather([work]), HOSTILE, HOSTILE, [gallery_of(HOSTILE)]).render()
    page = Page(html)
    assert page.problems == []
    assert not [attributes for _, attributes in page.elements if 'onerror' in attributes]
    assert all(attributes['src'].startswith('data:') for attributes in page.named('img'))
    assert len(page.named('script')) == 1
    # It is there all the same, as text: in tables, drawings and descriptions.
    assert page.tables[SCORES][1][0] == HOSTILE
    assert page.texts.count(HOSTILE) > 8
    assert f'Fused image of {HOSTILE} by {HOSTILE}' in [image['alt'] for image in page.named('img')]


def test_for_those_who_do_not_see_it(read, work):
    page, _html = read(work, galleries=[gallery_of('ours')])
    assert page.named('html') == [{'lang': 'en'}]
    assert all(image['alt'] for image in page.named('img'))
    assert all(head['scope'] in ('row', 'col') for head in page.named('th'))
    assert len(page.named('caption')) == len(page.named('table'))
    for drawing in page.named('svg'):
        assert drawing.get('role') == 'img' or drawing.get('aria-hidden') == 'true'
    scrolled = [part for part in page.named('div') if 'scroll' in part.get('class', '')]
    assert scrolled
    assert all(part['tabindex'] == '0' and part['aria-label'] for part in scrolled)
    names = [attributes['id'] for _, attributes in page.elements if 'id' in attributes]
    assert len(names) == len(set(names))
    linked = [link['href'].removeprefix('#') for link in page.named('a')]
    assert set(linked) <= set(names)
    # Headings leave out no level.
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch('h[1-6]', tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_costs(read, work):
    assert find_costs([work]) is None
    measured = [Cost('early', 1000, 2 * 10**9, [0.01, 0.03, 0.02], [0.5]), Cost('ours', 4000, 10**10, [0.06], [1.0])]
    CostReport(measured, 'a CPU', {'early': '8 x 8', 'ours': '8 x 8'}).write(work / COSTS)
    for folder in (work, work / 'early_unet_20_a_s0'):
        costs = find_costs([folder])
        assert costs.costs == measured
    page, html = read(work, costs=costs)
    rows = {row[0]: row[1:] for row in page.tables['Cost']}
    assert rows['early'] == ['1,000 (1.00)', '2.000 (1.00)', '20.0 (1.00)', '0.500 (1.00)']
    assert rows['ours'] == ['4,000 (4.00)', '10.000 (5.00)', '60.0 (3.00)', '1.000 (2.00)']
    assert 'mIoU of each method over its time per image. The tables hold the figures.' in html
    assert 'a CPU. Medians' in html
    (work / COSTS).write_text('{"costs": 3}')
    with pytest.raises(ValueError, match='is no file of costs'):
        find_costs([work])


def test_runs_without_anything(read, write_run):
    """No scalars, no test, no log."""
    folder = write_run('early_unet_20_a', 0)
    for path in (*folder.glob('*/*.log'), *folder.glob('*/*/*.json'), folder / 'comparison.log'):
        path.unlink()
    page, html = read(folder)
    assert page.tables[SCORES] == [['method', 'a'], ['early', '-']]
    for told in ('no losses were logged', 'No run has results by class', 'No run has fusion metrics', 'not recorded'):
        assert told in html


def test_other_classes(read, write_run):
    """Methods that know other classes have a bar and a figure where they have one."""
    write_run('early_unet_20_a', 0, {'mIoU': 50.0, 'IoU/sky': 60.0, 'IoU/road': 40.0})
    write_run('late_unet_20_a', 0, {'mIoU': 30.0, 'IoU/sky': float('nan'), 'IoU/tree': 30.0})
    page, _html = read(write_run('none_unet_20_a', 0, {'mAcc': 3.0}).parent)
    assert page.tables['IoU in %, a'] == [
        ['method', 'sky', 'road', 'tree'],
        ['early', '60.00', '40.00', '-'],
        ['late', 'nan', '-', '30.00'],
        ['none', '-', '-', '-'],
    ]
    assert page.tables[SCORES][3] == ['none', '-']


def test_runs_of_a_test_that_has_another_convention(write_run):
    config = {'test_evaluator.1.type': 'FusionMetric', 'test_evaluator.1.convention': 'evaluator'}
    folder = write_run('early_unet_20_a', 0, {'mIoU': 1.0, 'fusion/MI': 2.0}, config=config)
    html = build_page(gather([folder]), 'Runs', 'x').render()
    assert 'Convention: evaluator. The units are those of &#34;original&#34;' in html
    assert json.loads((folder / 'comparison.json').read_text())['results']['test']['fusion/MI'] == 2.0
