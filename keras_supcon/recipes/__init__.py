"""Published training runs as data: their numbers, their source, and the deviations here."""

from keras_supcon.recipes.recipe import Component, Recipe, Stage
from keras_supcon.recipes.registry import get, names

__all__ = ["Component", "Recipe", "Stage", "get", "names"]
