import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, NTXentLoss, ProjectionHead, SupConLoss
from keras_supcon.augmentation import MultiView, RandomResizedCrop, SimAugment
from keras_supcon.encoders import ResNet
from keras_supcon.losses import supcon_loss
from keras_supcon.metrics import ContrastiveAccuracy, PositivesPerAnchor
from keras_supcon.models.seed_states import fixed_seeds, seed_states
from tests.covering import representatives

pytestmark = pytest.mark.neutral


def small_encoder() -> keras.Model:
    """Makes a convolutional one with batch normalization."""
    convolution = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)
    layers = [
        convolution,
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
    ]
    return keras.Sequential(
        [keras.Input((8, 8, 1)), *layers, keras.layers.Dense(16, activation="relu")]
    )


def small_model(**options) -> ContrastiveModel:
    options.setdefault(
        "augmenter", RandomResizedCrop((8, 8), crop_area=(0.5, 1.0), flip_probability=0.0, seed=1)
    )
    return ContrastiveModel(
        small_encoder(), ProjectionHead(output_dim=8, hidden_units=(16,)), **options
    )


def test_training_without_a_loss_is_refused(rng):
    model = small_model()
    model.compile(optimizer="sgd")
    with pytest.raises(ValueError, match="`loss` should be given to `compile` of `ContrastiveMod"):
        model.fit(rng.integers(0, 256, (8, 8, 8, 1)), np.arange(8) % 2, verbose=0)


@keras.saving.register_keras_serializable(package="tests")
class AddOne(keras.layers.Layer):
    """Leaves traces that can be counted; without `training` it would act at inference too."""

    def call(self, images):
        return images + 1.0

    def compute_output_shape(self, input_shape):
        return input_shape


def test_training_makes_views_and_inference_one(digits):
    model = small_model(num_views=3)
    images = digits[0][:5]
    training = ops.convert_to_numpy(model(images, training=True))
    assert training.shape == (5, 3, 8)
    assert not np.allclose(training[:, 0], training[:, 1], atol=1e-3)
    inference = model(images, training=False)
    assert inference.shape == (5, 1, 8)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model(images)), ops.convert_to_numpy(inference)
    )


