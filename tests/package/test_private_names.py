"""The package uses private names of other libraries in one file only."""

import ast
import pathlib
import re

import keras
import pytest

PACKAGE = pathlib.Path(__file__).parents[2] / "keras_supcon"
ALLOWED_FILE = "_keras_internals.py"

# Names with an underscore that their libraries document.
DOCUMENTED = {
    "_asdict": "a method of named tuples",
    "_exit": "a function of os, in the documentation of Python",
    "_fields": "an attribute of named tuples",
    "_replace": "a method of named tuples",
    "_getframe": "a function of sys, in the documentation of Python",
}

# Of libraries that are neither Keras nor TensorFlow, by room.
ALLOWED = {
    "augmentation": {"_layer": "of RandomApply of keras-cv, which is not developed any further"},
}

_PRIVATE_MODULE = re.compile(r"keras\.src|tensorflow\.python|jax\._src|torch\._")
_READERS = ("getattr", "hasattr", "setattr", "delattr", "__setattr__", "get", "pop")


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name.strip("_") != ""


def names_of_keras():
    """Lists private names of Keras' base classes, which our subclasses should not use."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    objects = [
        model,
        keras.layers.RandomBrightness(0.1),
        model.optimizer,
        keras.losses.MeanSquaredError(),
        keras.metrics.Mean(),
        keras.random.SeedGenerator(0),
    ]
    return {name for one in objects for name in dir(one) if is_private(name)}


def own_names(tree):
    """Yields the functions, classes and attributes that a file defines itself."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                targets = getattr(line, "targets", [getattr(line, "target", None)])
                yield from (target.id for target in targets if isinstance(target, ast.Name))
        is_set = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if is_set and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            yield node.attr


def private_names(source, keras_names):
    """Yields the line and the name of each use of a private name of another library."""
    tree = ast.parse(source)
    own = {*own_names(tree)} - keras_names
    for node in ast.walk(tree):
        found = []
        if isinstance(node, ast.ImportFrom):
            found = [node.module or ""] if _PRIVATE_MODULE.match(node.module or "") else []
        elif isinstance(node, ast.Import):
            found = [one.name for one in node.names if _PRIVATE_MODULE.match(one.name)]
        elif isinstance(node, ast.Attribute):
            is_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            is_own = node.attr in own or (is_self and node.attr not in keras_names)
            found = [] if is_own else [node.attr]
        elif isinstance(node, ast.ClassDef):  # overrides
            methods = {line.name for line in node.body if isinstance(line, ast.FunctionDef)}
            attributes = {
                target.id
                for line in node.body
                if isinstance(line, ast.Assign)
                for target in line.targets
                if isinstance(target, ast.Name)
            }
            found = (methods | attributes) & keras_names
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
            texts = [text for text in texts if isinstance(text, str) and called in _READERS]
            found = [text for text in texts if text not in own]
        for name in found:
            if (is_private(name) or _PRIVATE_MODULE.match(name)) and name not in DOCUMENTED:
                yield node.lineno, name


@pytest.mark.neutral
def test_private_names_of_other_libraries_stand_in_one_file():
    keras_names = names_of_keras()
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE)
        if str(place) == ALLOWED_FILE:
            continue
        room = place.parts[0]
        for line, name in private_names(path.read_text(), keras_names):
            if name not in ALLOWED.get(room, ()):
                found.append(f"{place}:{line}: {name}")
    assert not found, f"Give each a function in {ALLOWED_FILE}: {found}"


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("layer._flatten_layers()", ["_flatten_layers"]),
        ("super()._symbolic_build()", ["_symbolic_build"]),
        ("self._symbolic_build()", ["_symbolic_build"]),
        ("self._mine", []),
        ("other._mine", ["_mine"]),
        ("class A:\n def __init__(self, other):\n  self._mine = other._mine", []),
        ("class A:\n def _compute_loss(self): pass", ["_compute_loss"]),
        ("class A:\n _metrics = ()", ["_metrics"]),
        ("def _metrics(): pass", []),
        ("getattr(model, '_distribute_strategy', None)", ["_distribute_strategy"]),
        ("from keras.src.losses import loss", ["keras.src.losses"]),
        ("import tensorflow.python.eager", ["tensorflow.python.eager"]),
        ("pair._replace(a=1)", []),
        ("model.__dict__", []),
    ],
)
def test_what_counts_as_a_private_name(source, names):
    assert [name for _, name in private_names(source, names_of_keras())] == names
