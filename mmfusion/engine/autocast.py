"""Mixed precision where mmengine's wrapper wants a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn

from mmfusion.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Training in bfloat16 autocast, on any device that knows it, a CPU as well.

    bfloat16 has the range of float32, so that losses are not scaled.

    Args:
        **kwargs: ``optimizer``, ``accumulative_counts`` and ``clip_grad`` of mmengine's ``OptimWrapper``.

    Examples:
        >>> model = nn.Linear(2, 2)
        >>> wrapper = Bfloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        >>> with wrapper.optim_context(model):
        ...     model(torch.ones(1, 2)).dtype
        torch.bfloat16
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context of a training iteration's forward pass.

        Args:
            model (nn.Module): The model that is trained.

        Yields:
            None
        """
        # Without a cache: attribution runs the segmentor without gradients in the same context.
        with super().optim_context(model), torch.autocast(get_device(), torch.bfloat16, cache_enabled=False):
            yield


def use_amp(cfg: Config, wanted: bool = True) -> None:
    """Switch a config to mixed precision: float16 with scaled losses on a GPU, bfloat16 elsewhere.

    Args:
        cfg (Config): Changed in place.
        wanted (bool): False only changes an inherited ``AmpOptimWrapper`` that cannot run here.

    Raises:
        ValueError: The optimizer wrapper is not a plain one.

    Examples:
        >>> cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
        >>> use_amp(cfg)
        >>> cfg.optim_wrapper.type == ('AmpOptimWrapper' if torch.cuda.is_available() else 'Bfloat16OptimWrapper')
        True
    """
    wrapper: Any = cfg.optim_wrapper
    on_gpu = torch.cuda.is_available()
    if wrapper.type in ('AmpOptimWrapper', 'Bfloat16OptimWrapper') and (on_gpu or wrapper.type != 'AmpOptimWrapper'):
        return
    if not wanted and wrapper.type != 'AmpOptimWrapper':
        return
    if wrapper.type not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(
            f'--amp replaces an optimizer wrapper of type OptimWrapper, but the config has a {wrapper.type}; set the '
            'precision in the config'
        )
    if on_gpu:
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
        return
    wrapper.type = 'Bfloat16OptimWrapper'
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        wrapper.pop(key, None)
    print_log('mixed precision without a GPU: bfloat16 in the place of float16', 'current')
