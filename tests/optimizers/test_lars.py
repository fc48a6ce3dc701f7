import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, ProjectionHead
from keras_supcon.optimizers import LARS, WarmUp

pytestmark = pytest.mark.neutral

FORMS = [(classic, nesterov) for classic in (True, False) for nesterov in (False, True)]
every_form = pytest.mark.parametrize(("classic", "nesterov"), FORMS)


class Reference:
    """The rule of the docstring for one variable, in float64."""

    def __init__(self, momentum, decay, trust, classic, nesterov, adapts=True, decays=True):
        self.momentum, self.trust, self.classic, self.nesterov = momentum, trust, classic, nesterov
        self.decay, self.adapts, self.velocity = decay if decays else 0.0, adapts, 0.0

    def ratio(self, w, u):
        norms = np.linalg.norm(w), np.linalg.norm(u)
        return self.trust * norms[0] / norms[1] if self.adapts and min(norms) > 0 else 1.0

    def step(self, w, g, rate):
        g = g + self.decay * w
        if self.classic:
            scaled = rate * self.ratio(w, g) * g
            self.velocity = self.momentum * self.velocity + scaled
            return w - (self.momentum * self.velocity + scaled if self.nesterov else self.velocity)
        self.velocity = self.momentum * self.velocity + g
        u = self.momentum * self.velocity + g if self.nesterov else self.velocity
        return w - rate * self.ratio(w, u) * u


def variable(values, name="kernel", **kwargs):
    return keras.Variable(np.asarray(values, "float32"), name=name, **kwargs)


def small_model():
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(1),
    ]
    return keras.Sequential([keras.Input((6,)), *layers])


@pytest.fixture
def xy(rng):
    x = rng.normal(size=(32, 6)).astype("float32")
    return x, x[:, :1]


@every_form
@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_follows_the_rule_for_several_steps(rng, classic, nesterov, decay):
    start, rates = rng.normal(size=(3, 4)), [0.5, 1.0, 0.7, 0.2]
    gradients = rng.normal(size=(4, 3, 4))
    flags = {
        "plain": (True, True),
        "bias": (False, True),
        "gamma": (True, False),
        "beta": (False, False),
    }
    variables = [variable(start, name) for name in flags]
    optimizer = LARS(
        keras.optimizers.schedules.PiecewiseConstantDecay([0, 1, 2], rates),
        momentum=0.8,
        weight_decay=decay,
        trust_coefficient=0.05,
        nesterov=nesterov,
        classic_momentum=classic,
        exclude_from_adaptation=("^b",),
        exclude_from_weight_decay=("^gamma", "eta$"),
    )
    references = [Reference(0.8, decay, 0.05, classic, nesterov, *flag) for flag in flags.values()]
    expected = [start] * 4
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.apply([ops.convert_to_tensor(gradient, "float32")] * 4, variables)
        expected = [
            reference.step(w, gradient, rate)
            for reference, w in zip(references, expected, strict=True)
        ]
    for actual, wanted in zip(variables, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(actual), wanted, rtol=1e-5, atol=1e-6)


@every_form
def test_the_first_step_does_not_depend_on_the_scale_of_the_loss(rng, classic, nesterov):
    start, gradient = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)).astype("float32")
    moved = []
    for factor in (1.0, 1e-6, 1e8):
        kernel = variable(start)
        LARS(0.3, nesterov=nesterov, classic_momentum=classic).apply(
            [ops.convert_to_tensor(factor * gradient)], [kernel]
        )
        moved.append(ops.convert_to_numpy(kernel))
    assert np.abs(moved[0] - start).max() > 1e-5
    np.testing.assert_allclose(moved[1:], [moved[0]] * 2, rtol=1e-6)


@every_form
def test_a_norm_of_zero_gives_the_ratio_one(classic, nesterov):
    zero, one = variable(np.zeros(3)), variable(np.ones(3))
    optimizer = LARS(0.5, nesterov=nesterov, classic_momentum=classic)
    optimizer.apply([ops.ones((3,)), ops.zeros((3,))], [zero, one])
    np.testing.assert_allclose(
        ops.convert_to_numpy(zero), -0.5 * (1.9 if nesterov else 1.0), rtol=1e-6
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(one), 1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_gradients_whose_squares_float32_cannot_hold_give_no_nan(scale):
    kernel = variable(np.ones(3))
    optimizer = LARS(0.5, weight_decay=0.1)
    for _ in range(2):
        optimizer.apply([ops.full((3,), scale, dtype="float32")], [kernel])
    assert np.isfinite(ops.convert_to_numpy(kernel)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_variables_of_half_precision_are_stepped_in_float32(dtype):
    # The squares of the weights are beyond float16, those of the gradients below it.
    kernel = keras.Variable(np.full((4,), 1024.0), dtype=dtype)
    LARS(1.0, trust_coefficient=0.25).apply([ops.full((4,), 2.0**-14, dtype=dtype)], [kernel])
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(kernel, "float32")), 768)


