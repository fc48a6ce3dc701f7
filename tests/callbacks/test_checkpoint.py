"""What a checkpoint holds, and what it does when things go wrong."""

import errno
import itertools
import os
import resource
import zipfile

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.callbacks import Checkpoint, Position
from keras_supcon.callbacks import checkpoint as module
from tests.covering import representatives

EPOCHS, STEPS, BATCH = 3, 6, 8
neutral = pytest.mark.neutral


BACKEND = keras.backend.backend()


def small_model(
    units: int = 5,
    optimizer=None,
    seed: int = 1,
    run_eagerly: bool = BACKEND == "tensorflow",
    **compile_arguments,
) -> keras.Model:
    """Makes a compiled model with every kind of state: weights, averages, two seeds, slots.

    Graphs are slow to trace.
    """
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(units),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
    ]
    model = keras.Sequential(
        [*layers, keras.layers.GaussianNoise(0.1, seed=seed), keras.layers.Dense(1)]
    )
    optimizer = keras.optimizers.Adam(0.01) if optimizer is None else optimizer
    model.compile(
        optimizer=optimizer,
        loss="mse",
        metrics=["mae"],
        run_eagerly=run_eagerly,
        **compile_arguments,
    )
    return model


def batches(start=(0, 0), epochs: int = EPOCHS):
    """Yields the batches from a position on, each a function of its number."""
    numbers = range(start[0] * STEPS + start[1], epochs * STEPS)
    x = np.stack([np.random.default_rng(n).normal(size=(BATCH, 4)) for n in numbers]).astype(
        "float32"
    )
    y = x.sum(axis=-1, keepdims=True)
    if BACKEND != "tensorflow":
        return ((images, targets) for images, targets in zip(x, y, strict=True))
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y))


def trained(
    directory, model=None, epochs: int = EPOCHS, save_freq=1, keep: int = 2, **arguments
) -> keras.Model:
    model = small_model() if model is None else model
    checkpoint = Checkpoint(directory, save_freq, keep)
    checkpoint.fit(
        model, lambda start: batches(start, epochs), epochs, STEPS, verbose=0, **arguments
    )
    return model


def state(model: keras.Model) -> list[np.ndarray]:
    metrics = {id(variable) for variable in model.metrics_variables}
    variables = [
        variable for variable in model.variables if id(variable) not in metrics
    ] + model.optimizer.variables
    return [ops.convert_to_numpy(variable) for variable in variables]


def assert_same_bits(actual: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


class InterruptError(Exception):
    """Ends a training in the middle."""


def interrupt_after(steps: int) -> keras.callbacks.Callback:
    left = [steps]

    def count(batch, logs):
        left[0] -= 1
        if left[0] == 0:
            raise InterruptError

    return keras.callbacks.LambdaCallback(on_train_batch_end=count)


def names(directory) -> list[str]:
    return sorted(os.listdir(directory))


OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 18)),
    "averages": lambda: keras.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.9),
    "accumulation": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=4),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), dynamic_growth_steps=3
    ),
}


# Those whose state is more than slots of the weights; on TensorFlow one of them eagerly, which
# starts sooner.
CASES = [("averages", False), ("loss scale", False), ("accumulation", BACKEND == "tensorflow")]


@pytest.mark.slow
@neutral
@representatives(
    "case",
    CASES,
    [
        case
        for case in itertools.product(OPTIMIZERS, {False, BACKEND == "tensorflow"})
        if case not in CASES
    ],
)
def test_training_cut_anywhere_ends_as_if_it_had_not_been(tmp_path, case):
    optimizer, run_eagerly = case

    def model(seed):
        return small_model(optimizer=OPTIMIZERS[optimizer](), seed=seed, run_eagerly=run_eagerly)

    expected = state(trained(tmp_path / "whole", model(1)))
    for cut in (4, 5):  # in the first epoch, in the second
        with pytest.raises(InterruptError):
            trained(tmp_path / "cut", model(1 if cut == 4 else 2), callbacks=[interrupt_after(cut)])
    assert (
        names(tmp_path / "cut")[-1] == "epoch-0001-batch-000001.npz"
    )  # the last step of each was not written
    assert_same_bits(state(trained(tmp_path / "cut", model(3))), expected)
    assert_same_bits(state(trained(tmp_path / "cut", model(4))), expected)  # nothing is left to do


