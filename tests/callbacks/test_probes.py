"""Figures of the embedding in the logs, from a training that does not notice."""

import csv
import warnings

import keras
import numpy as np
import pytest

from keras_supcon.callbacks import (
    EmbeddingMap,
    EmbeddingProjector,
    KNNProbe,
    LinearProbe,
    RepresentationMonitor,
)
from keras_supcon.callbacks.labeled_data import read_labeled
from keras_supcon.evaluation import embed
from keras_supcon.evaluation.protocols.knn import knn_evaluation
from keras_supcon.evaluation.protocols.linear import linear_evaluation
from keras_supcon.evaluation.protocols.logistic_regression import Standardizer, fit_probe
from tests.callbacks.small_training import (
    BACKEND,
    NoiseAlways,
    draws,
    fit,
    images,
    make_model,
    state,
)
from tests.covering import every_value

pytestmark = [
    pytest.mark.neutral,
    pytest.mark.usefixtures("eager_functions"),
    pytest.mark.filterwarnings(
        "ignore:Even though the `tf.config.experimental_run_functions_eager"
    ),
]

TRAIN, TEST = images(40, seed=1), images(21, seed=2)
CALLBACKS = {
    "KNNProbe": lambda folder, **options: KNNProbe(TRAIN, TEST, num_neighbors=5, **options),
    "LinearProbe": lambda folder, **options: LinearProbe(TRAIN, TEST, **options),
    "RepresentationMonitor": lambda folder, **options: RepresentationMonitor(TRAIN, **options),
    "EmbeddingMap": lambda folder, **options: EmbeddingMap(TRAIN, folder / "maps", **options),
    "EmbeddingProjector": lambda folder, **options: EmbeddingProjector(
        TRAIN, folder / "projector", **options
    ),
}
every_callback = pytest.mark.parametrize("name", list(CALLBACKS))


def layers_that_draw():
    return [keras.layers.Dropout(0.3), keras.layers.GaussianNoise(0.1, seed=3), NoiseAlways()]


@every_callback
@pytest.mark.filterwarnings("ignore:RepresentationMonitor")
def test_training_does_not_notice(name, tmp_path):
    def run(watched):
        model = make_model(layers_that_draw)
        callbacks = [CALLBACKS[name](tmp_path, every=1)] if watched else []
        history = fit(model, callbacks, epochs=2).history
        return history["loss"], state(model), draws()

    assert run(watched=True) == run(watched=False)


def test_figures_are_those_of_the_protocols():
    probes = [
        KNNProbe(TRAIN, TEST, num_neighbors=7, temperature=0.2, batch_size=16),
        LinearProbe(TRAIN, TEST, regularization=0.01),
        LinearProbe(TRAIN, TEST, regularization=None, name="chosen", seed=3),
    ]
    model = make_model()
    first = []
    remember = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epoch or first.append(model.get_weights())
    )
    history = fit(model, [*probes, remember]).history

    def expected():
        rows, labels = embed(model, TRAIN)
        split = rows, labels, *embed(model, TEST)
        probe = fit_probe(rows, labels, 0.01, Standardizer(rows))
        return [
            knn_evaluation(*split, num_neighbors=7, temperature=0.2).accuracy,
            (probe.predict(split[2]) == split[3]).mean(),
            linear_evaluation(*split, seed=3).accuracy,
        ]

    names = ["knn_accuracy", "linear_accuracy", "chosen"]
    assert [history[name][-1] for name in names] == pytest.approx(expected())
    assert probes[0].figures == {"knn_accuracy": history["knn_accuracy"][-1]}
    # Those of the first epoch are of the weights of then, on JAX too, where steps hold the state.
    model.set_weights(first[0])
    assert [history[name][0] for name in names] == pytest.approx(expected())
    assert history["knn_accuracy"][-1] > 0.5  # chance is a third


class Falling(KNNProbe):
    """Gives figures of a known order."""

    def measure(self, epoch, train, test):
        return {self.name: [0.5, 0.9, 0.8, 0.7, 0.6, 0.5][epoch]}


def test_other_callbacks_see_the_figures(tmp_path):
    model, probe = make_model(), Falling(TRAIN, TEST)
    stopping = keras.callbacks.EarlyStopping(
        "knn_accuracy", mode="max", patience=2, restore_best_weights=True
    )
    writer = keras.callbacks.CSVLogger(tmp_path / "epochs.csv")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*which is not available")  # of a missing figure
        history = fit(model, [probe, writer, stopping], epochs=6).history
    assert history["knn_accuracy"] == [0.5, 0.9, 0.8, 0.7]
    assert stopping.best_epoch == 1
    with open(tmp_path / "epochs.csv") as file:
        assert [float(row["knn_accuracy"]) for row in csv.DictReader(file)] == [0.5, 0.9, 0.8, 0.7]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorBoard's files are TensorFlow's")