def test_views_made_before_pass_in_order_and_are_not_augmented(rng):
    model = small_model()
    views = rng.uniform(size=(4, 3, 8, 8, 1)).astype("float32")
    projections = ops.convert_to_numpy(model(views, training=False))
    assert projections.shape == (4, 3, 8)
    for v in range(3):
        one = model.projection_head(model.encoder(views[:, v], training=False))
        np.testing.assert_allclose(
            projections[:, v], ops.convert_to_numpy(one), rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
def test_the_loss_that_fit_reports_is_the_formula_on_the_projections(rng):
    model = small_model(augmenter=None)
    views, class_ids = rng.uniform(size=(8, 2, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 8)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=SupConLoss(0.2))
    reported = model.evaluate(views, class_ids, batch_size=8, verbose=0)
    expected = ops.convert_to_numpy(
        supcon_loss(class_ids, model(views, training=False), 0.2)
    ).mean()
    np.testing.assert_allclose(reported, expected, rtol=1e-5)


@pytest.mark.slow
def test_learns_to_separate_the_digits(digits):
    images, labels = digits[0][:512], digits[1][:512]
    model = small_model(
        augmenter=RandomResizedCrop((8, 8), crop_area=(0.7, 1.0), flip_probability=0.0, seed=1)
    )
    model.compile(optimizer=keras.optimizers.Adam(4e-3), loss=SupConLoss())
    history = model.fit(images, labels, batch_size=64, epochs=25, verbose=0).history["loss"]
    assert history[-1] < history[0] - 1
    z = ops.convert_to_numpy(model(images))[:, 0]
    similarity, same = z @ z.T, labels[:, None] == labels[None, :]
    assert similarity[same].mean() > similarity[~same].mean() + 0.4


@pytest.mark.slow
def test_trains_our_resnet_behind_our_policy_in_mixed_precision(digits):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder = ResNet(depth=10, width=1 / 64, stem="cifar")
        model = ContrastiveModel(
            encoder, ProjectionHead(8, hidden_units=(16,)), augmenter=SimAugment((8, 8), seed=1)
        )
        model.compile(optimizer="adam", loss=SupConLoss())
        losses = model.fit(
            digits[0][:32], digits[1][:32], batch_size=16, epochs=2, verbose=0
        ).history["loss"]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.all(np.isfinite(losses))


@pytest.mark.slow
def test_without_labels_every_image_is_its_own_class(digits):
    images = digits[0][:32]
    unlabelled, distinct = (small_model() for _ in range(2))
    for model in (unlabelled, distinct):
        keras.utils.set_random_seed(0)
        model.build((None, 8, 8, 1))
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=SupConLoss())
    distinct.set_weights(unlabelled.get_weights())
    losses = [unlabelled.fit(images, batch_size=32, shuffle=False, verbose=0).history["loss"]]
    losses.append(
        distinct.fit(images, np.arange(32), batch_size=32, shuffle=False, verbose=0).history["loss"]
    )
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [SupConLoss(), NTXentLoss()])
def test_evaluate_measures_the_loss_of_augmented_views_the_same_at_each_call(digits, loss):
    model = small_model()
    images = digits[0][:32]
    model.compile(optimizer="sgd", loss=loss)
    model.fit(
        images, batch_size=32, verbose=0
    )  # moves the averages of batch normalization and the seeds
    states = [*model.weights, *seed_states(model)]
    before = [ops.convert_to_numpy(state) for state in states]
    first, second = (model.evaluate(images, batch_size=32, verbose=0) for _ in range(2))
    assert first == second > 0.1
    for state, value in zip(states, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(state), value)
    with fixed_seeds(model.augmenter):
        views = ops.stack([model.augmenter(images, training=True) for _ in range(2)], axis=1)
    expected = loss(np.full(32, -1), model(views, training=False))
    np.testing.assert_allclose(first, float(ops.convert_to_numpy(expected)), rtol=1e-4)


@pytest.mark.slow
def test_training_goes_on_after_an_evaluation_as_if_there_had_been_none(digits):
    images, ends = digits[0][:32], []
    for validation in (None, (images, None)):
        keras.utils.set_random_seed(0)
        model = small_model()
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=NTXentLoss())
        model.fit(
            images, batch_size=16, epochs=2, shuffle=False, validation_data=validation, verbose=0
        )
        ends.append([*model.get_weights(), *map(ops.convert_to_numpy, seed_states(model))])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_evaluate_takes_the_plain_view_where_asked(digits):
    model = small_model(augment_in_evaluation=False)
    images, class_ids = digits[0][:32], digits[1][:32]
    model.compile(optimizer="sgd", loss=SupConLoss())
    loss = model.evaluate(images, class_ids, batch_size=32, verbose=0)
    np.testing.assert_allclose(
        loss, float(ops.mean(supcon_loss(class_ids, model.predict(images, verbose=0)))), rtol=1e-4
    )
    assert model.evaluate(images, batch_size=32, verbose=0) == 0


def test_embed_is_the_encoder_on_the_inference_form_of_the_images(digits):
    model = small_model(augmenter=SimAugment((8, 8), seed=1))
    images = digits[0][:4]
    expected = model.encoder(images.astype("float32"), training=False)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.embed(images)),
        ops.convert_to_numpy(expected),
        rtol=1e-4,
        atol=1e-6,
    )


def test_an_augmenter_without_a_training_argument_is_left_out_at_inference():
    encoder = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    model = ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()), augmenter=AddOne())
    head = model.projection_head
    images = np.ones((3, 2, 2, 1), "float32") * np.arange(3, dtype="float32")[:, None, None, None]
    flat = images.reshape(3, 4)
    inference, training = model(images, training=False), model(images, training=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(inference)[:, 0], ops.convert_to_numpy(head(flat)), rtol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(training)[:, 1], ops.convert_to_numpy(head(flat + 1)), rtol=1e-5
    )


