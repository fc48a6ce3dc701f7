"""A buffer keeps samples with the probabilities that it promises, and goes on after a restart."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_supcon.data import ReplayBuffer

STRATEGIES = ("class_balanced", "reservoir")


def samples(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns so many samples of each class, shuffled; each sample holds its number."""
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(0).permutation(labels)
    return np.arange(len(labels), dtype="int32").reshape(-1, 1), labels


def kept(buffer: ReplayBuffer) -> list[int]:
    return buffer.images[:, 0].tolist()


def counts(buffer: ReplayBuffer) -> list[int]:
    return np.bincount(buffer.labels).tolist()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_kept_does_not_depend_on_how_samples_are_spread_over_calls(strategy):
    images, labels = samples(40, 3, 25, 60, 7)
    for seed in range(20):
        whole, parts = (ReplayBuffer(17, strategy, seed) for _ in range(2))
        whole.add(images, labels)
        cuts = np.sort(np.random.default_rng(seed).integers(0, len(labels) + 1, 4))
        for rows in np.split(np.arange(len(labels)), cuts):
            parts.add(images[rows], labels[rows])
        assert sorted(kept(parts)) == sorted(kept(whole))
        assert parts.num_seen == whole.num_seen == len(labels)
        assert parts.classes == (0, 1, 2, 3, 4)
        np.testing.assert_array_equal(labels[parts.images[:, 0]], parts.labels)


@pytest.mark.parametrize(
    ("size", "seen", "expected"),
    [
        (12, (50, 50, 50), [4, 4, 4]),
        (14, (50, 50, 50), [4, 5, 5]),  # in the order of the numbers; which class is drawn
        (12, (50, 2, 50), [2, 5, 5]),  # the others share the slots
        (12, (3, 2, 4), [2, 3, 4]),  # all there are
        (3, (50, 50, 50), [1, 1, 1]),
    ],
)
def test_classes_have_equally_many_samples_as_far_as_there_are_any(size, seen, expected):
    buffer = ReplayBuffer(size)
    buffer.add(*samples(*seen))
    assert sorted(counts(buffer)) == expected
    assert len(buffer) == min(size, sum(seen))
    assert len(set(kept(buffer))) == len(buffer)


def test_classes_are_thinned_out_as_others_come():
    buffer = ReplayBuffer(20)
    images, labels = samples(60, 60, 60, 60)
    before = {}
    for task in ((0, 1), (2, 3)):
        rows = np.isin(labels, task)
        buffer.add(images[rows], labels[rows])
        now = {
            one: set(images[:, 0][np.isin(images[:, 0], kept(buffer)) & (labels == one)].tolist())
            for one in range(4)
        }
        for one, numbers in before.items():
            assert now[one] <= numbers or not numbers
        before = now
    assert counts(buffer) == [5, 5, 5, 5]