@pytest.mark.slow
@neutral
@pytest.mark.skipif(BACKEND == "torch", reason="Keras executes one step at a time on torch")
def test_steps_executed_together_count_one_by_one(tmp_path):
    def model(seed):
        return small_model(steps_per_execution=2, seed=seed)

    expected = state(trained(tmp_path / "whole", model(1), save_freq=4))
    assert names(tmp_path / "whole") == [
        "epoch-0002-batch-000004.npz",
        "epoch-0003-batch-000000.npz",
    ]
    with pytest.raises(InterruptError):
        trained(tmp_path / "cut", model(1), save_freq=4, callbacks=[interrupt_after(6)])
    assert names(tmp_path / "cut")[-1] == "epoch-0001-batch-000004.npz"
    assert_same_bits(state(trained(tmp_path / "cut", model(2), save_freq=4)), expected)
    with pytest.raises(
        ValueError, match="`steps_per_execution` should divide .* Received: steps_per_execution=4"
    ):
        trained(tmp_path / "other", small_model(steps_per_execution=4))


@neutral
def test_restores_every_bit_of_half_precision_too(tmp_path):
    def model():
        with_dtype = small_model()
        extra = keras.layers.Dense(3, dtype="bfloat16")
        model = keras.Sequential(
            [keras.Input((4,)), *with_dtype.layers, extra, keras.layers.Dense(1, dtype="float16")]
        )
        model.compile(optimizer="adam", loss="mse")
        return model

    expected = trained(tmp_path, model(), epochs=1)
    assert {"bfloat16", "float16", "float32"} <= {value.dtype.name for value in state(expected)}
    restored = model()
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.restore(restored) == Position(epoch=1, batch=0)
    assert_same_bits(state(restored), state(expected))


@neutral
def test_the_learning_rate_of_the_checkpoint_goes_on(tmp_path):
    model = small_model()
    model.optimizer.learning_rate = 0.003
    trained(tmp_path, model, epochs=1)
    restored = small_model()
    Checkpoint(tmp_path).restore(restored)
    assert float(restored.optimizer.learning_rate) == pytest.approx(0.003)


@neutral
def test_histories_have_the_epochs_that_were_run(tmp_path):
    def run(callbacks=(), epochs=EPOCHS):
        return Checkpoint(tmp_path, 1).fit(
            small_model(),
            lambda start: batches(start, epochs),
            epochs,
            STEPS,
            verbose=0,
            callbacks=callbacks,
        )

    with pytest.raises(InterruptError):
        run([interrupt_after(STEPS + 3)])
    history = run()
    assert history.epoch == [1, 2]
    assert len(history.history["loss"]) == 2
    assert run().epoch == []
    assert run(epochs=EPOCHS + 1).epoch == [3]


@pytest.mark.slow
@neutral
def test_other_callbacks_can_still_stop_training(tmp_path):
    class Stop(keras.callbacks.Callback):
        def __init__(self, epoch, batch=None):
            super().__init__()
            self.at = (epoch, batch)

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == self.at:
                self.model.stop_training = True

        def on_epoch_end(self, epoch, logs=None):
            if (epoch, None) == self.at:
                self.model.stop_training = True

    expected = state(trained(tmp_path / "whole"))
    directory = tmp_path / "stopped"
    trained(directory, callbacks=[Stop(0, batch=1)], save_freq="epoch")
    assert names(directory) == ["epoch-0000-batch-000002.npz"]
    trained(
        directory, callbacks=[Stop(0, batch=1)], save_freq="epoch"
    )  # in the rest of the epoch, too
    assert names(directory)[-1] == "epoch-0000-batch-000004.npz"
    trained(directory, callbacks=[Stop(0)], save_freq="epoch")  # where the short epoch ends
    assert names(directory)[-1] == "epoch-0001-batch-000000.npz"
    assert_same_bits(state(trained(directory)), expected)


