"""What TFDS has prepared, or would have to download."""

import hashlib
import http.server
import json
import re
import shutil
import socket
import threading
import time

import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.data import pipeline
from keras_supcon.data.prepared import prepared_split
from tests.data.tfds_folders import picture_features, pictures, write


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Returns the folder of one version: 3 classes of 4 gray images."""
    return write(tmp_path_factory.mktemp("tfds"), picture_features(3), pictures(3, 4))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("toys/1.0.0", "toys"),
        ("mine/1.0.0", "mine"),
        ("mine/1.0.0", "mine:1.0.0"),
        ("mine/1.0.0", "mine:1.*.*"),
        ("mine/small/1.0.0", "mine/small"),
        ("mine/small/1.0.0", "mine/small:1.0.0"),
        ("mine/small/1.0.0", "mine"),
        ("mine/small/1.0.0", "mine:1.0.0"),
        ("cifar10/1.0.0", "cifar10:1.0.0"),
        ("cifar10/small/1.0.0", "cifar10/small"),
    ],
)
def test_a_copy_goes_by_the_name_of_its_folder(tmp_path, monkeypatch, toys, folder, name):
    shutil.copytree(toys, tmp_path / "sets" / folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    images, labels = data.load_arrays(name, "train", data_dir="~/sets")
    np.testing.assert_array_equal(images[:, 0, 0, 0], range(12))
    np.testing.assert_array_equal(labels, np.repeat(range(3), 4))
    train = data.load(name, "train", 12, (4, 4), data_dir=tmp_path / "sets", shuffle=False)
    np.testing.assert_array_equal(next(iter(train))[0], images)
    assert train.class_names == ["0", "1", "2"]


def test_the_newest_version_is_taken_and_others_are_named(tmp_path, toys):
    for version, value in (("1.0.0", 1), ("1.2.0", 2)):
        examples = [{"image": np.full((4, 4, 1), value, "uint8"), "label": 0}]
        shutil.copytree(
            write(tmp_path / version, picture_features(1), examples), tmp_path / "mine" / version
        )
        info = tmp_path / "mine" / version / "dataset_info.json"
        info.write_text(info.read_text().replace('"version": "1.0.0"', f'"version": "{version}"'))
    for name, value in (("mine", 2), ("mine:1.0.0", 1), ("mine:1.*.*", 2)):
        assert data.load_arrays(name, "train", data_dir=tmp_path)[0].max() == value
    for name in ("mine:2.0.0", "mine/1.2.0", "mine/other"):
        with pytest.raises(
            ValueError, match=f"Received: name='{name}'.* Prepared are: 'mine:1.0.0', 'mine:1.2.0'"
        ):
            data.load_arrays(name, "train", data_dir=tmp_path)
    with pytest.raises(ValueError, match="`data_dir` looks like the folder of one data set"):
        data.load_arrays("mine", "train", data_dir=tmp_path / "mine")


@pytest.mark.parametrize("name", ["toys", "toys:1.0.0", "cifar10:1.0.0"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "dataset_info.json").write_text('{"name": '), "cannot be read"),
        (lambda folder: (folder / "dataset_info.json").write_text("{}"), "cannot be read"),
        (lambda folder: (folder / "dataset_info.json").unlink(), "cannot be read"),
        (
            lambda folder: next(folder.glob("*tfrecord*")).unlink(),
            "not complete: of split='train' there is no toys-train",
        ),
    ],
)
def test_a_damaged_copy_is_named(tmp_path, toys, name, damage, message):
    folder = tmp_path / name.partition(":")[0] / "1.0.0"
    shutil.copytree(toys, folder)
    damage(folder)
    with pytest.raises(
        RuntimeError, match=f"The prepared data set '{name}' in '{folder}' .*{message}"
    ):
        data.load(name, "train", 4, (4, 4), data_dir=tmp_path)


def test_a_data_dir_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ValueError,
        match="`data_dir` should be the path of a folder or None. Received: data_dir='.*', a file",
    ):
        data.load("cifar10", "train", 4, data_dir=tmp_path / "file")


LOADERS = {
    "load": lambda split, folder: data.load("toys", split, 1, (4, 4), folder),
    "load_epochs": lambda split, folder: (
        data.load_epochs("toys", split, 1, 1, (4, 4), folder).unbatch().batch(1)
    ),
    "load_arrays": lambda split, folder: list(
        zip(*data.load_arrays("toys", split, folder), strict=True)
    ),
}


@pytest.fixture(scope="module", params=["sizes recorded", "sizes not recorded"])
def train_alone(request, tmp_path_factory):
    """Returns a folder with the first two of three files of `train`, without those of `test`."""
    folder = write(
        tmp_path_factory.mktemp("tfds"), picture_features(3), pictures(3, 4), 3, test=pictures(3, 1)
    )
    for file in (*folder.glob("*test*"), *folder.glob("*train*-00002-of-*")):
        file.unlink()
    if request.param == "sizes not recorded":
        info = json.loads((folder / "dataset_info.json").read_text())
        for split in info["splits"]:
            del split["numBytes"]
        (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder.parent.parent


@pytest.mark.parametrize("loader", LOADERS)
def test_a_copy_needs_the_files_of_the_split_in_use_alone(train_alone, loader):
    for split, num_examples in (("train[:8]", 8), ("train[2:4]", 2), ("train[:2]+train[4:5]", 3)):
        assert len([*LOADERS[loader](split, train_alone)]) == num_examples
    for split, missing in (
        ("train", "toys-train.tfrecord-00002-of-00003"),
        ("train[50%:]", "toys-train.tfrecord-00002-of-00003"),
        ("test", "toys-test.tfrecord-00000-of-00003, toys-test.tfrecord-00001"),
        ("test[:1]", "toys-test.tfrecord-00000-of-00003"),
        ("train[:8]+test", "toys-test.tfrecord-00000-of-00003, toys-test.tfrecord-00001"),
    ):
        with pytest.raises(
            RuntimeError,
            match=re.escape(f"is not complete: of split={split!r} there is no {missing}"),
        ):
            LOADERS[loader](split, train_alone)


@pytest.mark.parametrize("recorded", [True, False])
def test_the_size_of_an_example_is_that_of_the_split_in_use(tmp_path, recorded):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 1), "uint8")
    folder = write(
        tmp_path, picture_features(2), [{"image": noise, "label": 0}], test=pictures(2, 4)
    )
    if not recorded:
        info = folder / "dataset_info.json"
        info.write_text(re.sub(r'"numBytes": "\d+"', '"numBytes": "0"', info.read_text()))
    sizes = {
        split: prepared_split("toys", split, tmp_path).bytes_per_example
        for split in ("train", "test", "train+test[:1]")
    }
    assert sizes["train"] > noise.size > 10 * sizes["test"]
    assert sizes["test"] < sizes["train+test[:1]"] < sizes["train"]


def test_the_image_and_the_label_may_be_below_and_beside_other_features(tmp_path):
    import tensorflow_datasets as tfds

    features = {
        "input": {
            "view": picture_features(2)["image"],
            "mask": tfds.features.LabeledImage(labels=2, shape=(None, None, 1)),
        },
        "answers": {"kind": picture_features(2)["label"]},
        "boxes": tfds.features.Sequence({"kind": tfds.features.ClassLabel(num_classes=2)}),
    }
    gray = pictures(2, 1)
    nested = [
        {
            "input": {"view": one["image"], "mask": one["image"]},
            "answers": {"kind": one["label"]},
            "boxes": {"kind": []},
        }
        for one in gray
    ]
    write(tmp_path, features, nested)
    images, labels = data.load_arrays("toys", "train", data_dir=tmp_path)
    np.testing.assert_array_equal(images, [one["image"] for one in gray])
    np.testing.assert_array_equal(labels, [0, 1])
    epochs = data.load_epochs("toys", "train", 2, 1, (4, 4), tmp_path)
    assert sorted(next(iter(epochs))[0][:, 0, 0, 0].numpy()) == [0, 1]


@pytest.fixture(scope="module")
def two_labels(tmp_path_factory):
    """Returns a folder with 12 gray images, their parity, and their thirds below `answers`."""
    import tensorflow_datasets as tfds

    features = {
        "image": picture_features(1)["image"],
        "parity": tfds.features.ClassLabel(names=["even", "odd"]),
        "answers": {"third": tfds.features.ClassLabel(num_classes=3)},
        "number": tfds.features.Scalar(dtype=np.int64),
    }
    examples = [
        {
            "image": np.full((4, 4, 1), gray, "uint8"),
            "parity": gray % 2,
            "answers": {"third": gray // 4},
            "number": gray,
        }
        for gray in range(12)
    ]
    folder = tmp_path_factory.mktemp("tfds")
    write(folder, features, examples)
    return folder


WITH_LABEL = {
    "load": lambda folder, **label: data.load("toys", "train", 1, (4, 4), folder, **label),
    "load_epochs": lambda folder, **label: data.load_epochs(
        "toys", "train", 1, 1, (4, 4), folder, **label
    ),
    "load_arrays": lambda folder, **label: zip(
        *data.load_arrays("toys", "train", folder, **label), strict=True
    ),
}


@pytest.mark.parametrize("loader", WITH_LABEL)
def test_label_chooses_one_of_several(two_labels, loader):
    for label, expected in (
        ("parity", lambda gray: gray % 2),
        ("answers/third", lambda gray: gray // 4),
    ):
        loaded = WITH_LABEL[loader](two_labels, label=label)
        labels = {int(np.max(image)): int(np.max(label)) for image, label in loaded}
        assert labels == {gray: expected(gray) for gray in range(12)}
        if loader != "load_arrays":
            names = ["even", "odd"] if label == "parity" else ["0", "1", "2"]
            assert loaded.class_names == names


@pytest.mark.parametrize("loader", WITH_LABEL)
def test_a_label_that_is_not_there_brings_the_names_of_those_that_are(two_labels, loader):
    for label in ("third", "number", "image", ""):
        with pytest.raises(
            ValueError,
            match=rf"a class label of 'toys', one of \('answers/third', 'parity'\). Received: "
            f"label='{label}'",
        ):
            WITH_LABEL[loader](two_labels, label=label)
    with pytest.raises(ValueError, match=r"`label` chooses one. .*\['answers/third', 'parity'\]"):
        WITH_LABEL[loader](two_labels)
    with pytest.raises(ValueError, match="the name of a class label or None. Received: label=1"):
        WITH_LABEL[loader](two_labels, label=1)


def test_the_digits_have_one_label():
    for loader in (
        lambda: data.load("digits", "train", 8, label="label"),
        lambda: data.load_arrays("digits", "train", label="label"),
        lambda: data.load_epochs("digits", "train", 8, 1, label="label"),
    ):
        with pytest.raises(
            ValueError, match="None for the digits, which have one. Received: label="
        ):
            loader()


def test_label_takes_the_place_of_that_of_supervised_keys(tmp_path):
    """As the coarse label of CIFAR-100."""
    import tensorflow_datasets as tfds

    class Coarse(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        name = "coarse"

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    picture_features(4) | {"coarse_label": tfds.features.ClassLabel(num_classes=2)}
                ),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for place, one in enumerate(pictures(4, 2)):
                yield place, {**one, "coarse_label": one["label"] // 2}

    Coarse(data_dir=str(tmp_path)).download_and_prepare()
    (images, fine), (again, coarse) = (
        data.load_arrays("coarse", "train", tmp_path, label=label)
        for label in (None, "coarse_label")
    )
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(coarse, fine // 2)
    np.testing.assert_array_equal(
        data.load_arrays("coarse", "train", tmp_path, label="label")[1], fine
    )


def test_two_images_want_to_be_told_apart(tmp_path):
    import tensorflow_datasets as tfds

    deep = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png")
    example = {
        "left": np.zeros((4, 4, 1), "uint8"),
        "right": np.zeros((4, 4, 1), "uint8"),
        "label": 0,
    }
    gray, label = picture_features(1).values()
    write(tmp_path / "two", {"left": gray, "right": gray, "label": label}, [example])
    with pytest.raises(
        ValueError,
        match=r"with one uint8 image .* Received: name='toys', with the images \['left', 'right'\]",
    ):
        data.load("toys", "train", 1, data_dir=tmp_path / "two")
    write(
        tmp_path / "deep",
        {"image": deep, "label": label},
        [{"image": np.zeros((4, 4, 1), "uint16"), "label": 0}],
    )
    with pytest.raises(ValueError, match=r"with the images \[\], the class labels \['label'\]"):
        data.load("toys", "train", 1, data_dir=tmp_path / "deep")


def test_examples_without_a_label_have_minus_1(tmp_path):
    write(
        tmp_path,
        picture_features(2),
        [{**one, "label": one["label"] - 1} for one in pictures(2, 1)],
    )
    assert data.load_arrays("toys", "train", data_dir=tmp_path)[1].tolist() == [-1, 0]
    assert next(iter(data.load("toys", "train", 2, (4, 4), tmp_path, shuffle=False)))[
        1
    ].numpy().tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"split": "train[:0]"},
            r"`split` of 'toys' should hold at least one example. Received: split='train\[:0\]'",
        ),
        ({"split": "train[5:3]"}, "should hold at least one example"),
        (
            {"data_dir": 3},
            "`data_dir` should be the path of a folder or None. Received: data_dir=3",
        ),
        (
            {"drop_remainder": True, "batch_size": 13},
            "`batch_size` .* Received: batch_size=13, with 12 examples",
        ),
    ],
)
def test_refuses_what_gives_nothing(toys, arguments, message):
    arguments = {
        "split": "train",
        "batch_size": 4,
        "image_size": (4, 4),
        "data_dir": toys.parent.parent,
    } | arguments
    with pytest.raises(ValueError, match=message):
        data.load("toys", **arguments)


@pytest.mark.parametrize("num_files", [1, 5])
def test_the_shuffle_buffer_holds_encoded_images(tmp_path, monkeypatch, num_files):
    """All 100 take some 10 KB, which would hold five decoded images."""
    write(tmp_path, picture_features(10), pictures(10, 10, size=64), num_files)
    monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", 5 * 64 * 64)

    def passes(seed):
        train = data.load("toys", "train", 10, (64, 64), tmp_path, seed)
        return [np.concatenate([images[:, 0, 0, 0] for images, _ in train]) for _ in range(2)]

    (first, second), again, other = passes(0), passes(0), passes(2**70 + 1)
    assert len(set(first[:10] // 10)) >= 5
    assert sorted(first) == sorted(second) == list(range(100))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(again, [first, second])
    assert not np.array_equal(first, other[0])


def test_a_set_in_one_order_is_shuffled_beyond_the_buffer_where_it_has_several_files(
    tmp_path, monkeypatch
):
    """The buffer holds one image.

    With a fixed order of files every pass would begin with the first file.
    """
    write(tmp_path, picture_features(40), pictures(40, 5), num_files=40)
    monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", 1)
    train = data.load("toys", "train", 10, (4, 4), tmp_path)
    firsts = [set(next(iter(train))[1].numpy()) for _ in range(4)]
    assert len(set.union(*firsts)) > len(firsts[0])


class _Files(http.server.BaseHTTPRequestHandler):
    """Gives the same bytes for whatever is asked, as a proxy too."""

    content = b"7"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def download():
    """Gives the builder of a data set that needs one file from an address."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.checksums import UrlInfo

    numbers = iter(range(100))

    def make(url):
        class Builder(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")
            name = f"download_{id(make)}_{next(numbers)}"
            url_infos = {  # noqa: RUF012
                url: UrlInfo(tfds.core.utils.Size(1), hashlib.sha256(b"7").hexdigest(), "file")
            }

            def _info(self):
                return self.dataset_info_from_configs(
                    features=tfds.features.FeaturesDict(picture_features(1))
                )

            def _split_generators(self, manager):
                return {"train": self._generate_examples(manager.download(url))}

            def _generate_examples(self, file):
                yield 0, {"image": np.full((4, 4, 1), int(file.read_text()), "uint8"), "label": 0}

        return Builder

    return make


@pytest.fixture
def address():
    """Returns the address of a server, and a function that ends it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/file", server.shutdown
    server.shutdown()
    server.server_close()


@pytest.fixture
def unused_address():
    with socket.socket() as held:  # bound but not listening: refuses connections
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_says_soon_that_there_is_no_network(tmp_path, download, unused_address):
    begin = time.monotonic()
    with pytest.raises(
        RuntimeError, match=f"is not in '{tmp_path}.*{unused_address} cannot be reached"
    ):
        data.load(download(f"http://{unused_address}/file").name, "train", 1, data_dir=tmp_path)
    assert time.monotonic() - begin < 20  # TFDS alone takes more than 200 seconds
    assert list(tmp_path.iterdir()) == []


def test_downloads_through_a_proxy_and_keeps_the_files(tmp_path, monkeypatch, download, address):
    name = download("http://no-such-host.invalid/file").name
    for variable in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    proxy, end = address
    monkeypatch.setenv("http_proxy", proxy)
    assert data.load_arrays(name, "train", data_dir=tmp_path)[0].max() == 7
    monkeypatch.delenv("http_proxy")
    end()
    shutil.rmtree(tmp_path / name)
    (info,) = tmp_path.rglob("*.INFO")
    assert json.loads(info.read_text())["urls"] == ["http://no-such-host.invalid/file"]
    assert data.load_arrays(name, "train", data_dir=tmp_path)[0].max() == 7


@pytest.mark.parametrize("name", ["emoji/balanced", "emoji", "openclipart", "openclipart:1.0.0"])
def test_a_missing_data_set_of_packages_brings_the_command_that_prepares_it(tmp_path, name):
    with pytest.raises(ValueError, match=f"name='{name}'.* `make datasets`, in the repository"):
        data.load(name, "train", 8, data_dir=tmp_path)
    with pytest.raises(ValueError, match="Received: name='emojis'. Did you mean 'emoji'"):
        data.load("emojis", "train", 8, data_dir=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist:3.0.1"])
def test_so_does_one_that_tfds_cannot_download(tmp_path, monkeypatch, unused_address, name):
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, f"http://{unused_address}")
    for variable in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(RuntimeError, match=f"{name}' is not in .* `make datasets`, in the reposi"):
        data.load(name, "train", 8, data_dir=tmp_path)
