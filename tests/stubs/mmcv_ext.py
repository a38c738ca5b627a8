"""For tests only: in the place of ``mmcv._ext``, the compiled operators of mmcv, which mmcv-lite comes without.

mmsegmentation 1.2.2 imports ``mmcv.ops`` when it is imported itself, and that looks up every compiled operator by name.
What mmcv computes with PyTorch (``point_sample``, ``CrissCrossAttention``, deformable attention on a CPU) works beside
this file; what is compiled says so when it is called.
"""


def __getattr__(name):
    """The operator of that name, which cannot be called."""
    if name.startswith('__'):
        raise AttributeError(name)

    def missing(*args, **options):
        raise NotImplementedError(f'mmcv-lite was built without its operator {name!r}; install mmcv')

    return missing
