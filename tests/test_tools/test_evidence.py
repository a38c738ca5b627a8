"""tools/analysis_tools/evidence.py: on scorers whose evidence is known, and from the command line."""

import importlib
import json

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmfusion.apis import FusionInferencer
from mmfusion.attribution import infrared_share, region_attribution
from mmfusion.datasets import SyntheticThermalScenes
from mmfusion.models import UAAFusion
from mmfusion.registry import DATASETS, MODELS

TOOL = 'analysis_tools/evidence.py'
SIZE = (49, 65)  # odd: the network sees padding
CLASSES = ('background', 'warm', 'printed', 'vehicle')
EVIDENCE = ['both', 'infrared', 'visible', 'both']


@pytest.fixture
def tool(load_tool):
    return load_tool(TOOL)


@pytest.fixture
def numbers(tool):
    return importlib.import_module('_evidence')


@pytest.fixture
def config(run_config, model_config, unet_config, tmp_path, plain_configs):
    """Function of a fusion and options of the data that gives a config file on drawn scenes."""

    def make(fusion=None, num_classes=4, **data):
        options = {} if fusion is None else dict(fusion=fusion)
        cfg = run_config(model_config(unet_config(num_classes), **options), tmp_path / 'none', tmp_path / 'run')
        cfg.test_dataloader.dataset = dict(
            dict(
                type='SyntheticThermalScenes',
                num_scenes=6,
                size=SIZE,
                split='test',
                test_mode=True,
                pipeline=[dict(type='PackFusionInputs')],
            ),
            **data,
        )
        cfg.dump(tmp_path / 'tiny.py')
        return tmp_path / 'tiny.py'

    return make


@pytest.fixture
def checkpoint(tmp_path):
    """Function that writes random weights for a config file, with a segmentor that sees something in both sources."""

    def make(config):
        torch.manual_seed(0)
        model = MODELS.build(FusionInferencer(config).cfg.model)
        with torch.no_grad():
            model.decode_head.conv_seg.weight.normal_()
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
        return tmp_path / 'model.pth'

    return make


@pytest.fixture
def run(tool, config, checkpoint, tmp_path, capsys):
    """Function of a config and arguments: the JSON, the Markdown and what was printed."""

    def call(config, *arguments):
        files = tmp_path / 'out/ev.json', tmp_path / 'out/ev.md'
        line = [config, checkpoint(config), '--device', 'cpu', '--json', files[0], '--out-md', files[1], *arguments]
        capsys.readouterr()
        assert tool.main([str(x) for x in line]) == 0
        return json.loads(files[0].read_text()), files[1].read_text(), capsys.readouterr().out

    return call


def tables_of(markdown):
    """Title to rows, each a dict by heading."""
    tables = {}
    for part in markdown.split('\n## ')[1:]:
        lines = [line for line in part.splitlines() if line.startswith('|')]
        cells = [[cell.strip() for cell in line.replace('\\|', '!').strip('|').split('|')] for line in lines]
        assert len({len(line) for line in cells}) == 1
        tables[part.splitlines()[0]] = [dict(zip(cells[0], line)) for line in cells[2:]]
    return tables


# Pure computation ---------------------------------------------------------------------------------------------------
def test_tabulate_by_hand(numbers):
    values = torch.tensor([[1.0, 5.0], [2.0, 6.0], [4.0, 7.0], [9.0, 8.0]])
    present = torch.tensor([[True, False], [True, True], [True, False], [False, False]])
    table = numbers.tabulate(values, present, ['day', 'night', 'day', 'night'])
    assert list(table) == ['day', 'night']
    assert table['day'] == [numbers.Stat(2.5, pytest.approx(np.std([1, 4], ddof=1)), 2), None]
    assert table['night'] == [numbers.Stat(2.0, None, 1), numbers.Stat(6.0, None, 1)]


