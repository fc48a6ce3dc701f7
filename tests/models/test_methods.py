"""What every pre-training method does, whatever it contrasts."""

import json
from collections.abc import Iterable

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import LinearClassifier
from keras_supcon.augmentation import SimAugment
from keras_supcon.models.seed_states import seed_states
from tests.covering import every_value, representatives
from tests.models.methods import (
    DIM,
    FEATURES,
    METHODS,
    ON_TENSORFLOW,
    SIZE,
    dense_encoder,
    image_encoder,
    make,
    make_for_few_steps,
    rows,
    steps,
    weights_of,
)
from tests.models.ten_steps import LOSSES, losses_of

pytestmark = pytest.mark.neutral

# One of each class.
OF_EACH_CLASS = ["momentum SupCon", "BYOL", "NNCLR, supervised", "Co2L", "joint"]
OTHERS = [name for name in METHODS if name not in OF_EACH_CLASS]


def every_method(others: Iterable[str] = OTHERS) -> pytest.MarkDecorator:
    """Parametrizes a test by one of each class and by others, which PyTorch alone always runs: it
    traces nothing.
    """
    if keras.backend.backend() == "torch":
        return pytest.mark.parametrize("name", [*OF_EACH_CLASS, *others])
    return representatives("name", OF_EACH_CLASS, others)


# For what a class does in one way whatever its options.
every_class = pytest.mark.parametrize("name", OF_EACH_CLASS)


@pytest.mark.slow
@every_class
def test_training_lowers_the_loss_of_evaluation_which_changes_nothing(name, rng):
    x, y = rows(rng, 12)
    model = make_for_few_steps(name, optimizer=keras.optimizers.Adam(3e-3))
    steps(model, x, y, 2)  # a queue is filled
    first = model.evaluate(x, y, verbose=0, return_dict=True)
    before = weights_of(model)
    assert model.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(first, rel=1e-5)
    assert model.predict(x[:, 0], verbose=0).shape == (12, 1, DIM)
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    steps(model, x, y, 40)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["loss"] < 0.97 * first["loss"]


