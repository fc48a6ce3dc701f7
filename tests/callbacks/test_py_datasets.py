"""`Checkpoint.fit` with every kind of `PyDataset`: whole epochs in order, from any position."""

import keras
import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.callbacks import Checkpoint, Position

pytestmark = pytest.mark.neutral

EPOCHS, STEPS, BATCH = 3, 5, 4
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
X = np.random.default_rng(0).normal(size=(STEPS * BATCH, 3)).astype("float32")
Y = np.arange(len(X)) % 2


class Batches(keras.utils.PyDataset):
    """A single epoch, in another order each, that writes down what is done to it."""

    def __init__(self, epoch=0, **kwargs):
        super().__init__(**kwargs)
        self.epoch, self.events, self.read = epoch, [], []

    def __len__(self):
        return STEPS

    def __getitem__(self, number):
        self.read.append((self.epoch, number))
        return batch_of(self.epoch, number)

    def on_epoch_begin(self):
        self.events.append(("begin", self.epoch, len(self.read)))

    def on_epoch_end(self):
        self.events.append(("end", self.epoch, len(self.read)))
        self.epoch += 1


class AllEpochs(Batches):
    """The batches of all epochs from a position on."""

    def __init__(self, start, **kwargs):
        super().__init__(**kwargs)
        self._done = start.epoch * STEPS + start.batch

    def __len__(self):
        return EPOCHS * STEPS - self._done

    def __getitem__(self, number):
        self.read.append(divmod(self._done + number, STEPS))
        return batch_of(*self.read[-1])


class Endless(AllEpochs):
    """Batches without an end from a position on."""

    @property
    def num_batches(self):
        return None


def batch_of(epoch, number):
    order = np.random.default_rng(epoch).permutation(len(X))
    rows = order[BATCH * number : BATCH * (number + 1)]
    return X[rows], Y[rows]


