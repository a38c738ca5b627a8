"""Settings of the documentation site: ``sphinx-build -W -b html docs docs/_build``."""

import contextlib
import inspect
import io
from importlib import import_module

# mmseg prints on its first import that an optional package is missing.
with contextlib.redirect_stdout(io.StringIO()):
    import mmseg.datasets  # noqa: F401

from mmfusion import __version__

project = 'mmfusion'
author = 'mmfusion contributors'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build']

myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 3  # Links to `page.md#heading`, as a repository's browser makes them.

# What a subpackage exports is documented under the name that users import.
autodoc_default_options = {'members': True, 'imported-members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # Docstrings say types, with shapes.
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = 'furo'
html_title = f'mmfusion {release}'
html_copy_source = False
html_show_copyright = False


def _defined_in(target: str) -> object | None:
    """The object that a reference by module names, such as ``mmfusion.models.scorer.SegmentorScorer``."""
    module, _, name = target.rpartition('.')
    try:
        return getattr(import_module(module), name, None)
    except (ImportError, ValueError):
        return None


def link_to_exported_name(app, env, node, content):
    """Resolve a reference to where an object is defined, or to its bare name, by the name it is exported under.

    Args:
        app (sphinx.application.Sphinx): Not looked at.
        env (sphinx.environment.BuildEnvironment): Knows what is documented.
        node (docutils.nodes.Node): The reference that was not resolved.
        content (docutils.nodes.Node): Its text.

    Returns:
        docutils.nodes.Node | None: The link, or None where there is no such object or more than one.
    """
    if node.get('refdomain') != 'py' or 'reftarget' not in node:
        return None
    target = node['reftarget']
    objects = env.domains['py'].objects
    named_alike = [name for name in objects if name.rpartition('.')[2] == target.rpartition('.')[2]]
    if '.' in target:
        wanted = _defined_in(target)
        named_alike = [name for name in named_alike if wanted is not None and _defined_in(name) is wanted]
    if len(named_alike) != 1:
        return None
    return env.domains['py'].resolve_xref(
        env, node['refdoc'], app.builder, 'obj', named_alike[0], node, content
    )


def leave_out_inherited(app, what, name, obj, skip, options):
    """Document no module among the members of a package: each has a page of its own, or is private to it.

    Returns:
        bool | None: True for a module; None leaves the decision to autodoc.
    """
    return True if inspect.ismodule(obj) else None


def setup(app):
    """Register the functions above with Sphinx."""
    app.connect('missing-reference', link_to_exported_name)
    app.connect('autodoc-skip-member', leave_out_inherited)