def test_tensorboard_sees_the_figures(tmp_path):
    import tensorflow as tf

    board = keras.callbacks.TensorBoard(tmp_path)
    fit(make_model(), [Falling(TRAIN, TEST), board], epochs=2)
    values = {}
    for path in tmp_path.glob("train/*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == "epoch_knn_accuracy":
                    values[event.step] = float(tf.make_ndarray(value.tensor))
    assert values == pytest.approx({0: 0.5, 1: 0.9})


def test_measures_the_first_epoch_each_interval_and_the_last():
    class Counts(KNNProbe):
        def measure(self, epoch, train, test):
            return {self.name: float(epoch)}

    def seen(epochs, every, **options):
        probe = Counts(TRAIN, TEST, every=every)
        return fit(model, [probe], epochs=epochs, **options).history["knn_accuracy"]

    model = make_model()
    assert seen(8, 3) == [0, 0, 2, 2, 2, 5, 5, 7]
    assert seen(7, 3, initial_epoch=3) == [3, 3, 5, 6]
    probe = Counts(TRAIN, TEST, every=100)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1)
    )
    assert fit(model, [stop, probe], epochs=9).history["knn_accuracy"] == [0, 1]
    # A second training begins anew.
    assert fit(model, [probe], epochs=2).history["knn_accuracy"] == [0, 1]


def test_several_probes_have_their_own_names():
    probes = [
        KNNProbe(TRAIN, TEST, num_neighbors=1, name="nearest"),
        KNNProbe(TRAIN, TEST, name="all"),
        RepresentationMonitor(TRAIN, prefix="train_"),
        RepresentationMonitor(TEST, prefix="test_"),
    ]
    history = fit(make_model(), probes, epochs=1).history
    assert {"loss", "nearest", "all", "train_alignment", "test_alignment"} <= {*history}
    assert history["train_alignment"] != history["test_alignment"]


@every_callback
def test_a_training_that_diverges_goes_on(name, tmp_path):
    model, probe = make_model(), CALLBACKS[name](tmp_path, every=1)

    def break_weights(epoch, logs):
        if epoch == 1:
            model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])

    breaking = keras.callbacks.LambdaCallback(on_epoch_end=break_weights)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(model, [breaking, probe], epochs=4).history
    told = [str(one.message) for one in caught if "not finite" in str(one.message)]
    assert len(told) == 1
    assert f"{name}: after epoch 2" in told[0]
    for figure in probe.names:
        assert np.isfinite(history[figure][0])
        assert np.isnan(history[figure][1:]).all()
    for folder in tmp_path.iterdir():
        assert not list(folder.glob("epoch-0002*"))
        assert list(folder.glob("epoch-0001*"))