@neutral
def test_keeps_the_newest_and_clears_away_what_a_dead_process_left(tmp_path):
    (tmp_path / "unfinished-epoch-0000-batch-000001.npz").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    assert Checkpoint(tmp_path).newest() is None
    assert Checkpoint(tmp_path).restore(small_model()) == Position(0, 0)
    trained(tmp_path, save_freq=4, keep=3)
    assert Checkpoint(tmp_path).newest() == Position(3, 0)
    kept = [
        "epoch-0002-batch-000000.npz",
        "epoch-0002-batch-000004.npz",
        "epoch-0003-batch-000000.npz",
    ]
    assert names(tmp_path) == [*kept, "notes.txt"]


@neutral
def test_files_can_be_read_without_this_package(tmp_path):
    model = trained(tmp_path, epochs=1)
    with np.load(tmp_path / names(tmp_path)[-1]) as file:
        np.testing.assert_array_equal(file["00000"], ops.convert_to_numpy(model.weights[0]))


@neutral
def test_another_model_is_refused_and_left_as_it_was(tmp_path):
    trained(tmp_path, epochs=1)
    others = [
        (
            small_model(units=6),
            r".*/kernel float32\(4, 5\) instead of .*/kernel float32\(4, 6\); .* and \d+ more",
        ),
        (
            small_model(optimizer=keras.optimizers.SGD(0.1)),
            "it has 24 variables, not 12; its optimizer is Adam, not SGD",
        ),
        (small_model(optimizer=keras.optimizers.AdamW(0.1)), "its optimizer is Adam, not AdamW"),
        (
            small_model(optimizer=keras.optimizers.Adam(0.1, use_ema=True)),
            "it has 24 variables, not 30",
        ),
    ]
    for other, message in others:
        other.optimizer.build(other.trainable_variables)
        before = state(other)
        with pytest.raises(
            ValueError, match=f"of another model or optimizer, and nothing was restored: {message}"
        ):
            Checkpoint(tmp_path).restore(other)
        assert_same_bits(state(other), before)


@neutral
def test_names_that_keras_counts_up_do_not_matter(tmp_path):
    first = trained(tmp_path, epochs=1)
    second = small_model()
    assert [v.path for v in first.variables] != [v.path for v in second.variables]
    Checkpoint(tmp_path).restore(second)
    assert_same_bits(state(second), state(first))


@pytest.mark.slow
@neutral
@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "no archive"])
def test_a_damaged_newest_file_is_named_with_the_way_on(tmp_path, damage):
    trained(tmp_path, epochs=1, save_freq=3)
    older, newest = (tmp_path / name for name in names(tmp_path))
    content = bytearray(newest.read_bytes())
    content[content.index(b"NUMPY") + 130] ^= (
        4  # in the first weights, behind a header of 128 bytes
    )
    newest.write_bytes(
        {
            "truncated": content[:-9],
            "empty": b"",
            "flipped": content,
            "no archive": b"epoch" * 1000,
        }[damage]
    )
    model = small_model()
    model.optimizer.build(model.trainable_variables)
    before = state(model)
    with pytest.raises(
        RuntimeError,
        match=f"{newest.name}' is damaged or not whole .* Delete it to resume from '{older.name}'",
    ):
        Checkpoint(tmp_path).restore(model)
    assert_same_bits(state(model), before)
    assert names(tmp_path) == [older.name, newest.name]
    older.write_bytes(b"")
    with pytest.raises(RuntimeError, match="No other one in the directory is whole"):
        Checkpoint(tmp_path).restore(model)
    trained(tmp_path / "again", epochs=1)
    newest.unlink()
    older.write_bytes((tmp_path / "again" / names(tmp_path / "again")[0]).read_bytes())
    assert Checkpoint(tmp_path).restore(model) == Position(0, 5)