def test_distances_by_hand(numbers):
    fused, source = torch.tensor([[[[0.0, 0.5], [1.0, 1.0]]]]), torch.tensor([[[[0.2, 0.1], [1.0, 0.0]]]])
    labels = torch.tensor([[[0, 0], [2, 255]]])
    expected = torch.tensor([[255 * 0.3, 0, 0]])
    torch.testing.assert_close(numbers.distances(fused, source, labels, 3), expected)
    assert numbers.presence(labels, 3).tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    ('name', 'evidence', 'share', 'met'),
    [
        ('warm', 'infrared', 0.6, False),
        ('warm', 'infrared', 0.61, True),
        ('warm', 'infrared', 0.1, False),
        ('printed', 'visible', 0.2, False),
        ('printed', 'visible', 0.19, True),
        ('printed', 'visible', 0.9, False),
        ('background', 'both', 0.4, True),
        ('background', 'both', 0.6, True),
        ('background', 'both', 0.39, False),
        ('background', 'both', 0.61, False),
        ('vehicle', 'both', 0.5, None),
        ('vehicle', 'both', 0.9, None),
    ],
)
def test_verdict(numbers, name, evidence, share, met):
    table = {'day': [numbers.Stat(share, 0.1, 9)], 'night': [None]}
    assert numbers.verdicts(table, [name], [evidence]) == {'day': [met], 'night': [None]}


def test_cells(tool, numbers):
    stats = numbers.Stat(0.616, 0.0621, 40), numbers.Stat(61.66, None, 1), None
    assert [tool.cell(stat) for stat in stats] == ['0.62 ± 0.06', '61.66', '']
    assert tool.cell(stats[0], 1) == '0.6 ± 0.1'


def test_sheet(tool):
    sheet = tool.Sheet('T', ['a', '|b|'], [['x', '1'], ['y', '2']], 'note')
    assert tables_of('\n' + sheet.to_markdown()) == {'T': [{'a': 'x', '!b!': '1'}, {'a': 'y', '!b!': '2'}]}
    assert sheet.to_rich().row_count == 2


# With a model -------------------------------------------------------------------------------------------------------
def load(tool, numbers, path, weights, scenes=6, batch_size=4):
    fuse = FusionInferencer(path, weights, 'cpu')
    with DefaultScope.overwrite_default_scope('mmfusion'):
        dataset = DATASETS.build(fuse.cfg.test_dataloader.dataset)
    return fuse.model, dataset, numbers.read_batches(fuse.model, dataset, scenes, batch_size, fuse.device)


def test_shares_are_those_of_the_prediction(tool, numbers, config, checkpoint):
    path = config()
    model, dataset, batches = load(tool, numbers, path, checkpoint(path))
    seen = numbers.observe(model, batches, EVIDENCE)
    assert seen.attributed
    weights = {c: {'day': [], 'night': []} for c in range(4)}
    held = {c: {'day': [], 'night': []} for c in range(4)}
    for batch, first in zip(batches, (0, 4)):
        packed = [dataset[i] for i in range(first, first + len(batch.inputs))]
        with torch.no_grad():
            samples = model.test_step(pseudo_collate(packed))
            labels = model.fuse(batch.inputs, ignore=batch.padding)[1].labels[:, : SIZE[0], : SIZE[1]]
        for i, (sample, label) in enumerate(zip(samples, labels)):
            daytime = dataset.get_data_info(first + i)['daytime']
            truth = torch.from_numpy(dataset.render(first + i)[1])
            assert torch.equal(batch.labels[i, : SIZE[0], : SIZE[1]], truth.long())
            assert batch.labels[i, SIZE[0] :].eq(255).all()
            assert batch.labels[i, :, SIZE[1] :].eq(255).all()
            for c in range(4):
                if (truth == c).any():
                    held[c][daytime].append(i)
                if (label == c).any():
                    weights[c][daytime].append(sample.fusion_weights.data[0][label == c].mean().item())
    assert sum(len(one['day']) > 0 for one in weights.values()) > 1
    for daytime in ('day', 'night'):
        for c in range(4):
            stat, values = seen.shares['predicted'][daytime][c], weights[c][daytime]
            assert (stat is None) == (not values)
            if values:
                assert (stat.mean, stat.scenes) == (pytest.approx(np.mean(values), abs=1e-5), len(values))
            stat = seen.shares['given'][daytime][c]
            assert (0 if stat is None else stat.scenes) == len(held[c][daytime])