def test_a_multi_view_makes_the_views_and_its_first_augmenter_the_inference_form(rng):
    encoder = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    halve = keras.layers.Rescaling(0.5)
    model = ContrastiveModel(
        encoder,
        ProjectionHead(4, hidden_units=()),
        augmenter=MultiView([AddOne(), RandomResizedCrop((2, 2)), halve]),
    )
    assert model.num_views == 3
    images = rng.uniform(size=(3, 2, 2, 1)).astype("float32")
    views = ops.convert_to_numpy(model(images, training=True))
    for v, view in ((0, images + 1), (2, images / 2)):
        expected = ops.convert_to_numpy(model.projection_head(view.reshape(3, 4)))
        np.testing.assert_allclose(views[:, v], expected, rtol=1e-5, atol=1e-6)
    inference = ops.convert_to_numpy(model(images))
    expected = ops.convert_to_numpy(model.projection_head(images.reshape(3, 4)))[:, None]
    np.testing.assert_allclose(inference, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.embed(images)), images.reshape(3, 4))


def test_trains_with_a_multi_view_and_comes_back_from_a_file(digits, tmp_path):
    encoder = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(8)]
    )
    augmenter = MultiView(
        [RandomResizedCrop((6, 6)), RandomResizedCrop((6, 6), crop_area=(0.5, 1.0))]
    )
    model = ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()), augmenter=augmenter)
    model.compile(optimizer="sgd", loss=SupConLoss())
    images, labels = digits[0][:32], digits[1][:32]
    model.fit(images, labels, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.crop_area for layer in again.augmenter.augmenters] == [(0.08, 1.0), (0.5, 1.0)]
    np.testing.assert_array_equal(
        again.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    assert model.predict(images, verbose=0).shape == (32, 1, 4)
    assert again(images, training=True).shape == (32, 2, 4)


def test_vectors_and_views_of_vectors_are_welcome_too(rng):
    encoder = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5), keras.layers.Dropout(0.5)]
    )
    model = ContrastiveModel(encoder, ProjectionHead(4, hidden_units=()))
    x = rng.normal(size=(8, 6)).astype("float32")
    views = ops.convert_to_numpy(model(x, training=True))
    assert views.shape == (8, 2, 4)
    assert not np.allclose(views[:, 0], views[:, 1])  # two dropout masks
    assert model(x[:, None, :].repeat(3, axis=1)).shape == (8, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"encoder": "resnet"},
            "`encoder` should be a Keras model or layer. Received: encoder='resnet'",
        ),
        ({"projection_head": 128}, "`projection_head` should be a Keras layer"),
        ({"augmenter": "simaugment"}, "`augmenter` should be a Keras layer"),
        (
            {"num_views": 0},
            "`num_views` should be a whole number of at least 1. Received: num_views=0",
        ),
        ({"num_views": 1.5}, "`num_views` should be"),
        (
            {"num_views": 2, "augmenter": MultiView(SimAugment(), num_views=3)},
            "`num_views` should be None or 3.*Received: num_views=2",
        ),
    ],
)
def test_refuses_arguments_of_another_kind(arguments, message):
    with pytest.raises(ValueError, match=message):
        ContrastiveModel(**{"encoder": ResNet(18, width=0.125), **arguments})


WRONG_LABELS = {
    "fractions": (np.array([0, 1, 0.5, 1]), "whole class ids"),
    "below -1": (np.array([0, 1, -2, 1]), "whole class ids"),
    "smoothed rows": (np.full((4, 2), 0.5), "one-hot rows"),
    "several ones": (np.ones((4, 3)), "one-hot rows"),
    "far below": (np.array([0, 1, -(2**32), 1]), "whole class ids"),
    "floats that float32 does not hold": (
        np.array([2.0**24, 2.0**24 + 1, 0, 1]),
        "above 2\\^24 as integers",
    ),
    "strings": (np.array(["cat", "dog", "cat", "dog"]), "StringLookup"),
}