@every_callback
def test_a_model_of_ones_own_needs_an_encoder(name, tmp_path):
    def classifier():
        keras.utils.set_random_seed(3)
        layers = [keras.layers.Flatten(), keras.layers.Dense(6, activation="relu")]
        model = keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Dense(3)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer="sgd", loss=loss, run_eagerly=BACKEND == "tensorflow")
        return model

    model = classifier()
    untrained = model.get_weights()
    with pytest.raises(
        ValueError, match=rf"`encoder` of {name} should be given.*Received: encoder=None for a Seq"
    ):
        fit(model, [CALLBACKS[name](tmp_path)])
    for before, after in zip(untrained, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    encoder = keras.Model(model.inputs, model.layers[-2].output)
    probe = CALLBACKS[name](tmp_path, encoder=encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # six features may be dead
        fit(model, [probe], epochs=1)
    if name == "KNNProbe":
        expected = knn_evaluation(*embed(encoder, TRAIN), *embed(encoder, TEST), num_neighbors=5)
        assert probe.figures["knn_accuracy"] == expected.accuracy


def test_outputs_that_are_no_features_are_refused_before_training():
    model = make_model()
    for outputs, message in (
        (keras.layers.Softmax(), "outputs are probabilities"),
        (keras.layers.Reshape((2, 4)), "outputs of shape \\(batch, features\\)"),
    ):
        encoder = keras.Sequential([model.encoder, outputs])
        steps = []
        count = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, steps=steps: steps.append(batch)
        )
        with pytest.raises(ValueError, match=message):
            fit(model, [KNNProbe(TRAIN, TEST, encoder=encoder), count])
        assert not steps


def test_batches_are_read_once_and_give_what_arrays_give():
    reads = []

    def batches():
        reads.append(1)
        for start in range(0, 40, 16):
            yield TRAIN[0][start : start + 16], TRAIN[1][start : start + 16]

    probe = KNNProbe(batches(), TEST, num_neighbors=5)
    whole = KNNProbe(TRAIN, TEST, num_neighbors=5, name="whole")
    history = fit(make_model(), [probe, whole]).history
    assert history["knn_accuracy"] == history["whole"]
    assert reads == [1]

    class Indexed(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return TRAIN[0][20 * index :][:20], TRAIN[1][20 * index :][:20, None]

    data = read_labeled("data", Indexed())
    np.testing.assert_array_equal(data.images, TRAIN[0])
    np.testing.assert_array_equal(data.labels, TRAIN[1])
    tree = {"image": TRAIN[0], "id": np.arange(40)}
    part = read_labeled("data", (tree, TRAIN[1])).at_most(10, seed=0)
    assert len(part) == 10
    np.testing.assert_array_equal(part.images["image"], TRAIN[0][part.images["id"]])
    np.testing.assert_array_equal(part.labels, TRAIN[1][part.images["id"]])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data")
def test_takes_data_of_tensorflow():
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(TRAIN).batch(7)
    np.testing.assert_array_equal(read_labeled("data", batches).labels, TRAIN[1])
    with pytest.raises(ValueError, match="`train` should end. Received: a data set that repeats"):
        KNNProbe(batches.repeat(), TEST)


ONE_CLASS = (TRAIN[0], np.zeros(40, int))
WRONG = {
    "no data": (lambda: KNNProbe(3, TEST), "`train` should be a pair of arrays"),
    "no batch": (lambda: KNNProbe([], TEST), "`train` should yield at least one batch"),
    "batches of images": (
        lambda: KNNProbe([TRAIN[0]], TEST),
        r"`train` should yield batches \(images, labels\)",
    ),
    "shapes": (
        lambda: KNNProbe([TRAIN, (TRAIN[0][:, :2], TRAIN[1])], TEST),
        "`train` should yield images of one shape and class ids",
    ),
    "lengths": (
        lambda: KNNProbe((TRAIN[0], TRAIN[1][:-1]), TEST),
        "`train` should have a label for each image",
    ),
    "one-hot": (
        lambda: KNNProbe(TRAIN, (TEST[0], np.eye(3)[TEST[1]])),
        r"`test\[1\]` should be class ids",
    ),
    "one class": (lambda: LinearProbe(ONE_CLASS, TEST), "`train` should have images of at least"),
    "unlabeled": (
        lambda: RepresentationMonitor((TRAIN[0], TRAIN[1] - 1)),
        "`data` should have images of at least two classes, with ids of at least 0",
    ),
    "missing class": (
        lambda: KNNProbe(TRAIN, (TEST[0], TEST[1] + 1)),
        r"`train\[1\]` should have the classes of `test\[1\]`. Received: no image of class 3",
    ),
    "every": (lambda: KNNProbe(TRAIN, TEST, every=0), "`every` should be a whole number"),
    "batch_size": (lambda: KNNProbe(TRAIN, TEST, batch_size=0.5), "`batch_size` should be a whole"),
    "encoder": (lambda: KNNProbe(TRAIN, TEST, encoder="resnet"), "`encoder` should be a Keras"),
    "num_neighbors": (lambda: KNNProbe(TRAIN, TEST, 0), "`num_neighbors` should be a whole number"),
    "temperature": (lambda: KNNProbe(TRAIN, TEST, 5, 0), "`temperature` should be a positive"),
    "name": (lambda: KNNProbe(TRAIN, TEST, name=""), "`name` should be a string for the logs"),
    "regularization": (
        lambda: LinearProbe(TRAIN, TEST, regularization=-1),
        "`regularization` should be a positive number. Received: regularization=-1",
    ),
    "stop_on": (
        lambda: RepresentationMonitor(TRAIN, stop_on=["colapsed"]),
        "`stop_on` should be a list of some of",
    ),
    "stop_on is a text": (
        lambda: RepresentationMonitor(TRAIN, stop_on="collapsed"),
        "`stop_on` should be a list of some of",
    ),
    "no stop_on": (
        lambda: RepresentationMonitor(TRAIN, stop_on=None),
        "`stop_on` should be a list",
    ),
    "patience": (lambda: RepresentationMonitor(TRAIN, patience=0), "`patience` should be a whole"),
    "prefix": (lambda: RepresentationMonitor(TRAIN, prefix=3), "`prefix` should be a string"),
    "max_images": (lambda: RepresentationMonitor(TRAIN, max_images=1), "`max_images` should be"),
    "seed": (lambda: RepresentationMonitor(TRAIN, seed=0.5), "`seed` should be a whole number"),
}


@every_value(case=list(WRONG))
def test_wrong_arguments_are_refused_at_once(case):
    make, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        make()


def test_missing_packages_are_named_at_once(monkeypatch):
    from keras_supcon import extras

    monkeypatch.setitem(extras.sys.modules, "sklearn", None)
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ImportError, match=r"`LinearProbe` needs sklearn.*keras-supcon\[report\]"):
        LinearProbe(TRAIN, TEST)
