"""The options of a loss: those of its function, checked and described in one place."""

import inspect
import re

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from keras_supcon.losses.options import options_of

pytestmark = pytest.mark.neutral

PAIRS = {
    keras_supcon.BalancedSupConLoss: losses.balanced_supcon_loss,
    keras_supcon.MaxMarginLoss: losses.max_margin_loss,
    keras_supcon.NPairsLoss: losses.npairs_loss,
    keras_supcon.NTLogisticLoss: losses.ntlogistic_loss,
    keras_supcon.NTXentLoss: losses.ntxent_loss,
    keras_supcon.SINCERELoss: losses.sincere_loss,
    keras_supcon.SpreadLoss: losses.spread_loss,
    losses.RelationDistillationLoss: losses.relation_distillation_loss,
    keras_supcon.SupConLoss: losses.supcon_loss,
    keras_supcon.TripletLoss: losses.triplet_loss,
}
every_loss = pytest.mark.parametrize("cls", list(PAIRS))


def test_every_class_has_its_function():
    of_targets = {
        losses.NegativeCosineLoss: losses.negative_cosine_loss,
        losses.LogitAdjustedCrossentropy: losses.logit_adjusted_crossentropy,
    }
    pairs = {**PAIRS, **of_targets}
    assert {*pairs, *pairs.values()} == {getattr(losses, name) for name in losses.__all__}
    for cls, function in pairs.items():
        assert cls.function is function


@every_loss
def test_the_class_takes_the_options_of_the_function_with_the_same_defaults(cls):
    of_function = options_of(PAIRS[cls])
    of_class = dict(inspect.signature(cls).parameters)
    assert [*of_class][-3:] == ["reduction", "name", "dtype"]
    assert [*of_class][:-3] == [*of_function]
    for name, parameter in of_function.items():
        assert of_class[name].default == parameter.default, name
        assert of_class[name].kind == parameter.kind, name


@every_loss
def test_help_on_class_and_call_describes_every_argument(cls):
    for thing in (cls, PAIRS[cls], cls.__call__):
        described = inspect.getdoc(thing)
        for name in inspect.signature(thing).parameters:
            assert name == "self" or re.search(rf"\n    \**{name}: ", described), name


WRONG = {
    "temperature": 0,
    "bias": "0",
    "pair_reduction": "max",
    "positives": "classes",
    "level_constraint": "yes",
    "student_temperature": 0,
    "teacher_temperature": -1,
    "margin": -1,
    "mining": "easy",
    "spread_weight": 1.5,
    "summation": "sum",
    "denominator": "none",
    "contrast_mode": "first",
    "positives_cap": -1,
    "block_size": 0,
    "ignore_class": 0.5,
    "self_supervised_class": "large",
}


@every_loss
def test_class_function_and_call_refuse_an_option_with_the_same_sentence(cls):
    options = [name for name in options_of(PAIRS[cls]) if name in WRONG]
    assert options
    for name in options:
        sentence = f"`{name}` should be .* Received: {name}={WRONG[name]!r}"
        with pytest.raises(ValueError, match=sentence) as of_class:
            cls(**{name: WRONG[name]})
        with pytest.raises(ValueError, match=sentence) as of_function:
            PAIRS[cls]([0, 1], np.ones((2, 2), "float32"), **{name: WRONG[name]})
        assert str(of_class.value) == str(of_function.value)
        with pytest.raises(ValueError, match=sentence) as of_call:
            cls()([0, 1], np.ones((2, 2), "float32"), **{name: WRONG[name]})
        assert str(of_class.value) == str(of_call.value)


def test_old_positional_options_work_with_a_warning():
    labels, z = [0, 0, 1], np.array([[1, 0], [0, 1], [1, 1]], "float32")
    with pytest.warns(DeprecationWarning, match="`mining` of `TripletLoss` should be given by key"):
        assert keras_supcon.TripletLoss(0.5, "hard").mining == "hard"
    with pytest.warns(DeprecationWarning, match="`mining` of `triplet_loss`"):
        by_place = losses.triplet_loss(labels, z, 0.5, "hard")
    by_keyword = losses.triplet_loss(labels, z, 0.5, mining="hard")
    np.testing.assert_array_equal(ops.convert_to_numpy(by_place), ops.convert_to_numpy(by_keyword))


@pytest.mark.parametrize(
    "name", [name for name in losses.__all__ if "adjusted" not in name.lower()]
)
def test_keras_knows_every_loss_by_its_name(name, tmp_path):
    """The name of a function stands for the function, that of a class for one with its defaults."""
    found, ours = keras.losses.get(name), getattr(losses, name)
    if not inspect.isclass(ours):
        assert found is ours
    else:
        assert type(found) is ours
        assert found.get_config() == ours().get_config()
    again = keras.losses.deserialize(keras.losses.serialize(found))
    assert again is found or again.get_config() == found.get_config()


@pytest.mark.parametrize("name", ["supcon_loss", "SupConLoss"])
def test_a_model_compiled_by_name_trains_and_comes_back_from_a_file(rng, name, tmp_path):
    x, y = rng.normal(size=(8, 3)).astype("float32"), np.arange(8) % 3
    values = []
    for loss in (name, keras_supcon.SupConLoss()):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
        model.compile(optimizer="sgd", loss=loss)
        values.append(model.evaluate(x, y, verbose=0))
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        values.append(again.evaluate(x, y, verbose=0))
    np.testing.assert_allclose(values, values[-1], rtol=1e-6)


def test_ids_that_floats_may_have_rounded_are_refused():
    """As of a function by name, for which Keras makes float32 of labels."""
    z = np.ones((2, 3), "float32")
    for dtype, bits in (("float32", 24), ("float16", 11), ("bfloat16", 8)):
        labels = ops.cast(np.array([0, 2.0**bits], "float32"), dtype)
        losses.supcon_loss(labels, z)
        with pytest.raises(ValueError, match=rf"above 2\^{bits} as integers, not as {dtype}"):
            losses.supcon_loss(labels * 2, z)