@neutral
@pytest.mark.slow
def test_no_flipped_bit_is_restored(tmp_path):
    expected = state(trained(tmp_path, epochs=1, keep=1))
    (path,) = tmp_path.iterdir()
    content, model = path.read_bytes(), small_model()
    refused = 0
    # Also all those of the record at the end, which says where the others begin.
    anywhere, at_the_end = (
        np.random.default_rng(0).integers(0, 8 * len(content), 60),
        np.arange(8 * 22),
    )
    places = [*anywhere, *(8 * (len(content) - 22) + at_the_end)]
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            Checkpoint(tmp_path).restore(model)
        except (RuntimeError, ValueError):
            refused += 1
        else:  # a bit without meaning, such as of the time of the entry
            assert_same_bits(state(model), expected)
    assert refused > 40 + 80


@neutral
def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    trained(tmp_path, epochs=1, save_freq=3)
    before = names(tmp_path)
    content = (tmp_path / before[-1]).read_bytes()
    write, calls = zipfile.ZipFile.writestr, []

    def full(*arguments, **options):
        calls.append(write(*arguments, **options))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(
        OSError,
        match=r"could not be written \(No space left on device\); earlier ones are untouched: '",
    ) as caught:
        trained(tmp_path)
    assert calls
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == before
    assert (tmp_path / before[-1]).read_bytes() == content


@neutral
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_file_that_the_system_cuts_short_keeps_the_previous_checkpoint(tmp_path):
    """A limit on the size of a file fails as a full disk does: in the middle of writing."""
    trained(tmp_path, epochs=1, save_freq=3)
    before = names(tmp_path)
    size = (tmp_path / before[-1]).stat().st_size
    for limit in (0, size // 2, size - 1):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(
                OSError, match=r"(could not be written|cannot be written to) \(File too large\)"
            ):
                trained(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert names(tmp_path) == before
    assert_same_bits(state(trained(tmp_path)), state(trained(tmp_path / "whole")))


@pytest.mark.slow
@neutral
def test_fit_goes_on_where_the_checkpoint_ends_or_not_at_all(tmp_path):
    with pytest.raises(InterruptError):
        trained(tmp_path, callbacks=[interrupt_after(STEPS + 2)])
    options = {"steps_per_epoch": STEPS, "epochs": EPOCHS, "verbose": 0, "shuffle": False}

    def fit(checkpoint, model, start=(0, 0), **more):
        return model.fit(batches(start), callbacks=[checkpoint], **{**options, **more})

    with pytest.raises(ValueError, match="holds checkpoints that the model was not restored from"):
        fit(Checkpoint(tmp_path, 1), small_model())
    model, checkpoint = small_model(), Checkpoint(tmp_path, 1)
    position = checkpoint.restore(model)
    assert position == Position(1, 1)
    with pytest.raises(ValueError, match=r"with initial_epoch=1. Received: initial_epoch=0"):
        fit(checkpoint, model)
    checkpoint.restore(model)
    with pytest.raises(
        ValueError,
        match=r"after 1 of its 6 batches. `checkpoint.fit.* steps_per_epoch=5. Received: 6",
    ):
        fit(checkpoint, model, position, initial_epoch=1)
    with pytest.raises(
        ValueError, match="the batch size should stay what it was .* Received: 5 batches"
    ):
        checkpoint.fit(small_model(), batches, EPOCHS, 5)
    # By hand: the rest of the epoch alone, then the others.
    checkpoint.restore(model)
    fit(checkpoint, model, position, initial_epoch=1, epochs=2, steps_per_epoch=STEPS - 1)
    fit(checkpoint, model, (2, 0), initial_epoch=2)
    if (
        BACKEND != "torch"
    ):  # each `fit` makes a data loader, which draws from the generator of torch's dropout
        assert_same_bits(state(model), state(trained(tmp_path / "whole")))


@pytest.mark.slow
@neutral
def test_after_an_interruption_the_same_object_restores_again(tmp_path):
    model, checkpoint = small_model(), Checkpoint(tmp_path, save_freq=2)
    with pytest.raises(InterruptError):
        checkpoint.fit(model, batches, EPOCHS, STEPS, verbose=0, callbacks=[interrupt_after(3)])
    checkpoint.fit(model, batches, EPOCHS, STEPS, verbose=0)
    assert_same_bits(state(model), state(trained(tmp_path / "whole")))


@pytest.mark.slow
@neutral
@pytest.mark.filterwarnings(
    "ignore:Your input ran out of data"
)  # which is how its length gets known
def test_a_plain_fit_whose_length_is_unknown_can_be_finished(tmp_path):
    model = small_model()
    source = batches()
    if BACKEND == "tensorflow":
        source = source.take(STEPS).filter(lambda x, y: True)
    else:
        source = (batch for batch, _ in zip(source, range(STEPS), strict=False))
    model.fit(source, callbacks=[Checkpoint(tmp_path, save_freq=STEPS)], verbose=0, shuffle=False)
    assert names(tmp_path) == ["epoch-0000-batch-000006.npz", "epoch-0001-batch-000000.npz"]
    (tmp_path / "epoch-0001-batch-000000.npz").unlink()
    assert_same_bits(state(trained(tmp_path)), state(trained(tmp_path / "whole")))


@neutral
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directory": ""}, "`directory` should be a path"),
        (
            {"directory": "gs://bucket/run"},
            "`directory` should be a path of a mounted file system. Received: directory='gs:",
        ),
        (
            {"save_freq": 0},
            "`save_freq` should be 'epoch' or a whole number of batches, at least 1. Received: "
            "save_freq=0",
        ),
        ({"save_freq": "batch"}, "`save_freq` should be"),
        ({"keep": 0}, "`keep` should be a whole number of at least 1. Received: keep=0"),
        ({"keep": True}, "`keep` should be"),
    ],
)
def test_refuses_impossible_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint(**{"directory": tmp_path, **arguments})


