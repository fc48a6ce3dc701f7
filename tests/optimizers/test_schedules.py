import json

import keras
import numpy as np
import pytest

from keras_supcon import optimizers
from keras_supcon.optimizers import WarmUp, scale_learning_rate

pytestmark = pytest.mark.neutral

schedules = keras.optimizers.schedules


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_warms_up_to_the_cosine_as_keras_own_does():
    ours = WarmUp(schedules.CosineDecay(0.5, decay_steps=100), warmup_steps=10)
    theirs = schedules.CosineDecay(0.0, decay_steps=100, warmup_target=0.5, warmup_steps=10)
    np.testing.assert_allclose(
        rates(ours, range(0, 120, 5)), rates(theirs, range(0, 120, 5)), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(
    "inner",
    [
        schedules.ExponentialDecay(1.2, decay_steps=2.5, decay_rate=0.97, staircase=True),
        schedules.PiecewiseConstantDecay([3, 6], [1.0, 0.5, 0.25]),
        schedules.PolynomialDecay(1.0, decay_steps=8),
        0.7,
    ],
    ids=["exponential", "piecewise", "polynomial", "constant"],
)
def test_counts_from_the_end_of_the_warm_up(inner):
    schedule = WarmUp(inner, warmup_steps=4, initial_learning_rate=0.1)
    later = [inner if isinstance(inner, float) else float(inner(step)) for step in range(12)]
    np.testing.assert_allclose(rates(schedule, range(4, 16)), later, rtol=1e-6)
    np.testing.assert_allclose(
        rates(schedule, range(4)), np.linspace(0.1, later[0], 5)[:4], rtol=1e-6
    )


def test_without_warm_up_nothing_changes():
    inner = schedules.CosineDecay(0.5, decay_steps=10)
    np.testing.assert_array_equal(rates(WarmUp(inner, 0), range(12)), rates(inner, range(12)))


@pytest.mark.parametrize(
    "inner", [0.5, schedules.CosineDecay(0.5, decay_steps=10)], ids=["constant", "schedule"]
)
def test_survives_the_config(inner):
    schedule = WarmUp(inner, 3, initial_learning_rate=0.25)
    assert keras.saving.get_registered_name(WarmUp) == "keras_supcon>WarmUp"
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == schedule.get_config()
    assert rates(restored, range(8)) == rates(schedule, range(8))


def test_drives_an_optimizer_through_fit_and_saving(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(
        keras.optimizers.SGD(WarmUp(schedules.CosineDecay(0.5, decay_steps=10), warmup_steps=4)),
        "mse",
    )
    model.fit(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"), batch_size=2, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25)
    model.save(tmp_path / "model.keras")
    assert float(
        keras.saving.load_model(tmp_path / "model.keras").optimizer.learning_rate
    ) == pytest.approx(0.25)


def test_rules_of_scaling():
    assert scale_learning_rate(0.3, 256) == 0.3
    assert scale_learning_rate(0.4, 6144) == pytest.approx(9.6)
    assert scale_learning_rate(0.075, 4096, rule="square_root") == pytest.approx(4.8)
    assert scale_learning_rate(0.8, 1024, rule="none") == 0.8


def test_names_and_calls_of_the_version_before_work_with_a_warning():
    with pytest.warns(DeprecationWarning, match="`epochs_to_steps` is deprecated"):
        assert optimizers.epochs_to_steps(350, 1_281_167, 6144) == 72_983  # and not 350 times 208
    with pytest.warns(DeprecationWarning, match="`initial_learning_rate` of `WarmUp`"):
        assert WarmUp(0.5, 3, 0.25).initial_learning_rate == 0.25
    with pytest.warns(DeprecationWarning, match="`momentum`, `weight_decay` of `LARS`"):
        assert optimizers.LARS(0.1, 0.5, 0.25).coupled_weight_decay == 0.25


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: WarmUp("cosine", 3),
            "`learning_rate` should be a number of at least 0. Received: learning_rate='cosine'",
        ),
        (
            lambda: WarmUp(0.1, 1.5),
            "`warmup_steps` should be a whole number of at least 0. Received: warmup_steps=1.5",
        ),
        (
            lambda: WarmUp(0.1, 3, initial_learning_rate=-1.0),
            "`initial_learning_rate` should be a number of at least 0",
        ),
        (lambda: scale_learning_rate(0.0, 256), "`base_learning_rate` should be a positive number"),
        (
            lambda: scale_learning_rate(0.1, 0),
            "`batch_size` should be a whole number of at least 1. Received: batch_size=0",
        ),
        (
            lambda: scale_learning_rate(0.1, 256, "cube"),
            "`rule` should be one of .*Received: rule='cube'",
        ),
    ],
)
def test_refuses_arguments_out_of_range(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
