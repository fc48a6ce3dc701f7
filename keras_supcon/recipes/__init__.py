"""Published training runs as data: every number of a run, where it is from, and what comes out
otherwise here.
"""

from keras_supcon.recipes.catalogue import get, names
from keras_supcon.recipes.recipe import Component, Recipe, Stage

__all__ = ["Component", "Recipe", "Stage", "get", "names"]
