"""What training depends on: which variables, how they are told apart, and what lies outside the
model.
"""

import contextlib
import pathlib
import re
from typing import Any

import keras

from keras_supcon.arguments import name_some
from keras_supcon.callbacks.checkpoint_file import FORMAT
from keras_supcon.version import __version__

_MOST_NAMED = 3


def training_state(model: keras.Model) -> list[keras.Variable]:
    """All variables that the next step of training depends on, each once, in the order in which
    they were made.

    Raises:
        ValueError: If the model is not built and compiled with an optimizer.
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            f"`model` should be a `keras.Model` that is built. Received: model={model!r}"
        )
    optimizer = getattr(model, "optimizer", None)
    if not model.compiled or optimizer is None:
        raise ValueError(f"`model` should be compiled with an optimizer. Received: model={model!r}")
    if not optimizer.built:
        with _scope(model):
            optimizer.build(model.trainable_variables)
    seen = {id(variable) for variable in model.metrics_variables}
    variables = []
    for variable in (*model.variables, *optimizer.variables):
        if id(variable) not in seen:
            seen.add(id(variable))
            variables.append(variable)
    return variables


def _scope(model: keras.Model) -> Any:
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def describe(model: keras.Model, variables: list[keras.Variable]) -> dict[str, Any]:
    """What is told of a checkpoint besides values and position, fit for JSON."""
    of_optimizer = {id(variable) for variable in model.optimizer.variables}
    optimizers = [model.optimizer, getattr(model.optimizer, "inner_optimizer", None)]
    return {
        "format": FORMAT,
        "keras_supcon": __version__,
        "optimizer": " of ".join(
            type(optimizer).__name__ for optimizer in optimizers if optimizer is not None
        ),
        "variables": [
            describe_variable(
                i, variable.path, variable, "optimizer" if id(variable) in of_optimizer else "model"
            )
            for i, variable in enumerate(variables)
        ],
    }


def describe_variable(index: int, path: str, variable: Any, owner: str) -> dict[str, Any]:
    """The place of an array in the file, what it is, and whether it belongs to the model, the
    optimizer or neither.
    """
    shape, dtype = list(map(int, variable.shape)), keras.backend.standardize_dtype(variable.dtype)
    return {"entry": f"{index:05d}", "path": path, "shape": shape, "dtype": dtype, "of": owner}


def check_same(path: pathlib.Path, stored: dict[str, Any], present: dict[str, Any]) -> None:
    """Raises `ValueError`, with the first differences, unless two descriptions are of one model and
    one optimizer.
    """
    differences = []
    olds, news = (
        [variable for variable in side["variables"] if variable["of"]] for side in (stored, present)
    )
    if stored["optimizer"] != present["optimizer"]:
        differences.append(f"its optimizer is {stored['optimizer']}, not {present['optimizer']}")
    else:
        pairs = zip(olds, news, strict=False)
        differences += [
            f"{_say(old)} instead of {_say(new)}" for old, new in pairs if _key(old) != _key(new)
        ]
    if len(olds) != len(news):
        differences.insert(0, f"it has {len(olds)} variables, not {len(news)}")
    if differences:
        raise ValueError(
            f"The checkpoint {str(path)!r} is of another model or optimizer, and nothing was "
            "restored: "
            f"{name_some(differences, _MOST_NAMED, '; ')}"
        )


def _key(variable: dict[str, Any]) -> tuple[Any, ...]:
    """What should be the same in two processes, of which Keras may have numbered the layers
    differently.
    """
    name = re.sub(r"_\d+(?=_|$)", "", variable["path"].rsplit("/", 1)[-1])
    if (
        variable["of"] == "optimizer"
    ):  # its names hold the path of the weight, such as `adam/sequential_dense_kernel_velocity`
        name = name.rsplit("_", 1)[-1]
    return variable["of"], name, tuple(variable["shape"]), variable["dtype"]


def _say(variable: dict[str, Any]) -> str:
    return f"{variable['path']} {variable['dtype']}{tuple(variable['shape'])}"
