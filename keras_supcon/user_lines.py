"""Which line of a user a warning is about."""

import sys
from types import FrameType

# What stands between a user's line and ours: this package, and what calls its layers and models.
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
    """The `stacklevel` with which `warnings.warn`, called by the caller of this function, shows the
    user's line.

    Layers are called by other layers, containers and models, and `fit` by those that override it:
    how many calls lie in between is not the same twice.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_of_library(frame):
        level, frame = level + 1, frame.f_back
    return level


def _is_of_library(frame: FrameType) -> bool:
    # AutoGraph writes what it makes of a user's function to a file that is gone when it would be
    # shown.
    is_generated = "__autograph_generated_file" in frame.f_code.co_filename
    return is_generated or str(frame.f_globals.get("__name__")).split(".")[0] in _LIBRARIES