@pytest.mark.slow
@every_method()
def test_every_backend_has_the_same_losses(name):
    """Over ten steps, with batch normalization and what a method remembers."""
    expected = json.loads(LOSSES.read_text())[name]
    np.testing.assert_allclose(losses_of(name), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@every_method()
def test_micro_batches_train_what_the_whole_batch_trains(name, rng):
    """Without batch normalization, whose statistics are those of a pass."""
    x, y = rows(rng)
    plain, cut = (
        make(name, batch_norm=False, micro_batch_size=size, optimizer=keras.optimizers.SGD(0.05))
        for size in (None, 4)
    )
    losses = steps(plain, x, y, 3), steps(cut, x, y, 3)
    np.testing.assert_allclose(*losses, rtol=1e-5, atol=1e-6)
    expected, actual = weights_of(plain).values(), weights_of(cut).values()
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@every_class
def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(name, rng, tmp_path):
    """With a queue half full, seeds of dropout and augmentation, and averages of two networks."""

    def model_of(seed):
        augmenter = SimAugment((SIZE, SIZE), seed=2)
        return make(name, image_encoder(), seed=seed, augmenter=augmenter, micro_batch_size=4)

    x, y = rng.integers(0, 256, (8, SIZE, SIZE, 1)).astype("uint8"), np.arange(8) % 4
    model = model_of(0)
    steps(model, x, y, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert steps(loaded, x, y, 3) == pytest.approx(steps(model, x, y, 3), rel=1e-6)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        first, second = ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-6, err_msg=one.path)
    for one, other in zip(seed_states(model), seed_states(loaded), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


@pytest.mark.slow
@every_class
def test_stage_two_takes_the_encoder(name, rng):
    x, y = rows(rng, 12)
    y = np.maximum(y, 0)
    model = make_for_few_steps(name)
    model.fit(x, y, batch_size=8, verbose=0)  # a last batch of 4
    expected = ops.convert_to_numpy(model.encoder(x[:, 0]))
    np.testing.assert_allclose(ops.convert_to_numpy(model.embed(x[:, 0])), expected, rtol=1e-5)
    before = weights_of(model)
    classifier = LinearClassifier(model.encoder, 4)
    classifier.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    classifier.fit(x[:, 0], y, verbose=0)
    assert len(classifier.trainable_variables) == 2
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


POLICIES = {
    "momentum SupCon": "mixed_bfloat16",
    "BYOL": "mixed_float16",
    "NNCLR, supervised": "mixed_bfloat16",
    "Co2L": "mixed_float16",
    "joint": "mixed_float16",
    "balanced": "mixed_float16",
    "MoCo": "mixed_float16",
    "NNCLR": "mixed_float16",
}


@pytest.mark.slow
@every_method(["MoCo", "NNCLR"])
def test_half_precision_trains_and_keeps_float32_averages(name, rng):
    keras.config.set_dtype_policy(POLICIES[name])
    try:
        model = make(name)
    finally:
        keras.config.set_dtype_policy("float32")
    x, y = rows(rng)
    losses = steps(model, x, y, 4)
    assert np.all(np.isfinite(losses))
    reference = steps(make(name), x, y, 4)
    np.testing.assert_allclose(losses[0], reference[0], rtol=0.1, atol=0.05)
    assert {str(one.dtype) for one in model.weights} <= {"float32", "int32"}
    assert all(np.all(np.isfinite(value)) for value in weights_of(model).values())


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX compiles every step, and torch has no XLA")
@every_class
def test_xla_trains_what_a_graph_trains(name, rng):
    def model_of(jit_compile, micro_batch_size=None):
        model = make(name, batch_norm=False, micro_batch_size=micro_batch_size)
        config = model.get_compile_config()
        config["jit_compile"] = jit_compile
        model.compile_from_config(config)
        return model

    x, y = rows(rng)
    expected = steps(model_of(False), x, y, 3)
    for model in (model_of(True), model_of(True, 4)):
        np.testing.assert_allclose(steps(model, x, y, 3), expected, rtol=1e-5, atol=1e-6)


@every_class
def test_a_dictionary_of_inputs_trains_too(name, rng):
    inputs = {key: keras.Input((FEATURES,), name=key) for key in ("a", "b")}
    features = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    model = make_for_few_steps(name, keras.Model(inputs, keras.layers.Dense(5)(features)))
    x, y = rows(rng)
    losses = steps(model, {"a": x, "b": -x}, y, 2)
    assert np.all(np.isfinite(losses))
    assert tuple(model.embed({"a": x[:, 0], "b": x[:, 1]}).shape) == (8, 5)


@pytest.mark.slow
@every_class
def test_evaluation_without_views_has_one(name, rng):
    x, y = rows(rng)
    model = make_for_few_steps(name, augment_in_evaluation=False)
    steps(model, x, y, 2)
    loss = model.evaluate(x[:, 0], y, verbose=0, return_dict=True)["loss"]
    assert np.isfinite(loss)


# Of these each view passes through the networks by itself, cut into micro-batches or not.
@representatives(
    "name", ["momentum SupCon", "BYOL"], ["MoCo, symmetric", "SimSiam", "NNCLR, supervised"]
)
def test_a_micro_batch_of_the_whole_batch_moves_all_averages_as_without(name, rng):
    x, y = rows(rng)
    plain, cut = (make_for_few_steps(name, micro_batch_size=size) for size in (None, 8))
    losses = steps(plain, x, y, 3), steps(cut, x, y, 3)
    np.testing.assert_allclose(*losses, rtol=1e-4, atol=1e-6)
    for one, other in zip(plain.weights, cut.weights, strict=True):
        first, second = ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-4, err_msg=one.path)


@pytest.mark.parametrize("name", ["momentum SupCon", "BYOL", "NNCLR"])
@pytest.mark.parametrize("micro_batch_size", [None, 4])
@pytest.mark.parametrize("num_views", [1, 3])
def test_other_numbers_of_views_are_refused(name, micro_batch_size, num_views, rng):
    x = rng.normal(size=(8, num_views, FEATURES)).astype("float32")
    model = make(name, micro_batch_size=micro_batch_size)
    model.build((None, FEATURES))
    before = weights_of(model)
    with pytest.raises(ValueError, match=f"should have 2 views .* Received: {num_views}"):
        model.fit(x, np.zeros(8, "int32"), verbose=0)
    if keras.backend.backend() == "jax":
        return  # where an error in the step leaves a model of Keras without weights
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


@pytest.mark.slow
@every_class
def test_validation_within_fit_changes_nothing(name, rng):
    x, y = rows(rng)
    models = [make_for_few_steps(name), make_for_few_steps(name)]
    for model, validation in zip(models, (None, (x + 1, y)), strict=True):
        options = {"batch_size": 4, "epochs": 2, "verbose": 0, "shuffle": False}
        model.fit(x, y, validation_data=validation, **options)
    for one, other in zip(*(model.weights for model in models), strict=True):
        first, second = ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-6, err_msg=one.path)