def test_with_all_excluded_it_is_keras_sgd(rng):
    start, gradients = rng.normal(size=(2, 3)), rng.normal(size=(3, 2, 3)).astype("float32")
    for nesterov in (False, True):
        ours, theirs = variable(start), variable(start)
        lars = LARS(0.1, nesterov=nesterov, exclude_from_adaptation=(".",))
        sgd = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=nesterov)
        for gradient in gradients:
            lars.apply([ops.convert_to_tensor(gradient)], [ours])
            sgd.apply([ops.convert_to_tensor(gradient)], [theirs])
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), rtol=1e-5
        )


def test_by_default_kernels_alone_adapt_and_decay():
    convolution = [
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
    ]
    normalizations = [keras.layers.LayerNormalization(), keras.layers.RMSNormalization()]
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            *convolution,
            ProjectionHead(4, hidden_units=(4,)),
            *normalizations,
        ]
    )
    optimizer = LARS(0.1, weight_decay=1e-4)
    optimizer.build(model.trainable_variables)
    names = [variable.name for variable in model.trainable_variables]
    assert names == [
        "kernel",
        "bias",
        "gamma",
        "beta",
        "kernel",
        "bias",
        "kernel",
        "gamma",
        "beta",
        "scale",
    ]
    assert optimizer._adapts == optimizer._decays == tuple(name == "kernel" for name in names)


def test_exclusions_are_searched_in_the_path():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="trunk"), keras.layers.Dense(2, name="head")]
    )
    optimizer = LARS(
        0.1,
        weight_decay=1e-4,
        exclude_from_adaptation=("head",),
        exclude_from_weight_decay=(r"trunk/kernel",),
    )
    optimizer.build(model.trainable_variables)
    assert [variable.name for variable in model.trainable_variables] == ["kernel", "bias"] * 2
    assert optimizer._adapts == (True, True, False, False)
    assert optimizer._decays == (False, True, True, True)


def test_every_argument_survives_the_config():
    options = {
        "learning_rate": 0.25,
        "momentum": 0.5,
        "weight_decay": 0.125,
        "trust_coefficient": 0.01,
        "nesterov": True,
        "classic_momentum": False,
        "exclude_from_adaptation": ["a", "b$"],
        "exclude_from_weight_decay": [],
        "name": "mine",
        "global_clipnorm": 1.0,
        "use_ema": True,
    }
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(LARS(**options))))
    restored = keras.saving.deserialize_keras_object(config)
    assert type(restored) is LARS
    assert {name: restored.get_config()[name] for name in options} == options


