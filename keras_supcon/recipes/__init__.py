"""Published training runs as data: every number of a run, where it is from, and what comes out
otherwise here.
"""

from keras_supcon.recipes.recipe import Component, Recipe, Stage
from keras_supcon.recipes.registry import get, names

__all__ = ["Component", "Recipe", "Stage", "get", "names"]
