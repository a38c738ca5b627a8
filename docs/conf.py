"""Settings of the documentation site: ``sphinx-build -W -b html docs docs/_build``."""

import contextlib
import inspect
import io

# mmseg prints on its first import that an optional package is missing.
with contextlib.redirect_stdout(io.StringIO()):
    import mmseg.datasets  # noqa: F401

from mmfusion import __version__

project = 'mmfusion'
author = 'mmfusion contributors'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build']

myst_heading_anchors = 3  # Links to `page.md#heading`, as the browser of a repository makes them.

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # Docstrings say types, with shapes.
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # Attributes as a list, like parameters.

html_theme = 'furo'
html_title = f'mmfusion {release}'
html_copy_source = False
html_show_copyright = False


def link_to_exported_name(app, env, node, content):
    """Resolve a reference to where an object is defined, or to its bare name, by the name it is exported under.

    Args:
        app (sphinx.application.Sphinx): Has the builder that makes the link.
        env (sphinx.environment.BuildEnvironment): Knows what is documented.
        node (docutils.nodes.Node): The reference that was not resolved.
        content (docutils.nodes.Node): Its text.

    Returns:
        docutils.nodes.Node | None: The link, or None where nothing of that name is documented, or more than one thing.
    """
    target = node.get('reftarget', '')
    if node.get('refdomain') != 'py' or ('.' in target and not target.startswith(('mmfusion.', '.'))):
        return None
    python = env.domains['py']
    last = target.rpartition('.')[2]
    exported = [name for name, entry in python.objects.items() if not entry.aliased and name.split('.')[-1] == last]
    if len(exported) != 1:
        return None
    return python.resolve_xref(env, node['refdoc'], app.builder, 'obj', exported[0], node, content)


def leave_out_modules(app, what, name, obj, skip, options):
    """Modules that a package imports are no members of it: each has a page of its own, or is private.

    Returns:
        bool | None: True for a module; None leaves the decision to autodoc.
    """
    return True if inspect.ismodule(obj) else None


def setup(app):
    """Register the functions above with Sphinx."""
    app.connect('missing-reference', link_to_exported_name)
    app.connect('autodoc-skip-member', leave_out_modules)