@pytest.mark.slow
def test_training_goes_on_after_saving_as_if_it_had_not_stopped(tmp_path, xy):
    def fit(model):
        model.fit(*xy, batch_size=8, epochs=2, shuffle=False, verbose=0)

    model = small_model()
    model.compile(
        LARS(
            WarmUp(0.1, 6),
            weight_decay=1e-2,
            trust_coefficient=1.0,
            exclude_from_weight_decay=("gamma",),
        ),
        "mse",
    )
    fit(model)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    assert reloaded.optimizer.get_config() == model.optimizer.get_config()
    fit(model)
    fit(reloaded)
    for resumed, uninterrupted in zip(reloaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(resumed, uninterrupted, rtol=1e-6, atol=1e-7)


def test_a_loaded_model_excludes_what_the_trained_one_did(tmp_path, rng):
    """Although its paths are others: Keras counts names up, and makes the variables of a loaded
    part without the whole.
    """
    x = rng.normal(size=(8, 6)).astype("float32")
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    model = ContrastiveModel(encoder, ProjectionHead(4, hidden_units=(5,)), name="whole")
    model.compile(
        LARS(0.1, trust_coefficient=0.1, exclude_from_adaptation=("^whole/", "bias$")), "mse"
    )
    model.train_on_batch(x, np.zeros((8, 2, 4)))
    assert any(
        path.startswith("whole/") for path in (weight.path for weight in model.trainable_weights)
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [weight.path for weight in loaded.trainable_weights] != [
        weight.path for weight in model.trainable_weights
    ]
    for one in (model, loaded):
        one.train_on_batch(x, np.zeros((8, 2, 4)))
    for ours, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "options",
    [
        {"use_ema": True, "ema_momentum": 0.5},
        {"gradient_accumulation_steps": 2},
        {"global_clipnorm": 0.5},
        {"clipnorm": 0.5},
        {"clipvalue": 0.5},
        {"loss_scale_factor": 128.0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_takes_the_options_of_keras_optimizers_and_learns(rng, options):
    """Down a bowl whose bottom is at the target."""
    target = rng.normal(size=(4, 3)).astype("float32")
    kernel = variable(rng.normal(size=(4, 3)))
    optimizer = LARS(0.02, trust_coefficient=1.0, weight_decay=1e-3, **options)
    optimizer.build([kernel])
    distances = []
    for _ in range(40):
        away = ops.convert_to_numpy(kernel) - target
        distances.append(np.linalg.norm(away))
        optimizer.apply(
            [ops.convert_to_tensor(away * options.get("loss_scale_factor", 1.0))], [kernel]
        )
    optimizer.finalize_variable_values([kernel])
    distances.append(np.linalg.norm(ops.convert_to_numpy(kernel) - target))
    assert distances[-1] < 0.5 * distances[0]


def test_two_half_batches_accumulated_are_one_batch(rng):
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(6, 4, 3)).astype("float32")
    halves, whole = variable(start), variable(start)
    accumulating = LARS(0.1, trust_coefficient=1.0, weight_decay=0.1, gradient_accumulation_steps=2)
    plain = LARS(0.1, trust_coefficient=1.0, weight_decay=0.1)
    for gradient in gradients:
        accumulating.apply([ops.convert_to_tensor(gradient)], [halves])
    for gradient in gradients.reshape(3, 2, 4, 3).mean(axis=1):
        plain.apply([ops.convert_to_tensor(gradient)], [whole])
    np.testing.assert_allclose(
        ops.convert_to_numpy(halves), ops.convert_to_numpy(whole), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_trains_in_mixed_float16_and_skips_what_is_not_finite(xy):
    x, y = xy
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small_model()
        model.compile(LARS(0.05, trust_coefficient=1.0, weight_decay=1e-3), "mse")
        losses = model.fit(x, y, batch_size=8, epochs=8, verbose=0).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert losses[-1] < 0.5 * losses[0]
    before = [ops.convert_to_numpy(weight) for weight in model.trainable_variables]
    model.train_on_batch(np.where(x == x[0, 0], np.float32(np.inf), x)[:8], y[:8])
    for after, unchanged in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(after), unchanged)


def test_leaves_no_way_to_exclusions_that_would_be_lost():
    with pytest.raises(NotImplementedError, match="argument `exclude_from_weight_decay`"):
        LARS(0.1).exclude_from_weight_decay(var_names=["bias"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"learning_rate": -0.1},
            "`learning_rate` should be a number of at least 0. Received: learning_rate=-0.1",
        ),
        (
            {"learning_rate": "fast"},
            "`learning_rate` should be a number of at least 0. Received: learning_rate='fast'",
        ),
        ({"momentum": 1}, "`momentum` should be at least 0 and below 1. Received: momentum=1"),
        ({"momentum": None}, "`momentum` should be at least 0 and below 1"),
        (
            {"weight_decay": -1e-4},
            "`weight_decay` should be a number of at least 0. Received: weight_decay=-0.0001",
        ),
        ({"weight_decay": float("nan")}, "`weight_decay` should be a number of at least 0"),
        (
            {"trust_coefficient": 0},
            "`trust_coefficient` should be a positive number. Received: trust_coefficient=0",
        ),
        (
            {"exclude_from_adaptation": "bias"},
            "`exclude_from_adaptation` should be a sequence of regular expressions",
        ),
        ({"exclude_from_adaptation": (3,)}, r"Received: exclude_from_adaptation=\(3,\)"),
        (
            {"exclude_from_weight_decay": ("a", "(")},
            r"`exclude_from_weight_decay` should be .*of which '\(' is none",
        ),
        ({"decoupled": True}, "decoupled"),
    ],
)
def test_refuses_arguments_out_of_range(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        LARS(**{"learning_rate": 0.1, **options})


@pytest.mark.parametrize("classic", [True, False])
@pytest.mark.parametrize(("weight", "gradient"), [(3e38, 3e38), (1e30, 1e-30), (1e-25, 1e-25)])
def test_norms_beyond_the_squares_of_float32(weight, gradient, classic):
    kernel = keras.Variable(np.full(2, weight, "float32"), name="kernel")
    optimizer = LARS(0.1, trust_coefficient=0.5, classic_momentum=classic)
    optimizer.apply([ops.convert_to_tensor(np.array([0, gradient], "float32"))], [kernel])
    np.testing.assert_allclose(
        ops.convert_to_numpy(kernel) / weight, [1, 1 - 0.05 * 2**0.5], rtol=1e-5
    )
