"""Finds the line of user code that a warning is about."""

import sys
from types import FrameType

# Packages between a user's line and ours: this one, and those that call its layers and models.
_LIBRARIES = {
    "keras_supcon",
    "keras",
    "keras_cv",
    "tensorflow",
    "tensorflow_datasets",
    "torch",
    "jax",
    "optree",
    "tree",
}


def stacklevel_of_user() -> int:
    """Returns the `stacklevel` with which `warnings.warn` shows the user's line.

    The caller of this function should call `warnings.warn`. The number of calls in between varies:
    layers are called by other layers, containers and models, and `fit` by overrides of it.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_of_library(frame):
        level, frame = level + 1, frame.f_back
    return level


def _is_of_library(frame: FrameType) -> bool:
    # AutoGraph writes the function that it generates to a file that is deleted before it could be
    # shown.
    is_generated = "__autograph_generated_file" in frame.f_code.co_filename
    return is_generated or str(frame.f_globals.get("__name__")).split(".")[0] in _LIBRARIES
