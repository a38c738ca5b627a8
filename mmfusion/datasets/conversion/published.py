"""Recipes of published data sets."""

from ..fmb import FMBDataset
from ..mfnet import MFNetDataset
from ..msrs import MSRSDataset
from ..pst900 import PST900Dataset
from ..semanticrt import SemanticRTDataset
from .recipes import FolderRecipe, ListRecipe


def msrs() -> FolderRecipe:
    """MSRS: ``{train,test}/{vi,ir,Segmentation_labels}``.

    Examples:
        >>> msrs().folders['labels']
        'Segmentation_labels'
    """
    return FolderRecipe('MSRS', MSRSDataset, dict(vi='vi', ir='ir', labels='Segmentation_labels'), hold_out=10)


def fmb() -> FolderRecipe:
    """FMB: ``{train,test}/{Visible,Infrared,Label}``.

    Examples:
        >>> len(fmb().classes)
        15
    """
    return FolderRecipe('FMB', FMBDataset, dict(vi='Visible', ir='Infrared', labels='Label'), hold_out=10)


def pst900(raw: bool = False) -> FolderRecipe:
    """PST900: ``{train,test}/{rgb,thermal,labels}``, and ``thermal_raw``.

    Args:
        raw (bool): Take the thermal images of 16 bit along.

    Examples:
        >>> sorted(pst900(raw=True).folders)
        ['ir', 'labels', 'thermal_raw', 'vi']
    """
    folders = dict(vi='rgb', ir='thermal', labels='labels')
    return FolderRecipe('PST900', PST900Dataset, folders, hold_out=10, also=('thermal_raw',) if raw else ())


def mfnet() -> ListRecipe:
    """MFNet: ``images``, ``labels`` and lists; an image holds colours and infrared.

    Examples:
        >>> mfnet().folders['vi'] == mfnet().folders['ir']
        True
    """
    folders = dict(vi='images', ir='images', labels='labels')
    return ListRecipe('MFNet', MFNetDataset, folders, parts=('test_day', 'test_night'), mirrored='_flip')


def semanticrt() -> ListRecipe:
    """SemanticRT: ``rgb``, ``thermal``, ``labels`` and lists.

    Examples:
        >>> len(semanticrt().classes)
        13
    """
    folders = dict(vi='rgb', ir='thermal', labels='labels')
    parts = ('test_day', 'test_night', 'test_mo', 'test_mc', 'test_hard')
    return ListRecipe('SemanticRT', SemanticRTDataset, folders, parts)
