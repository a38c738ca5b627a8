"""Data sets as they are downloaded become the trees and lists that the data set classes read."""

from .convert import convert
from .cwfid import CWFIDRecipe
from .generic import GenericRecipe
from .published import fmb, mfnet, msrs, pst900, semanticrt
from .recipes import FolderRecipe, ListRecipe, Recipe
from .sources import Source, open_source
from .summary import Summary

__all__ = [
    'CWFIDRecipe',
    'FolderRecipe',
    'GenericRecipe',
    'ListRecipe',
    'Recipe',
    'Source',
    'Summary',
    'convert',
    'fmb',
    'mfnet',
    'msrs',
    'open_source',
    'pst900',
    'semanticrt',
]
