"""tools/analysis_tools/evidence.py."""

import json

import pytest

from mmfusion.analysis.evidence import Stat
from mmfusion.datasets import SyntheticThermalScenes

TOOL = 'analysis_tools/evidence.py'
SIZE = (49, 65)  # odd: the network sees padding
CLASSES = ('background', 'warm', 'printed', 'vehicle')
EVIDENCE = ['both', 'infrared', 'visible', 'both']


@pytest.fixture
def tool(load_tool):
    return load_tool(TOOL)


@pytest.fixture
def config(drawn_config):
    """Function of a fusion and options of the data that gives a config file on drawn scenes."""
    return lambda fusion=None, num_classes=4, **data: drawn_config(SIZE, fusion, num_classes, **data)


@pytest.fixture
def run(tool, config, random_checkpoint, tmp_path, capsys):
    """Function of a config and arguments: the JSON, the Markdown and what was printed."""

    def call(config, *arguments):
        files = tmp_path / 'out/ev.json', tmp_path / 'out/ev.md'
        line = [
            config,
            random_checkpoint(config),
            '--device',
            'cpu',
            '--json',
            files[0],
            '--out-md',
            files[1],
            *arguments,
        ]
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


def test_cells(tool):
    stats = Stat(0.616, 0.0621, 40), Stat(61.66, None, 1), None
    assert [tool.cell(stat) for stat in stats] == ['0.62 ± 0.06', '61.66', '']
    assert tool.cell(stats[0], 1) == '0.6 ± 0.1'


def test_command_line(run, config):
    path = config(dict(type='UAAFusion', num_stages=1, channels=4, attribution=dict(test_pairs=2, label_source='mean')))
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


def test_messages(tool, config, random_checkpoint, tmp_path, capsys, monkeypatch, pair_folder):
    path = config()
    weights = random_checkpoint(path)

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
