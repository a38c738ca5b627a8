"""metafile.yml and README.md of every config folder: complete, and with the figures of docs/results.md."""

import re

import pytest
import yaml
import zoo
from mmengine.config import Config

ROOT, FOLDERS = zoo.ROOT, zoo.FOLDERS
RESULTS = (ROOT / 'docs/results.md').read_text('utf-8')
MODELS = [(folder, model) for folder in FOLDERS for model in zoo.read_metafile(folder)['Models']]
IDS = [model['Name'] for _, model in MODELS]
# Methods as the table of real pairs calls them.
REAL_PAIRS = {
    'early': 'early fusion',
    'two-backbones': 'a backbone for each sensor, features averaged',
    'two-views': 'two views through one backbone, features averaged',
    'scores': "mean of both sensors' scores",
    'average': 'average of the images',
    'maximum': 'maximum of the images',
    'visible': 'visible image alone',
    'infrared': 'infrared image alone (radar on OMBRIA)',
    'uaafusion-views': '**ours: `uaafusion-views`**',
}
each_folder = pytest.mark.parametrize('folder', FOLDERS)
each_model = pytest.mark.parametrize(('folder', 'model'), MODELS, ids=IDS)


def figures(text):
    """Means with their spread, or single figures with a decimal point."""
    return re.findall(r'\d+\.\d+(?: ± \d+\.\d+)?', text)


def is_told(figure):
    """Whether docs/results.md has exactly this figure, not as a part of a longer one."""
    return re.search(rf'(?<![\d.])(?<!± ){re.escape(figure)}(?!\d|\.\d| ±)', RESULTS) is not None


def measured(model):
    """mIoU of a model as docs/results.md writes it; None without results."""
    if 'Results' not in model:
        return None
    (result,) = model['Results']
    mean, spread = (result['Metrics'].get(key) for key in ('mIoU', 'mIoU(std)'))
    return mean if spread is None else f'{mean} ± {spread}'


def test_folders_are_all_there_are():
    folders = {path.parent.name for path in (ROOT / 'configs').glob('*/*.py')} - {'_base_'}
    assert folders == set(FOLDERS)
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text('utf-8'))
    assert index == dict(Import=[f'configs/{folder}/metafile.yml' for folder in FOLDERS])


@each_folder
def test_every_config_is_listed_once(folder):
    entries, rows = zoo.missing(folder)
    assert not entries, f'\nadd to configs/{folder}/metafile.yml, with its Results where there are:\n' + '\n'.join(
        entries
    )
    assert not rows, f'\nadd to the table of its data in configs/{folder}/README.md:\n' + '\n'.join(rows)
    names = [path.stem for path in zoo.config_files(folder)]
    assert sorted(model['Name'] for model in zoo.read_metafile(folder)['Models']) == names
    assert sorted(zoo.rows(folder)) == names
    readme = (ROOT / f'configs/{folder}/README.md').read_text('utf-8')
    assert [name for name in names if readme.count(f'| `{name}` |') != 1] == []


def test_message_is_an_entry(monkeypatch, tmp_path):
    """What a developer is told to paste is a complete entry, and a row that is found."""
    name = 'uaafusion_unet-tiny_1xb2-3k_mfnet-96x128'
    monkeypatch.setattr(zoo, 'config_files', lambda folder: [tmp_path / f'{name}.py'])
    (entry,), (row,) = zoo.missing('uaafusion')
    (model,) = yaml.safe_load(entry)
    assert model['Metadata'] == {
        'Training Data': 'MFNet',
        'Batch Size': 2,
        'Iterations': 3000,
        'Architecture': ['UAAFusion', 'small U-Net'],
    }
    assert set(model) == {'Name', 'In Collection', 'Config', 'Metadata', 'Paper', 'Code', 'README'}
    assert row.startswith(f'| `{name}` |')


@each_folder
def test_collection(folder):
    (collection,) = zoo.read_metafile(folder)['Collections']
    models = zoo.read_metafile(folder)['Models']
    assert {model['In Collection'] for model in models} == {collection['Name']}
    assert set(collection['Metadata']['Training Data']) == {model['Metadata']['Training Data'] for model in models}
    assert collection['README'] == f'configs/{folder}/README.md'
    assert (ROOT / collection['Code']).is_file()


