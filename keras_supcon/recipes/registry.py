"""Recipes by name."""

import copy
import difflib

from keras_supcon.recipes import (
    byol,
    cifar10,
    imagenet,
    moco,
    simclr,
    small,
    solo_learn,
    supcontrast,
)
from keras_supcon.recipes.recipe import Recipe

_SOURCES = (imagenet, cifar10, supcontrast, simclr, moco, byol, solo_learn, small)
_RECIPES = {recipe.name: recipe for source in _SOURCES for recipe in source.RECIPES}


def names() -> tuple[str, ...]:
    """Returns the names of all recipes.

    A name is `method_dataset_encoder`. The recipes of the SupCon authors' TensorFlow code, and of
    the authors of MoCo, BYOL and NNCLR, have no prefix. Those of the SupCon authors' PyTorch code
    begin with `supcontrast_`, of the SimCLR authors with `simclrv1_` and `simclrv2_`, of the
    library solo-learn with `sololearn_`. Those that end with `_small` are this package's own, for
    images of 28 or 32 pixels on a laptop, those that end with `_digits_small` for the digits.

    Returns:
        The names, in the order of the sources.

    Example:

    >>> from keras_supcon import recipes
    >>> [name for name in recipes.names() if name.startswith("supcon_imagenet")]
    ['supcon_imagenet_resnet50', 'supcon_imagenet_resnet101', 'supcon_imagenet_resnet200']
    """
    return tuple(_RECIPES)


def get(name: str) -> Recipe:
    """Returns a training run.

    Args:
        name: One of `names()`.

    Returns:
        A copy of the recipe: `dataclasses.replace` changes its fields, `dataclasses.asdict` makes a
        dictionary of it.

    Raises:
        ValueError: For an unknown name.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, and its two published codes;
        the `source` of the recipe.

    Example:

    >>> from keras_supcon import recipes
    >>> recipe = recipes.get("supcon_imagenet_resnet50")
    >>> recipe.training.optimizer, recipe.training.epochs, recipe.training.batch_size
    ('lars', 350, 6144)
    """
    if not isinstance(name, str) or name not in _RECIPES:
        similar = difflib.get_close_matches(str(name), _RECIPES, n=3)
        hint = f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""
        raise ValueError(f"`name` should be one of {names()}. Received: name={name!r}.{hint}")
    return copy.deepcopy(_RECIPES[name])
