"""A temperature that the model learns."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import (
    ContrastiveModel,
    NTLogisticLoss,
    NTXentLoss,
    ProjectionHead,
    SupConLoss,
    TripletLoss,
)
from keras_supcon.callbacks import Checkpoint
from keras_supcon.optimizers import LARS
from tests.covering import every_value
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()
SIZE = 6
LABELS = np.array([0, 1, 0, 2, 1, 1, 0, 2, 0, 1, 2, 2])


def views(rng, rows=12):
    return rng.random((rows, 2, SIZE, SIZE, 1)).astype("float32")


def model_of(loss, optimizer=None, seed=1, **options):
    keras.utils.set_random_seed(seed)
    encoder = keras.Sequential(
        [keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(8, "tanh")]
    )
    model = ContrastiveModel(
        encoder, ProjectionHead(4, hidden_units=()), **{"learnable_temperature": True, **options}
    )
    model.compile(
        optimizer=keras.optimizers.SGD(1.0) if optimizer is None else optimizer, loss=loss
    )
    model.build((None, 2, SIZE, SIZE, 1))
    return model


def log_scale(model) -> float:
    return float(ops.convert_to_numpy(model._log_scale))


SLOPES = {
    "supcon": (SupConLoss(0.3), lambda z, tau: double_loop.supcon(LABELS, z, tau)),
    "supcon in, scaled": (
        SupConLoss(0.3, summation="in", denominator="one_positive", scale_by_temperature=True),
        lambda z, tau: (
            tau * double_loop.supcon(LABELS, z, tau, summation="in", denominator="one_positive")
        ),
    ),
    "ntxent": (NTXentLoss(0.3), lambda z, tau: double_loop.supcon(np.full(12, -1), z, tau)),
    "ntlogistic": (
        NTLogisticLoss(0.3, normalize=False),
        lambda z, tau: double_loop.ntlogistic(LABELS, z, tau, False),
    ),
}


@pytest.mark.slow
@every_value(name=list(SLOPES), micro_batch_size=[None, 4, 5])
def test_a_step_takes_the_gradient_of_the_temperature(rng, name, micro_batch_size):
    """With temperature `tau exp(-w)` that of `w` is minus `tau` times that of the temperature; of
    the whole batch at once.
    """
    loss, reference = SLOPES[name]
    x, model = (
        views(rng),
        model_of(loss, keras.optimizers.SGD(0.5), micro_batch_size=micro_batch_size),
    )
    assert model.temperature == 0.3
    z, step = ops.convert_to_numpy(model(x, training=False)), 1e-30
    value = reference(z, 0.3 + 1j * step).mean()
    result = model.train_on_batch(x, LABELS, return_dict=True)
    assert result["loss"] == pytest.approx(value.real, rel=1e-5)
    assert log_scale(model) == pytest.approx(0.5 * 0.3 * value.imag / step, rel=1e-4)
    assert model.temperature == pytest.approx(0.3 * np.exp(-log_scale(model)), rel=1e-6)


def test_evaluation_and_logs_have_the_learned_temperature(rng):
    x, model = views(rng), model_of(SupConLoss(0.5))
    as_list = keras.callbacks.CallbackList([], add_history=True, model=model)
    for callbacks in (None, keras.callbacks.Callback(), as_list):
        history = model.fit(x, LABELS, batch_size=12, epochs=2, verbose=0, callbacks=callbacks)
        assert history.history["temperature"][-1] == model.temperature != 0.5
    z = ops.convert_to_numpy(model(x, training=False))
    expected = double_loop.supcon(LABELS, z, model.temperature).mean()
    assert model.evaluate(x, LABELS, batch_size=12, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_logits_are_scaled_by_no_more_than_100_and_may_come_back(rng):
    """On classes that lie apart a lower temperature is better; on labels by chance a higher one."""
    x = np.zeros((12, 2, SIZE, SIZE, 1), "float32")
    x[np.arange(12), :, LABELS] = 1.0
    for start, lowest in ((0.02, 0.01), (0.004, 0.004)):
        model = model_of(SupConLoss(start, denominator="only_negatives"))
        model.encoder.trainable = model.projection_head.trainable = False
        model.compile(optimizer=keras.optimizers.SGD(0.02), loss=model.loss)
        model.fit(x, LABELS, batch_size=12, epochs=4, verbose=0)
        assert model.temperature == pytest.approx(lowest, rel=1e-5)
        model.fit(views(rng), LABELS, batch_size=12, verbose=0)
        assert model.temperature > 1.01 * lowest


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "LARS"])
def test_it_does_not_decay(rng, optimizer):
    x, moved = views(rng), []
    for decay in (0.0, 0.5):
        made = {
            "SGD": lambda decay=decay: keras.optimizers.SGD(0.1, weight_decay=decay),
            "AdamW": lambda decay=decay: keras.optimizers.AdamW(0.1, weight_decay=decay),
            "LARS": lambda decay=decay: LARS(0.1, weight_decay=decay, exclude_from_weight_decay=()),
        }[optimizer]()
        model = model_of(SupConLoss(0.3), made)
        if optimizer != "LARS":
            made.exclude_from_weight_decay(var_list=[model.encoder.layers[-1].bias])
        model._log_scale.assign(0.5)
        model.encoder.layers[-1].bias.assign(np.ones(8))
        model.train_on_batch(x, LABELS)
        dense = model.encoder.layers[-1]
        moved.append([log_scale(model), *map(ops.convert_to_numpy, (dense.kernel, dense.bias))])
    (scale, kernel, bias), (scale_with_decay, kernel_with_decay, bias_with_decay) = moved
    assert scale_with_decay == pytest.approx(scale, rel=1e-6)
    assert scale != 0.5
    assert np.abs(kernel - kernel_with_decay).max() > 1e-5
    if optimizer != "LARS":  # what was excluded before stays so
        np.testing.assert_allclose(bias, bias_with_decay, rtol=1e-6)


def test_lars_moves_it_by_the_whole_rate(rng):
    """A trust ratio would hold a number fast that is near 0."""
    x, steps = views(rng), []
    for optimizer in (keras.optimizers.SGD(0.1), LARS(0.1, momentum=0.0)):
        model = model_of(SupConLoss(0.3), optimizer)
        model._log_scale.assign(1e-3)
        model.train_on_batch(x, LABELS)
        steps.append(log_scale(model) - 1e-3)
    assert steps[1] == pytest.approx(steps[0], rel=1e-4)


@pytest.mark.slow
def test_it_is_saved_and_training_goes_on(rng, tmp_path):
    x, whole, begun = (
        views(rng),
        *(model_of(SupConLoss(0.3), keras.optimizers.Adam(0.05)) for _ in range(2)),
    )

    def fit(model, folder, epochs):
        def batches(start):
            if BACKEND != "tensorflow":
                return ((x, LABELS) for _ in range(epochs - start.epoch))
            import tensorflow as tf

            return tf.data.Dataset.from_tensors((x, LABELS)).repeat(epochs - start.epoch)

        return Checkpoint(folder).fit(model, batches, epochs, 1, verbose=0).history["temperature"]

    temperatures = fit(whole, tmp_path / "whole", 4)
    assert len({*temperatures}) == 4
    assert fit(begun, tmp_path / "parts", 2) == temperatures[:2]
    begun.save(tmp_path / "begun.keras")
    from_file = keras.saving.load_model(tmp_path / "begun.keras")
    assert from_file.temperature == temperatures[1]
    assert from_file.evaluate(x, LABELS, verbose=0) == pytest.approx(
        begun.evaluate(x, LABELS, verbose=0), rel=1e-6
    )
    again = model_of(SupConLoss(0.3), keras.optimizers.Adam(0.05), seed=2)
    assert fit(again, tmp_path / "parts", 4) == temperatures[2:]
    for ours, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_that_does_not_learn_it_has_no_such_weight(rng):
    model, learns = (
        model_of(SupConLoss(0.3), learnable_temperature=learns) for learns in (False, True)
    )
    assert len(learns.weights) == len(model.weights) + 1
    assert [
        tuple(weight.shape) for weight in learns.trainable_weights if weight is learns._log_scale
    ] == [()]
    assert model.temperature == 0.3
    assert "temperature" not in model.fit(views(rng), LABELS, verbose=0).history
    model.compile(loss=TripletLoss())
    assert model.temperature is None


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_is_learned_in_mixed_precision(rng, policy):
    x, model = views(rng), model_of(SupConLoss(0.3), keras.optimizers.SGD(0.1), dtype=policy)
    model.fit(x, LABELS, batch_size=12, epochs=2, verbose=0)
    assert model._log_scale.dtype == "float32"
    reference = model_of(SupConLoss(0.3), keras.optimizers.SGD(0.1))
    reference.fit(x, LABELS, batch_size=12, epochs=2, verbose=0)
    assert model.temperature == pytest.approx(reference.temperature, rel=1e-2)
    assert abs(model.temperature - 0.3) > 1e-4


@pytest.mark.parametrize("loss", [TripletLoss(), "mse", [SupConLoss(), SupConLoss()]])
def test_refuses_a_loss_without_one_temperature(rng, loss):
    model, x = model_of(SupConLoss()), views(rng)
    model.compile(loss=loss)
    for use in (model.fit, model.evaluate):
        with pytest.raises(
            ValueError,
            match="should be compiled with one loss that has a temperature.*Received: loss=",
        ):
            use(x, LABELS, verbose=0)


@pytest.mark.slow
@pytest.mark.tpu
@pytest.mark.parametrize("micro_batch_size", [None, 4])
def test_a_program_of_xla_learns_the_same(rng, micro_batch_size):
    x, learned = views(rng), []
    for compiles in (False, BACKEND != "torch"):  # torch.compile is another matter
        model = model_of(SupConLoss(0.3), micro_batch_size=micro_batch_size)
        model.compile(optimizer=keras.optimizers.SGD(0.3), loss=model.loss, jit_compile=compiles)
        model.fit(x, LABELS, batch_size=12, epochs=2, verbose=0)
        learned.append(model.temperature)
    assert learned[1] == pytest.approx(learned[0], rel=1e-5)
    assert abs(learned[0] - 0.3) > 1e-3