@pytest.mark.parametrize("case", list(WRONG_LABELS))
def test_refuses_wrong_labels_before_training_also_where_xla_compiles_the_step(rng, case):
    labels, sentence = WRONG_LABELS[case]
    model, images = small_model(), rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    model.compile(
        optimizer="sgd", loss=SupConLoss(), jit_compile=keras.backend.backend() != "torch"
    )
    with pytest.raises(ValueError, match=sentence):
        model.fit(images, labels, verbose=0)
    with pytest.raises(ValueError, match=sentence):
        model.evaluate(images, labels, verbose=0)
    with pytest.raises(ValueError, match=sentence):
        model.fit(images, np.arange(4) % 2, validation_data=(images, labels), verbose=0)
    assert not model.built


class Batches(keras.utils.PyDataset):
    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 2

    def __getitem__(self, number):
        return self.batch


def batches_in(form, images, labels):
    if form == "PyDataset":
        return Batches(images, labels)
    if form == "generator":
        return (batch for batch in [(images, labels)] * 2)
    if form == "tf.data":
        import tensorflow as tf

        return tf.data.Dataset.from_tensors((images, labels))
    import torch

    pairs = list(zip(torch.from_numpy(images), torch.from_numpy(labels), strict=True))
    return torch.utils.data.DataLoader(pairs, batch_size=4)


FORMS = [
    "PyDataset",
    "generator",
    "tf.data" if keras.backend.backend() == "tensorflow" else "DataLoader",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", ["fractions", "below -1", "several ones"])
def test_refuses_wrong_labels_in_batches_also_where_xla_compiles_the_step(rng, case, form):
    labels, sentence = WRONG_LABELS[case]
    model, images = small_model(), rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    model.compile(
        optimizer="sgd", loss=SupConLoss(), jit_compile=keras.backend.backend() != "torch"
    )
    with pytest.raises(ValueError, match=sentence):
        model.fit(batches_in(form, images, labels), verbose=0)
    with pytest.raises(ValueError, match=sentence):
        model.evaluate(batches_in(form, images, labels), verbose=0)


def test_a_loss_in_a_list_is_checked_as_well(rng):
    model, images = small_model(), rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    model.compile(optimizer="sgd", loss=[SupConLoss()])
    with pytest.raises(ValueError, match="whole class ids"):
        model.fit(images, np.array([0, 1, -2, 1]), verbose=0)
    model.compile(
        optimizer="sgd",
        loss=[SupConLoss(ignore_class=-1)],
        run_eagerly=keras.backend.backend() != "jax",
    )
    with pytest.raises(ValueError, match="should have labels where the loss ignores"):
        model.fit(images, verbose=0)


@pytest.mark.slow
@representatives("form", ["generator"], [form for form in FORMS if form != "generator"])
def test_every_batch_is_trained_on_after_the_check(rng, form):
    model, images = small_model(), rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    model.compile(
        optimizer="sgd", loss=SupConLoss(), jit_compile=keras.backend.backend() != "torch"
    )
    model.fit(batches_in(form, images, np.arange(4) % 2), verbose=0)
    assert int(model.optimizer.iterations) == (2 if form in ("PyDataset", "generator") else 1)


@pytest.mark.slow
def test_every_batch_of_a_validation_generator_counts(rng):
    model, images = small_model(), rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    model.compile(
        optimizer="sgd", loss=SupConLoss(), jit_compile=keras.backend.backend() != "torch"
    )
    one = batches_in("generator", images, np.arange(4) % 2)
    validation = (batch for batch in [next(one)])
    history = model.fit(
        images, np.arange(4) % 2, 4, 1, 0, None, 0.0, validation, validation_steps=1
    ).history
    assert np.isfinite(history["val_loss"]).all()
    with pytest.raises(ValueError, match="whole class ids"):
        model.fit(images, np.arange(4) % 2, 4, 1, 0, None, 0.0, (images, np.array([0, 1, -2, 1])))


@pytest.mark.slow
def test_validation_data_may_be_images_alone(rng):
    model, images = small_model(), rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    model.compile(optimizer="sgd", loss=NTXentLoss())
    assert model.fit(images, validation_data=(images,), verbose=0).history["val_loss"][0] > 0


def test_refuses_images_alone_for_a_loss_that_ignores_them(rng):
    model, x = small_model(), rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    model.compile(optimizer="sgd", loss=SupConLoss(ignore_class=-1))
    with pytest.raises(
        ValueError, match="should have labels where the loss ignores.*Received: images alone"
    ):
        model.fit(x, verbose=0)
    assert model.evaluate(x, np.array([0, 0, 1, -1]), verbose=0) > 0


def test_a_loss_without_labels_takes_any(rng):
    model = small_model()
    model.compile(optimizer="sgd", loss=NTXentLoss())
    assert (
        model.evaluate(rng.integers(0, 256, (4, 8, 8, 1)), np.array([0.5, 1, 2, 3]), verbose=0) > 0
    )


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize(
    "metric", ["accuracy", keras.metrics.SparseCategoricalAccuracy(), {"projections": ["acc"]}]
)
def test_refuses_accuracy_of_class_scores_beside_a_contrastive_loss(digits, argument, metric):
    model = small_model()
    model.compile(
        optimizer="sgd",
        loss=SupConLoss(),
        **{argument: metric if isinstance(metric, dict) else [metric]},
    )
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=f"`{argument}` should compare projections"):
            method(digits[0][:8], digits[1][:8], verbose=0)


