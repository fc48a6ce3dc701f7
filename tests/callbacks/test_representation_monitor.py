"""Figures of the geometry of an embedding, and what they say in words."""

import itertools
import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import ContrastiveModel, SupConLoss
from keras_supcon import evaluation as scores
from keras_supcon.callbacks import RepresentationMonitor
from keras_supcon.callbacks.diagnosis import (
    CHANCE_DEVIATIONS,
    chance_accuracy,
    class_alignment,
    diagnose,
    measure_representation,
    nearest_neighbor_accuracy,
)
from keras_supcon.evaluation.search import normalize_rows
from tests.callbacks.small_training import BACKEND, images

pytestmark = [
    pytest.mark.neutral,
    pytest.mark.usefixtures("eager_functions"),
    pytest.mark.filterwarnings(
        "ignore:Even though the `tf.config.experimental_run_functions_eager"
    ),
]

CLASSES, DIM, NUMBER = 4, 16, 200
LABELS = np.arange(NUMBER) % CLASSES


class Table(keras.layers.Layer):
    """An encoder whose features are the rows of a table, by the number that an image is."""

    def __init__(self, rows):
        super().__init__()
        self.table = self.add_weight(shape=rows.shape, initializer="zeros", trainable=False)
        self.table.assign(rows)
        self.built = True

    def call(self, numbers):
        return ops.take(self.table, ops.cast(numbers[:, 0], "int32"), axis=0)


def rows_of(kind):
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CLASSES, DIM))
    healthy = centers[LABELS] + 0.7 * rng.normal(size=(NUMBER, DIM))
    if kind == "constant":
        return np.ones((NUMBER, DIM))
    if kind == "almost constant":
        return np.ones((NUMBER, DIM)) + 0.01 * healthy
    if kind == "random":
        return rng.normal(size=(NUMBER, DIM))
    if kind == "a point for each class":
        return centers[LABELS] + 0.01 * rng.normal(size=(NUMBER, DIM))
    if kind == "few units":
        return healthy * (np.arange(DIM) < 6)
    return healthy


DIAGNOSES = {
    "constant": ("collapsed",),
    "almost constant": ("collapsed",),
    "random": ("chance level",),
    "a point for each class": ("class-collapsed",),
    "few units": ("dead dimensions",),
    "healthy": (),
}


def monitor_of(table, **options):
    data = np.arange(NUMBER, dtype="float32")[:, None], LABELS
    return RepresentationMonitor(data, encoder=table, **options)