@neutral
def test_refuses_models_and_data_that_cannot_be_trained(tmp_path):
    checkpoint, model = Checkpoint(tmp_path), small_model()
    unbuilt = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="`model` should be a `keras.Model` that is built"):
        checkpoint.restore(unbuilt)
    unbuilt.build((None, 4))
    with pytest.raises(ValueError, match="`model` should be compiled with an optimizer"):
        checkpoint.restore(unbuilt)
    with pytest.raises(
        ValueError, match="`dataset` should be a function from a position to batches"
    ):
        checkpoint.fit(model, batches(), EPOCHS, STEPS)
    with pytest.raises(
        ValueError, match="`epochs` should be a whole number of at least 1. Received: epochs=0"
    ):
        checkpoint.fit(model, batches, 0, STEPS)
    with pytest.raises(
        ValueError, match="`steps_per_epoch` should be .* Received: steps_per_epoch=None"
    ):
        checkpoint.fit(model, batches, EPOCHS)


def test_a_process_that_is_not_the_first_writes_nothing_and_keeps_count(tmp_path, monkeypatch):
    trained(tmp_path, epochs=1)
    before = names(tmp_path)
    monkeypatch.setattr(module, "worker", lambda strategy: (1, 2))
    unfinished = "unfinished-epoch-0001-batch-000001.npz"  # by the process that writes
    (tmp_path / unfinished).write_bytes(b"half")
    trained(tmp_path)
    assert names(tmp_path) == [*before, unfinished]


@pytest.mark.slow
def test_restores_the_copies_of_all_replicas(tmp_path, strategy):
    expected = state(trained(tmp_path, epochs=1))
    with strategy.scope():
        model = small_model(seed=2)
    Checkpoint(tmp_path).restore(model)
    assert_same_bits(state(model), expected)
    metrics = {id(variable) for variable in model.metrics_variables}
    variables = [variable for variable in model.variables if id(variable) not in metrics]
    for variable, value in zip(variables, expected, strict=False):
        for copy in strategy.experimental_local_results(variable.value):
            assert copy.numpy().tobytes() == value.tobytes()