@each_model
def test_entry(folder, model):
    name = model['Name']
    assert model['Config'] == f'configs/{folder}/{name}.py'
    assert all((ROOT / model[key]).is_file() for key in ('Config', 'README', 'Code'))
    assert model.get('Paper', {}).get('URL') == (zoo.PAPER_URL if zoo.is_uaafusion(name) else None)
    cfg = Config.fromfile(ROOT / model['Config'])
    metadata, data = model['Metadata'], cfg.train_dataloader.dataset
    assert int(metadata['Batch Size']) == cfg.train_dataloader.batch_size
    length = {key: int(metadata[key]) for key in ('Iterations', 'Epochs') if key in metadata}
    assert length == (
        {'Epochs': cfg.train_cfg.max_epochs}
        if 'max_epochs' in cfg.train_cfg
        else {'Iterations': cfg.train_cfg.max_iters}
    )
    # Masks grown from boxes are not those of MSRS, and scenes that are drawn are no data set of that name.
    assert (metadata['Training Data'] == 'road pairs, weak masks') == ('weak' in data.get('data_root', ''))
    assert (metadata['Training Data'] == 'drawn scenes') == (data.type == 'SyntheticThermalScenes')


@each_model
def test_results(folder, model):
    """Figures stand in docs/results.md, and the README of the folder has the same."""
    told, row = measured(model), zoo.rows(folder)[model['Name']]
    # Behind a figure that was measured otherwise, with former defaults or on validation pairs, a note is named.
    as_it_is = [] if re.search(r'\(\d\)', row) else figures(row)
    assert as_it_is == ([] if told is None else [told])
    if told is None:
        return
    assert is_told(told), f'docs/results.md has no {told}'
    (result,) = model['Results']
    assert result['Task'] == 'Semantic Segmentation'
    assert result['Dataset'] == model['Metadata']['Training Data']
    assert model['Metadata']['Seeds'] == ('0, 1, 2' if '±' in told else '0')


def test_results_of_real_pairs_are_the_table():
    """Cell by cell, so that no figure stands with another method or data set."""
    lines = RESULTS[RESULTS.index('### Real pairs, test') :].splitlines()
    header = next(line for line in lines if line.startswith('| method |'))
    data = [each.strip() for each in header.strip('|').split('|')][1:5]
    assert data == ['WeedMap', 'CWFID', 'OMBRIA (radar)', 'road pairs, weak masks']
    cells = {}
    for method, label in REAL_PAIRS.items():
        line = next(line for line in lines if line.startswith(f'| {label} |'))
        values = [each.strip() for each in line.strip('|').split('|')][1:5]
        cells |= {(method, name.split(' (')[0]): value for name, value in zip(data, values, strict=True)}
    found = {}
    for _, model in MODELS:
        method, segmentor, _, _ = zoo.parts(model['Name'])
        if segmentor == 'efficientnet-lite0' and method in REAL_PAIRS:
            found[method, model['Metadata']['Training Data'].split(' (')[0]] = measured(model)
    assert {key: found.get(key) for key in cells} == cells


@each_folder
def test_figures_of_the_readme(folder):
    readme = (ROOT / f'configs/{folder}/README.md').read_text('utf-8')
    tables = [figure for row in zoo.rows(folder).values() for figure in figures(row)]
    assert tables
    assert [figure for figure in tables if not is_told(figure)] == []
    notes = readme[readme.rindex('\n(1) ') :]
    assert [
        figure for figure in figures(notes.replace('0.05', '')) if not is_told(figure) and figure not in ('0.1', '0.2')
    ] == []
    used = {int(number) for row in zoo.rows(folder).values() for number in re.findall(r'\((\d)\)', row)}
    assert used == {int(number) for number in re.findall(r'(?<!\w)\((\d)\) ', notes)}


@each_folder
def test_readme(folder):
    readme = (ROOT / f'configs/{folder}/README.md').read_text('utf-8')
    headings = re.findall(r'^## (.*)', readme, flags=re.M)
    assert headings == ['Introduction', 'Abstract', 'Citation', 'Use', 'Results and models']
    assert '```bibtex' in readme
    assert '2502.01467' in readme
    named = re.findall(r'(?:configs|tools)/[\w./-]+\.py', readme)
    assert len(named) >= 2
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_what_counts_as_told():
    """Of the helpers: a figure inside of a longer one, or in another notation, is not told."""
    assert is_told('69.15 ± 2.18')
    assert is_told('58.86')
    assert not any(map(is_told, ('9.15', '69.15', '5.24', '69.15 ± 2.1', '69.150', '69.15 ± 0.73')))
    assert figures('| `a_1xb4-300` | 300 | 69.15 ± 2.18 (1) |') == ['69.15 ± 2.18']
