"""`class_weight` of `fit` is `sample_weight` by class, for every kind of data."""

import keras
import numpy as np
import pytest

import keras_supcon
from tests.models.methods import DIM, FEATURES, METHODS, ON_TENSORFLOW, dense_encoder, make, rows

pytestmark = pytest.mark.neutral

WEIGHTS = {0: 3.0, 2: 0.25}  # class 1, 3 and the unlabeled sample have the weight 1


def of_samples(labels: np.ndarray) -> np.ndarray:
    return np.array([WEIGHTS.get(int(label), 1.0) for label in labels], "float32")


class Batches(keras.utils.PyDataset):
    """Counts its epochs, as data sets with another order in each do."""

    def __init__(self, *parts, **kwargs):
        super().__init__(**kwargs)
        self._parts = parts
        self.epochs = 0

    def __len__(self):
        return 2

    def __getitem__(self, number):
        return tuple(part[4 * number : 4 * number + 4] for part in self._parts)

    def on_epoch_end(self):
        self.epochs += 1


def trained(model, *arguments, **options):
    options = {"shuffle": False, "verbose": 0, "epochs": 2, **options}
    losses = model.fit(*arguments, **options).history["loss"]
    return losses, [keras.ops.convert_to_numpy(one) for one in model.trainable_weights]


