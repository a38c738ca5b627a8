"""Complete configs of mmseg, and the ten lines that turn each into a joint model; small enough to be stepped here.

``python recipes.py FAMILY DATA FOLDER`` steps one in a process of its own. mmseg looks for mmdet when it is imported,
which then has to have found what stands in for its compiled modules.
"""

import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import torch

FAMILIES = dict(
    segformer='segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512',
    pspnet='pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512',
    convnext='convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512',
    pidnet='pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes',
    mask2former='mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512',
    segnext='segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512',
    beit='beit/beit-base_upernet_8xb2-160k_ade20k-640x640',
)
"""Name of the family to a config of mmseg, without `.py`."""

CHILD = """\
_base_ = 'mmseg::{recipe}.py'
custom_imports = dict(imports=['mmfusion'])
fusion = dict(type='UAAFusion', num_stages=2, channels=4)
model = dict(_delete_=True, type='FusionSegmentor', fusion=fusion, segmentor=_base_.model, num_classes=3)
names = dict(classes=('background', 'warm', 'printed'), palette=[[0, 0, 0], [200, 60, 20], [40, 160, 220]])
data = dict(_delete_=True, type='PairedSegDataset', data_root='{data}', metainfo=names)
train_dataloader = dict(dataset=dict(**data, pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(**data, pipeline=_base_.test_pipeline, test_mode=True))
test_dataloader = val_dataloader
"""

CROP = (32, 32)
# Vision transformers have a position for each of their patches of 16 pixels, and a pyramid of them that is pooled.
_CROPS = dict(beit=(64, 64))


class _Anything(types.ModuleType):
    """A module that has whatever is looked for, and does nothing."""

    __path__: tuple = ()
    __version__ = '0'

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in_for_extensions():
    """mmdet and mmpretrain import compiled modules for parts of theirs that no test uses.

    On the fork, tools/bootstrap.py keeps the two in a folder of their own.
    """
    apart = str(Path(sys.prefix) / 'tests-onedl')
    if apart not in sys.path:
        sys.path.append(apart)
    names = ['mmcv._ext', 'torchvision', *(f'torchvision.{name}' for name in ('ops', 'transforms', 'datasets'))]
    names += ['torchvision.ops.boxes', 'torchvision.transforms.functional', 'torchvision.transforms.transforms']
    names += ['torchvision.datasets.utils']
    for name in names:
        if name not in sys.modules:
            module = sys.modules[name] = _Anything(name)
            module.__spec__ = ModuleSpec(name, None)
            parent, _, leaf = name.rpartition('.')
            if parent.startswith('torchvision'):
                setattr(sys.modules[parent], leaf, module)


def read(text, path):
    """A config from its text."""
    from mmengine.config import Config

    path.write_text(text)
    return Config.fromfile(str(path))


def plain_config(family, folder):
    """The config of mmseg itself, inherited as well, so that its parts carry their scope."""
    return read(f"_base_ = 'mmseg::{FAMILIES[family]}.py'\n", folder / 'plain.py')


def child_config(family, data, folder):
    """A joint model in mmseg's recipe."""
    return read(CHILD.format(recipe=FAMILIES[family], data=data), folder / 'child.py')


def shrink_model(model, family):
    """Fewer layers, smaller images, no weights to be fetched."""
    crop = _CROPS.get(family, CROP)
    model.pop('pretrained', None)
    model.backbone.pop('init_cfg', None)
    if 'data_preprocessor' in model:
        model.data_preprocessor.size = crop
    if 'crop_size' in model.get('test_cfg', {}):
        model.test_cfg.update(crop_size=crop, stride=crop)
    if family == 'beit':
        model.backbone.update(img_size=crop, embed_dims=24, num_layers=4, num_heads=2, out_indices=[0, 1, 2, 3])
        model.neck.embed_dim = 24
        model.decode_head.update(in_channels=[24] * 4, channels=16)
        model.auxiliary_head.update(in_channels=24, channels=16)
    if family == 'convnext':
        model.decode_head.channels = 16
        model.auxiliary_head.channels = 16
    if family == 'mask2former':
        model.decode_head.num_queries = 5
        model.decode_head.transformer_decoder.num_layers = 2
        model.decode_head.num_transformer_feat_level = 3
        model.decode_head.pixel_decoder.encoder.num_layers = 1
        model.decode_head.train_cfg.num_points = 64


def shrink_run(cfg, family):
    """One iteration of two pairs, one evaluation."""
    shrink_model(cfg.model.segmentor, family)
    crop = _CROPS.get(family, CROP)
    if cfg.get('data_preprocessor'):
        cfg.data_preprocessor.size = crop
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False, batch_size=2 if split == 'train' else 1)
        for step in loader.dataset.pipeline:
            if step.type in ('RandomResize', 'Resize'):
                step.scale = (crop[1], crop[0])
            if step.type == 'RandomChoiceResize':
                step.scales = [crop[0]]
            if step.type == 'RandomCrop':
                step.crop_size = crop
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.log_level = 'ERROR'
    return cfg


def step(family, data, folder):
    """Train one iteration and evaluate; what did not hold is raised as an AssertionError."""
    from mmengine.runner import Runner

    from mmfusion.engine.autocast import use_amp

    cfg, plain = child_config(family, data, folder), plain_config(family, folder)
    assert cfg.default_scope == plain.default_scope == 'mmseg'
    assert cfg.optim_wrapper == plain.optim_wrapper
    assert cfg.param_scheduler == plain.param_scheduler
    use_amp(shrink_run(cfg, family), wanted=False)  # As our train.py does with float16 on a CPU.
    cfg.work_dir = str(folder / 'run')
    runner = Runner.from_cfg(cfg)
    before = {name: value.clone() for name, value in runner.model.named_parameters()}
    runner.train()
    moved = {name for name, value in runner.model.named_parameters() if not torch.equal(value, before[name])}
    assert any(name.startswith('fusion.') for name in moved)
    assert any(name.startswith('segmentor.backbone.') for name in moved)
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100
    assert runner.model.segmentor.decode_head.num_classes == 3


if __name__ == '__main__':
    stand_in_for_extensions()
    import mmfusion  # noqa: F401  As mmfusion's own tools do.

    torch.set_num_threads(1)
    step(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