def watch(monitor, epochs=1, callbacks=()):
    """Returns the warnings of a training of another model."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        monitor.history = model.fit(
            np.ones((2, 2)), np.ones(2), epochs=epochs, callbacks=[*callbacks, monitor], verbose=0
        ).history
    told = [str(one.message) for one in caught if "RepresentationMonitor" in str(one.message)]
    return [message.removeprefix("RepresentationMonitor: ") for message in told]


@pytest.mark.parametrize("kind", list(DIAGNOSES))
def test_says_in_words_what_is_wrong_with_an_encoder(kind):
    monitor = monitor_of(Table(rows_of(kind)))
    told = watch(monitor)
    assert monitor.diagnosis == DIAGNOSES[kind]
    assert len(told) == len(DIAGNOSES[kind])
    for name, message in zip(DIAGNOSES[kind], told, strict=True):
        assert message.startswith(f"after epoch 1, {name}: ")
        assert "{" not in message


def test_says_it_once_until_it_changes():
    table = Table(rows_of("random"))
    kinds = ["random", "random", "constant", "constant", "healthy", "random"]
    switch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: table.table.assign(rows_of(kinds[epoch]))
    )
    monitor = monitor_of(table)
    told = watch(monitor, epochs=len(kinds), callbacks=[switch])
    beginnings = [message.partition(":")[0] for message in told]
    assert beginnings == [
        "after epoch 1, chance level",
        "after epoch 3, collapsed",
        "after epoch 6, chance level",
    ]


def test_stops_when_asked_after_so_many_in_a_row():
    table = Table(rows_of("random"))
    kinds = ["constant", "healthy", "constant", "constant", "constant", "constant"]
    switch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: table.table.assign(rows_of(kinds[epoch]))
    )

    def epochs(**options):
        monitor = monitor_of(table, **options)
        told = watch(monitor, epochs=6, callbacks=[switch])
        assert (f"training ends after epoch {len(monitor.history['loss'])}: collapsed" in told) == (
            len(monitor.history["loss"]) < 6
        )
        return len(monitor.history["loss"])

    assert epochs(stop_on=["collapsed"]) == 1
    assert epochs(stop_on=["chance level", "collapsed"], patience=2) == 4
    assert epochs(stop_on=["chance level"]) == 6
    assert epochs() == 6


@pytest.mark.filterwarnings("ignore:RepresentationMonitor")
def test_a_training_that_diverges_can_be_stopped():
    table = Table(np.full((NUMBER, DIM), np.nan))
    monitor = monitor_of(table, stop_on=["not finite"])
    watch(monitor, epochs=3)
    assert monitor.diagnosis == ("not finite",)
    assert len(monitor.history["loss"]) == 1


def test_a_healthy_encoder_of_digits_has_no_diagnosis(digits):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    layers += [keras.layers.Dense(width, activation="relu") for width in (64, 32)]
    encoder = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    model = ContrastiveModel(encoder, num_views=1)
    model.compile(
        optimizer="adam", loss=SupConLoss(), run_eagerly=BACKEND == "tensorflow", jit_compile=False
    )
    x, y = (array[:1024] for array in digits)
    monitor = RepresentationMonitor((x, y))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "RepresentationMonitor")
        history = model.fit(x, y, batch_size=256, epochs=3, callbacks=[monitor], verbose=0)
    assert monitor.diagnosis == ()
    assert history.history["nearest_neighbor_accuracy"][-1] > 0.8
    assert monitor.measured.labels.shape == (1024,)


def test_figures_are_those_of_their_functions(rng):
    rows = rng.normal(size=(NUMBER, DIM)) + 1
    figures, unit = measure_representation(rows, LABELS), normalize_rows(rows)
    assert figures["effective_rank"] == scores.effective_rank(rows)
    for name in ("uniformity", "embedding_std", "mean_cosine", "dead_dimensions"):
        assert figures[name] == getattr(scores, name)(unit)
    ratio = scores.within_class_variance_ratio(unit, LABELS)
    assert figures["within_class_variance_ratio"] == ratio
    # All figures but the rank are of directions.
    scaled = measure_representation(rows * rng.uniform(0.5, 5, size=(NUMBER, 1)), LABELS)
    for name in figures.keys() - {"effective_rank"}:
        assert scaled[name] == pytest.approx(figures[name], rel=1e-4, abs=1e-6)


def test_alignment_is_that_of_all_pairs_of_a_class(rng):
    rows, labels = rng.normal(size=(30, 5)), rng.integers(0, 6, size=30)
    labels[0] = 99  # alone
    pairs = [(i, j) for i, j in itertools.combinations(range(30), 2) if labels[i] == labels[j]]
    first, second = np.array(pairs).T
    expected = scores.alignment(rows[first], rows[second])
    assert class_alignment(rows, labels) == pytest.approx(expected, rel=1e-12)
    assert class_alignment(np.ones((4, 2)) / 3, np.array([0, 0, 1, 1])) == 0
    assert np.isnan(class_alignment(rows[:2], np.array([0, 1])))


def test_neighbors_are_never_the_image_itself(rng):
    rows = normalize_rows(rng.normal(size=(60, 3)))
    labels = rng.integers(0, 3, size=60)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    assert nearest_neighbor_accuracy(rows, labels) == (labels[cosines.argmax(1)] == labels).mean()
    # Twins of other classes.
    twins = np.repeat(rows[:10], 2, axis=0)
    assert nearest_neighbor_accuracy(twins, np.arange(20) % 2) == 0
    # Of equal rows any is the nearest one, and the accuracy is that of a guess.
    assert nearest_neighbor_accuracy(np.ones((40, 2)), LABELS[:40]) <= chance_accuracy(LABELS[:40])


def test_chance_is_the_share_of_the_largest_class(rng):
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    assert chance_accuracy(labels) == 0.7
    figures = measure_representation(rng.normal(size=(100, 8)), labels)
    limit = 0.7 + CHANCE_DEVIATIONS * np.sqrt(0.7 * 0.3 / 100)
    above = {**figures, "nearest_neighbor_accuracy": limit + 1e-6}
    below = {**figures, "nearest_neighbor_accuracy": limit - 1e-6}
    assert "chance level" not in diagnose(above, labels)
    assert "chance level" in diagnose(below, labels)


def test_measures_at_most_so_many_images():
    data = images(60)
    whole, part = RepresentationMonitor(data), RepresentationMonitor(data, max_images=20, seed=1)
    assert (len(whole.measured), len(part.measured)) == (60, 20)
    again = RepresentationMonitor(data, max_images=20, seed=1)
    np.testing.assert_array_equal(part.measured.images, again.measured.images)
    with pytest.raises(ValueError, match="`max_images` should leave images of at least two class"):
        RepresentationMonitor((data[0], np.arange(60) // 59), max_images=2)
