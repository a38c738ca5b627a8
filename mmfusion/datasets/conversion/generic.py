"""Pairs of one's own: two folders, labels and lists become a tree of splits."""

from collections.abc import Mapping, Sequence

from ..paired import PairedSegDataset
from .layout import Found, complete_pairs, files_of, find_root, listed
from .recipes import Recipe
from .sources import Source


class GenericRecipe(Recipe):
    """Folders of visible images, infrared images and labels become ``{train,val,test}/{vi,ir,labels}``.

    Args:
        folders (Mapping[str, str]): Folder of ``vi``, ``ir`` and ``labels`` in the source; two of them may be one, if
            its images have four channels.
        classes (Sequence[str]): Class names in the order of their ids.
        lists (Mapping[str, Sequence[str]]): ``test``, and perhaps ``val``, to stems; all other pairs are for training.

    Raises:
        ValueError: There are no classes, a list is of another split, or two lists share pairs.

    Examples:
        >>> folders = dict(vi='rgb', ir='thermal', labels='masks')
        >>> GenericRecipe(folders, ['soil', 'crop'], dict(test=['1'])).folders['vi']
        'vi'
    """

    def __init__(self, folders: Mapping[str, str], classes: Sequence[str], lists: Mapping[str, Sequence[str]]) -> None:
        if not classes:
            raise ValueError('a data set has at least one class; give their names in the order of their ids')
        unknown = sorted(set(lists) - {'val', 'test'})
        if unknown:
            raise ValueError(f'lists are of val and test, not of {listed(unknown)}; all other pairs are for training')
        both = sorted(set(lists.get('val', ())) & set(lists.get('test', ())))
        if both:
            raise ValueError(f'the lists of val and test share pairs: {listed(both)}')
        rule = 'validation: the list' if 'val' in lists else 'validation: none; hold_out=10 of the config makes one'
        results = dict(vi='vi', ir='vi' if folders['ir'] == folders['vi'] else 'ir', labels='labels')
        super().__init__('pairs', PairedSegDataset, results, rule, dict(classes=classes))
        self.sources = dict(folders)
        self.lists = {split: list(stems) for split, stems in lists.items()}

    def folder_of(self, split: str, role: str) -> str:
        """Folder of a role in the result, below that of the split."""
        return f'{split}/{self.folders[role]}'

    def find(self, source: Source, allow_unpaired: bool = False) -> Found:
        """Look for the pairs; see :class:`Recipe`."""
        root = find_root(source, list(dict.fromkeys(self.sources.values())), 'two folders and labels')
        files = files_of(source, {role: f'{root}{folder}/' for role, folder in self.sources.items()})
        everything = sorted({*files['vi'], *files['ir']})
        elsewhere = {stem for stems in self.lists.values() for stem in stems}
        splits = {'train': [stem for stem in everything if stem not in elsewhere], **self.lists}
        found = Found([], {})
        for split, stems in splits.items():
            pairs, notes = complete_pairs(split, stems, files, allow_unpaired)
            found.pairs += pairs
            found.notes += notes
            found.lists[split] = [pair.stem for pair in pairs]
        return found
