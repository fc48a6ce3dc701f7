"""Balanced batches of data sets, and of all epochs of a training from any position on."""

import concurrent.futures
import multiprocessing
import pickle
import tracemalloc

import keras
import numpy as np
import pytest

import keras_supcon
from keras_supcon import data
from keras_supcon.callbacks import Checkpoint, Position
from keras_supcon.data.sample_store import store_samples

pytestmark = pytest.mark.neutral

LABELS = np.repeat([0, 3, 4, 7], [20, 1, 5, 9])
SAMPLES = np.arange(len(LABELS) * 2, dtype="float32").reshape(-1, 2)
STEPS = 5  # 35 samples in batches of six


class Batches(keras.utils.PyDataset):
    """Batches of five, in another order if asked, and counts how many were read."""

    def __init__(self, *parts, order=None):
        super().__init__()
        order = np.arange(len(LABELS)) if order is None else order
        self._parts = keras.tree.map_structure(lambda part: part[order], parts)
        self.number = 0

    def __len__(self):
        return 7

    def __getitem__(self, number):
        self.number += 1
        rows = slice(5 * number, 5 * number + 5)
        return tuple(keras.tree.map_structure(lambda part: part[rows], self._parts))


def balanced(samples=(SAMPLES, LABELS), **options):
    return data.balanced_batches(samples, 3, 2, seed=4, **options)


def gathered(batches) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.stack(part) for part in zip(*list(batches), strict=True))


def assert_same(batches, expected):
    for part, its in zip(gathered(batches), gathered(expected), strict=True):
        np.testing.assert_array_equal(part, its)


def test_all_epochs_follow_one_another_from_any_position():
    by_epoch = [gathered(balanced(epoch=epoch)) for epoch in range(3)]
    x, y = (np.concatenate(parts) for parts in zip(*by_epoch, strict=True))
    whole = balanced(epochs=3)
    assert (whole.steps_per_epoch, len(whole)) == (STEPS, 3 * STEPS)
    for start in [(0, 0), (0, 3), (0, STEPS), Position(1, 0), (2, 4)]:
        rest, done = balanced(epochs=3, start=start), start[0] * STEPS + start[1]
        assert len(rest) == 3 * STEPS - done
        np.testing.assert_array_equal(gathered(rest)[0], x[done:])
        np.testing.assert_array_equal(gathered(rest)[1], y[done:])
        np.testing.assert_array_equal(rest[len(rest) - 1][0], x[-1])  # in any order
        np.testing.assert_array_equal(rest[-1][0], x[-1])
        np.testing.assert_array_equal(rest[0][0], x[done])
        rest.on_epoch_end()  # as Keras does, which changes nothing
        np.testing.assert_array_equal(rest[0][0], x[done])
    assert list(balanced(epochs=3, start=(3, 0))) == []
    with pytest.raises(IndexError):
        whole[3 * STEPS]


def test_workers_have_equal_shares_of_every_epoch():
    whole = balanced(epochs=2, start=(0, 2))
    shares = [balanced(epochs=2, start=(0, 2), shard=(index, 3)) for index in range(3)]
    assert {len(share) for share in shares} == {len(whole)}
    for number, (x, _) in enumerate(whole):
        parts = [share[number][0] for share in shares]
        assert {part.shape for part in parts} == {(2, 2)}
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)[:, 0]), np.sort(x[:, 0]))


def model():
    keras.utils.set_random_seed(3)
    encoder = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4), keras.layers.Dropout(0.2)]
    )
    head = keras_supcon.ProjectionHead(3, hidden_units=())
    model = keras_supcon.ContrastiveModel(encoder, head)
    model.build((None, 2))
    eager = keras.backend.backend() == "tensorflow"
    model.compile(keras.optimizers.Adam(0.01), keras_supcon.SupConLoss(), run_eagerly=eager)
    return model


