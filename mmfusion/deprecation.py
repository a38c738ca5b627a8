"""Names and options that moved: how mmfusion tells, and for how long the old ones work.

The policy:

- A renamed option and a moved public name keep working, with the same results, for at least one minor release after the
  one that renamed them.
- Using the old one gives one :class:`MMFusionDeprecationWarning`, which names the new key or place. Options of one call
  share a warning; a moved name warns the first time that a process asks for it.
- The CHANGELOG names the old and the new one, under the release that renames and under the one that removes.
- Public is what the ``__all__`` of a package lists, and what a config may write. All else moves without notice.

Python hides deprecation warnings outside ``__main__``, where configs and libraries run. Ours are shown, unless the user
has set filters with ``-W`` or ``PYTHONWARNINGS``.
"""

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


class MMFusionDeprecationWarning(DeprecationWarning):
    """An old name or option of mmfusion was used; the message says what to write instead."""


if not sys.warnoptions:
    warnings.filterwarnings('default', category=MMFusionDeprecationWarning)


def warn_deprecated(message: str, stacklevel: int = 2) -> None:
    """Give one deprecation warning.

    Args:
        message (str): What is deprecated, and what to write instead.
        stacklevel (int): Whose line the warning shows: 1 is the caller of this function, 2 the caller of that, and so
            on.

    Examples:
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter('always')
        ...     warn_deprecated('UAAFusion: option rule is deprecated; write attribution=dict(rule=...)')
        >>> caught[0].category.__name__
        'MMFusionDeprecationWarning'
    """
    warnings.warn(message, MMFusionDeprecationWarning, stacklevel=stacklevel + 1)


def moved_names(module_name: str, moved: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` by which a module still gives names that live elsewhere now.

    A name is looked up and warned of once; from then on it is an attribute of the module. (``from package import name``
    asks a package twice, and would warn twice.)

    Args:
        module_name (str): The old module: its ``__name__``.
        moved (Mapping[str, str]): Name to the module in which it is now. That module is imported when it is asked for.

    Returns:
        Callable: To be assigned to ``__getattr__`` of the old module.

    Examples:
        >>> find = moved_names('__main__', {'sqrt': 'math'})
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter('always')
        ...     find('sqrt')(9.0)
        3.0
        >>> str(caught[0].message)
        '__main__.sqrt is deprecated; import it from math'
        >>> find('cbrt')
        Traceback (most recent call last):
        AttributeError: module '__main__' has no attribute 'cbrt'
    """

    def find(name: str) -> Any:
        if name not in moved:
            raise AttributeError(f'module {module_name!r} has no attribute {name!r}')
        value = getattr(import_module(moved[name]), name)
        warn_deprecated(f'{module_name}.{name} is deprecated; import it from {moved[name]}', stacklevel=2)
        setattr(sys.modules[module_name], name, value)
        return value

    return find


def renamed_options(
    owner: str, given: Mapping[str, Any], renamed: Mapping[str, str], stacklevel: int = 2
) -> dict[str, Any]:
    """Give one warning that names every old option in use and its new key.

    Args:
        owner (str): Whose options they are, such as 'UAAFusion'.
        given (Mapping[str, Any]): Options as the caller wrote them, by their names. Those that are not renamed are left
            alone.
        renamed (Mapping[str, str]): Old name to the new key; dots lead into an option that is a dict, as in
            ``{'estimator': 'attribution.estimator'}``.
        stacklevel (int): Whose line the warning shows: 1 is the caller of this function, 2 the caller of that, and so
            on.

    Returns:
        dict[str, Any]: The values of the old options under their new keys, dicts in dicts. Empty, and without a
        warning, if none was used.

    Raises:
        ValueError: Two of the old options have one new key, so that one of them would be lost.

    Examples:
        >>> renamed = {'estimator': 'attribution.estimator', 'smoothing': 'attribution.smoothing'}
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter('always')
        ...     renamed_options('UAAFusion', {'estimator': 'exact', 'smoothing': 0.0, 'channels': 8}, renamed)
        {'attribution': {'estimator': 'exact', 'smoothing': 0.0}}
        >>> print(caught[0].message)
        UAAFusion: options estimator, smoothing are deprecated; write attribution=dict(estimator=..., smoothing=...)
    """
    used = [name for name in given if name in renamed]
    if not used:
        return {}
    new_keys: dict[str, Any] = {}
    for name in used:
        _insert(new_keys, renamed[name], name, owner)
    options = f'option {used[0]} is' if len(used) == 1 else f'options {", ".join(used)} are'
    warn_deprecated(f'{owner}: {options} deprecated; write {_call_arguments(new_keys)}', stacklevel + 1)
    return _with_values(new_keys, given)


def _insert(new_keys: dict[str, Any], key: str, name: str, owner: str) -> None:
    """Put an old name under its new key, dots leading into dicts."""
    *parents, last = key.split('.')
    for parent in parents:
        new_keys = new_keys.setdefault(parent, {})
    if last in new_keys:
        raise ValueError(f'{owner}: options {new_keys[last]} and {name} both mean {key}; write {key} itself, once')
    new_keys[last] = name


def _call_arguments(new_keys: Mapping[str, Any]) -> str:
    """New keys as they are written in a call, with dots for the values."""
    written = []
    for key, below in new_keys.items():
        value = f'dict({_call_arguments(below)})' if isinstance(below, dict) else '...'
        written.append(f'{key}={value}')
    return ', '.join(written)


def _with_values(new_keys: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the old names under the new keys."""
    values: dict[str, Any] = {}
    for key, below in new_keys.items():
        values[key] = _with_values(below, given) if isinstance(below, dict) else given[below]
    return values