def test_takes_metrics_of_projections_by_any_name(digits):
    model = small_model()
    metrics = [ContrastiveAccuracy(name="accuracy"), PositivesPerAnchor(name="ce")]
    model.compile(optimizer="sgd", loss=SupConLoss(), metrics=metrics)
    assert {"accuracy", "ce"} < set(
        model.evaluate(digits[0][:8], digits[1][:8], verbose=0, return_dict=True)
    )


def test_refuses_an_encoder_that_does_not_pool():
    known = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(
        ValueError, match=r"shape \(batch, features\).*pooling='avg'.*Received: .*\(None, 6, 6, 4\)"
    ):
        ContrastiveModel(known)
    model = ContrastiveModel(keras.layers.Conv2D(4, 3))  # a layer that tells only when it is built
    model.compile(loss=SupConLoss())
    with pytest.raises(
        ValueError, match=r"shape \(batch, features\).*pooling='avg'.*Received: .*\(None, 6, 6, 4\)"
    ):
        model.fit(np.zeros((4, 8, 8, 1)), np.zeros(4), verbose=0)


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 64), (2, 2, 2, 8, 8, 1)])
def test_refuses_inputs_of_another_rank(shape):
    model = small_model()
    model.compile(loss=SupConLoss())
    with pytest.raises(ValueError, match=r"rank 4 or 5. Received: input_shape="):
        model.fit(np.zeros(shape), np.zeros(shape[0]), verbose=0)


def test_variables_are_in_the_order_of_earlier_checkpoints():
    """Encoder, head, augmenter: a checkpoint tells its variables apart by their order."""
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = ContrastiveModel(
        encoder, ProjectionHead(2, hidden_units=()), augmenter=keras.layers.GaussianNoise(0.1)
    )
    model.build((None, 4))
    shapes = [tuple(variable.shape) for variable in model.variables]
    assert shapes == [(4, 3), (3,), (3, 2), (2,)]  # the last one is a seed


@pytest.mark.slow
def test_a_batch_of_few_samples_is_a_single_micro_batch(rng):
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = ContrastiveModel(encoder, ProjectionHead(2, hidden_units=()), micro_batch_size=12)
    model.compile("sgd", SupConLoss())
    x = rng.normal(size=(12, 4)).astype("float32")
    assert np.isfinite(model.fit(x, np.arange(12) % 3, verbose=0).history["loss"][0])
