import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys

import keras
import pytest

import keras_supcon

pytestmark = pytest.mark.neutral

ROOT = pathlib.Path(__file__).parent.parent.parent
ROOMS = (
    "augmentation",
    "callbacks",
    "data",
    "distribution",
    "encoders",
    "evaluation",
    "experiments",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "recipes",
)


def public_objects() -> dict[str, object]:
    """Lists every class and function that a room exports, by its public path."""
    objects = {}
    for room in ROOMS:
        module = importlib.import_module(f"keras_supcon.{room}")
        things = {name: getattr(module, name) for name in module.__all__}
        objects |= {
            f"{room}.{name}": thing for name, thing in things.items() if callable(thing)
        }  # the others are constants
    return objects


PUBLIC = public_objects()
KERAS_BASES = (
    keras.layers.Layer,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
)
KERAS_CLASSES = {
    path: thing
    for path, thing in PUBLIC.items()
    if inspect.isclass(thing) and issubclass(thing, KERAS_BASES)
}


def test_the_names_of_the_readme_are_at_the_top():
    for name in (
        "SupConLoss",
        "ProjectionHead",
        "ContrastiveModel",
        "LinearClassifier",
        "__version__",
        *ROOMS,
    ):
        assert hasattr(keras_supcon, name)
    assert set(keras_supcon.__all__) <= set(dir(keras_supcon))


@pytest.mark.parametrize("path", PUBLIC)
def test_every_public_object_has_type_hints_and_a_docstring(path):
    thing = PUBLIC[path]
    assert len(inspect.getdoc(thing)) > 40
    if inspect.isclass(thing) and "__init__" not in vars(thing):
        return  # the constructor is Keras'
    callable_part = thing.__init__ if inspect.isclass(thing) else thing
    signature = inspect.signature(callable_part)
    for parameter in list(signature.parameters.values())[1 if inspect.isclass(thing) else 0 :]:
        assert parameter.annotation is not inspect.Parameter.empty, f"{path}: {parameter.name}"
    assert signature.return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("path", KERAS_CLASSES)
def test_every_keras_class_is_registered_and_has_an_example(path):
    thing = KERAS_CLASSES[path]
    assert keras.saving.get_registered_name(thing) == f"keras_supcon>{thing.__name__}"
    assert ">>>" in inspect.getdoc(thing)


@pytest.mark.slow
def test_import_does_not_load_tensorflow_on_the_other_backends():
    backend = keras.backend.backend()
    code = "import sys, keras_supcon; print('tensorflow' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.strip() == str(backend == "tensorflow")


def test_versions_agree():
    module = (ROOT / "MODULE.bazel").read_text()
    assert re.search(r'version = "(.+)"', module).group(1) == keras_supcon.__version__


def test_bazel_has_a_target_for_every_program_and_every_folder_of_tests():
    build = (ROOT / "BUILD").read_text()
    for module in (*ROOT.glob("examples/*.py"), *ROOT.glob("tools/*.py")):
        is_program = '__name__ == "__main__"' in module.read_text()
        role = "main = " if is_program else "srcs = ["
        assert f'{role}"{module.relative_to(ROOT)}"' in build
    for folder in ROOT.glob("tests/*/"):
        if (folder / "__init__.py").exists():
            assert f'        "{folder.name}",\n' in build


def test_no_drawers_without_a_name():
    drawers = re.compile(r"^(utils?|helpers?|common|misc)(\.py)?$")
    ours = [
        path
        for folder in ("keras_supcon", "examples", "tests", "tools")
        for path in (ROOT / folder).rglob("*")
    ]
    assert len(ours) > 50
    assert [path for path in ours if any(map(drawers.match, path.relative_to(ROOT).parts))] == []
