"""How the files of a published data set become the tree and the lists that its data set class reads."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from ..paired import PairedSegDataset
from .layout import Found, Pair, complete_pairs, files_of, find_root, listed, read_list
from .sources import Source


class Recipe(ABC):
    """One data set: what it looks like as it is downloaded, and what is made of it.

    Args:
        title (str): Name of the data set.
        dataset (type[PairedSegDataset]): The class that reads the result; it knows the classes.
        folders (Mapping[str, str]): Folder of each role, ``vi``, ``ir`` and ``labels``, in the result.
        validation (str): Where validation pairs come from, in a few words.
        metainfo (Mapping, optional): Class names, instead of those of the data set class.
    """

    def __init__(
        self,
        title: str,
        dataset: type[PairedSegDataset],
        folders: Mapping[str, str],
        validation: str,
        metainfo: Mapping | None = None,
    ) -> None:
        self.title = title
        self.dataset = dataset
        self.folders = dict(folders)
        self.validation = validation
        self.classes: tuple[str, ...] = tuple((metainfo or dataset.METAINFO)['classes'])

    @abstractmethod
    def find(self, source: Source, allow_unpaired: bool = False) -> Found:
        """Look for the pairs.

        Args:
            source (Source): As it was downloaded.
            allow_unpaired (bool): Leave out pairs that lack a file.

        Returns:
            Found: Pairs and lists.

        Raises:
            ValueError: The source has another layout, or is incomplete; the message has what is missing.
        """

    def targets(self, pair: Pair) -> dict[str, str]:
        """Where the files of a pair go.

        Args:
            pair (Pair): In the source.

        Returns:
            dict[str, str]: Role to path in the result.
        """
        return {
            role: f'{self.folder_of(pair.split, role)}/{pair.stem}{PurePosixPath(name).suffix}'
            for role, name in pair.files.items()
        }

    def folder_of(self, split: str, role: str) -> str:
        """Folder of a role in the result; a recipe with folders of splits puts them above."""
        return self.folders[role]

    def names(self, pair: Pair) -> Mapping[str, str]:
        """What messages call the files of a pair, by their role; one name is one file."""
        return pair.files

    def contents(self, source: Source, pair: Pair) -> dict[str, bytes]:
        """The files of a pair, as they are to be written: here, as they are.

        Args:
            source (Source): As it was downloaded.
            pair (Pair): One of those found.

        Returns:
            dict[str, bytes]: Role to content.

        Raises:
            OSError, ValueError: A file cannot be read, or is not what it should be.
        """
        names = dict.fromkeys(pair.files.values())
        read = {name: source.read(name) for name in names}
        return {role: read[name] for role, name in pair.files.items()}


class FolderRecipe(Recipe):
    """Splits are folders: ``SPLIT/FOLDER/NAME``, in the source as in the result.

    Args:
        title (str): Name of the data set.
        dataset (type[PairedSegDataset]): The class that reads the result.
        folders (Mapping[str, str]): Folder of each role.
        hold_out (int): Every so many-th training pair is for validation; told in the summary, and done by the data set.
        also (Sequence[str]): Other folders whose files are taken along.
        splits (Sequence[str]): Folders of the splits.
    """

    def __init__(
        self,
        title: str,
        dataset: type[PairedSegDataset],
        folders: Mapping[str, str],
        hold_out: int,
        also: Sequence[str] = (),
        splits: Sequence[str] = ('train', 'test'),
    ) -> None:
        rule = f'validation: every {hold_out}th pair of train, by hold_out={hold_out} of the config'
        super().__init__(title, dataset, {**folders, **{name: name for name in also}}, rule)
        self.splits = tuple(splits)

    def folder_of(self, split: str, role: str) -> str:
        """Folder of a role in the result, below that of the split."""
        return f'{split}/{self.folders[role]}'

    def find(self, source: Source, allow_unpaired: bool = False) -> Found:
        """Look for the pairs; see :class:`Recipe`."""
        wanted = [self.folder_of(split, role) for split in self.splits for role in self.folders]
        root = find_root(source, wanted, self.title)
        found = Found([], {})
        for split in self.splits:
            files = files_of(source, {role: f'{root}{self.folder_of(split, role)}/' for role in self.folders})
            pairs, notes = complete_pairs(split, sorted({*files['vi'], *files['ir']}), files, allow_unpaired)
            found.pairs += pairs
            found.notes += notes
            found.lists[split] = [pair.stem for pair in pairs]
        return found


class ListRecipe(Recipe):
    """Splits are lists of the authors, beside folders that hold all pairs.

    Args:
        title (str): Name of the data set.
        dataset (type[PairedSegDataset]): The class that reads the result.
        folders (Mapping[str, str]): Folder of each role; two roles may share one.
        parts (Sequence[str]): Lists that name parts of the test; those that are there are taken along.
        mirrored (str): Entries of the training list that end in this are mirrored copies, and left out.
    """

    SPLITS = ('train', 'val', 'test')

    def __init__(
        self,
        title: str,
        dataset: type[PairedSegDataset],
        folders: Mapping[str, str],
        parts: Sequence[str] = (),
        mirrored: str = '',
    ) -> None:
        super().__init__(title, dataset, folders, "validation: the authors' list, val.txt")
        self.parts = tuple(parts)
        self.mirrored = mirrored

    def find(self, source: Source, allow_unpaired: bool = False) -> Found:
        """Look for the pairs; see :class:`Recipe`."""
        lists = [f'{split}.txt' for split in self.SPLITS]
        root = find_root(source, [*lists, *dict.fromkeys(self.folders.values())], self.title)
        files = files_of(source, {role: f'{root}{folder}/' for role, folder in self.folders.items()})
        found = Found([], {})
        stems = {split: read_list(source, f'{root}{split}.txt') for split in self.SPLITS}
        stems['train'] = self._without_mirrored(stems['train'], found.notes)
        _give_shared_to_the_later(stems, found.notes)
        for split in self.SPLITS:
            pairs, notes = complete_pairs(split, stems[split], files, allow_unpaired)
            found.pairs += pairs
            found.notes += notes
            found.lists[split] = [pair.stem for pair in pairs]
        known = set(found.lists['test'])
        for part in self.parts:
            if f'{root}{part}.txt' in source.names:
                named = read_list(source, f'{root}{part}.txt')
                found.lists[part] = [stem for stem in named if stem in known]
                _note_strangers(part, named, known, found.notes)
        return found

    def _without_mirrored(self, stems: list[str], notes: list[str]) -> list[str]:
        if not self.mirrored:
            return stems
        kept = [stem for stem in stems if not stem.endswith(self.mirrored)]
        if len(kept) < len(stems):
            notes.append(f'{len(stems) - len(kept)} mirrored copies (*{self.mirrored}) left out of train')
        return kept


def _give_shared_to_the_later(stems: dict[str, list[str]], notes: list[str]) -> None:
    """Take what is tested out of validation and training, and what is validated out of training."""
    for first, second in (('train', 'val'), ('train', 'test'), ('val', 'test')):
        shared = set(stems[first]) & set(stems[second])
        if shared:
            stems[first] = [stem for stem in stems[first] if stem not in shared]
            notes.append(
                f'in the lists of {first} and of {second}, and in {second} only here: {listed(sorted(shared))}'
            )


def _note_strangers(part: str, stems: Sequence[str], known: set[str], notes: list[str]) -> None:
    strangers = [stem for stem in stems if stem not in known]
    if strangers:
        notes.append(f'{part}.txt names {len(strangers)} pairs that are not in test.txt, left out: {listed(strangers)}')
