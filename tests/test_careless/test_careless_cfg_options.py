"""Overrides of a config that make no sense: the key and the remedy, before anything is trained."""

import pytest

# Option to what has to be told.
OPTIONS = {
    # Keys that nobody reads.
    'train_cfgg.max_iters=3': ['no train_cfgg', 'nearest: train_cfg'],
    'modle.fusion.channels=8': ['no modle', 'nearest: model'],
    'random_seed=3': ['no random_seed', 'nearest: randomness'],
    'train_dataloder.batch_size=2': ['no train_dataloder', 'train_dataloader'],
    'train_dataloader.batchsize=2': ['train_dataloader.batchsize', 'train_dataloader.batch_size'],
    'randomness.sed=3': ['randomness.sed', 'randomness.seed'],
    'env_cfg.cudnn_bench=True': ['env_cfg.cudnn_bench', 'env_cfg.cudnn_benchmark'],
    'default_hooks.checkpiont.interval=1': ['default_hooks.checkpiont', 'default_hooks.checkpoint'],
    'optim_wraper.optimizer.lr=1': ['no optim_wraper', 'optim_wrapper'],
    'foo=1': ['no foo'],
    # Arguments that a module has not.
    'model.fusoin.channels=8': ['fusoin'],
    'model.fusion.chanels=8': ['chanels'],
    'model.fusion.attribution.step=3': ['step'],
    'model.segmentor.decode_head.num_class=3': ['num_class'],
    'optim_wrapper.optimizer.learning_rate=1': ['learning_rate'],
    'train_cfg.max_iter=3': ['max_iter'],
    'default_hooks.checkpoint.intervall=1': ['intervall'],
    # Values out of range.
    'train_cfg.max_iters=0': ['train_cfg.max_iters', 'at least 1', 'got 0'],
    'train_cfg.max_iters=-5': ['train_cfg.max_iters', 'got -5'],
    'train_cfg.max_iters=many': ['train_cfg.max_iters', "got 'many'"],
    'train_cfg.max_iters=2.5': ['train_cfg.max_iters', 'got 2.5'],
    'train_cfg.val_interval=0': ['train_cfg.val_interval', 'got 0'],
    'train_dataloader.batch_size=0': ['train_dataloader.batch_size', 'got 0'],
    'train_dataloader.batch_size=two': ['train_dataloader.batch_size', "got 'two'"],
    'test_dataloader.batch_size=-1': ['test_dataloader.batch_size', 'got -1'],
    'train_dataloader.num_workers=-1': ['num_workers', '-1'],
    'train_dataloader.num_workers=many': ['num_workers', "'many'"],
    'randomness.seed=abc': ['randomness.seed', "got 'abc'"],
    'randomness.seed=-1': ['randomness.seed', 'got -1'],
    'randomness.seed=1.5': ['randomness.seed', 'got 1.5'],
    'model.fusion.channels=-4': ['positive and even', 'channels=-4'],
    'model.fusion.channels=0': ['positive and even', 'channels=0'],
    'model.fusion.channels=eight': ['channels', "'eight'"],
    'model.fusion.channels=3': ['even', 'channels=3'],
    'model.fusion.num_stages=0': ['at least one', 'num_stages=0'],
    'model.fusion.num_stages=two': ['num_stages', "'two'"],
    'model.fusion.weights=gates': ['weights', "'gates'", 'gate, attribution, even'],
    'model.fusion.attention=soft': ['attention', "'soft'"],
    'model.fusion.attribution.estimator=exactly': ['estimator', "'exactly'"],
    'model.fusion.attribution.steps=0': ['at least 1', 'steps=0'],
    'model.fusion.type=UAAFusoin': ['UAAFusoin', 'registry'],
    'model.type=FusionSegmentr': ['FusionSegmentr', 'registry'],
    'model.reads=both': ["'both'", 'fused, pair'],
    'model.color=red': ["'red'", 'rgb, gray'],
    'model.train_labels=true': ['train_labels True', 'given, predicted'],
    'model.loss_seg_weight=-1': ['loss_seg_weight', 'got -1'],
    'model.normalize.std=[0,0,0]': ['std', '[0, 0, 0]'],
    'model.normalize.std=[1,1]': ['std', '[1, 1]'],
    'model.normalize.mean=[1]': ['mean', '[1]'],
    'model.normalize.mean=grey': ['mean', "'grey'"],
    'model.data_preprocessor.size_divisor=0': ['size_divisor', 'is 0'],
    'model.segmentor.decode_head.num_classes=0': ['decode_head has 0 classes', 'num_classes=3'],
    'model.segmentor=None': ['segmentor'],
    'model.fusion=None': ['fusion'],
    'model=None': ['no model'],
    'train_dataloader=None': ['no train_dataloader'],
    'optim_wrapper=None': ['no optim_wrapper'],
    'optim_wrapper.optimizer.lr=-1': ['-1'],
    'optim_wrapper.optimizer.lr=fast': ['lr', "'fast'"],
    'optim_wrapper.optimizer.type=AdamX': ['AdamX', 'registry'],
    'train_dataloader.dataset.data_root=nowhere': ['nowhere'],
    'train_dataloader.dataset.data_prefix.vi_path=visible': ['visible'],
    'train_dataloader.dataset.pipeline=[]': ['pipeline'],
    'train_dataloader.dataset.type=PairedDataset': ['PairedDataset', 'registry'],
    'train_dataloader.sampler.type=Infinite': ['Infinite', 'registry'],
    'default_hooks.checkpoint.interval=often': ["interval='often'"],
    'log_level=LOUD': ['log_level', "'LOUD'"],
    'load_from=nowhere.pth': ['nowhere.pth'],
    'launcher=ssh': ['launcher', "'ssh'"],
}


@pytest.mark.parametrize('option', OPTIONS)
def test_told(told, config, tmp_path, option):
    line = told('train', config, '--cfg-options', option)
    for words in OPTIONS[option]:
        assert words in line, line
    assert len(line) < 600, line
    assert not (tmp_path / 'run').exists(), line