def assert_same(results, expected):
    np.testing.assert_allclose(results[0], expected[0], rtol=1e-5)
    for one, other in zip(results[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def supcon_model(run_eagerly=ON_TENSORFLOW, **options):
    keras.utils.set_random_seed(0)
    head = keras_supcon.ProjectionHead(DIM, hidden_units=())
    model = keras_supcon.ContrastiveModel(dense_encoder(batch_norm=False), head, **options)
    model.compile(
        keras.optimizers.SGD(0.1),
        keras_supcon.SupConLoss(0.5),
        weighted_metrics=[keras_supcon.metrics.PositivesPerAnchor()],
        run_eagerly=run_eagerly,
    )
    return model


@pytest.mark.parametrize("form", ["ids", "micro-batches", "a column", "floats", "one-hot"])
def test_arrays(form, rng):
    views, labels = rows(rng)
    options = {"micro_batch_size": 2} if form == "micro-batches" else {}
    y = {
        "ids": labels,
        "micro-batches": labels,
        "a column": labels[:, None],
        "floats": labels.astype("float32"),
        "one-hot": np.eye(4)[np.maximum(labels, 0)],
    }[form]
    weights = of_samples(labels if form != "one-hot" else np.maximum(labels, 0))
    expected = trained(supcon_model(**options), views, y, batch_size=4, sample_weight=weights)
    by_class = trained(supcon_model(**options), views, y, batch_size=4, class_weight=WEIGHTS)
    assert_same(by_class, expected)
    if form == "ids":
        unweighted = trained(supcon_model(), views, y, batch_size=4)
        assert not np.allclose(unweighted[0], by_class[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_of_any_backend(workers, rng):
    views, labels = rows(rng)
    # Elsewhere than on TensorFlow Keras gives the first batch last where there are two workers.
    weighted = Batches(views, labels, of_samples(labels), workers=workers)
    expected = trained(supcon_model(), weighted)
    batches = Batches(views, labels, workers=workers)
    assert_same(trained(supcon_model(), batches, class_weight=WEIGHTS), expected)
    assert batches.epochs == weighted.epochs


def test_a_generator(rng):
    views, labels = rows(rng)
    expected = trained(supcon_model(), Batches(views, labels, of_samples(labels)))

    def batches():
        for _ in range(2):
            yield from (Batches(views, labels)[number] for number in range(2))

    by_class = trained(supcon_model(), batches(), steps_per_epoch=2, class_weight=WEIGHTS)
    assert_same(by_class, expected)


@pytest.mark.parametrize("form", ["ids", "int8", "a column", "floats", "one-hot"])
def test_batches_of_tf_data(form, rng):
    tf = pytest.importorskip("tensorflow")
    views, labels = rows(rng)
    y = {
        "ids": labels,
        "int8": labels.astype("int8"),
        "a column": labels[:, None],
        "floats": labels.astype("float32"),
        "one-hot": np.eye(4)[np.maximum(labels, 0)],
    }[form]
    weights = of_samples(labels if form != "one-hot" else np.maximum(labels, 0))
    weighted = tf.data.Dataset.from_tensor_slices((views, y, weights)).batch(4)
    expected = trained(supcon_model(), weighted)
    plain = tf.data.Dataset.from_tensor_slices((views, y)).batch(4, drop_remainder=True)
    in_graph = supcon_model(run_eagerly=False)
    assert_same(trained(in_graph, plain, class_weight=WEIGHTS), expected)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="tf.distribute")
def test_replicas_train_as_one_device_does(rng, request):
    import tensorflow as tf

    views, labels = rows(rng)
    data = tf.data.Dataset.from_tensor_slices((views, labels)).batch(4, drop_remainder=True)
    expected = trained(
        supcon_model(), views, labels, batch_size=4, sample_weight=of_samples(labels)
    )
    with request.getfixturevalue("strategy").scope():
        model = supcon_model(run_eagerly=False)
    assert_same(trained(model, data, class_weight=WEIGHTS), expected)


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="tf.distribute")
@pytest.mark.parametrize("size", [7, 5])
def test_replicas_with_uneven_shares_train_as_one_device_does(size, rng, request):
    """A last batch of three or one: shares of two and one, or of one and none."""
    import tensorflow as tf

    views, labels = (part[:size] for part in rows(rng))
    data = tf.data.Dataset.from_tensor_slices((views, labels)).batch(4)
    expected = trained(
        supcon_model(), views, labels, batch_size=4, sample_weight=of_samples(labels)
    )
    with request.getfixturevalue("strategy").scope():
        model = supcon_model(run_eagerly=False)
    assert_same(trained(model, data, class_weight=WEIGHTS), expected)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="JAX always compiles by XLA, and PyTorch never")
def test_xla(rng):
    import tensorflow as tf

    views, labels = rows(rng)
    data = tf.data.Dataset.from_tensor_slices((views, labels)).batch(4, drop_remainder=True)
    expected = trained(
        supcon_model(), views, labels, batch_size=4, sample_weight=of_samples(labels)
    )
    model = supcon_model(run_eagerly=False)
    model.compile(keras.optimizers.SGD(0.1), keras_supcon.SupConLoss(0.5), jit_compile=True)
    assert_same(trained(model, data, class_weight=WEIGHTS), expected)


@pytest.mark.quickest
@pytest.mark.parametrize("name", METHODS)
def test_every_method(name, rng):
    views, labels = rows(rng)
    if name == "Co2L":
        labels = np.maximum(labels, 0) // 2 * 2
    options = {"batch_norm": False, "run_eagerly": ON_TENSORFLOW}
    expected = trained(
        make(name, **options), views, labels, batch_size=8, sample_weight=of_samples(labels)
    )
    by_class = trained(make(name, **options), views, labels, batch_size=8, class_weight=WEIGHTS)
    assert_same(by_class, expected)
    assert not np.allclose(
        trained(make(name, **options), views, labels, batch_size=8)[0], by_class[0]
    )


def classifier(loss="sparse_categorical_crossentropy"):
    keras.utils.set_random_seed(0)
    model = keras_supcon.LinearClassifier(dense_encoder(batch_norm=False), 4)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


def test_a_linear_classifier(rng):
    views, labels = rows(rng)
    x, labels = views[:, 0], np.maximum(labels, 0)
    weights = of_samples(labels)
    expected = trained(classifier(), x, labels, sample_weight=weights)
    assert_same(trained(classifier(), x, labels, class_weight=WEIGHTS), expected)
    smooth = 0.9 * np.eye(4)[labels] + 0.025  # the class of a row is that of its largest share
    cross_entropy = "categorical_crossentropy"
    expected = trained(classifier(cross_entropy), x, smooth, sample_weight=weights)
    assert_same(trained(classifier(cross_entropy), x, smooth, class_weight=WEIGHTS), expected)
    with pytest.raises(ValueError, match=r"below 4, the number of classes. .*classes \[4, 7\]"):
        classifier().fit(x, labels, class_weight={7: 1.0, 0: 1.0, 4: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="labels that name one class"):
        classifier("binary_crossentropy").fit(x, 1 - np.eye(4)[labels], class_weight=WEIGHTS)


def joint_model():
    return make("joint", batch_norm=False, run_eagerly=ON_TENSORFLOW)


@pytest.mark.parametrize("make_model", [supcon_model, joint_model, classifier])
def test_samples_set_apart_for_validation_are_not_weighed(make_model, rng):
    x, labels = rows(rng, 14)
    x, labels = (x[:, 0], np.maximum(labels, 0)) if make_model is classifier else (x, labels)
    options = {"batch_size": 4, "shuffle": False, "epochs": 2, "verbose": 0}
    # 14 * (1 - 0.3) = 9.8 samples are trained on, rounded down.
    expected = make_model().fit(
        x[:9],
        labels[:9],
        sample_weight=of_samples(labels[:9]),
        validation_data=(x[9:], labels[9:]),
        **options,
    )
    split = make_model().fit(x, labels, validation_split=0.3, class_weight=WEIGHTS, **options)
    assert split.history.keys() == expected.history.keys()
    for name, values in expected.history.items():
        np.testing.assert_allclose(split.history[name], values, rtol=1e-5, err_msg=name)
    heavy = dict.fromkeys(range(-1, 4), 10.0)
    model = make_model()
    model.optimizer.learning_rate.assign(0.0)
    for weights in (None, heavy):
        model.fit(x, labels, validation_split=0.3, class_weight=weights, **options)
        if weights is None:
            plain = model.history.history
    np.testing.assert_allclose(model.history.history["val_loss"], plain["val_loss"], rtol=1e-5)
    assert model.history.history["loss"][0] > 1.5 * plain["loss"][0]


def test_all_samples_are_weighed_where_validation_has_data_of_its_own(rng):
    views, labels = rows(rng)
    expected = trained(supcon_model(), views, labels, sample_weight=of_samples(labels))
    options = {"validation_split": 0.5, "validation_data": (views, labels)}
    assert_same(trained(supcon_model(), views, labels, class_weight=WEIGHTS, **options), expected)


def test_unlabeled_samples_have_the_weight_of_their_id(rng):
    views, labels = rows(rng)
    weights = of_samples(labels) * np.where(labels < 0, 7, 1)
    expected = trained(supcon_model(), views, labels, batch_size=8, sample_weight=weights)
    by_class = trained(
        supcon_model(), views, labels, batch_size=8, class_weight={**WEIGHTS, -1: 7.0}
    )
    assert_same(by_class, expected)


def test_a_single_batch(rng):
    views, labels = rows(rng)
    expected = supcon_model().train_on_batch(views, labels, of_samples(labels))
    np.testing.assert_allclose(
        supcon_model().train_on_batch(views, labels, class_weight=WEIGHTS), expected, rtol=1e-5
    )
    with pytest.raises(ValueError, match="`class_weight` should be None for data with weights"):
        supcon_model().train_on_batch(views, labels, of_samples(labels), WEIGHTS)
    with pytest.raises(ValueError, match="`class_weight` should be None for data without labels"):
        supcon_model().train_on_batch(views, class_weight=WEIGHTS)


@pytest.mark.parametrize("kind", ["multi_label", "any", "overlap", "soft", "hierarchy"])
def test_labels_that_name_no_single_class_are_refused(kind, rng):
    views, labels = rows(rng)
    rows_of_labels = np.eye(4)[labels].astype("int32")
    model = supcon_model()
    model.compile("sgd", keras_supcon.SupConLoss(positives=kind))
    for data in ((views, rows_of_labels), (Batches(views, rows_of_labels),)):
        with pytest.raises(ValueError, match=f"name no single class .*positives='{kind}'"):
            model.fit(*data, class_weight=WEIGHTS, verbose=0)
    with pytest.raises(ValueError, match="name no single class"):
        model.train_on_batch(views, rows_of_labels, class_weight=WEIGHTS)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ([1.0, 2.0], "should be a dictionary from class ids"),
        ("balanced", "should be a dictionary from class ids"),
        ({"cat": 1.0}, "should be a dictionary from class ids"),
        ({0.5: 1.0}, "should be a dictionary from class ids"),
        ({0: -1.0}, r"`class_weight\[0\]` should be a number of at least 0"),
        ({3: float("nan")}, r"`class_weight\[3\]` should be a number of at least 0"),
        ({3: "2"}, r"`class_weight\[3\]` should be a number of at least 0"),
    ],
)
def test_wrong_weights_are_refused(class_weight, message, rng):
    for model in (supcon_model(), classifier()):
        with pytest.raises(ValueError, match=message):
            model.fit(*rows(rng), class_weight=class_weight, verbose=0)


