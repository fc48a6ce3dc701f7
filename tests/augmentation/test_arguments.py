"""Constructors of the public layers take their first argument by position, the rest by keyword."""

import inspect

import keras
import pytest

from keras_supcon import augmentation
from tests.public_classes import LAYERS

pytestmark = pytest.mark.neutral

CASES = {
    case.cls.__name__: case
    for case in LAYERS.values()
    if case.cls.__module__.startswith("keras_supcon.augmentation.")
}


def named_parameters(cls: type) -> list[inspect.Parameter]:
    parameters = inspect.signature(cls).parameters.values()
    return [one for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD]


def test_every_public_layer_is_here():
    public = [getattr(augmentation, name) for name in augmentation.__all__]
    layers = {one.__name__ for one in public if inspect.isclass(one)}
    assert set(CASES) == layers


@pytest.mark.parametrize("name", CASES)
def test_the_first_argument_is_positional_and_the_rest_are_keywords(name):
    kinds = [one.kind for one in named_parameters(CASES[name].cls)]
    assert kinds == [
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        *[inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 1),
    ]


@pytest.mark.parametrize("name", CASES)
def test_every_argument_is_documented_with_the_class_or_its_constructor(name):
    cls = CASES[name].cls
    documents = f"{inspect.getdoc(cls)}\n{inspect.getdoc(cls.__init__)}"
    for parameter in named_parameters(cls):
        assert f"\n    {parameter.name}: " in documents, parameter.name


@pytest.mark.parametrize(
    "name", [name for name in CASES if len(named_parameters(CASES[name].cls)) > 1]
)
def test_arguments_by_position_still_work_and_warn(name):
    case = CASES[name]
    parameters = named_parameters(case.cls)
    arguments = {"name": "mine", "seed": 5, **case.arguments()}
    if case.cls is augmentation.MultiView:
        del arguments["seed"]
    expected = case.cls(**arguments).get_config()
    given = [arguments.pop(one.name, one.default) for one in parameters]
    with pytest.warns(
        DeprecationWarning, match=f"of `{name}` should be given by keyword"
    ) as caught:
        layer = case.cls(*given, **arguments)
    assert [warning.filename for warning in caught] == [__file__]
    assert _plain(layer.get_config()) == _plain(expected)


def _plain(config: dict) -> dict:
    return {
        key: keras.saving.serialize_keras_object(value)
        if isinstance(value, keras.layers.Layer)
        else value
        for key, value in config.items()
    }