def balanced(**options):
    return data.balanced_batches((X, Y), 2, BATCH // 2, **options)


# What gives a data set from a position on, and the batch of an epoch and number.
KINDS = {
    "one epoch": (lambda start, **options: Batches(start.epoch, **options), batch_of),
    "all epochs": (AllEpochs, batch_of),
    "endless": (Endless, batch_of),
    "balanced": (
        lambda start, **options: balanced(epoch=start.epoch, **options),
        lambda epoch, number: balanced(epoch=epoch)[number],
    ),
    "balanced, all epochs": (
        lambda start, **options: balanced(epochs=EPOCHS, start=start, **options),
        lambda epoch, number: balanced(epoch=epoch)[number],
    ),
}


def model(seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    options = {"run_eagerly": ON_TENSORFLOW, "metrics": ["mae"], **options}
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", **options)
    return model


def weights(model):
    return [keras.ops.convert_to_numpy(one) for one in model.weights]


def step_by_step(batch_at, numbers=range(EPOCHS * STEPS), **options):
    """Returns the weights after a step on each batch in order."""
    one = model()
    for number in numbers:
        one.train_on_batch(*batch_at(*divmod(number, STEPS)), **options)
    return weights(one)


def assert_same(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


class Count(keras.callbacks.Callback):
    """Counts steps, and may end training as a kill does."""

    def __init__(self, kill_after=None):
        super().__init__()
        self.steps, self._kill_after = 0, kill_after

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self._kill_after:
            raise KeyboardInterrupt


def fit(directory, trained, dataset, epochs=EPOCHS, kill_after=None, callbacks=(), **options):
    """Trains, and returns the number of steps and the history."""
    count = Count(kill_after)
    history = Checkpoint(directory, save_freq=1).fit(
        trained, dataset, epochs, STEPS, callbacks=[count, *callbacks], verbose=0, **options
    )
    return count.steps, history


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_epoch_takes_a_step_on_each_of_its_batches(kind, workers, tmp_path):
    make, batch_at = KINDS[kind]
    trained = model()
    steps, history = fit(tmp_path, trained, lambda start: make(start, workers=workers))
    assert (steps, history.epoch) == (EPOCHS * STEPS, [0, 1, 2])
    assert_same(weights(trained), step_by_step(batch_at))


@pytest.mark.parametrize("kill_after", [3, 5, 7, 14])
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_training_goes_on_at_its_batch(kind, kill_after, tmp_path):
    make, batch_at = KINDS[kind]
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, model(), make, kill_after=kill_after)
    done = kill_after - 1  # the last step was killed before it was saved
    assert Checkpoint(tmp_path).newest() == Position(*divmod(done, STEPS))
    trained = model(seed=9)
    steps, history = fit(tmp_path, trained, make)
    assert steps == EPOCHS * STEPS - done
    assert history.epoch == [*range(done // STEPS, EPOCHS)]
    assert_same(weights(trained), step_by_step(batch_at))
    assert fit(tmp_path, model(), make)[0] == 0  # nothing is left to do


@pytest.mark.parametrize("kind", ["one epoch", "all epochs", "endless"])
@pytest.mark.parametrize("start", [Position(0, 0), Position(1, 2)])
def test_epochs_begin_before_their_batches_are_read_and_end_after(kind, start, tmp_path):
    made = []

    def make(position):
        made.append(KINDS[kind][0](position, workers=2))
        return made[-1]

    if start != (0, 0):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path, model(), make, kill_after=start.epoch * STEPS + start.batch + 1)
    fit(tmp_path, model(), make)
    done = start.epoch * STEPS + start.batch
    # Threads may come in another order within an epoch.
    epochs = [epoch for epoch, _ in made[-1].read]
    assert epochs == sorted(epochs)
    assert sorted(made[-1].read) == [divmod(number, STEPS) for number in range(done, 15)]
    first = start.epoch if kind == "one epoch" else 0
    ends = [STEPS * number - start.batch for number in range(1, EPOCHS - start.epoch + 1)]
    expected = []
    for number, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
        expected += [("begin", first + number, begin), ("end", first + number, end)]
    assert made[-1].events == expected


def test_an_epoch_after_which_training_stops_is_ended(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    batches = Batches()
    steps, _ = fit(tmp_path, model(), lambda start: batches, callbacks=[Stop()])
    assert steps == STEPS
    assert ("end", 0, STEPS) in batches.events


def test_data_that_do_not_last_are_refused_before_training(tmp_path):
    def few(number):
        batches = Batches()
        batches.__class__ = type("Few", (Batches,), {"__len__": lambda self: number})
        return lambda start: batches

    for number in (0, STEPS - 1, STEPS + 2, EPOCHS * STEPS - 1):
        message = f"5 batches of one epoch, or all 15 from batch 0 .* PyDataset of {number} batches"
        with pytest.raises(ValueError, match=message):
            fit(tmp_path, model(), few(number))
    assert not list(tmp_path.glob("*.npz"))
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, model(), AllEpochs, kill_after=8)
    with pytest.raises(ValueError, match=r"all 13 from batch 2 of epoch 1 .* epochs=4.* of 8 bat"):
        fit(tmp_path, model(), AllEpochs, epochs=4)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_other_data_that_end_too_early_raise_after_a_checkpoint(tmp_path):
    def seven(start):
        done = start.epoch * STEPS + start.batch
        numbers = range(done, max(7, done + 1))
        x, y = (np.stack(part) for part in zip(*map(batch_at, numbers), strict=True))
        if not ON_TENSORFLOW:
            return (batch for batch in zip(x, y, strict=True))
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((x, y))

    def batch_at(number):
        return batch_of(*divmod(number, STEPS))

    with pytest.raises(ValueError, match="ended after 2 of the 5 of epoch 1. A checkpoint of"):
        fit(tmp_path, model(), seven)
    assert Checkpoint(tmp_path).newest() == Position(1, 2)
    trained = model()
    fit(tmp_path, trained, AllEpochs)  # with more, it goes on
    assert_same(weights(trained), step_by_step(batch_of))


def test_batches_and_weights_of_classes_as_keras_takes_them(tmp_path):
    class Lists(Batches):
        def __getitem__(self, number):
            return list(super().__getitem__(number))

    trained, class_weight = model(), {0: 3.0, 1: 0.5}
    fit(tmp_path, trained, lambda start: Lists(start.epoch), class_weight=class_weight)
    assert_same(weights(trained), step_by_step(batch_of, class_weight=class_weight))


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="tf.distribute")
@pytest.mark.parametrize("kind", ["one epoch", "endless"])
def test_replicas_miss_no_batch(kind, strategy, tmp_path):
    with strategy.scope():
        trained = model(run_eagerly=False)
    make, batch_at = KINDS[kind]
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, trained, make, kill_after=7)
    with strategy.scope():
        trained = model(seed=9, run_eagerly=False)
    fit(tmp_path, trained, make)
    assert_same(weights(trained), step_by_step(batch_at))