def test_given_labels_against_the_fusion(tool, numbers, config, checkpoint):
    """Weights and image of the model, taken apart by hand, scene by scene."""
    fusion = dict(type='UAAFusion', num_stages=1, channels=4, steps=2, estimator='exact', rule='right', smoothing=0.2)
    path = config(fusion)
    model, _, batches = load(tool, numbers, path, checkpoint(path), scenes=4, batch_size=1)
    own = numbers.own_setting(model)
    assert (own.how(), own.smoothing, own.baseline, own.score) == ('exact, right 2', 0.2, 'blur', 'softmax')
    seen = numbers.observe(model, batches, EVIDENCE)
    rows = []
    for batch in batches:
        with torch.no_grad():
            result = model.fuse(batch.inputs, batch.labels)[1]
        for c in range(4):
            mask = batch.labels == c
            if mask.any():
                to = [255 * (result.fused - image).abs()[:, 0][mask].mean().item() for image in batch.sources]
                rows.append((batch.daytimes[0], c, result.weight_ir[:, 0][mask].mean().item(), *to))
    for daytime in ('day', 'night'):
        for c, evidence in enumerate(EVIDENCE):
            mine = np.array([row[2:] for row in rows if row[:2] == (daytime, c)])
            assert len(mine) > 0
            for k, table in enumerate((seen.shares['given'], seen.to_infrared, seen.to_visible)):
                assert table[daytime][c].mean == pytest.approx(mine[:, k].mean(), rel=1e-4)
            nearer = seen.nearer[daytime][c]
            if evidence == 'both':
                assert nearer is None
            else:
                closer = mine[:, 1] < mine[:, 2] if evidence == 'infrared' else mine[:, 2] < mine[:, 1]
                assert nearer.mean == pytest.approx(closer.mean())


def test_fused_image_that_is_a_source(tool, numbers, config, checkpoint):
    """A fusion that takes the infrared image follows the evidence of warm things always, and of printed ones never."""
    path = config(dict(type='InfraredOnly'))
    model, _, batches = load(tool, numbers, path, checkpoint(path))
    seen = numbers.observe(model, batches, EVIDENCE)
    assert not seen.attributed
    for daytime in ('day', 'night'):
        assert [stat.mean for stat in seen.to_infrared[daytime]] == [0] * 4
        assert [stat and stat.mean for stat in seen.nearer[daytime]] == [None, 1, 0, None]
    # Nothing is attributed, so the shares are those that our defaults would give.
    batch, ours = batches[0], UAAFusion(num_stages=1, channels=4)
    both = region_attribution(
        model.scorer(),
        torch.cat(batch.sources),
        batch.labels.repeat(2, 1, 1),
        4,
        baseline=ours.baseline,
        estimator=ours.estimator,
        steps=ours.steps,
        rule=ours.rule,
        pairs=ours.test_pairs,
        generator=torch.Generator().manual_seed(0),
    )
    share = infrared_share(*both.chunk(2), batch.labels, estimator=ours.estimator, smoothing=ours.smoothing)
    one = numbers.observe(model, [batch], EVIDENCE).shares['given']
    table = numbers.tabulate(share, numbers.presence(batch.labels, 4), batch.daytimes)
    for daytime in ('day', 'night'):
        assert [stat.mean for stat in one[daytime]] == pytest.approx([stat.mean for stat in table[daytime]], abs=1e-5)


