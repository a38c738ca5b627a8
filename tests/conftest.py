"""What several tests share: a tiny model, tiny pairs on disk, a small runner; and clean global state."""

import copy
import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from miniatures import published  # noqa: F401  A fixture.
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from splits import split_config, split_data  # noqa: F401  Fixtures.

from mmfusion.apis import FusionInferencer
from mmfusion.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ('background', 'warm', 'printed')
PALETTE = ((0, 0, 0), (200, 60, 20), (40, 160, 220))

# Not looked through for doctests: two files of this name cannot both be imported as modules, and a stub has every name.
collect_ignore_glob = ['conftest.py', '*/conftest.py', 'stubs/*.py']

# Small tensors: a second thread costs more than it brings, and results must not depend on how sums are split.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def forget_globals():
    """mmengine keeps loggers, message hubs, scopes and visualizers per process; no test sees another's.

    The value is a function that forgets them earlier, where one test does what takes two processes.
    """

    def forget():
        for logger in MMLogger._instance_dict.values():
            for handler in logger.handlers:
                handler.close()
        for manager in (DefaultScope, MMLogger, MessageHub, Visualizer, SegLocalVisualizer):
            manager._instance_dict.clear()

    yield forget
    forget()


def _unet(num_classes=3, in_channels=3, dropout=0.0, norm='BN', **head):
    norm_cfg = None if norm is None else dict(type=norm)
    return dict(
        type='EncoderDecoder',
        backbone=dict(
            type='UNet',
            in_channels=in_channels,
            base_channels=4,
            num_stages=2,
            strides=(1, 1),
            enc_num_convs=(1, 1),
            dec_num_convs=(1,),
            downsamples=(True,),
            enc_dilations=(1, 1),
            dec_dilations=(1,),
            norm_cfg=norm_cfg,
            upsample_cfg=dict(type='InterpConv'),
        ),
        decode_head=dict(
            type='FCNHead',
            in_channels=4,
            in_index=1,
            channels=4,
            num_convs=0,
            concat_input=False,
            dropout_ratio=dropout,
            num_classes=num_classes,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            **head,
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


@pytest.fixture(scope='session')
def unet_config():
    """Function of (num_classes, in_channels, dropout, norm, **head) that gives the config of a segmentor."""
    return _unet


@pytest.fixture(scope='session')
def model_config():
    """Function that gives the config of a tiny FusionSegmentor; keyword arguments replace its entries."""

    def make(segmentor=None, **options):
        config = dict(
            type='FusionSegmentor',
            data_preprocessor=dict(type='FusionDataPreProcessor', size_divisor=2),
            # Exact, so that nothing is drawn at random, and sensitive to the faint evidence of an untrained segmentor.
            fusion=dict(
                type='UAAFusion',
                num_stages=2,
                channels=4,
                attribution=dict(steps=2, estimator='exact', smoothing=0.0),
            ),
            normalize=dict(mean=[127.5, 127.5, 127.5], std=[64.0, 64.0, 64.0]),
            segmentor=_unet() if segmentor is None else segmentor,
        )
        return copy.deepcopy({**config, **options})

    return make


def _scene(height, width, seed):
    """A pair B, G, R, infrared and its labels: class 1 is bright in infrared, class 2 in the visible image."""
    rng = np.random.RandomState(seed)
    image = rng.randint(60, 90, (height, width, 4), dtype=np.uint8)
    label = np.zeros((height, width), dtype=np.uint8)
    for c, channels in ((1, slice(3, 4)), (2, slice(0, 3))):
        y, x = rng.randint(0, height - 10), rng.randint(0, width - 12)
        image[y : y + 10, x : x + 12, channels] = rng.randint(190, 240, (10, 12, 1))
        label[y : y + 10, x : x + 12] = c
    return image, label


@pytest.fixture(scope='session')
def make_batch():
    """Function of (size, batch size, seed): inputs (B, 4, H, W) in [0, 1] as R, G, B, infrared, and data samples."""

    def make(size=(32, 48), batch=2, seed=0):
        images, samples = [], []
        for i in range(batch):
            image, label = _scene(*size, seed=100 * seed + i)
            images.append(torch.from_numpy(image[..., [2, 1, 0, 3]].copy()).permute(2, 0, 1).float() / 255)
            meta = dict(img_path=f'vi/{i:03}.png', ori_shape=size, img_shape=size, pad_shape=size)
            sample = SegDataSample(metainfo=meta)
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(label)[None].long())
            samples.append(sample)
        return torch.stack(images), samples

    return make


@pytest.fixture(scope='session')
def pair_folder():
    """Function that writes pairs as vi/*.png, ir/*.png, labels/*.png into a folder and returns it."""

    def write(folder, number=6, size=(32, 48)):
        for i in range(number):
            image, label = _scene(*size, seed=i)
            for name, picture in (('vi', image[..., :3]), ('ir', image[..., 3]), ('labels', label)):
                (folder / name).mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(folder / name / f'{i:03}.png'), picture)
        return folder

    return write


