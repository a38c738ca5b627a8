"""Several processes on a machine without an accelerator, which mmengine's launcher does not know."""

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device


def join_cpu_processes(cfg: Config) -> None:
    """Let ``--launcher pytorch`` train and test on CPUs: with gloo, and a wrapper that asks for no device.

    mmengine selects a GPU for each process, and hands its number to the wrapper of the model. On a machine with an
    accelerator, and for one process, nothing is changed.

    Args:
        cfg (Config): With ``launcher``; gets a ``model_wrapper_cfg`` without devices.

    Examples:
        >>> cfg = Config(dict(launcher='none'))
        >>> join_cpu_processes(cfg)
        >>> cfg
        Config (path: None): {'launcher': 'none'}
    """
    if cfg.get('launcher') != 'pytorch' or get_device() != 'cpu':
        return
    if cfg.get('model_wrapper_cfg') is None:
        unused = cfg.get('find_unused_parameters', False)
        # As mmengine's own.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=unused
        )
    cfg.model_wrapper_cfg.setdefault('device_ids', None)
    if not dist.is_initialized():
        dist.init_process_group('gloo')
