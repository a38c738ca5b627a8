"""Making the tree and the lists of a data set: all of it or nothing."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from .layout import Found, listed
from .recipes import Recipe
from .sources import open_source
from .summary import Summary

Progress = Callable[[list], Iterable]
"""Goes through a list and shows how far it is."""


def convert(
    recipe: Recipe,
    source: str | os.PathLike,
    out: str | os.PathLike,
    force: bool = False,
    dry_run: bool = False,
    allow_unpaired: bool = False,
    progress: Progress = iter,
) -> Summary:
    """Check a data set as it was downloaded, and write the files that its data set class reads.

    Every image is decoded, and compared with its partner and its labels, before anything is at its place: files are
    written to a hidden folder beside ``out`` and moved there at the end.

    Args:
        recipe (Recipe): What the data set looks like.
        source (str | os.PathLike): Folder, ``.zip`` or ``.tar``, as downloaded.
        out (str | os.PathLike): Folder for the result.
        force (bool): Replace files that are there. Others in the folder are left alone.
        dry_run (bool): Check and count, and write nothing.
        allow_unpaired (bool): Leave out pairs that lack a file.
        progress (Callable): Goes through the list of pairs, such as ``rich.progress.track``.

    Returns:
        Summary: What the data set holds.

    Raises:
        FileNotFoundError: There is no source.
        FileExistsError: Files are there already, and ``force`` is not given.
        ValueError: The source has another layout, or is damaged, unsafe or incomplete.
    """
    out = Path(out)
    with open_source(source) as opened:
        found = recipe.find(opened, allow_unpaired)
        if not dry_run:
            _refuse_source(Path(source), out)
            _refuse_existing(out, _all_targets(recipe, found), force)
        summary = Summary(recipe.title, recipe.classes, [recipe.validation, *found.notes])
        stage = out.parent / f'.{out.name}.part'
        shutil.rmtree(stage, ignore_errors=True)  # Of a run that was killed.
        try:
            for pair in progress(found.pairs):
                contents = recipe.contents(opened, pair)
                summary.add(pair.split, contents, recipe.names(pair))
                if not dry_run:
                    _write(stage, {recipe.targets(pair)[role]: content for role, content in contents.items()})
            if not dry_run:
                _write(stage, {f'{name}.txt': _list_text(stems) for name, stems in found.lists.items()})
                _move(stage, out)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return summary


def _all_targets(recipe: Recipe, found: Found) -> list[str]:
    """Everything that will be written, relative to the result."""
    targets = [target for pair in found.pairs for target in recipe.targets(pair).values()]
    return [*dict.fromkeys(targets), *(f'{name}.txt' for name in found.lists)]


def _refuse_source(source: Path, out: Path) -> None:
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f'the result would be in the source, {source}; give another --out. A folder that has the layout of the '
            'result can be read as it is: --dry-run checks it'
        )


def _refuse_existing(out: Path, targets: list[str], force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise FileExistsError(f'{out} is a file; give a folder as --out')
    existing = [target for target in targets if (out / target).exists()]
    if existing and not force:
        raise FileExistsError(
            f'{out} holds {len(existing)} of the files already, such as {listed(existing, 2)}; --force replaces them'
        )


def _list_text(stems: Iterable[str]) -> bytes:
    return ''.join(f'{stem}\n' for stem in stems).encode()


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _move(stage: Path, out: Path) -> None:
    for path in sorted(stage.rglob('*')):
        if path.is_file():
            target = out / path.relative_to(stage)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
