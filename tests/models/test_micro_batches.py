"""A step in micro-batches is the step on the whole batch."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss
from keras_supcon.augmentation import MultiView, SimAugment
from tests.covering import every_value

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()
SIZE = 6


class RowCounter(keras.layers.Layer):
    """Notes how many rows each call sees in training."""

    def __init__(self, counts):
        super().__init__()
        self.note = counts.append  # Keras would copy the list

    def call(self, images, training=False):
        if training:
            self.note(images.shape[0])
        return images


@keras.saving.register_keras_serializable(package="tests")
class Quadratic(keras.losses.Loss):
    """Half the squared length of the projections, summed over views."""

    def call(self, y_true, y_pred):
        return 0.5 * ops.sum(ops.square(y_pred), axis=(1, 2))


def small_encoder(*layers, **options):
    keras.utils.set_random_seed(0)
    convolution = keras.layers.Conv2D(4, 3, activation="tanh", **options)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            convolution,
            *layers,
            keras.layers.Flatten(),
            keras.layers.Dense(8),
        ]
    )


def batch(rng, rows=12, views=2):
    images = rng.random((rows, views, SIZE, SIZE, 1)).astype("float32")
    return images, rng.integers(0, 3, rows)


def change_of_a_step(model, x, y, **options):
    """The loss that a step reports and what it adds to the weights."""
    model.build(x.shape)
    before = [ops.convert_to_numpy(weight).copy() for weight in model.weights]
    loss = model.train_on_batch(x, y, return_dict=True, **options)["loss"]
    return float(loss), [
        ops.convert_to_numpy(weight) - old
        for weight, old in zip(model.weights, before, strict=True)
    ]


def compiled(encoder, micro_batch_size, head=None, loss=None, rate=1.0, **options):
    keras.utils.set_random_seed(1)
    head = ProjectionHead(6, hidden_units=(8,)) if head is None else head
    model = ContrastiveModel(encoder, head, micro_batch_size=micro_batch_size, **options)
    model.compile(optimizer=keras.optimizers.SGD(rate), loss=loss or SupConLoss())
    return model


@pytest.mark.slow
@every_value(
    case=["plain", "sample weights", "without labels", "penalties and activities"],
    micro_batch_sizes=[(12, 5, 100), (5,), (4,), (4, 5)],
)
def test_gradients_are_those_of_the_plain_step(rng, case, micro_batch_sizes):
    """To 1e-6 of the largest, for micro-batches that divide the batch, that leave a rest, and that
    hold all of it.
    """
    x, y = batch(rng)
    options = (
        {"sample_weight": rng.random(12).astype("float32")} if case == "sample weights" else {}
    )
    penalties = (
        {"kernel_regularizer": "l2", "activity_regularizer": "l2"}
        if case == "penalties and activities"
        else {}
    )
    y = None if case == "without labels" else y

    def step(micro_batch_size):
        return change_of_a_step(
            compiled(small_encoder(**penalties), micro_batch_size), x, y, **options
        )

    plain_loss, plain = step(None)
    largest = max(np.abs(change).max() for change in plain)
    assert largest > 0.1
    for micro_batch_size in micro_batch_sizes:
        loss, changes = step(micro_batch_size)
        assert loss == pytest.approx(plain_loss, rel=1e-6)
        for change, expected in zip(changes, plain, strict=True):
            np.testing.assert_allclose(change, expected, atol=1e-6 * largest, rtol=0)


def test_the_encoder_sees_one_micro_batch_at_a_time(rng):
    x, y = batch(rng)
    for micro_batch_size, most in ((None, 24), (4, 4), (5, 5), (100, 12)):
        counts = []
        model = compiled(small_encoder(RowCounter(counts)), micro_batch_size)
        if BACKEND == "tensorflow":
            model.compile(
                optimizer="sgd", loss=SupConLoss(), run_eagerly=True
            )  # in graphs shapes may be unknown
        model.build(x.shape)
        counts.clear()
        model.train_on_batch(x, y)
        assert max(counts) == most


@pytest.mark.slow
@pytest.mark.parametrize(
    "noise", ["dropout", "dropout without a seed", "augmentation", "several policies"]
)
def test_the_second_pass_draws_what_the_first_drew(rng, noise):
    """Half the squared output of a linear model is of degree two in its weights: weights . gradient
    = 2 loss.

    The gradient holds the images of both passes, the loss those of the first. With other masks or
    crops it would not hold.
    """
    augmenters = [
        SimAugment((SIZE, SIZE), strength=strength, seed=seed)
        for strength, seed in ((1.0, 3), (0.3, 4))
    ]
    augmenter = {"augmentation": augmenters[0], "several policies": MultiView(augmenters)}.get(
        noise
    )
    dropouts = {
        "dropout": [keras.layers.Dropout(0.5, seed=5)],
        "dropout without a seed": [keras.layers.Dropout(0.5)],
    }
    dropout = dropouts.get(noise, [])
    linear = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            *dropout,
            keras.layers.Flatten(),
            keras.layers.Dense(3, use_bias=False),
        ]
    )
    model = compiled(linear, 4, head=keras.layers.Identity(), loss=Quadratic(), augmenter=augmenter)
    images = rng.integers(0, 256, (12, SIZE, SIZE, 1)).astype("uint8")
    model.build(images.shape)
    for _ in range(2):  # the second step goes on from the seeds of the first
        kernel = ops.convert_to_numpy(linear.layers[-1].kernel).copy()
        loss, changes = change_of_a_step(model, images, np.zeros(12, "int32"))
        gradient = -next(change for change in changes if change.shape == kernel.shape)
        assert loss > 0.01
        assert np.sum(kernel * gradient) == pytest.approx(2 * loss, rel=1e-5)
        kernel -= gradient


def test_draws_differ_between_micro_batches_and_steps():
    """The projections of one image repeated are those of its masks."""
    identity = keras.layers.Dense(64, use_bias=False, kernel_initializer="identity")
    linear = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5, seed=5), identity])
    seen = []

    class Collect(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            seen.append(y_pred)

    model = ContrastiveModel(linear, keras.layers.Identity(), micro_batch_size=2)
    eager = {} if BACKEND == "jax" else {"run_eagerly": True}
    model.compile(optimizer="sgd", loss=Quadratic(), metrics=[Collect(name="collect")], **eager)
    if BACKEND == "jax":
        import jax

        with jax.disable_jit():
            model.train_on_batch(np.ones((4, 64), "float32"), np.zeros(4))
    else:
        model.train_on_batch(np.ones((4, 64), "float32"), np.zeros(4))
    masks = ops.convert_to_numpy(seen[-1]).reshape(8, 64)
    assert len(np.unique(masks, axis=0)) == 8


def test_moving_averages_move_once_by_the_mean_of_the_micro_batches(rng):
    rows = rng.normal(3.0, 2.0, (12, 2, 5)).astype("float32")
    normalization = keras.layers.BatchNormalization(momentum=0.9)
    encoder = keras.Sequential([keras.Input((5,)), normalization, keras.layers.Dense(4)])
    model = compiled(encoder, 4, head=ProjectionHead(4, hidden_units=()))
    model.build(rows.shape)
    model.train_on_batch(rows, np.arange(12) % 3)
    # On JAX micro-batches take every third row, elsewhere four rows in a row.
    parts = (
        rows.reshape(4, 3, 2, 5).transpose(1, 2, 0, 3)
        if BACKEND == "jax"
        else rows.reshape(3, 4, 2, 5).transpose(0, 2, 1, 3)
    )
    expected_mean = 0.1 * parts.mean(axis=2).mean(axis=(0, 1))
    expected_variance = 0.9 + 0.1 * parts.var(axis=2).mean(axis=(0, 1))
    np.testing.assert_allclose(
        ops.convert_to_numpy(normalization.moving_mean), expected_mean, rtol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(normalization.moving_variance), expected_variance, rtol=1e-5
    )


def test_state_that_a_pass_does_not_change_stays_to_the_bit(rng):
    normalization = keras.layers.BatchNormalization(trainable=False)
    model = compiled(small_encoder(normalization), 5)
    x, y = batch(rng)
    model.build(x.shape)
    normalization.moving_mean.assign(rng.random(4))
    before = ops.convert_to_numpy(normalization.moving_mean).copy()
    model.train_on_batch(x, y)
    np.testing.assert_array_equal(ops.convert_to_numpy(normalization.moving_mean), before)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_in_mixed_precision_the_step_is_near_that_in_float32(rng, policy):
    x, y = batch(rng)

    def losses(policy):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        try:
            model = compiled(small_encoder(), 4)
        finally:
            keras.config.set_dtype_policy("float32")
        optimizer = keras.optimizers.SGD(0.1)
        if (
            policy == "mixed_float16"
        ):  # as Keras does; from its own first scale the first steps would be skipped
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=256.0)
        model.compile(optimizer=optimizer, loss=SupConLoss())
        return [float(model.train_on_batch(x, y, return_dict=True)["loss"]) for _ in range(4)]

    expected, actual = losses("float32"), losses(policy)
    assert expected[-1] < expected[0] - 0.05
    np.testing.assert_allclose(actual, expected, rtol=0.03)


class Unread(keras.layers.Layer):
    """Has a weight that it does not use."""

    def build(self, input_shape):
        self.unread = self.add_weight(shape=(3,), initializer="ones")

    def call(self, inputs):
        return inputs


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no missing gradients, plain or not")
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_weights_without_a_gradient_do_not_decay(rng):
    x, y = batch(rng)
    for micro_batch_size in (None, 4):
        model = compiled(small_encoder(Unread()), micro_batch_size)
        optimizer = keras.optimizers.SGD(1.0, weight_decay=0.1)
        model.compile(optimizer=optimizer, loss=SupConLoss())
        model.train_on_batch(x, y)
        (unread,) = [layer.unread for layer in model.encoder.layers if isinstance(layer, Unread)]
        np.testing.assert_array_equal(ops.convert_to_numpy(unread), 1.0)


def test_projections_in_half_precision_are_joined_in_float32(rng):
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="float16")])
    model = ContrastiveModel(encoder, None, micro_batch_size=4)
    projections = model(rng.normal(size=(8, 4)).astype("float32"), training=True)
    assert keras.backend.standardize_dtype(projections.dtype) == "float32"


def test_the_loss_may_have_weights_of_its_own(rng):
    """As a predictor or a learned temperature: their gradient does not go through the passes."""

    class Scaled(ContrastiveModel):
        def build(self, input_shape):
            super().build(input_shape)
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return super().compute_loss(x, y, y_pred * self.scale, sample_weight, training)

    x, y = batch(rng)
    changes = []
    for micro_batch_size in (None, 4):
        keras.utils.set_random_seed(1)
        model = Scaled(
            small_encoder(), ProjectionHead(6, hidden_units=(8,)), micro_batch_size=micro_batch_size
        )
        model.compile(optimizer=keras.optimizers.SGD(1.0), loss=Quadratic())
        changes.append(change_of_a_step(model, x, y)[1])
    assert max(np.abs(change).max() for change in changes[0]) > 0.1
    for cached, plain in zip(*reversed(changes), strict=True):
        np.testing.assert_allclose(cached, plain, atol=1e-5)


@pytest.mark.parametrize("micro_batch_size", [0, -1, 2.0, "4"])
def test_wrong_sizes_are_refused(micro_batch_size):
    with pytest.raises(
        ValueError,
        match="`micro_batch_size` should be None or a whole number of at least 1. Received",
    ):
        ContrastiveModel(small_encoder(), micro_batch_size=micro_batch_size)


def test_a_batch_size_that_micro_batches_do_not_divide_is_refused_before_training(rng):
    x, y = batch(rng, rows=20)
    model = compiled(small_encoder(), 4)
    message = (
        "should be divisible by `micro_batch_size`. Received: micro_batch_size=4, batches of 10"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, batch_size=10, verbose=0)
    assert not model.optimizer.built
    # The last batch may be of any size, and one that is smaller than a micro-batch is a
    # micro-batch.
    history = model.fit(x, y, batch_size=8, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])


def test_it_survives_saving(rng, tmp_path):
    model = compiled(small_encoder(), 4)
    x, y = batch(rng)
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.micro_batch_size == 4
    model.reset_metrics()  # which Keras 3.14 averages over calls
    assert float(loaded.train_on_batch(x, y)) == pytest.approx(
        float(model.train_on_batch(x, y)), rel=1e-6
    )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of tf.data, XLA and keras-cv")
class TestOnTensorFlow:
    @pytest.mark.slow
    def test_xla_compiles_augmentation_and_dropout(self, rng):
        x, y = batch(rng, rows=8)
        augmenter = MultiView(
            [
                SimAugment((SIZE, SIZE), seed=3),
                SimAugment((SIZE, SIZE), seed=4, blur_probability=0.0),
            ]
        )
        model = compiled(small_encoder(keras.layers.Dropout(0.5, seed=5)), 4, augmenter=augmenter)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=SupConLoss(), jit_compile=True)
        assert np.isfinite(model.train_on_batch(x[:, 0] * 255, y))

    def test_xla_refuses_a_rest(self, rng):
        x, y = batch(rng, rows=10)
        model = compiled(small_encoder(), 4)
        model.compile(optimizer="sgd", loss=SupConLoss(), jit_compile=True)
        with pytest.raises(
            ValueError,
            match="Programs for XLA should get batches of a static size that `micro_batch_size`",
        ):
            model.train_on_batch(x, y)

    def test_a_static_batch_size_of_tf_data_is_found(self, rng):
        import tensorflow as tf

        dataset = tf.data.Dataset.from_tensor_slices(batch(rng, rows=20))
        dataset = dataset.batch(10, drop_remainder=True)
        with pytest.raises(ValueError, match="Received: micro_batch_size=4, batches of 10"):
            compiled(small_encoder(), 4).fit(
                dataset.map(lambda x, y: (x, y)).prefetch(1), verbose=0
            )

    def test_batches_of_tf_data_of_unknown_sizes_are_cut_as_they_come(self, rng):
        import tensorflow as tf

        x, y = batch(rng, rows=16)
        results = []
        for micro_batch_size in (None, 4):
            model = compiled(small_encoder(), micro_batch_size)
            dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
            history = model.fit(dataset, epochs=2, verbose=0).history
            results.append((history["loss"], model.get_weights()))
        np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-4)
        for cut, plain in zip(results[1][1], results[0][1], strict=True):
            np.testing.assert_allclose(cut, plain, atol=1e-4)

    def test_xla_is_not_chosen_for_it_on_a_gpu(self, monkeypatch):
        """As Keras does by itself for what XLA can compile."""
        import tensorflow as tf

        devices = [tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: devices)
        for micro_batch_size, expected in ((None, True), (4, False)):
            model = ContrastiveModel(
                small_encoder(),
                ProjectionHead(6, hidden_units=(8,)),
                micro_batch_size=micro_batch_size,
            )
            model.compile(optimizer="sgd", loss=SupConLoss())
            assert model.jit_compile == expected
        model.compile(optimizer="sgd", loss=SupConLoss(), jit_compile=True)
        assert model.jit_compile

    @pytest.mark.slow
    def test_xla_compiles_the_same_step(self, rng):
        x, y = batch(rng, rows=8)
        results = []
        for jit_compile in (False, True):
            model = compiled(small_encoder(keras.layers.BatchNormalization()), 4)
            model.compile(
                optimizer=keras.optimizers.SGD(0.1), loss=SupConLoss(), jit_compile=jit_compile
            )
            results.append(change_of_a_step(model, x, y))
        assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
        for plain, xla in zip(results[0][1], results[1][1], strict=True):
            np.testing.assert_allclose(xla, plain, atol=1e-4)

    @pytest.mark.slow
    def test_views_of_keras_cv_are_made_before(self, rng):
        """Its generators cannot be put back: the views are made once, for both passes."""
        import keras_cv

        linear = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, use_bias=False)]
        )
        augmenter = keras_cv.layers.RandomBrightness(0.5, value_range=(0, 255))
        model = compiled(
            linear,
            4,
            head=keras.layers.Identity(),
            loss=Quadratic(),
            rate=1e-6,
            augmenter=augmenter,
        )
        images = rng.random((8, 8, 8, 3)).astype("float32") * 255
        model.build(images.shape)
        kernel = ops.convert_to_numpy(linear.layers[-1].kernel).copy()
        loss, (change,) = change_of_a_step(model, images, np.zeros(8))
        assert np.sum(kernel * -change) == pytest.approx(2e-6 * loss, rel=1e-3)
