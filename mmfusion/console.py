"""The command ``mmfusion``: the tools by name, wherever this package is installed."""

import ast
import difflib
import runpy
import sys
from pathlib import Path

from .shipped import shipped
from .version import __version__

# What sets up a checkout is of no use where the package is installed.
_LEFT_OUT = ('bootstrap',)


def tools() -> dict[str, Path]:
    """Tools that come with mmfusion: name to path.

    Returns:
        dict[str, Path]: By name of the file, those of ``tools/`` first, then folder by folder; empty if this
        installation has none.

    Examples:
        >>> tools()['fuse'].name, tools()['compare'].parent.name
        ('fuse.py', 'analysis_tools')
    """
    root = shipped('tools')
    if root is None:
        return {}
    paths = [*sorted(root.glob('*.py')), *sorted(root.glob('*/*.py'))]
    return {path.stem: path for path in paths if path.stem not in _LEFT_OUT}


def usage() -> str:
    """What there is, a line each.

    Returns:
        str: Folder by folder, with the first sentence of every tool.

    Examples:
        >>> print(usage()[:31])
        usage: mmfusion TOOL [ARGUMENTS
    """
    lines = ['usage: mmfusion TOOL [ARGUMENTS ...]   (mmfusion TOOL --help: what a tool takes)', '']
    known, folder = tools(), None
    width = max((len(name) for name in known), default=0)
    for name, path in known.items():
        if path.parent.name != folder:
            folder = path.parent.name
            lines += [] if folder == 'tools' else ['', f'{folder}:']
        told = ast.get_docstring(ast.parse(path.read_text('utf-8'))) or ''
        lines.append(f'  {name:<{width}}  {told.splitlines()[0] if told else ""}')
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run a tool.

    Args:
        argv (list[str], optional): Its name and its arguments; those of the process by default.

    Returns:
        int: Exit code: 0 after help, 2 for an unknown tool. A tool that runs leaves by itself, with its own.
    """
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ['--help']
    if name in ('-h', '--help'):
        print(usage())
        return 0
    if name == '--version':
        print(f'mmfusion {__version__}')
        return 0
    known = tools()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3) or list(known)
        what = f'closest are {", ".join(close)}' if known else 'this installation has none'
        print(f'error: no tool is called {name!r}; {what}; mmfusion --help lists them', file=sys.stderr)
        return 2
    sys.argv = [str(known[name]), *arguments]
    runpy.run_path(str(known[name]), run_name='__main__')
    return 0