def test_data_that_weights_do_not_go_with_are_refused(rng):
    views, labels = rows(rng)
    weights = of_samples(labels)
    with_weights = "`class_weight` should be None for data with weights"
    without_labels = "`class_weight` should be None for data without labels"
    with pytest.raises(ValueError, match=with_weights):
        supcon_model().fit(views, labels, sample_weight=weights, class_weight=WEIGHTS)
    with pytest.raises(ValueError, match=with_weights):
        supcon_model().fit(Batches(views, labels, weights), class_weight=WEIGHTS)
    with pytest.raises(ValueError, match=without_labels):
        supcon_model().fit(Batches(views), class_weight=WEIGHTS)
    generator = (part for part in [(views, labels, weights)])
    with pytest.raises(ValueError, match=with_weights):
        supcon_model().fit(generator, class_weight=WEIGHTS, verbose=0)
    tf = pytest.importorskip("tensorflow")
    for parts, message in (
        ((views, labels, weights), with_weights),
        ((views,), without_labels),
        ((views, {"a": labels}), "labels that name one class"),
        ((views, np.zeros((8, 3, 3))), "labels that name one class"),
    ):
        with pytest.raises(ValueError, match=message):
            supcon_model().fit(
                tf.data.Dataset.from_tensor_slices(parts).batch(4), class_weight=WEIGHTS
            )


@pytest.mark.parametrize("bad", [np.full((8, 4), 0.5), np.arange(8) + 0.5], ids=["sets", "halves"])
def test_a_batch_of_tf_data_with_other_labels_ends_training(bad, rng):
    tf = pytest.importorskip("tensorflow")
    x = rng.normal(size=(8, FEATURES)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, bad)).batch(4)
    with pytest.raises(Exception, match="labels that name one class"):
        classifier("mse" if bad.ndim == 2 else "sparse_categorical_crossentropy").fit(
            data, class_weight=WEIGHTS, verbose=0
        )