@pytest.fixture(scope='session')
def run_config():
    """Function of (model, data folder, work folder, ...) that gives a config for training, validation and testing."""

    def make(
        model,
        data_root,
        work_dir,
        max_iters=3,
        hooks=(),
        augment=False,
        num_workers=0,
        persistent=True,
        sampler=None,
        **options,
    ):
        random = [dict(type='RandomCrop', crop_size=(24, 32)), dict(type='RandomFlip', prob=0.5)] if augment else []
        load = [dict(type='LoadPairFromFile'), dict(type='LoadPairAnnotations')]
        dataset = dict(
            type='PairedSegDataset',
            data_root=str(data_root),
            serialize_data=False,
            data_prefix=dict(vi_path='vi', ir_path='ir', seg_map_path='labels'),
            metainfo=dict(classes=CLASSES, palette=[list(color) for color in PALETTE]),
        )
        evaluation = dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(dataset, test_mode=True, pipeline=[*load, dict(type='PackFusionInputs')]),
        )
        evaluators = [dict(type='PerClassIoUMetric', iou_metrics=['mIoU']), dict(type='FusionMetric', metrics=['EN'])]
        config = dict(
            default_scope='mmfusion',
            model=model,
            work_dir=str(work_dir),
            train_dataloader=dict(
                batch_size=2,
                num_workers=num_workers,
                persistent_workers=persistent and num_workers > 0,
                sampler=sampler or dict(type='InfiniteSampler', shuffle=True),
                dataset=dict(dataset, pipeline=[*load, *random, dict(type='PackFusionInputs')]),
            ),
            val_dataloader=evaluation,
            test_dataloader=evaluation,
            val_evaluator=evaluators,
            test_evaluator=evaluators,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=1000),
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
                checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000),
                visualization=dict(type='FusionVisualizationHook'),
            ),
            custom_hooks=list(hooks),
            visualizer=dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'),
            log_processor=dict(by_epoch=False),
            log_level='WARNING',
            randomness=dict(seed=0),
        )
        config.update(options)
        return Config(copy.deepcopy(config))

    return make


@pytest.fixture
def plain_configs(monkeypatch):
    """Spares the half second that it takes, for every checkpoint, to make the config in it pretty."""
    for place in ('yapf.yapflib.yapf_api.FormatCode', 'mmengine.config.config.FormatCode'):
        monkeypatch.setattr(place, lambda text, **options: (text, True), raising=False)


