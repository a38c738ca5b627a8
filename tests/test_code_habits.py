"""How the code is written: formatted, typed, with documentation and examples that run, in functions of one idea.

``python tests/test_code_habits.py`` prints the figures.

What is counted:

* Public are functions, classes and the methods of public classes without a leading underscore, in modules of the
  package without one. All of them, overrides too, have a docstring.
* An example is a ``>>>`` in the docstring of a function or a class; every one is run, as pytest collects doctests. The
  share is that of functions and classes. A class is one thing here, since its docstring documents constructor and call;
  an example in a method is welcome and not counted.
* Complexity is one more than the number of branches: ``if``, loops, ``except``, ``case``, each further operand of
  ``and`` and ``or``, conditional expressions, and loops and conditions of comprehensions. A function counts with those
  inside of it. ruff's C901, which knows no operators and no conditional expressions, has its limit in pyproject.toml.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmfusion'
LEAST_SHARE_WITH_EXAMPLE = 0.60
LARGEST_SHARE_COMPLEX = 0.04
COMPLEX = 10
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)


class Definition(NamedTuple):
    """A public function, class or method."""

    name: str
    docstring: str
    is_method: bool

    @property
    def has_example(self):
        return '>>>' in self.docstring


def python_files(*folders) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob('*.py'))


def is_public(path: Path) -> bool:
    parts = path.relative_to(ROOT).with_suffix('').parts
    return not any(part.startswith('_') and part != '__init__' for part in parts)


def public_children(node: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)) and not child.name.startswith('_'):
            yield child


def definitions_in(path: Path) -> Iterator[Definition]:
    where = path.relative_to(ROOT).as_posix()
    for definition in public_children(ast.parse(path.read_text('utf-8'))):
        yield Definition(f'{where}: {definition.name}', ast.get_docstring(definition) or '', is_method=False)
        if isinstance(definition, ast.ClassDef):
            for method in public_children(definition):
                name = f'{where}: {definition.name}.{method.name}'
                yield Definition(name, ast.get_docstring(method) or '', is_method=True)


def public_definitions() -> list[Definition]:
    paths = filter(is_public, python_files(PACKAGE))
    return [definition for path in paths for definition in definitions_in(path)]


def complexity(function: ast.AST) -> int:
    total = 1
    for node in ast.walk(function):
        if isinstance(node, BRANCHES):
            total += 1
        elif isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            total += 1 + len(node.ifs)
    return total


def complexities() -> dict[str, int]:
    """Of every function, private ones and those of the tools included."""
    found = {}
    for path in python_files(PACKAGE, ROOT / 'tools'):
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[f'{path.relative_to(ROOT).as_posix()}:{node.lineno} {node.name}'] = complexity(node)
    return found


def listed(names) -> str:
    return '\n  '.join(['', *names])


def run(*arguments) -> str:
    """Run a Python tool on the project; what it complains about, or nothing."""
    done = subprocess.run([sys.executable, '-m', *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return '' if done.returncode == 0 else f'\n{done.stdout}{done.stderr}'


def test_formatted():
    complaints = run('ruff', 'format', '--check', '--no-cache', '.')
    assert not complaints, f'{complaints}\nFormat with `ruff format .` (ruff is in requirements/tests.txt)'


def test_linted():
    complaints = run('ruff', 'check', '--no-cache', '.')
    assert not complaints, f'{complaints}\nSee `ruff check .` (ruff is in requirements/tests.txt)'


@pytest.mark.slow
def test_typed(tmp_path):
    complaints = run('mypy', '--cache-dir', str(tmp_path))
    assert not complaints, f'{complaints}\nSee `mypy` (in requirements/tests.txt; its settings are in pyproject.toml)'


def test_public_code_is_documented():
    without = [definition.name for definition in public_definitions() if not definition.docstring]
    assert not without, f'no docstring:{listed(without)}'


def with_and_without_example() -> tuple[list[str], list[str]]:
    counted = [definition for definition in public_definitions() if not definition.is_method]
    having = [definition.name for definition in counted if definition.has_example]
    lacking = [definition.name for definition in counted if not definition.has_example]
    return having, lacking


def test_examples():
    having, lacking = with_and_without_example()
    share = len(having) / (len(having) + len(lacking))
    print(f'{share:.1%} of {len(having) + len(lacking)} public functions and classes have an example')
    assert share >= LEAST_SHARE_WITH_EXAMPLE, (
        f'{share:.1%} of the public functions and classes have an example, not {LEAST_SHARE_WITH_EXAMPLE:.0%}; '
        f'without one are:{listed(lacking)}'
    )


def test_functions_are_simple():
    found = complexities()
    above = {name: value for name, value in found.items() if value > COMPLEX}
    share = len(above) / len(found)
    print(f'{share:.1%} of {len(found)} functions are above complexity {COMPLEX}')
    assert share <= LARGEST_SHARE_COMPLEX, (
        f'{share:.1%} of the functions are above complexity {COMPLEX}, not at most {LARGEST_SHARE_COMPLEX:.0%}; split '
        f'by idea:{listed(f"{value} {name}" for name, value in above.items())}'
    )


@pytest.mark.parametrize(
    ('body', 'expected'),
    [
        ('return a', 1),
        ('if a and b or c:\n  return a', 4),
        ('return [x if x else 1 for x in a if x > b if x < c]', 5),
        ('for x in a:\n  while b:\n    b -= 1', 3),
        ('try:\n  a()\nexcept OSError:\n  b()\nexcept ValueError:\n  c()', 3),
        ('def inner():\n  return a or b\nreturn inner', 2),
        ('match a:\n  case 1:\n    return b\n  case 2:\n    return c', 3),
    ],
)
def test_what_complexity_counts(body, expected):
    indented = body.replace('\n', '\n ')
    (function,) = ast.parse(f'def function(a, b, c):\n {indented}').body
    assert complexity(function) == expected


def test_what_is_public(tmp_path, monkeypatch):
    monkeypatch.setattr('test_code_habits.ROOT', tmp_path)
    source = (
        'def shown():\n    """Doc.\n\n    >>> 1\n    1\n    """\n'
        'def _hidden(): pass\n'
        'class Shown:\n    def __init__(self): pass\n    def method(self): pass\n    def _hidden(self): pass\n'
        'class _Hidden:\n    def method(self): pass\n'
    )
    path = tmp_path / 'module.py'
    path.write_text(source)
    found = {definition.name: definition for definition in definitions_in(path)}
    assert list(found) == ['module.py: shown', 'module.py: Shown', 'module.py: Shown.method']
    assert [definition.has_example for definition in found.values()] == [True, False, False]
    assert is_public(path)
    assert not is_public(tmp_path / '_private.py')
    assert not is_public(tmp_path / '_private' / 'module.py')


def main() -> None:
    documented = public_definitions()
    having, lacking = with_and_without_example()
    found = complexities()
    counted = [*having, *lacking]
    above = [value for value in found.values() if value > COMPLEX]
    everything = sum(definition.has_example for definition in documented)
    with_docstring = sum(bool(definition.docstring) for definition in documented)
    print(f'docstring:  {with_docstring / len(documented):.1%} of {len(documented)} public functions, classes, methods')
    print(f'example:    {len(having) / len(counted):.1%} of {len(counted)} public functions and classes')
    print(f'            {everything / len(documented):.1%} of {len(documented)} with methods counted one by one')
    print(f'complexity: {len(above) / len(found):.1%} of {len(found)} functions above {COMPLEX}')
    print(f'            {max(found.values())} at most')


if __name__ == '__main__':
    main()
