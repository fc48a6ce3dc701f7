"""What worked in the version before works, and says what to write instead."""

import inspect
import types

import keras
import pytest

from keras_supcon.deprecation import deprecate_positional, renamed

pytestmark = pytest.mark.neutral


class Layer:
    @deprecate_positional
    def __init__(self, size, *, units=(1,), name=None):
        self.arguments = (size, units, name)


def test_arguments_by_position_reach_the_parameters_of_their_order():
    with pytest.warns(DeprecationWarning, match="`units`, `name` of `Layer` should be given by k"):
        assert Layer(3, (4,), "a").arguments == (3, (4,), "a")
    with pytest.warns(DeprecationWarning, match="`units` of `Layer`") as caught:
        assert Layer(3, (4,), name="b").arguments == (3, (4,), "b")
    assert caught[0].filename == __file__


def test_an_inherited_constructor_names_the_class_that_is_made():
    class Narrow(Layer):
        pass

    with pytest.warns(DeprecationWarning, match="`units` of `Narrow` should be given by keyword"):
        assert Narrow(3, (4,)).arguments == (3, (4,), None)


def test_layers_of_keras_may_have_such_constructors():
    class Scale(keras.layers.Layer):
        @deprecate_positional
        def __init__(self, factor, *, offset=0, **kwargs):
            super().__init__(**kwargs)

    for layer in (Scale(2, offset=1), Scale(factor=2, offset=1)):
        assert {"factor": 2, "offset": 1}.items() <= layer.get_config().items()
    with pytest.warns(DeprecationWarning, match="`offset` of `Scale` should be given by keyword"):
        Scale(2, 1)


def test_arguments_by_keyword_warn_of_nothing(recwarn):
    assert Layer(3, units=(4,)).arguments == (3, (4,), None)
    assert Layer(size=3).arguments == (3, (1,), None)
    assert not recwarn.list
    assert list(inspect.signature(Layer).parameters) == ["size", "units", "name"]


@pytest.mark.parametrize(
    ("args", "kwargs"), [((1, 2, 3, 4), {}), ((1, 2), {"units": 3}), ((), {}), ((1,), {"other": 2})]
)
def test_wrong_calls_are_the_errors_of_python(args, kwargs):
    with pytest.raises(TypeError, match=r"__init__\(\)"):
        Layer(*args, **kwargs)


def test_an_old_name_leads_to_the_new_one():
    module = types.ModuleType("keras_supcon.old")
    module.__getattr__ = renamed(
        module.__name__, {"refuse": "keras_supcon.arguments.check_whole_number"}
    )
    from keras_supcon.arguments import check_whole_number

    with pytest.warns(
        DeprecationWarning,
        match=r"`keras_supcon.old.refuse` is now `keras_supcon.arguments.check_whole_number`",
    ):
        assert module.refuse is check_whole_number
    with pytest.raises(AttributeError, match=r"'keras_supcon\.old' has no attribute 'other'"):
        _ = module.other
