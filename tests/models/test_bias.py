"""A bias that the model learns, beside a temperature or without."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import NTLogisticLoss, SupConLoss, TripletLoss
from keras_supcon.callbacks import Checkpoint, TemperatureSchedule
from keras_supcon.optimizers import LARS
from tests.covering import every_value
from tests.losses import double_loop
from tests.models.test_temperature import LABELS, SIZE, log_scale, views
from tests.models.test_temperature import model_of as model_with

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()
SIGMOID = {"bias": -3.0, "pair_reduction": "sum"}


def model_of(loss, optimizer=None, seed=1, **options):
    options = {"learnable_temperature": False, "learnable_bias": True, **options}
    return model_with(loss, optimizer, seed, **options)


def sigmoid(**options):
    return NTLogisticLoss(0.3, **{**SIGMOID, **options})


def soft_labels(rng):
    return rng.dirichlet([0.3] * 5, len(LABELS)).astype("float32")


@pytest.mark.slow
@every_value(
    name=["sum", "mean", "soft"],
    learnable_temperature=[True, False],
    micro_batch_size=[None, 4, 5],
)
def test_a_step_takes_the_gradients_of_the_bias_and_of_the_temperature(
    rng, name, learnable_temperature, micro_batch_size
):
    """Of the whole batch at once, whatever passes through the networks together."""
    x, labels, step = views(rng), LABELS, 1e-30
    if name == "soft":
        labels = soft_labels(rng)
        weights = labels.astype("float64") @ labels.T.astype("float64")

    def reference(z, tau, bias):
        options = {"bias": bias, "pair_reduction": "mean" if name == "mean" else "sum"}
        if name == "soft":
            return double_loop.weighted_ntlogistic(weights, z, tau, **options)
        return double_loop.ntlogistic(labels, z, tau, **options)

    given = {"mean": {"pair_reduction": "mean"}, "sum": {}, "soft": {"positives": "soft"}}[name]
    model = model_of(
        sigmoid(**given),
        keras.optimizers.SGD(0.05),
        learnable_temperature=learnable_temperature,
        micro_batch_size=micro_batch_size,
    )
    assert (model.bias, model.temperature) == (-3.0, 0.3)
    z = ops.convert_to_numpy(model(x, training=False))
    value = reference(z, 0.3, -3.0 + 1j * step).mean()
    result = model.train_on_batch(x, labels, return_dict=True)
    assert result["loss"] == pytest.approx(value.real, rel=1e-5)
    assert model.bias + 3.0 == pytest.approx(-0.05 * value.imag / step, rel=1e-4)
    if learnable_temperature:
        slope = reference(z, 0.3 + 1j * step, -3.0).mean().imag / step
        assert log_scale(model) == pytest.approx(0.05 * 0.3 * slope, rel=1e-4)


def test_evaluation_and_logs_have_the_learned_bias(rng):
    x = views(rng)
    model = model_of(sigmoid(), keras.optimizers.SGD(0.1), learnable_temperature=True)
    as_list = keras.callbacks.CallbackList([], add_history=True, model=model)
    for callbacks in (None, keras.callbacks.Callback(), as_list):
        history = model.fit(x, LABELS, batch_size=12, epochs=2, verbose=0, callbacks=callbacks)
        assert history.history["bias"][-1] == model.bias != -3.0
        assert history.history["temperature"][-1] == model.temperature != 0.3
    z = ops.convert_to_numpy(model(x, training=False))
    options = {"bias": model.bias, "pair_reduction": "sum"}
    expected = double_loop.ntlogistic(LABELS, z, model.temperature, **options).mean()
    assert model.evaluate(x, LABELS, batch_size=12, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "LARS"])
def test_neither_it_nor_the_temperature_decays(rng, optimizer):
    x, moved = views(rng), []
    for decay in (0.0, 0.5):
        made = {
            "SGD": lambda decay=decay: keras.optimizers.SGD(0.1, weight_decay=decay),
            "AdamW": lambda decay=decay: keras.optimizers.AdamW(0.1, weight_decay=decay),
            "LARS": lambda decay=decay: LARS(0.1, weight_decay=decay, exclude_from_weight_decay=()),
        }[optimizer]()
        model = model_of(sigmoid(pair_reduction="mean"), made, learnable_temperature=True)
        model._log_scale.assign(0.5)
        model._added_bias.assign(1.5)
        model.train_on_batch(x, LABELS)
        kernel = ops.convert_to_numpy(model.encoder.layers[-1].kernel)
        moved.append([model.bias, log_scale(model), kernel])
    (bias, scale, kernel), (bias_with_decay, scale_with_decay, kernel_with_decay) = moved
    assert bias_with_decay == pytest.approx(bias, rel=1e-6)
    assert scale_with_decay == pytest.approx(scale, rel=1e-6)
    assert bias != -1.5
    assert np.abs(kernel - kernel_with_decay).max() > 1e-5


def test_lars_moves_it_by_the_whole_rate(rng):
    """A trust ratio would hold a number fast that is near 0."""
    x, steps = views(rng), []
    for optimizer in (keras.optimizers.SGD(0.1), LARS(0.1, momentum=0.0)):
        model = model_of(sigmoid(), optimizer)
        model.train_on_batch(x, LABELS)
        steps.append(model.bias + 3.0)
    assert steps[1] == pytest.approx(steps[0], rel=1e-4)
    assert abs(steps[0]) > 1e-3


@pytest.mark.slow
def test_it_is_saved_and_training_goes_on(rng, tmp_path):
    def make(seed=1):
        return model_of(
            sigmoid(), keras.optimizers.Adam(0.05), seed=seed, learnable_temperature=True
        )

    def fit(model, folder, epochs):
        def batches(start):
            if BACKEND != "tensorflow":
                return ((x, LABELS) for _ in range(epochs - start.epoch))
            import tensorflow as tf

            return tf.data.Dataset.from_tensors((x, LABELS)).repeat(epochs - start.epoch)

        return Checkpoint(folder).fit(model, batches, epochs, 1, verbose=0).history["bias"]

    x, whole, begun = views(rng), make(), make()
    biases = fit(whole, tmp_path / "whole", 4)
    assert len({*biases}) == 4
    assert fit(begun, tmp_path / "parts", 2) == biases[:2]
    begun.save(tmp_path / "begun.keras")
    from_file = keras.saving.load_model(tmp_path / "begun.keras")
    assert from_file.bias == biases[1]
    assert from_file.temperature == begun.temperature
    assert from_file.evaluate(x, LABELS, verbose=0) == pytest.approx(
        begun.evaluate(x, LABELS, verbose=0), rel=1e-6
    )
    assert fit(make(seed=2), tmp_path / "parts", 4) == biases[2:]


def test_a_model_that_does_not_learn_it_has_no_such_weight(rng):
    model, learns = (model_of(sigmoid(), learnable_bias=learns) for learns in (False, True))
    assert len(learns.weights) == len(model.weights) + 1
    added = [weight for weight in learns.trainable_weights if weight is learns._added_bias]
    assert [tuple(weight.shape) for weight in added] == [()]
    assert model.get_config()["learnable_bias"] is False
    assert learns.get_config()["learnable_bias"] is True
    assert model.bias == -3.0
    assert "bias" not in model.fit(views(rng), LABELS, verbose=0).history
    model.compile(loss=TripletLoss())
    assert model.bias is None


def test_a_schedule_moves_the_temperature_beside_a_learned_bias(rng):
    x, model = views(rng), model_of(sigmoid(), keras.optimizers.SGD(0.1))
    history = model.fit(
        x,
        LABELS,
        batch_size=12,
        epochs=2,
        verbose=0,
        callbacks=[TemperatureSchedule(lambda epoch: 0.3 + epoch)],
    ).history
    assert history["temperature"] == pytest.approx([0.3, 1.3])
    assert len({-3.0, *history["bias"]}) == 3
    z = ops.convert_to_numpy(model(x, training=False))
    options = {"bias": model.bias, "pair_reduction": "sum"}
    expected = double_loop.ntlogistic(LABELS, z, 1.3, **options).mean()
    assert model.evaluate(x, LABELS, batch_size=12, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_is_learned_in_mixed_precision(rng, policy):
    x, model = views(rng), model_of(sigmoid(), keras.optimizers.SGD(0.1), dtype=policy)
    model.fit(x, LABELS, batch_size=12, epochs=2, verbose=0)
    assert model._added_bias.dtype == "float32"
    reference = model_of(sigmoid(), keras.optimizers.SGD(0.1))
    reference.fit(x, LABELS, batch_size=12, epochs=2, verbose=0)
    assert model.bias == pytest.approx(reference.bias, abs=0.02)
    assert abs(model.bias + 3.0) > 0.05


@pytest.mark.parametrize("loss", [SupConLoss(), "mse", [sigmoid(), sigmoid()]])
def test_refuses_a_loss_without_one_bias(rng, loss):
    model, x = model_of(sigmoid()), views(rng)
    model.compile(loss=loss)
    for use in (model.fit, model.evaluate):
        with pytest.raises(
            ValueError,
            match="compiled with one loss that has a bias, such as .*NTLogisticLoss.*Received: los",
        ):
            use(x, LABELS, verbose=0)


@pytest.mark.slow
@pytest.mark.tpu
@pytest.mark.parametrize("micro_batch_size", [None, 4])
def test_a_program_of_xla_learns_the_same(rng, micro_batch_size):
    x, learned = views(rng), []
    for compiles in (False, BACKEND != "torch"):  # torch.compile is another matter
        model = model_of(sigmoid(), micro_batch_size=micro_batch_size, learnable_temperature=True)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=model.loss, jit_compile=compiles)
        model.fit(x, LABELS, batch_size=12, epochs=2, verbose=0)
        learned.append([model.bias, model.temperature])
    np.testing.assert_allclose(learned[1], learned[0], rtol=1e-5)
    assert abs(learned[0][0] + 3.0) > 1e-3


@pytest.mark.parametrize("size", [1, 2])
def test_a_large_bias_at_the_start_falls_to_that_of_the_labels(rng, size):
    """With all projections alike the best logit is that of the share of positives, known exactly:
    of 23 pairs of an anchor, 7 are positives.
    """
    x = np.ones((12, 2, SIZE, SIZE, 1), "float32")
    labels = np.repeat(np.arange(3), 4)
    model = model_of(sigmoid(bias=-3.0 * size), keras.optimizers.SGD(0.2))
    model.encoder.trainable = model.projection_head.trainable = False
    model.compile(optimizer=keras.optimizers.SGD(0.2), loss=model.loss)
    model.fit(x, labels, batch_size=12, epochs=30, verbose=0)
    assert 1 / 0.3 + model.bias == pytest.approx(np.log(7 / 16), abs=1e-3)
