"""Fused images in a folder, whoever made them: found, complete, and told apart from others."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmfusion.datasets.paired import IMAGE_SUFFIXES, listed, stem_of

from .pair_folders import PairFolder, split_names


@dataclass(frozen=True)
class FusedFolder:
    """Fused images of all pairs of a config."""

    name: str
    """Of the method."""
    folders: dict[Path, Path]
    """Folder of visible images to that of the fused ones."""
    images: dict[Path, dict[str, Path]]
    """Folder of visible images to names of pairs and their fused images."""

    def digest(self) -> str:
        """Changes when an image does.

        Returns:
            str: 16 hexadecimal digits of the names and the content of the files.
        """
        found = hashlib.sha256()
        for of_folder in self.images.values():
            for name, path in sorted(of_folder.items()):
                found.update(f'{name}\n'.encode() + hashlib.sha256(path.read_bytes()).digest())
        return found.hexdigest()[:16]


def find_fused(name: str, root: Path, pairs: Sequence[PairFolder]) -> FusedFolder:
    """The fused images of all pairs.

    Args:
        name (str): Of the method.
        root (Path): With a sub-folder for each split, such as ``train`` and ``test``. An image has the name of its
            pair; the suffix may be another.
        pairs (Sequence[PairFolder]): That are to be found.

    Returns:
        FusedFolder: Complete.

    Raises:
        FileNotFoundError: The folder or the one of a split does not exist, or images are missing; both with names.
    """
    if not root.is_dir():
        raise FileNotFoundError(f'{name}: there is no folder {root}')
    folders, images = {}, {}
    for visible, candidates in split_names(pairs).items():
        folders[visible] = _existing(name, root, candidates, visible)
        found = _images(folders[visible])
        wanted = sorted({stem for folder in pairs if folder.visible == visible for stem in folder.pairs})
        missing = [stem for stem in wanted if stem not in found]
        if missing:
            raise FileNotFoundError(
                f'{name}: {len(missing)} of {len(wanted)} pairs of {visible} have no fused image in '
                f'{folders[visible]}: {listed(missing)}. An image has the name of its pair, with any of the suffixes '
                f'{" ".join(IMAGE_SUFFIXES)}'
            )
        images[visible] = {stem: found[stem] for stem in wanted}
    return FusedFolder(name, folders, images)


def _existing(name: str, root: Path, candidates: Sequence[str], visible: Path) -> Path:
    for candidate in candidates:
        if (root / candidate).is_dir():
            return root / candidate
    raise FileNotFoundError(
        f'{name}: {root} has no folder {" or ".join(candidates)} for the pairs of {visible}. The segmentor is trained '
        'on fused images, so that those of all splits are needed, each in a sub-folder'
    )


def _images(folder: Path) -> dict[str, Path]:
    """Stem to file, with sub-folders."""
    found = {}
    for path in sorted(folder.rglob('*')):
        stem = stem_of(path.relative_to(folder).as_posix(), IMAGE_SUFFIXES)
        if stem is not None and path.is_file():
            found[stem] = path
    return found
