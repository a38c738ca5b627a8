"""Whether model, data, losses and metrics are of the same classes, seen before the first iteration."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmfusion.registry import HOOKS

from .bare_model import bare_model

_FUSION = 'model.fusion.attribution'


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Compares the classes and the ignored id of all parts of a run when it begins.

    A head with more outputs than there are classes trains without a word and predicts classes that nobody has named;
    one with fewer fails at the first label that it does not know. An id that one part ignores and another does not
    counts where it must not.

    Examples:
        >>> from types import SimpleNamespace
        >>> head = SimpleNamespace(num_classes=9, ignore_index=255)
        >>> data = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=('soil', 'crop')), ignore_index=255))
        >>> DataCheckHook().compare({'decode_head': head}, {'train_dataloader': data}, {})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: decode_head has 9 classes, but the data set of train_dataloader has 2: soil, crop; set ...
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Compare what is trained and validated.

        Raises:
            ValueError: As in :meth:`compare`.
        """
        loaders = dict(train_dataloader=runner.train_dataloader)
        evaluator = None
        if runner.val_loop is not None:
            loaders['val_dataloader'] = runner.val_dataloader
            evaluator = runner.val_evaluator
        self.compare(_heads(runner), loaders, _ignored(runner, evaluator))

    def before_test(self, runner: Runner) -> None:
        """Compare what is tested.

        Raises:
            ValueError: As in :meth:`compare`.
        """
        loaders = dict(test_dataloader=runner.test_dataloader)
        self.compare(_heads(runner), loaders, _ignored(runner, runner.test_evaluator))

    def compare(self, heads: dict[str, Any], loaders: dict[str, Any], ignored: dict[str, int]) -> None:
        """Refuse parts that do not go together.

        Args:
            heads (dict[str, nn.Module]): Name to head.
            loaders (dict[str, DataLoader]): Name to data loader.
            ignored (dict[str, int]): Which id other parts ignore.

        Raises:
            ValueError: A head has another number of classes than a data set, or parts ignore different ids. The message
                has the key of the config.
        """
        for name, loader in loaders.items():
            classes = (getattr(loader.dataset, 'metainfo', None) or {}).get('classes') or ()
            for head_name, head in heads.items():
                if classes and head.num_classes != len(classes):
                    raise ValueError(
                        f'{head_name} has {head.num_classes} classes, but the data set of {name} has {len(classes)}: '
                        f'{", ".join(classes)}; set model.segmentor.{head_name}.num_classes={len(classes)}'
                    )
        ids = {f'model.segmentor.{name}': head.ignore_index for name, head in heads.items()}
        ids |= {name: loader.dataset.ignore_index for name, loader in loaders.items() if _has(loader.dataset)}
        ids |= ignored
        if _ignores_a_class(heads, ids):
            ids.pop(_FUSION, None)
        if len(set(ids.values())) > 1:
            told = ', '.join(f'{name}: {value}' for name, value in ids.items())
            raise ValueError(f'pixels without a class have one id, but ignore_index is {told}; set it to the same')


def _ignores_a_class(heads: dict[str, Any], ids: dict[str, int]) -> bool:
    """Whether all but the fusion ignore the id of a class, as in the released recipe.

    The fusion may weigh the region of such a class all the same, since no loss of the segmentor is meant by it.
    """
    others = {value for name, value in ids.items() if name != _FUSION}
    if len(others) != 1:
        return False
    (ignored,) = others
    return any(0 <= ignored < head.num_classes for head in heads.values())


def _has(dataset: Any) -> bool:
    return isinstance(getattr(dataset, 'ignore_index', None), int)


def _heads(runner: Runner) -> dict[str, nn.Module]:
    """Heads of the segmentor by the key of their config."""
    segmentor = getattr(bare_model(runner), 'segmentor', bare_model(runner))
    found: dict[str, nn.Module] = {}
    for key in ('decode_head', 'auxiliary_head'):
        head = getattr(segmentor, key, None)
        if isinstance(head, nn.ModuleList):
            found |= {f'{key}.{number}': each for number, each in enumerate(head)}
        elif head is not None:
            found[key] = head
    return {key: head for key, head in found.items() if hasattr(head, 'num_classes') and hasattr(head, 'ignore_index')}


def _ignored(runner: Runner, evaluator: Any) -> dict[str, int]:
    """What the fusion and the metrics ignore."""
    found = {}
    fusion: Any = getattr(bare_model(runner), 'fusion', None)
    if getattr(fusion, 'asks_segmentor', False) or getattr(fusion, 'gate', None) is not None:
        found[_FUSION] = fusion.ignore_index
    return found | dict(_of_metrics(evaluator))


def _of_metrics(evaluator: Any) -> Iterator[tuple[str, int]]:
    for metric in getattr(evaluator, 'metrics', ()):
        if _has(metric):
            yield type(metric).__name__, metric.ignore_index
