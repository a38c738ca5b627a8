"""Which OpenMMLab stack is installed, and the small differences between them.

Two families of distributions provide the modules ``mmengine``, ``mmcv`` and ``mmseg``: upstream OpenMMLab
(``mmengine``, ``mmcv`` or ``mmcv-lite``, ``mmsegmentation``) and the maintained fork (``onedl-*``). They overwrite each
other's files when both are installed. mmfusion therefore depends on neither by itself, but looks here what is there.
"""

import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata

from packaging.version import Version

_MODULES = ('mmengine', 'mmcv', 'mmseg')
_INSTALL_HINT = (
    'Install one of the two stacks:\n'
    "    pip install 'mmfusion[onedl]'      (maintained fork, wheels for current PyTorch)\n"
    "    pip install 'mmfusion[upstream]'   (OpenMMLab's own releases; mmcv may have to be compiled)"
)

# What has been seen to work. Upstream mmseg itself refuses mmcv >= 2.2.
_MINIMUM = {'mmengine': '0.10.0', 'mmcv': '2.0.0', 'mmseg': '1.2.0'}


def check_stack(distributions: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """Find the distributions that provide mmengine, mmcv and mmseg.

    Args:
        distributions (Mapping[str, Sequence[str]], optional): Which distributions provide a top-level module, as
            ``importlib.metadata.packages_distributions()`` returns it (the default).

    Returns:
        dict[str, str]: Module name to the name of its distribution.

    Raises:
        ImportError: A module is missing, comes from two distributions at once, or is too old. The message says what to
            install or to remove.

    Examples:
        >>> fork = dict(mmengine=['onedl-mmengine'], mmcv=['onedl-mmcv'], mmseg=['onedl-mmsegmentation'])
        >>> check_stack(fork)['mmseg']
        'onedl-mmsegmentation'
        >>> check_stack({**fork, 'mmcv': ['mmcv', 'onedl-mmcv']})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ImportError: Two distributions own one module and overwrite each other: mmcv from mmcv and onedl-mmcv.
        Remove all of them with `pip uninstall onedl-mmengine mmcv onedl-mmcv onedl-mmsegmentation`, then install ...
    """
    if distributions is None:
        distributions = metadata.packages_distributions()
    # A distribution is listed once for every file of it, so names repeat.
    found = {module: sorted(set(distributions.get(module, ()))) for module in _MODULES}

    missing = [module for module, names in found.items() if not names]
    if missing:
        raise ImportError(
            f'mmfusion needs {", ".join(missing)}, which no installed distribution provides.\n{_INSTALL_HINT}'
        )
    _refuse_doubled(found)
    return {module: names[0] for module, names in found.items()}


def _refuse_doubled(found: Mapping[str, Sequence[str]]) -> None:
    twice = {module: names for module, names in found.items() if len(names) > 1}
    if twice:
        listed = '; '.join(f'{module} from {" and ".join(names)}' for module, names in twice.items())
        every = ' '.join(name for names in found.values() for name in names)
        raise ImportError(
            f'Two distributions own one module and overwrite each other: {listed}.\n'
            f'Remove all of them with `pip uninstall {every}`, then install one stack. {_INSTALL_HINT}'
        )


def check_versions(stack: Mapping[str, str]) -> None:
    """Refuse releases that are older than what mmfusion was written for.

    Args:
        stack (Mapping[str, str]): What :func:`check_stack` returns.

    Raises:
        ImportError: A distribution is too old; the message names it and the version that is needed.

    Examples:
        >>> check_versions(check_stack())  # What is installed here is new enough.
    """
    for module, distribution in stack.items():
        version = metadata.version(distribution)
        if Version(version) < Version(_MINIMUM[module]):
            raise ImportError(
                f'mmfusion needs {module} >= {_MINIMUM[module]}, but {distribution} {version} is '
                f'installed. Upgrade it with `pip install -U {distribution}`.'
            )


def enable_mmseg_bases() -> None:
    """Make ``_base_ = 'mmseg::...'`` work whatever distribution provides mmseg, and ``'mmfusion::...'`` at all.

    mmengine looks up the distribution under a fixed name, which the fork does not have; it accepts the name of the
    module as well. Packages that are not in its table it refuses.

    Examples:
        >>> from mmengine.config import utils
        >>> enable_mmseg_bases()
        >>> utils.MODULE2PACKAGE['mmseg'], utils.MODULE2PACKAGE['mmfusion']
        ('mmseg', 'mmfusion')
    """
    from mmengine.config import utils

    utils.MODULE2PACKAGE.update(mmseg='mmseg', mmfusion='mmfusion')


def ignore_what_nobody_can_mend() -> None:
    """Leave out warnings of the stack that stand in every run, and that its user can do nothing about.

    They are of an operator that mmcv-lite was built without (a model that needs it says so when it is built), of a
    default of mmseg's cross entropy, which averages over ignored pixels as well, and of a function by which heads of
    upstream mmseg build their losses.

    Examples:
        >>> ignore_what_nobody_can_mend()
    """
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    warnings.filterwarnings('ignore', message='Default ``avg_non_ignore`` is False')
    warnings.filterwarnings('ignore', message='``build_loss`` would be deprecated soon')
