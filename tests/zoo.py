"""What metafile.yml and README.md of a config folder say of a config: read, and written for one that is missing.

``python tests/zoo.py`` prints what is missing, ready to be pasted.
"""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('uaafusion', 'baselines', 'ablations')
PAPER = 'Deep Unfolding Multi-modal Image Fusion Network via Attribution Analysis'
PAPER_URL = 'https://arxiv.org/abs/2502.01467'
# The last part of a config's name, without size: how its data are called. Another data set is one more line.
DATA = {
    'synthetic': 'drawn scenes',
    'cwfid': 'CWFID',
    'weedmap': 'WeedMap',
    'ombria': 'OMBRIA (optical and radar)',
    'msrs-weak': 'road pairs, weak masks',
    'msrs': 'MSRS',
    'fmb': 'FMB',
    'fmb14': 'FMB, 14 classes',
    'fmb15': 'FMB, 14 classes and unlabelled',
    'mfnet': 'MFNet',
    'pst900': 'PST900',
    'semanticrt': 'SemanticRT',
}
SEGMENTORS = {
    'unet-tiny': 'small U-Net',
    'deeplabv3plus_mobilenet-v2': 'DeepLabV3+, MobileNetV2',
    'segformer_mit-b0': 'SegFormer, MiT-B0',
    'efficientnet-lite0': "SegFormer's head, EfficientNet-Lite0",
    'mobilenet-v2': 'the released head, dilated MobileNetV2',
}


def config_files(folder: str) -> list[Path]:
    return sorted((ROOT / 'configs' / folder).glob('*.py'))


def parts(name: str) -> tuple[str, str, str, str]:
    """Method, segmentor, recipe and data of ``method_segmentor_1xb4-300_data-96x128``."""
    method, segmentor, recipe, data = re.fullmatch(r'([^_]+)_(.+)_(1xb\d+-\w+)_(.+)-\d+x\d+', name).groups()
    return method, segmentor, recipe, data


def is_uaafusion(name: str) -> bool:
    return name.startswith('uaafusion')


def read_metafile(folder: str) -> dict:
    """Every scalar is the text in the file: 64.10 stays 64.10."""
    return yaml.load((ROOT / f'configs/{folder}/metafile.yml').read_text('utf-8'), yaml.BaseLoader)


def code_of(name: str) -> str:
    method = parts(name)[0]
    if 'released' in method:
        return 'mmfusion/released/fusion.py'
    if is_uaafusion(name):
        return 'mmfusion/models/fusion/uaafusion.py'
    if method in ('average', 'maximum', 'visible', 'infrared', 'concatenation'):
        return 'mmfusion/models/fusion/baselines.py'
    return 'mmfusion/models/reading/reading.py'


def entry(folder: str, name: str, collection: str) -> str:
    """An entry of metafile.yml without results."""
    _, segmentor, recipe, data = parts(name)
    architecture = [*(['UAAFusion'] if is_uaafusion(name) else []), *SEGMENTORS.get(segmentor, segmentor).split(', ')]
    batch_size, length = re.fullmatch(r'1xb(\d+)-(\w+)', recipe).groups()
    unit = 'Epochs' if length.endswith('e') else 'Iterations'
    lines = [
        f'- Name: {name}',
        f'  In Collection: {collection}',
        f'  Config: configs/{folder}/{name}.py',
        '  Metadata:',
        f'    Training Data: {DATA.get(data, data)}',
        f'    Batch Size: {batch_size}',
        f'    {unit}: {length.removesuffix("e").replace("k", "000")}',
        '    Architecture:',
        *(f'    - {part}' for part in architecture),
    ]
    if is_uaafusion(name):
        lines += ['  Paper:', f'    Title: {PAPER}', f'    URL: {PAPER_URL}']
    return '\n'.join([*lines, f'  Code: {code_of(name)}', f'  README: configs/{folder}/README.md'])


def row(name: str) -> str:
    """A row of README.md without results."""
    _, segmentor, recipe, _ = parts(name)
    return f'| `{name}` | {SEGMENTORS.get(segmentor, segmentor)} | {recipe.split("-")[1]} | |'


def rows(folder: str) -> dict[str, str]:
    """Name of a config to its row in the README of the folder."""
    text = (ROOT / f'configs/{folder}/README.md').read_text('utf-8')
    return {match[1]: match[0] for match in re.finditer(r'^\| `([\w.-]+_1xb[\w.-]+)` \|.*$', text, flags=re.M)}


def missing(folder: str) -> tuple[list[str], list[str]]:
    """What to add to metafile.yml, and to README.md, of a folder."""
    metafile, names = read_metafile(folder), [path.stem for path in config_files(folder)]
    listed = {model['Name'] for model in metafile['Models']}
    collection = metafile['Collections'][0]['Name']
    entries = [entry(folder, name, collection) for name in names if name not in listed]
    return entries, [row(name) for name in names if name not in rows(folder)]


def main() -> None:
    for folder in FOLDERS:
        for file, lines in zip(('metafile.yml', 'README.md'), missing(folder), strict=True):
            print(f'configs/{folder}/{file} lacks {len(lines)}', *lines, sep='\n')


if __name__ == '__main__':
    main()
