"""Classes and ignored ids of model, data and metrics, compared before a run."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmfusion.engine.hooks import DataCheckHook

CLASSES = ('background', 'warm', 'printed')


def head(num_classes=3, ignore_index=255):
    module = nn.Module()
    module.num_classes, module.ignore_index = num_classes, ignore_index
    return module


def loader(classes=CLASSES, **attributes):
    return SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=classes), **attributes))


def runner(auxiliary=None, fusion=None, metrics=(), **loaders):
    model = nn.Module()
    model.segmentor = nn.Module()
    model.segmentor.decode_head = head()
    if auxiliary is not None:
        model.segmentor.auxiliary_head = auxiliary
    if fusion is not None:
        model.fusion = fusion
    given = dict(train_dataloader=loader(), val_dataloader=loader(), test_dataloader=loader(), val_loop=object())
    evaluator = SimpleNamespace(metrics=list(metrics))
    return SimpleNamespace(model=model, val_evaluator=evaluator, test_evaluator=evaluator, **{**given, **loaders})


def test_what_goes_together():
    run = runner(auxiliary=nn.ModuleList([head(), head()]), metrics=[SimpleNamespace(ignore_index=255)])
    DataCheckHook().before_train(run)
    DataCheckHook().before_test(run)


@pytest.mark.parametrize(
    ('auxiliary', 'key'),
    [(head(2), 'auxiliary_head'), (nn.ModuleList([head(), head(19)]), r'auxiliary_head\.1')],
)
def test_auxiliary_heads(auxiliary, key):
    with pytest.raises(ValueError, match=rf'{key} has (2|19) classes, but the data set of train_dataloader has 3'):
        DataCheckHook().before_train(runner(auxiliary=auxiliary))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_every_data_set_of_a_training(split):
    run = runner(**{f'{split}_dataloader': loader(('soil', 'crop'))})
    with pytest.raises(
        ValueError, match=rf'decode_head has 3 classes, but the data set of {split}_dataloader has 2: soil'
    ):
        DataCheckHook().before_train(run)
    DataCheckHook().before_test(run)


def test_without_a_validation():
    DataCheckHook().before_train(runner(val_loop=None, val_dataloader=None))


def test_of_a_test():
    with pytest.raises(ValueError, match='test_dataloader has 4'):
        DataCheckHook().before_test(runner(test_dataloader=loader((*CLASSES, 'vehicle'))))


class Gated(nn.Module):
    ignore_index = 0
    gate = torch.nn.Identity()


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (dict(auxiliary=head(ignore_index=0)), r'model\.segmentor\.auxiliary_head: 0'),
        (dict(train_dataloader=loader(ignore_index=0)), 'train_dataloader: 0'),
        (dict(metrics=[SimpleNamespace(ignore_index=0)]), 'SimpleNamespace: 0'),
        (dict(fusion=Gated()), r'model\.fusion\.attribution: 0'),
    ],
)
def test_ignored_ids(options, told):
    with pytest.raises(
        ValueError, match=rf'ignore_index is model\.segmentor\.decode_head: 255, .*{told}; set it to the same'
    ):
        DataCheckHook().before_train(runner(**options))


def test_a_fusion_that_looks_at_no_labels_may_say_what_it_likes():
    fusion = nn.Module()
    fusion.ignore_index = 0
    DataCheckHook().before_train(runner(fusion=fusion))


def test_data_without_classes():
    DataCheckHook().before_train(runner(train_dataloader=loader(()), val_dataloader=loader(())))


def test_the_fusion_may_weigh_a_class_that_all_others_ignore():
    """The released recipe of FMB: unlabelled pixels have the id of a class, and a region that is attributed."""
    heads = {'decode_head': head(ignore_index=0)}
    loaders = {'test_dataloader': loader(ignore_index=0)}
    DataCheckHook().compare(heads, loaders, {'model.fusion.attribution': 255, 'ProtocolIoUMetric': 0})
    with pytest.raises(ValueError, match='test_dataloader: 255'):
        DataCheckHook().compare(heads, {'test_dataloader': loader(ignore_index=255)}, {'model.fusion.attribution': 255})
    with pytest.raises(ValueError, match=r'model\.fusion\.attribution: 254'):
        DataCheckHook().compare({'decode_head': head()}, {}, {'model.fusion.attribution': 254})