# Command line -------------------------------------------------------------------------------------------------------
def test_command_line(run, config):
    path = config(
        dict(type='UAAFusion', num_stages=1, channels=4, estimator='banzhaf', test_pairs=2, label_source='mean')
    )
    report, markdown, printed = run(path, '--scenes', 4, '--compare', '--reference-nodes', 3)
    assert report['scenes'] == 4
    assert report['classes'] == [dict(name=n, evidence=e) for n, e in zip(CLASSES, EVIDENCE)]
    tables = tables_of(markdown)
    assert all(title in printed for title in tables)
    shares, follow, targets, compared = tables.values()

    assert [row['class'] for row in shares] == list(CLASSES)
    assert 'Told as the fusion computes it: softmax, blur, banzhaf, 2 pairs, smoothing 0.075. ' in markdown
    assert 'predicted from the mean image' in markdown
    assert 'Random signs are those of a prediction' in markdown
    for row, stat in zip(shares, report['shares']['given']['night']):
        assert row['given, night'] == f'{stat["mean"]:.2f} ± {stat["std"]:.2f} ({stat["scenes"]})'
    warm = report['to_infrared']['day'][1]
    assert follow[1]['!F - I!, day'] == f'{warm["mean"]:.1f} ± {warm["std"]:.1f}'
    assert follow[0]['nearer to the evidence, day'] == ''
    assert [row['class'] for row in targets] == ['background', 'warm', 'printed']
    for row, c in zip(targets, range(3)):
        met = report['verdicts']['given']['day'][c]
        mean = report['shares']['given']['day'][c]['mean']
        assert row['given, day'] == f'{mean:.3f} {"met" if met else "MISSED"}'
    assert report['verdicts']['given']['day'][3] is None

    assert len(compared) == len(report['comparison']) == 17
    assert compared[0][''] == 'this model'
    assert compared[0]['estimator'] == 'banzhaf, 2 pairs'
    # The model's own row is what the first table tells.
    own = report['comparison'][0]
    for daytime in ('day', 'night'):
        ours, theirs = own['shares'][daytime], report['shares']['given'][daytime]
        assert [stat['mean'] for stat in ours] == pytest.approx([stat['mean'] for stat in theirs], abs=1e-5)
    assert compared[0]['warm'] == ' / '.join(f'{own["shares"][d][1]["mean"]:.2f}' for d in ('day', 'night'))
    # Different definitions say different things.
    assert len({row['warm'] for row in compared}) > 8
    again = run(path, '--scenes', 4)[0]
    assert all(again[key] == report[key] for key in again)


def test_data_without_time_of_day(run, config, monkeypatch):
    plain = SyntheticThermalScenes.load_data_list

    def timeless(self):
        return [{k: v for k, v in info.items() if k != 'daytime'} for info in plain(self)]

    monkeypatch.setattr(SyntheticThermalScenes, 'load_data_list', timeless)
    report, markdown, _ = run(config(dict(type='AverageFusion')))
    assert list(report['shares']['given']) == ['all']
    assert report['scenes'] == 6
    assert not report['attributed']
    assert 'AverageFusion does not use it' in markdown
    assert 'predicted from both images' in markdown
    assert list(tables_of(markdown)['Targets'][0]) == ['class', 'target', 'given, all', 'predicted, all']


def test_some_classes_only(run, config):
    report, *_ = run(config(num_classes=2, metainfo=dict(classes=('background', 'printed'))), '--scenes', 2)
    assert report['classes'] == [dict(name='background', evidence='both'), dict(name='printed', evidence='visible')]


def test_messages(tool, config, checkpoint, tmp_path, capsys, monkeypatch, pair_folder):
    path = config()
    weights = checkpoint(path)

    def error(*arguments, path=path):
        capsys.readouterr()
        assert tool.main([str(x) for x in (path, weights, '--device', 'cpu', *arguments)]) == 1
        text = capsys.readouterr().err
        assert text.count('error: ') == 1
        return text

    assert '--scenes must be in 1..6' in error('--scenes', 7)
    assert '--scenes must be in 1..6' in error('--scenes', 0)
    unclear = dict(SyntheticThermalScenes.evidence, warm='none')
    assert "is ['none'] for warm" in _with_evidence(monkeypatch, unclear, error)
    assert 'for printed, vehicle' in _with_evidence(monkeypatch, dict(background='both', warm='infrared'), error)
    assert 'SyntheticThermalScenes does not state where' in _with_evidence(monkeypatch, None, error)
    for arguments in (['--reference-nodes', 4], ['--compare', '--reference-nodes', 0]):
        with pytest.raises(SystemExit) as end:
            tool.main([str(x) for x in (path, weights, *arguments)])
        assert end.value.code == 2
    data = pair_folder(tmp_path / 'data', number=2)
    files = config(
        type='PairedSegDataset',
        data_root=str(data),
        num_scenes=None,
        size=None,
        split=None,
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(vi_path='vi', ir_path='ir', seg_map_path='labels'),
    )
    text = files.read_text()
    for name in ('num_scenes', 'size', 'split'):
        text = text.replace(f'{name}=None,', '')
    files.write_text(text)
    assert 'PairedSegDataset does not state where the evidence for its classes is' in error(path=files)
    fewer = config(metainfo=dict(classes=('background', 'warm')))
    assert 'the model has 4 classes, but the test data 2' in error(path=fewer)


def _with_evidence(monkeypatch, evidence, error):
    with monkeypatch.context() as patch:
        patch.setattr(SyntheticThermalScenes, 'evidence', evidence)
        return error()