def test_the_slots_that_remain_go_to_any_class():
    shares = np.zeros(3)
    for seed in range(300):
        buffer = ReplayBuffer(4, seed=seed)
        buffer.add(*samples(5, 5, 5))
        shares += np.array(counts(buffer)) == 2
    assert shares.sum() == 300
    np.testing.assert_allclose(shares / 300, 1 / 3, atol=0.1)  # a standard deviation is 0.027


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_sample_seen_so_far_is_kept_with_the_same_probability(strategy):
    """Whether it came early or late, in a first or a last call."""
    images, labels = samples(30, 30)
    number, draws, size = len(labels), 2000, 12
    times = np.zeros(number)
    for seed in range(draws):
        buffer = ReplayBuffer(size, strategy, seed)
        for rows in np.split(np.arange(number), [5, 20, 21]):
            buffer.add(images[rows], labels[rows])
        times[kept(buffer)] += 1
    share, expected = times / draws, size / number
    deviation = np.sqrt(expected * (1 - expected) / draws)
    assert np.abs(share - expected).max() < 4.5 * deviation
    halves = share[: number // 2].mean() - share[number // 2 :].mean()
    assert abs(halves) < 4.5 * deviation / np.sqrt(number / 4)


def test_a_reservoir_is_algorithm_r():
    """Each sample enters with probability `size / place`, and takes a slot that is drawn."""
    images, labels = samples(200)
    buffer = ReplayBuffer(8, "reservoir", seed=5)
    buffer.add(images, labels)
    generator = np.random.default_rng(5)
    slots: list[int] = []
    for number in range(200):
        drawn = int(generator.random() * (number + 1))
        if number < 8:
            slots.append(number)
        elif drawn < 8:
            slots[drawn] = number
    assert kept(buffer) == slots


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_loaded_buffer_goes_on_as_the_saved_one(tmp_path, strategy):
    images, labels = samples(40, 40)
    buffer = ReplayBuffer(9, strategy, seed=3)
    buffer.add(images[:50], labels[:50])
    buffer.save(tmp_path / "buffer.npz")
    loaded = ReplayBuffer.load(tmp_path / "buffer.npz")
    assert (loaded.size, loaded.strategy, loaded.seed) == (9, strategy, 3)
    for one in (buffer, loaded):
        one.add(images[50:], labels[50:])
    np.testing.assert_array_equal(loaded.images, buffer.images)
    np.testing.assert_array_equal(loaded.labels, buffer.labels)
    assert loaded.images.dtype == images.dtype
    assert (loaded.num_seen, loaded.classes) == (80, (0, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["buffer.npz"]


def test_an_empty_buffer_is_saved_too(tmp_path):
    ReplayBuffer(4, seed=-1).save(str(tmp_path / "buffer.npz"))
    loaded = ReplayBuffer.load(str(tmp_path / "buffer.npz"))
    assert len(loaded) == loaded.num_seen == 0
    with pytest.raises(ValueError, match="should have seen samples first"):
        _ = loaded.images


def test_a_damaged_file_is_named(tmp_path):
    buffer, path = ReplayBuffer(4), tmp_path / "buffer.npz"
    buffer.add(*samples(5))
    buffer.save(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match=r"buffer\.npz' should be a buffer"):
            ReplayBuffer.load(path)
    np.savez(path, labels=np.zeros(3))
    with pytest.raises(RuntimeError, match="damaged, or another file"):
        ReplayBuffer.load(path)
    path.write_bytes(whole)
    arrays = dict(np.load(path))
    for name in ("images", "labels", "keys"):
        np.savez(path, **{**arrays, name: arrays[name][:1]})
        with pytest.raises(RuntimeError, match=r"its parts have \[1, 4\] samples"):
            ReplayBuffer.load(path)
    with pytest.raises(FileNotFoundError):
        ReplayBuffer.load(tmp_path / "missing.npz")


def test_a_failed_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    buffer, path = ReplayBuffer(4), tmp_path / "buffer.npz"
    buffer.add(*samples(5))
    buffer.save(path)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="could not be written"):
        buffer.save(path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["buffer.npz"]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4)), [0, 1, 1], "should have the same length. Received: 2 images and 3"),
        (np.zeros((2, 5)), [0, 1], r"`images` should be of shape \(n, 4\) and dtype float64"),
        (np.zeros((2, 4), "uint8"), [0, 1], "dtype float64, as those before. .*dtype=uint8"),
        (np.zeros((2, 4)), [0.5, 1], "`labels` should be whole numbers"),
        (np.zeros((2, 4)), [np.nan, 1], "`labels` should be whole numbers"),
        (np.zeros((2, 4)), ["a", "b"], "`labels` should be whole numbers"),
        (np.zeros((2, 4)), np.eye(2), "`labels` should be class ids of shape"),
        (np.zeros((2, 4)), np.array([2.0**54, 1]), "`labels` should be whole numbers"),
        (np.zeros((2, 4)), [0, -1], "images without a label should be left out. .* from -1"),
        (np.array(["a", "b"]), [0, 1], "`images` should be an array of numbers"),
        (np.zeros((2, 4)), [7, 8], "`size` of a class-balanced buffer should be at least .*, 5"),
    ],
)
def test_refuses_wrong_samples_and_keeps_what_it_has(images, labels, message):
    buffer = ReplayBuffer(4)
    buffer.add(np.zeros((9, 4)), [[0], [1], [2]] * 3)
    before = (kept(buffer), buffer.labels.tolist(), buffer.num_seen, buffer.classes)
    state = buffer._generator.bit_generator.state
    with pytest.raises(ValueError, match=message):
        buffer.add(images, labels)
    assert (kept(buffer), buffer.labels.tolist(), buffer.num_seen, buffer.classes) == before
    assert buffer._generator.bit_generator.state == state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "`size` should be a whole number of at least 1"),
        ({"size": 4, "strategy": "herding"}, "`strategy` should be one of"),
        ({"size": 4, "seed": None}, "`seed` should be a whole number"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ReplayBuffer(**arguments)


@pytest.mark.neutral
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="Keras itself needs it there")
def test_needs_no_tensorflow():
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import numpy as np\n"
        "from keras_supcon.data import ReplayBuffer, class_incremental\n"
        "buffer = ReplayBuffer(2)\n"
        "buffer.add(np.zeros((4, 3)), [0, 1, 0, 1])\n"
        "print(len(buffer), len(class_incremental(np.zeros((4, 3)), [0, 1, 0, 1], num_tasks=2)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert finished.stdout == "2 2\n", finished.stderr