@pytest.fixture
def make_runner(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Function that gives a Runner on six pairs; every call is a new experiment, as a new process would be."""
    data = pair_folder(tmp_path / 'data')
    count = 0

    def make(model=None, work_dir=None, **options):
        nonlocal count
        count += 1
        config = run_config(
            model_config() if model is None else model, data, work_dir or tmp_path / f'run{count}', **options
        )
        config.experiment_name = f'run{count}'
        config.visualizer.name = f'visualizer{count}'
        return Runner.from_cfg(config)

    return make


@pytest.fixture
def paired_config(run_config, model_config, pair_folder, tmp_path, plain_configs):
    """Function of (size, number of pairs, fusion, batch size) that gives a config file; the data are in tmp_path/data.

    One number and one size per test: the pairs are written once.
    """

    def make(size, number, fusion=None, batch_size=2):
        if not (tmp_path / 'data').exists():
            pair_folder(tmp_path / 'data', number=number, size=size)
        options = {} if fusion is None else dict(fusion=fusion)
        cfg = run_config(model_config(**options), tmp_path / 'data', tmp_path / 'run')
        cfg.test_dataloader.batch_size = batch_size
        cfg.dump(tmp_path / 'tiny.py')
        return tmp_path / 'tiny.py'

    return make


@pytest.fixture
def drawn_config(run_config, model_config, tmp_path, plain_configs):
    """Function of (size, fusion, number of classes, **options of the data) that gives a config file on drawn scenes."""

    def make(size, fusion=None, num_classes=4, /, **data):
        options = {} if fusion is None else dict(fusion=fusion)
        cfg = run_config(model_config(_unet(num_classes), **options), tmp_path / 'none', tmp_path / 'run')
        dataset = dict(
            type='SyntheticThermalScenes',
            num_scenes=6,
            size=size,
            split='test',
            test_mode=True,
            pipeline=[dict(type='PackFusionInputs')],
        )
        cfg.test_dataloader.dataset = dict(dataset, **data)
        cfg.dump(tmp_path / 'tiny.py')
        return tmp_path / 'tiny.py'

    return make


@pytest.fixture
def random_checkpoint(tmp_path):
    """Function of (config file, gain) that writes random weights, with a segmentor that sees something in both sources.

    A gain above 1 also strengthens the later layers of the unfolding, so that every change of it is seen.
    """

    def make(config, gain=1):
        torch.manual_seed(0)
        model = MODELS.build(FusionInferencer(config).cfg.model)
        with torch.no_grad():
            model.decode_head.conv_seg.weight.normal_(std=gain)
            for name, weight in model.fusion.named_parameters():
                if 'refine' in name or 'reconstruct' in name:
                    weight.mul_(gain)
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
        return tmp_path / 'model.pth'

    return make


@pytest.fixture(scope='session')
def load_tool():
    """Function of a path below tools/ that imports the script as a module, under a name of its own."""

    def load(path):
        spec = importlib.util.spec_from_file_location(f'tool_{Path(path).stem}', ROOT / 'tools' / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def tool(load_tool, forget_globals, monkeypatch):
    """Function of a tool's name and its arguments; each call starts without what an earlier one left behind."""
    monkeypatch.setenv('LOCAL_RANK', '0')

    def call(name, *arguments):
        forget_globals()
        return load_tool(f'{name}.py').main([str(argument) for argument in arguments])

    return call


@pytest.fixture
def told(tool, capfd):
    """Function of a tool's name and its arguments that gives the one line in which it tells an error."""

    def call(*arguments):
        capfd.readouterr()
        assert tool(*arguments) == 1
        last = capfd.readouterr().err.strip().splitlines()[-1]
        assert last.startswith('error: ')
        return last

    return call


def _recipe_value(name, shape, seed):
    """Weights of the reference segmentor; the recipe is told beside the fixture's JSON."""
    if name.endswith('num_batches_tracked'):
        return torch.tensor(0)
    values = np.random.RandomState(seed).standard_normal(shape)
    if name.endswith('running_var'):
        values = 1 + 0.2 * np.abs(values)
    elif name.endswith('running_mean'):
        values = 0.1 * values
    elif name.endswith('weight') and len(shape) == 1:
        values = 1 + 0.1 * values
    elif len(shape) == 4:
        values = values * np.sqrt(2 / (shape[1] * shape[2] * shape[3]))
    else:
        values = 0.05 * values
    return torch.from_numpy(values).float()


@pytest.fixture(scope='session')
def released_checkpoint():
    """A checkpoint in the released layout: ``model_f`` and ``model_s`` of the reference fixtures."""
    recipe = json.loads((ROOT / 'tests/data/released_segmentor.json').read_text())
    with np.load(ROOT / 'tests/data/uaafusion_released.npz') as arrays:
        fusion = {
            name.removeprefix('model_f/'): torch.from_numpy(arrays[name])
            for name in arrays.files
            if name.startswith('model_f/')
        }
    segmentor = {
        name: _recipe_value(name, shape, n + recipe['seed_offset']) for n, (name, shape) in enumerate(recipe['keys'])
    }
    return dict(model_f=fusion, model_s=segmentor, epoch=40)