@pytest.mark.slow
@every_method()
def test_weights_of_samples_and_of_the_loss_scale_it(name, rng):
    x, y = rows(rng)
    (expected,) = steps(make_for_few_steps(name), x, y, 1)
    weights = np.full(8, 2.0, "float32")
    weighted = make_for_few_steps(name).train_on_batch(
        x, y, sample_weight=weights, return_dict=True
    )
    assert float(weighted["loss"]) == pytest.approx(2 * expected, rel=1e-5, abs=1e-6)
    model = make_for_few_steps(name, optimizer=keras.optimizers.SGD(0.1))
    config = model.get_compile_config()
    model.compile_from_config({**config, "loss_weights": 0.5})
    if name != "joint":  # its weight is of the contrastive term alone
        assert steps(model, x, y, 1)[0] == pytest.approx(0.5 * expected, rel=1e-5, abs=1e-6)


LABELS = {
    "lists of integers": lambda rng: rng.integers(0, 2, (8, 5)),
    "floats": lambda rng: rng.normal(size=8),
    "lists of floats": lambda rng: rng.normal(size=(8, 2)),
    "ids below -1": lambda rng: np.arange(8) - 4,
    "hashes": lambda rng: np.arange(8, dtype="int64") * 10**9 - 5,
    "large unsigned ids": lambda rng: np.arange(8, dtype="uint32") + np.uint32(2**31),
}


@every_value(name=["MoCo", "BYOL", "NNCLR"], labels=LABELS)
def test_labels_that_the_loss_does_not_look_at_may_be_of_any_kind(name, labels, rng):
    x, _ = rows(rng)
    expected = steps(make_for_few_steps(name), x, None, 2)
    model = make_for_few_steps(name)
    losses = steps(model, x, labels(rng), 2)
    assert losses == pytest.approx(expected, rel=1e-5, abs=1e-6)
    if name != "BYOL":
        assert int(model.queue.count) == 16


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="elsewhere a step knows the size of its batch")
@pytest.mark.parametrize("name", ["MoCo", "MoCo, symmetric", "NNCLR, supervised"])
def test_a_step_stops_at_a_batch_of_unknown_size_that_does_not_fit_into_the_queue(name, rng):
    import tensorflow as tf

    x, y = rows(rng, 12)
    model = make(name, queue_size=11 if name != "MoCo, symmetric" else 23)
    model.build((None, FEATURES))
    before = weights_of(model.encoder)
    data = tf.data.Dataset.from_tensor_slices((x, y))
    sentence = r"`queue_size` should be at least .*queue_size=\d+, number of rows\] \[(12|24)\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        model.fit(data.batch(12), verbose=0)
    assert int(model.queue.count) == 0
    for path, value in weights_of(model.encoder).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    model.fit(data.batch(11), verbose=0)


@pytest.mark.parametrize("name", ["momentum SupCon", "BYOL", "NNCLR"])
def test_weights_of_unlabeled_samples_count(name, rng):
    x, _ = rows(rng)
    model, none = make_for_few_steps(name), np.zeros(8, "float32")
    model.fit(x, sample_weight=none, verbose=0)
    assert model.fit(x, sample_weight=none, verbose=0).history["loss"] == [0]
    assert model.evaluate(x, sample_weight=none, verbose=0, return_dict=True)["loss"] == 0
    with pytest.raises(ValueError, match="`class_weight` should be None for data without labels"):
        model.fit(x, class_weight={0: 1.0}, verbose=0)


@pytest.mark.parametrize("argument", ["symmetric", "supervised", "stop_gradient"])
def test_options_are_true_or_false(argument):
    name = {"symmetric": "MoCo", "supervised": "NNCLR", "stop_gradient": "joint"}[argument]
    with pytest.raises(ValueError, match=f"`{argument}` should be True or False. Received: .*'no'"):
        make(name, **{argument: "no"})