class StopAfter(keras.callbacks.Callback):
    def __init__(self, number):
        super().__init__()
        self._left = number

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("number", "workers"), [(2, 1), (7, 1), (7, 3), (10, 1)])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(number, workers, tmp_path):
    def weights(trained):
        return [keras.ops.convert_to_numpy(one) for one in trained.weights]

    def batches(start):
        return balanced((SAMPLES / 70, LABELS), epochs=3, start=start, workers=workers)

    expected = model()
    whole = balanced((SAMPLES / 70, LABELS), epochs=3)
    history = expected.fit(whole, epochs=3, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 3
    stopped = model()
    with pytest.raises(KeyboardInterrupt):
        Checkpoint(tmp_path, save_freq=1).fit(
            stopped, batches, epochs=3, callbacks=[StopAfter(number)], verbose=0
        )
    keras.utils.set_random_seed(99)
    rest = model()
    position = Checkpoint(tmp_path).restore(rest)
    assert STEPS * position.epoch + position.batch in (number - 1, number)
    Checkpoint(tmp_path).fit(rest, batches, epochs=3, verbose=0)
    for one, other in zip(weights(rest), weights(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("in_file", [False, True])
def test_batches_of_a_data_set_do_not_depend_on_its_order(in_file, tmp_path, rng):
    files = [tmp_path / f"{number}.npy" if in_file else None for number in range(2)]
    of_set = balanced(Batches(SAMPLES, LABELS), cache=files[0])
    order = rng.permutation(len(LABELS))
    assert_same(balanced(Batches(SAMPLES, LABELS, order=order), cache=files[1]), of_set)
    x, y = gathered(of_set)
    np.testing.assert_array_equal(LABELS[(x[..., 0] / 2).astype(int)], y)
    assert {len(np.unique(labels)) for labels in y} == {3}
    assert set(np.unique(y)) == {0, 3, 4, 7}


def test_a_data_set_of_dictionaries_is_read_once():
    batches = Batches({"a": SAMPLES, "b": (LABELS + 1).astype("uint8")}, LABELS[:, None])
    of_set = balanced(batches)
    assert batches.number in (len(batches), len(batches) + 1)  # one more for the form
    for x, y in (of_set[number] for number in range(len(of_set))):
        np.testing.assert_array_equal(x["b"], y + 1)
        np.testing.assert_array_equal(LABELS[(x["a"][:, 0] / 2).astype(int)], y)
        assert x["b"].dtype == "uint8"
    assert batches.number <= len(batches) + 1


def test_a_file_takes_the_place_of_the_data(tmp_path):
    file = tmp_path / "below" / "samples.npy"
    expected = balanced(Batches(SAMPLES, LABELS), cache=file)
    size = file.stat().st_size
    assert size < len(LABELS) * (2 * 4 + 16) + 1024
    again = Batches(SAMPLES, LABELS)
    assert_same(balanced(again, cache=file), expected)
    assert again.number <= 1
    for other in (SAMPLES[:, :1], SAMPLES.astype("float64")):
        with pytest.raises(ValueError, match="`cache` should be a new file, or that of the same"):
            balanced(Batches(other, LABELS), cache=file)
    assert file.stat().st_size == size


def test_a_reading_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="`labels` should be class ids of at least 0"):
        balanced(Batches(SAMPLES, LABELS - (LABELS == 7) * 8), cache=tmp_path / "samples.npy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs` should be a whole number of at least 1. Received: epochs=0"),
        ({"epochs": 2, "epoch": 1}, "`epoch` should be 0 with `epochs`"),
        ({"start": (1, 0)}, r"`start` should be \(0, 0\) without `epochs`"),
        ({"start": 3}, r"`start` should be \(0, 0\) without `epochs`"),
        ({"epochs": 2, "start": (0, 6)}, "no more than the 5 batches of an epoch"),
        ({"epochs": 2, "start": (0, -1)}, r"`start` should be \(epoch, batch\)"),
        ({"epochs": 2, "start": 1}, r"`start` should be \(epoch, batch\)"),
        ({"cache": "samples.npy"}, "`cache` should be None for data of which any sample"),
        ({"shard": (0, 4)}, "divides the 6 samples"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        balanced(**options)
    if "epochs" not in options:
        return
    with pytest.raises(ValueError, match="`epoch` should be set for batches of one epoch alone"):
        balanced(epochs=2).epoch = 1


def test_data_sets_of_another_form_are_refused():
    class Endless(Batches):
        @property
        def num_batches(self):
            return None

    for wrong, message in (
        (Endless(SAMPLES, LABELS), "`data` should have batches, and an end"),
        (Batches(SAMPLES), r"`data` should give \(x, label\)"),
        (Batches(SAMPLES, LABELS, LABELS), r"`data` should give \(x, label\)"),
        (Batches(SAMPLES, np.eye(8)[LABELS]), "`argmax\\(axis=1\\)` makes ids"),
        (Batches(SAMPLES, LABELS.astype(str)), "`labels` should be whole numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            balanced(wrong)


class Wide(keras.utils.PyDataset):
    """Made as they are read: samples of 16 KiB, in batches of several sizes."""

    def __init__(self, largest_first):
        super().__init__()
        self._sizes = [20, 19, 20, 18] if largest_first else [18, 20, 19, 20]

    def __len__(self):
        return 24

    def __getitem__(self, number):
        labels = np.arange(self._sizes[number % 4])
        return np.full((len(labels), 4096), number, "float32"), labels


def peak_over_size(largest_first):
    """Returns the most memory that a reading takes, in sizes of the samples."""
    batches = Wide(largest_first)
    store_samples(batches, None)  # imports what it needs
    tracemalloc.start()
    stored = store_samples(batches, None)
    return tracemalloc.get_traced_memory()[1] / stored.x.nbytes


GROWS_IN_PLACE = np.lib.NumpyVersion(np.__version__) < "2.5.0"


@pytest.mark.parametrize("largest_first", [True, False])
def test_memory_holds_the_samples_once_while_they_are_read(largest_first):
    # What the threads of other tests take would count in this process.
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn")
    ) as processes:
        peak = processes.submit(peak_over_size, largest_first).result()
    # What is kept, an eighth and a few batches; where the array grows by a copy, that beside it.
    assert peak < (1.3 if largest_first or GROWS_IN_PLACE else 2.3)
    batches = Wide(largest_first)
    stored = store_samples(batches, None)
    labels = np.concatenate([batches[number][1] for number in range(len(batches))])
    numbers = np.repeat(np.arange(24), [len(batches[number][1]) for number in range(24)])
    np.testing.assert_array_equal(stored.x[:, 0], numbers)
    np.testing.assert_array_equal(stored.labels, labels[stored.places])


def other_files(directory):
    """Files that are none of samples, each with its name."""
    files = {name: directory / name for name in ("text", "empty", "pickle.npy", "cut.npy", "a.npz")}
    files["text"].write_text("label,digest")
    files["empty"].touch()
    np.save(files["pickle.npy"], np.array([None, {}]), allow_pickle=True)
    np.savez(files["a.npz"], SAMPLES)
    np.save(files["cut.npy"], SAMPLES)
    files["cut.npy"].write_bytes(files["cut.npy"].read_bytes()[:-1])
    files["folder"] = directory / "folder"
    files["folder"].mkdir()
    return files.values()


def test_a_file_of_something_else_is_left_as_it_is(tmp_path):
    for file in other_files(tmp_path):
        content = None if file.is_dir() else file.read_bytes()
        with pytest.raises(ValueError, match="`cache` should be a new file, or one that") as raised:
            balanced(Batches(SAMPLES, LABELS), cache=file)
        assert str(file) in str(raised.value)
        assert "allow_pickle=" not in str(raised.value)
        assert file.is_dir() if content is None else file.read_bytes() == content
    file = tmp_path / "plain.npy"
    of_none = np.empty(0, [("x0", "<f4", (2,)), ("label", "<i8"), ("digest", "<u8")])
    for array in (SAMPLES, np.float64(3), of_none):
        np.save(file, array)
        with pytest.raises(ValueError, match="`cache` should be a new file, or that of the same"):
            balanced(Batches(SAMPLES, LABELS), cache=file)


@pytest.mark.parametrize("in_file", [False, True])
def test_a_data_set_without_samples_is_refused_and_not_kept(in_file, tmp_path):
    class Empty(Batches):
        def __getitem__(self, number):
            return tuple(part[:0] for part in super().__getitem__(number))

    file = tmp_path / "samples.npy"
    with pytest.raises(ValueError, match="`data` should hold samples"):
        balanced(Empty(SAMPLES, LABELS), cache=file if in_file else None)
    assert not file.exists()


def slices(*parts):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(parts)


def test_data_sets_of_tensorflow_give_the_same_batches_however_they_come():
    expected = balanced(Batches(SAMPLES, LABELS))
    for one in (
        slices(SAMPLES, LABELS),
        slices(SAMPLES, LABELS).batch(4),
        slices(SAMPLES, LABELS).batch(5, drop_remainder=True),
        slices(SAMPLES, LABELS).batch(5, drop_remainder=True).unbatch(),
        slices(SAMPLES, LABELS.astype("int32")[:, None]).batch(35),
        slices(SAMPLES, LABELS).shuffle(35).batch(8),
        slices(SAMPLES, LABELS).filter(lambda x, y: y >= 0),  # of unknown length
    ):
        assert_same(balanced(one), expected)


def test_data_sets_of_tensorflow_that_cannot_be_balanced_are_refused(tmp_path):
    file = tmp_path / "samples.npy"
    balanced(slices(SAMPLES, LABELS), cache=file)
    batched = slices(SAMPLES, LABELS).batch(5)
    for wrong, message in (
        (slices(SAMPLES, LABELS).repeat(), "`data` should have an end"),
        (batched.map(lambda x, y: x), r"`data` should give \(x, label\)"),
        (batched.map(lambda x, y: (x, y, y)), r"`data` should give \(x, label\)"),
        (batched.map(lambda x, y: (x, {"y": y})), r"`data` should give \(x, label\)"),
        (slices(LABELS.astype(str), LABELS), "`data` should give numbers of one shape"),
        (
            slices(SAMPLES, LABELS).padded_batch(5, ([None], [])),
            "`data` should give numbers of one shape",
        ),
        (slices(SAMPLES, LABELS).take(0), "`data` should hold samples"),
        (slices(SAMPLES, LABELS[:, None]), "single samples with a scalar as label"),
        (data.load_epochs("digits", "train", 32, epochs=2), "`data` should be one epoch"),
    ):
        with pytest.raises(ValueError, match=message):
            balanced(wrong)
    with pytest.raises(ValueError, match="`cache` should be a new file.* of 35 .*, for 30 of"):
        balanced(slices(SAMPLES, LABELS).take(30), cache=file)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("size", [8, 5])  # as many rows of a sample as classes, or others
def test_one_hot_labels_are_never_taken_for_class_ids(dtype, size, tmp_path):
    file = tmp_path / "samples.npy"
    images = np.arange(35 * size * 2.0).reshape(35, size, 2)
    one_hot = np.eye(8, dtype=dtype)[LABELS]
    single = slices(images, one_hot)
    message = "a 1 among zeros" if size == 8 else "data.element_spec"
    with pytest.raises(ValueError, match=f"single samples with a scalar as label.*{message}"):
        balanced(single, cache=file)
    for batched in (single.batch(5), single.batch(5, drop_remainder=True)):
        with pytest.raises(ValueError, match="class ids as labels.*tf.argmax"):
            balanced(batched, cache=file)
    assert list(tmp_path.iterdir()) == []
    tf = pytest.importorskip("tensorflow")
    # What the messages tell to do is what is meant.
    ids = single.map(lambda x, y: (x, tf.argmax(tf.cast(y, "int32"))))
    assert_same(balanced(ids), balanced(slices(images, LABELS)))


def test_labels_of_two_classes_of_a_static_size_are_class_ids():
    """Unless each batch could be the one-hot row of a sample."""
    labels = (LABELS > 0).astype("int64")
    single = slices(SAMPLES, labels)
    expected = data.balanced_batches(single, 2, 3)
    for one in (single.batch(5, drop_remainder=True), single.batch(5), single.batch(4)):
        assert_same(data.balanced_batches(one, 2, 3), expected)
    rare = slices(SAMPLES, (np.arange(len(LABELS)) % 5 == 2).astype("int64"))
    static = rare.batch(5, drop_remainder=True)
    with pytest.raises(ValueError, match=r"class ids of a batch.*`data.unbatch\(\)`.*shape \(5,\)"):
        data.balanced_batches(static, 2, 3)
    assert_same(data.balanced_batches(static.unbatch(), 2, 3), data.balanced_batches(rare, 2, 3))


def test_a_label_of_shape_one_may_be_of_a_sample_or_of_a_batch():
    rows = slices(SAMPLES[:, None], LABELS[:, None])  # samples of shape (1, 2)
    for one in (rows, slices(SAMPLES, LABELS).batch(1, drop_remainder=True)):
        with pytest.raises(ValueError, match=r"labels that can only be .* of shape \(1,\)"):
            balanced(one)
    scalars = balanced(rows.map(lambda x, y: (x, y[0])))
    assert_same(scalars, balanced(slices(SAMPLES[:, None], LABELS)))


def test_labels_of_an_unknown_rank_are_refused():
    tf = pytest.importorskip("tensorflow")

    def of_no_rank(x, y):
        return x, tf.ensure_shape(tf.py_function(lambda label: label, [y], "int64"), None)

    with pytest.raises(ValueError, match="`data` should have labels of a known rank"):
        balanced(slices(SAMPLES, LABELS).map(of_no_rank))


def test_the_digits_as_load_gives_them():
    pytest.importorskip("tensorflow")
    images, labels = data.load_arrays("digits", "train")
    train = data.balanced_batches(data.load("digits", "train", 100), 5, 4, epochs=1)
    keys = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    x, y = gathered(train)
    assert x.dtype == "uint8"
    assert x.shape == (72, 20, 8, 8, 1)
    assert [keys[image.tobytes()] for image in x.reshape(-1, 8, 8, 1)] == y.ravel().tolist()
    for one in y:
        assert np.bincount(one).max() == np.bincount(one)[np.unique(one)].min() == 4
    assert np.ptp(np.bincount(y.ravel())) <= 4
    unshuffled = data.load("digits", "train", 64, shuffle=False)
    assert_same(data.balanced_batches(unshuffled, 5, 4, epochs=1), train)


@pytest.fixture
def folder(tmp_path, photographs):
    """Three classes of pieces of photographs, of several sizes and kinds."""
    pytest.importorskip("tensorflow")
    from PIL import Image

    for number, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        for i in range(4 + number):
            piece = photographs[number % 2][30 * i : 30 * i + 40, 50 * i : 50 * i + 60 + number]
            kind = "png" if i % 2 else "jpeg"
            Image.fromarray(piece).save(tmp_path / name / f"{i}.{kind}", format=kind)
    return tmp_path


def test_the_files_of_a_folder_are_read_when_a_batch_has_them(folder):
    loaded = data.load_folder(folder, "all", 8, (24, 24))
    expected = np.concatenate([images for images, _ in loaded.as_numpy_iterator()])
    assert len(loaded.samples) == len(expected) == 15
    np.testing.assert_array_equal(loaded.samples[3], expected[3])
    np.testing.assert_array_equal(loaded.samples[-1], expected[-1])
    with pytest.raises(IndexError):
        loaded.samples[15]
    of_files = data.balanced_batches(loaded, 3, 2, seed=1)
    of_arrays = data.balanced_batches((expected, loaded.labels), 3, 2, seed=1)
    assert_same(of_files, of_arrays)
    with pytest.raises(ValueError, match="`cache` should be None"):
        data.balanced_batches(loaded, 3, 2, cache=folder / "samples.npy")


def test_batches_of_files_can_be_pickled_for_other_processes(folder):
    loaded = data.load_folder(folder, "all", 8, (24, 24))
    batches = data.balanced_batches(loaded, 3, 2, seed=1, epochs=2, start=(0, 1))
    expected = gathered(batches)
    again = pickle.loads(pickle.dumps(batches))
    for part, its in zip(gathered(again), expected, strict=True):
        np.testing.assert_array_equal(part, its)
    np.testing.assert_array_equal(again.steps_per_epoch, batches.steps_per_epoch)
    (folder / "a" / "0.jpeg").unlink()
    samples = pickle.loads(pickle.dumps(loaded.samples))
    place = [path.endswith("a/0.jpeg") for path in loaded.file_paths].index(True)
    with pytest.raises(ValueError, match=r"1 image in .* cannot be read: a/0\.jpeg"):
        samples[place]


@pytest.mark.slow
def test_processes_of_their_own_read_files(folder):
    """A process that is not a fork, as TensorFlow demands once it has run."""
    loaded = data.load_folder(folder, "all", 8, (24, 24))
    batches = data.balanced_batches(loaded, 3, 2, seed=1)
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn")
    ) as processes:
        x, y = processes.submit(batches.__getitem__, 1).result()
    np.testing.assert_array_equal(x, batches[1][0])
    np.testing.assert_array_equal(y, batches[1][1])


@pytest.mark.parametrize("damage", ["gone", "cut", "longer"])
def test_a_file_that_cannot_be_read_any_more_is_named(folder, damage):
    loaded = data.load_folder(folder, "all", 8, (24, 24))
    batches = data.balanced_batches(loaded, 3, 5)
    file = folder / "b" / "2.jpeg"
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(content[:200] if damage == "cut" else content + b"0")
    with pytest.raises(ValueError, match=r"1 image in .* cannot be read: b/2\.jpeg"):
        for _ in batches:
            pass
