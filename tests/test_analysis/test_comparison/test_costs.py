"""Costs, against counts of convolutions by hand."""

import itertools

import pytest
import torch
from matplotlib.text import Text
from mmengine.registry import DefaultScope
from torch import nn

from mmfusion.analysis.comparison.cost_measurement import CostSettings, _Candidate, measure_costs
from mmfusion.analysis.comparison.cost_plot import draw_scores_over_cost
from mmfusion.analysis.comparison.costs import Cost, CostReport, choose_reference
from mmfusion.analysis.comparison.scores import Scores
from mmfusion.analysis.stopwatch import Stopwatch
from mmfusion.registry import MODELS


@pytest.fixture
def config(run_config, model_config, pair_folder, tmp_path):
    """Function of a fusion that gives a config whose training crops 24x32 of 32x48."""
    data = pair_folder(tmp_path / 'data')

    def make(fusion):
        return run_config(model_config(fusion=fusion), data, tmp_path / 'run', augment=True)

    return make


UAA = dict(type='UAAFusion', num_stages=1, channels=4, attribution=dict(estimator='banzhaf'))


def flops_of_convolutions(segmentor, image):
    """2 per multiply-add."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        weights = module.weight[0].numel()
        total += 2 * output.numel() * weights

    for module in segmentor.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    segmentor.eval()
    with torch.no_grad():
        segmentor(image)
    return total


@pytest.mark.parametrize('reads', ['pair+fused', 'views'])
def test_a_gate_that_reads_more(config, reads):
    """It asks nobody when it predicts: beside early fusion there are the small networks only."""
    gated = dict(type='UAAFusion', weights='gate', gate=dict(type='FusionGate', channels=2), num_stages=1, channels=2)
    pair, gate = config(dict(type='AverageFusion')), config(gated)
    pair.model.reads, gate.model.reads = 'pair', reads
    early, ours = measure_costs(dict(early=pair, ours=gate), 'val', CostSettings(repeats=1)).costs
    passes = {'pair+fused': 1, 'views': 3}[reads]
    assert passes * early.flops < ours.flops < (passes + 4) * early.flops


def test_counts_and_times(config):
    torch.manual_seed(0)
    before = torch.get_num_threads(), torch.is_grad_enabled()
    configs = {'mean': config(dict(type='AverageFusion')), 'ours': config(UAA)}
    report = measure_costs(configs, 'val', CostSettings(repeats=3))
    mean, ours = report.costs
    segmentor = MODELS.build(configs['mean'].model).segmentor
    assert mean.parameters == sum(parameter.numel() for parameter in segmentor.parameters())
    assert mean.flops == flops_of_convolutions(segmentor, torch.rand(1, 3, 32, 48))
    assert ours.parameters > mean.parameters
    assert ours.flops > 5 * mean.flops  # Sources and coalitions go through the segmentor as well.
    for cost in report.costs:
        assert len(cost.predict_seconds) == len(cost.train_seconds) == 3
        assert min(*cost.predict_seconds, *cost.train_seconds) > 0
    assert set(report.sizes.values()) == {'Prediction of one pair of 32x48, iteration of 2 of 24x32'}
    assert f'1 thread, torch {torch.__version__}' in report.hardware
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_attribution_sees_all_classes_and_steps_change_no_weight(config):
    with DefaultScope.overwrite_default_scope('mmfusion'):
        candidate = _Candidate('ours', config(UAA), torch.device('cpu'), 'val_dataloader')
    weights = {name: value.clone() for name, value in candidate.model.named_parameters()}
    image = candidate.test_batch
    assert image.labels.unique().tolist() == [0, 1, 2]
    candidate.model.eval()
    ir, vi, _ = image.split()
    with torch.no_grad():
        found = candidate.model.fusion(ir, vi, candidate.model.scorer()).labels
    assert found.unique().tolist() == [0, 1, 2]
    candidate.train(Stopwatch(torch.device('cpu')))
    assert all(torch.equal(value, weights[name]) for name, value in candidate.model.named_parameters())


def test_table_by_hand():
    early = Cost('early', 1_000, 2_000_000_000, [0.010, 0.030, 0.020], [0.5])
    ours = Cost('ours', 1_500, 5_000_000_000, [0.050, 0.040, 0.900], [0.6])
    report = CostReport([early, ours], 'some CPU', dict(early='Steps of 8x8', ours='Steps of 9x9'))
    sheet = report.sheet('early')
    assert sheet.header[3] == 'ms per image (x early)'
    assert sheet.rows == [
        ['early', '1,000 (1.00)', '2.000 (1.00)', '20.0 (1.00)', '0.500 (1.00)'],
        ['ours', '1,500 (1.50)', '5.000 (2.50)', '50.0 (2.50)', '0.600 (1.20)'],
    ]
    assert 'Steps of 8x8, every class present; other sizes: ours Steps of 9x9.' in sheet.note
    assert report.sheet('ours').rows[0][2] == '2.000 (0.40)'
    with pytest.raises(ValueError, match='--reference late: no such method; measured are early, ours'):
        report.sheet('late')


def test_reference():
    assert choose_reference(['ours', 'late', 'early'], ['late', 'early']) == 'early'
    assert choose_reference(['ours', 'late'], ['late']) == 'late'
    assert choose_reference(['ours', 'other'], []) == 'ours'


@pytest.mark.parametrize('options', [dict(threads=0), dict(repeats=0)])
def test_settings_refuse(options):
    with pytest.raises(ValueError, match='of the cost must be at least 1, got 0'):
        CostSettings(**options)


def test_figure(tmp_path):
    figures = {
        ('early', 'a'): {0: {'mIoU': 50.0}, 1: {'mIoU': 52.0}},
        ('ours', 'a'): {0: {'mIoU': 55.0}, 1: {'mIoU': 56.0}},
        ('early', 'b'): {0: {'mIoU': 70.0}, 1: {'mIoU': 70.0}},
        ('new', 'a'): {0: {'mIoU': 40.0}},
    }
    scores = Scores(['early', 'ours', 'new'], ['a', 'b'], {('early', 'a'), ('early', 'b')}, figures)
    costs = [Cost('early', 1, 1, [0.010], [1.0]), Cost('ours', 1, 1, [0.020, 0.040, 0.030], [1.0])]
    figure = draw_scores_over_cost(scores, costs, 'val', 'some CPU')
    gains, a, b = figure.axes[:3]
    assert [ax.get_title() for ax in (gains, a, b)] == ['mean of 2 data sets, val', 'a, val', 'b, val']

    def points(ax):
        markers = [line for line in ax.lines if line.get_marker() in ('o', 's')]
        return [pytest.approx(tuple(line.get_xydata()[0])) for line in markers]

    assert points(a) == [(10.0, 51.0), (30.0, 55.5)]
    assert points(b) == [(10.0, 70.0)]
    assert points(gains) == [(10.0, 0.0)]  # ours has nothing on b
    assert sorted(text.get_text() for text in a.texts) == ['early', 'ours']  # 'new' has no cost
    figure.savefig(tmp_path / 'plot.png')


def test_names_of_the_figure():
    """Ten methods with long names, some of them at one place: no name covers another, and all are in their panel."""
    methods = [f'a-method-with-a-name-that-goes-on-for-ever-${number}$' for number in range(10)]
    figures = {(method, 'a'): {0: {'mIoU': 50.0 + number % 3}} for number, method in enumerate(methods)}
    costs = [Cost(method, 1, 1, [0.01 * (1 + number // 3)], [1.0]) for number, method in enumerate(methods)]
    figure = draw_scores_over_cost(Scores(methods, ['a'], set(), figures), costs, 'val', colors={methods[3]: '#123456'})
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [Text.get_window_extent(name) for name in ax.texts]
    assert len(boxes) == 10
    assert all(name.get_text().startswith('a-method-with') for name in ax.texts)
    assert {name.get_text()[-3:] for name in ax.texts} == {f'${number}$' for number in range(10)}
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert all(ax.bbox.x0 - 2 <= box.x0 and box.x1 <= ax.bbox.x1 + 2 for box in boxes)
    assert [name.get_color() for name in ax.texts if name.get_text().endswith('$3$')] == ['#123456']