@pytest.mark.parametrize("name", ["MoCo", "BYOL", "NNCLR"])
def test_metrics_of_class_scores_are_refused(name, rng):
    x, y = rows(rng)
    model = make(name)
    model.compile("sgd", metrics=["accuracy"])
    with pytest.raises(ValueError, match="`metrics` should compare projections"):
        model.fit(x, np.maximum(y, 0), verbose=0)


@pytest.mark.parametrize("name", ["MoCo", "BYOL", "NNCLR", "Co2L"])
def test_a_refused_compile_changes_nothing(name):
    model = make(name)
    before = (model.loss, model.optimizer, model.get_compile_config())
    for optimizer, loss in (("adam", "mse"), ("none of Keras", None)):
        with pytest.raises(ValueError, match="`loss` of|Could not interpret optimizer"):
            model.compile(optimizer, loss, loss_weights=0.5)
        assert (model.loss, model.optimizer, model.get_compile_config()) == before
        assert model.loss_weight == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [("momentum SupCon", {}), ("Co2L", {}), ("joint", {"learnable_temperature": True})],
)
def test_the_callback_that_a_model_adds_is_in_a_list_once(name, options, rng):
    x, y = rows(rng)
    model = make_for_few_steps(name, **options)
    callbacks = keras.callbacks.CallbackList(add_history=True, model=model, epochs=1, steps=1)
    kinds = []
    for _ in range(3):
        model.fit(x, y, callbacks=callbacks, verbose=0)
        kinds.append([type(one) for one in callbacks.callbacks])
    assert len(kinds[0]) == 2
    assert kinds[0] == kinds[1] == kinds[2]


@every_method()
def test_no_gradient_reaches_what_is_not_trained(name):
    model = make(name)
    model.build((None, FEATURES))
    trained = {id(one) for one in model.trainable_variables}
    expected = [*model.encoder.trainable_variables, *model.projection_head.trainable_variables]
    for head in ("prediction_head", "classifier", "class_centers"):
        part = getattr(model, head, None)
        expected += [] if part is None else part.trainable_variables
    assert trained == {id(one) for one in expected}
    model.trainable = False
    model.trainable = True
    assert {id(one) for one in model.trainable_variables} == trained


@pytest.mark.parametrize("name", ["momentum SupCon", "BYOL", "NNCLR"])
def test_labels_may_be_absent_where_they_are_not_needed(name, rng):
    model = make(name)
    history = model.fit(rows(rng)[0], batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"][0])


@pytest.mark.parametrize(
    "name", ["MoCo, a ring a class", "NNCLR, supervised", "Co2L", "joint", "balanced"]
)
def test_labels_that_are_needed_are_missed_before_training(name, rng):
    x = rows(rng)[0]
    model = make(name)
    model.build((None, FEATURES))
    before = weights_of(model)
    with pytest.raises(ValueError, match="should have labels"):
        model.fit(x, batch_size=4, verbose=0)
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


@every_method()
def test_an_encoder_that_was_trained_before_is_where_training_begins(name, rng):
    x = rows(rng)[0]
    encoder = dense_encoder()
    encoder.compile("sgd", "mse")
    encoder.fit(x[:, 0], np.ones((8, 5)), verbose=0)
    expected = encoder.get_weights()
    model = make_for_few_steps(name, encoder)
    model.build((None, FEATURES))
    for one, other in zip(model.encoder.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MoCo", "BYOL"])
def test_the_second_networks_begin_as_copies(name, rng):
    """In an evaluation before training, in the first step, and where layers hold what they saw."""
    x, y = rows(rng)
    normalization = keras.layers.Normalization()
    normalization.adapt(x.reshape(-1, FEATURES) * 3 + 1)
    model = make_for_few_steps(
        name, dense_encoder(normalization, batch_norm=False), batch_norm=False
    )
    model.evaluate(x, y, verbose=0)

    def differences():
        fast = [*model.encoder.weights, *model.projection_head.weights]
        pairs = zip(fast, model.momentum_copy.weights, strict=True)
        return [np.abs(ops.convert_to_numpy(one - other)).max() for one, other in pairs]

    assert max(differences()) == 0
    for one in model.encoder.trainable_variables:
        one.assign(one + 1.0)  # as by loading weights
    before = [ops.convert_to_numpy(one).copy() for one in model.encoder.weights]
    steps(model, x, y, 1)
    of_encoder = model.momentum_encoder.weights
    for one, value in zip(of_encoder, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), value)
    steps(model, x, y, 1)
    assert 0 < max(differences()) < 1
