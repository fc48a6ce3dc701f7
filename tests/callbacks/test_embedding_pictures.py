"""Maps and projector files of the embedding."""

import io

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.callbacks import EmbeddingMap, EmbeddingProjector
from keras_supcon.callbacks.embedding_map import place_by_pca, place_by_tsne
from keras_supcon.callbacks.sprite import draw_sprite, thumbnail_size
from keras_supcon.evaluation import embed
from keras_supcon.evaluation.search import normalize_rows
from tests.callbacks.small_training import images, make_model
from tests.covering import every_value

pytestmark = [
    pytest.mark.neutral,
    pytest.mark.usefixtures("eager_functions"),
    pytest.mark.filterwarnings(
        "ignore:Even though the `tf.config.experimental_run_functions_eager"
    ),
]

DATA = images(30)
NAMES = ["cat", "two\tparts", "three\nlines\u2028and more\r"]


def fit(callbacks, epochs=1, **options):
    """Trains a model that takes no time, of another shape than the encoder."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    arrays = np.ones((2, 2)), np.ones(2)
    model.fit(*arrays, epochs=epochs, callbacks=callbacks, verbose=0, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def encoder():
    return make_model().encoder


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_map_for_each_interval(method, encoder, tmp_path):
    maps = EmbeddingMap(
        DATA, tmp_path / "maps", every=3, method=method, class_names=NAMES, encoder=encoder
    )
    fit([maps], epochs=5)
    assert names(maps.folder) == ["epoch-0001.png", "epoch-0003.png", "epoch-0005.png"]
    for path in maps.folder.iterdir():
        # Background, and a color for each class.
        assert len(colors_of(path.read_bytes())) > 3
    assert maps.positions.shape == (30, 2)
    fit([maps], epochs=8, initial_epoch=7)
    assert names(maps.folder)[-1] == "epoch-0008.png"


def colors_of(png):
    """Returns the colors of a PNG."""
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    return np.unique(picture.reshape(-1, 3), axis=0)


@pytest.mark.parametrize("place", [place_by_tsne, place_by_pca])
def test_a_map_follows_the_one_before(rng, place):
    labels = np.arange(90) % 3
    rows = normalize_rows(np.eye(6)[labels] + 0.1 * rng.normal(size=(90, 6)))
    first = place(rows)
    # The embedding is turned, which changes no distance, and moves a little.
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    moved = normalize_rows(rows @ turn + 0.01 * rng.normal(size=(90, 6)))
    second = place(moved, first)

    def centers(points):
        points = points - points.mean(axis=0)
        return np.stack([points[labels == one].mean(axis=0) for one in range(3)])

    distance = np.linalg.norm(centers(second) - centers(first), axis=1)
    size = np.linalg.norm(centers(first), axis=1)
    assert (distance < 0.35 * size).all()
    # Classes are apart in both.
    for points in (first, second):
        within = np.linalg.norm(points - points.mean(0) - centers(points)[labels], axis=1).mean()
        assert within < 0.5 * size.mean()
    np.testing.assert_array_equal(place(moved, first), second)


def test_principal_components_keep_distances_of_a_plane(rng):
    plane = rng.normal(size=(20, 2))
    rows = plane @ np.linalg.qr(rng.normal(size=(5, 5)))[0][:2]
    points = place_by_pca(rows)

    def distances(x):
        return np.linalg.norm(x[:, None] - x[None], axis=-1)

    np.testing.assert_allclose(distances(points), distances(plane), atol=1e-12)
    earlier = points @ np.array([[0.0, 1.0], [1.0, 0.0]]) + 3
    np.testing.assert_allclose(place_by_pca(rows, earlier), earlier - earlier.mean(0), atol=1e-12)
    line = place_by_pca(rng.normal(size=(4, 1)))
    assert line.shape == (4, 2)
    assert (line[:, 1] == 0).all()


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_a_collapsed_embedding_has_a_map_and_can_recover(method, tmp_path):
    class Rows(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.built = True
            self.factor = self.add_weight(shape=(), initializer="zeros")

        def call(self, x):
            return 1 + self.factor * ops.reshape(x, (-1, 16))

    encoder = Rows()
    switch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: encoder.factor.assign(float(epoch))
    )
    maps = EmbeddingMap(DATA, tmp_path, every=1, method=method, encoder=encoder)
    fit([switch, maps], epochs=2)
    assert names(tmp_path) == ["epoch-0001.png", "epoch-0002.png"]
    assert np.isfinite(maps.positions).all()
    assert (maps.positions.std(axis=0) > 1e-3).all()


def read_tsv(path):
    """Reads a file of tab-separated columns as browsers do: every line break ends a row."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


def test_projector_files_hold_the_embedding(encoder, tmp_path):
    projector = EmbeddingProjector(DATA, tmp_path, NAMES, every=2, encoder=encoder)
    fit([projector], epochs=2)
    assert names(tmp_path) == [
        "epoch-0001.tsv",
        "epoch-0002.tsv",
        "metadata.tsv",
        "projector_config.pbtxt",
        "sprite.png",
    ]
    rows, labels = embed(encoder, DATA)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "epoch-0002.tsv"), rows, rtol=1e-5)
    header, *lines = read_tsv(tmp_path / "metadata.tsv")
    assert header == ["class", "id"]
    shown = ["cat", r"two\tparts", r"three\nlines\u2028and more\r"]
    assert lines == [[shown[label], str(label)] for label in labels]


def test_training_that_goes_on_keeps_the_epochs_before(encoder, tmp_path):
    fit([EmbeddingProjector(DATA, tmp_path, images=False, encoder=encoder)])
    fit(
        [EmbeddingProjector(DATA, tmp_path, images=False, encoder=encoder)],
        epochs=4,
        initial_epoch=3,
    )
    assert "sprite.png" not in names(tmp_path)
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("embeddings {") == 2
    assert config.index('"epoch-0001.tsv"') < config.index('"epoch-0004.tsv"')
    assert "sprite" not in config


def test_tensorboard_lists_what_was_written(encoder, tmp_path):
    pytest.importorskip("tensorboard")
    from google.protobuf import text_format
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from werkzeug.test import Client
    from werkzeug.wrappers import Response

    run = tmp_path / "run"
    fit([EmbeddingProjector(DATA, run, NAMES, every=1, encoder=encoder)], epochs=2)
    text = (run / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, ProjectorConfig())
    assert [one.tensor_path for one in config.embeddings] == ["epoch-0001.tsv", "epoch-0002.tsv"]
    assert list(config.embeddings[0].sprite.single_image_dim) == [4, 4]

    class NoRuns:
        def list_runs(self, *args, **kwargs):
            return []

    plugin = ProjectorPlugin(base_plugin.TBContext(logdir=str(run), data_provider=NoRuns()))
    routes = plugin.get_plugin_apps()

    def get(route, **query):
        return Client(routes[route], Response).get("/", query_string={"run": ".", **query})

    assert get("/runs").json == ["."]
    listed = get("/info").json["embeddings"]
    assert [one["tensorName"] for one in listed] == ["epoch-0001", "epoch-0002"]
    assert [one["tensorShape"] for one in listed] == [[30, 8], [30, 8]]
    tensor = np.frombuffer(get("/tensor", name="epoch-0002").data, "float32").reshape(30, 8)
    np.testing.assert_allclose(tensor, embed(encoder, DATA)[0], rtol=1e-5)
    assert get("/metadata", name="epoch-0002").data == (run / "metadata.tsv").read_bytes()
    assert get("/sprite_image", name="epoch-0001").data == (run / "sprite.png").read_bytes()


@every_value(
    case={
        "uint8, gray": ("uint8", 1, lambda x: (255 * x).astype("uint8")),
        "uint8": ("uint8", 3, lambda x: (255 * x).astype("uint8")),
        "float32 to 1": ("float32", 3, lambda x: x),
        "float32 to 255, with alpha": ("float32", 4, lambda x: (255 * x).astype("float32")),
        "float16, gray": ("float16", 1, lambda x: x.astype("float16")),
    }
)
def test_a_sprite_has_all_images_in_order(rng, case):
    _, channels, convert = case
    pixels = rng.integers(0, 256, size=(7, 4, 6, channels)) / 255
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 1
    sprite = np.asarray(draw_sprite(convert(pixels.astype("float32"))))
    assert sprite.shape[:2] == (3 * 4, 3 * 6)
    sprite = sprite.reshape(12, 18, channels)
    for place in range(7):
        row, column = divmod(place, 3)
        tile = sprite[4 * row :][:4, 6 * column :][:, :6]
        np.testing.assert_allclose(tile, 255 * pixels[place], atol=1.1)


def test_other_ranges_are_stretched():
    image = np.linspace(-3, 5, 16).reshape(1, 4, 4, 1)
    sprite = np.asarray(draw_sprite(image))
    assert (sprite.min(), sprite.max()) == (0, 255)
    assert draw_sprite(np.full((1, 2, 2, 1), -1.0)).size == (2, 2)


@pytest.mark.parametrize(
    ("number", "height", "width"),
    [(1, 4, 6), (2000, 224, 224), (60_000, 32, 32), (10**6, 32, 64), (10, 100, 400)],
)
def test_a_sprite_is_at_most_what_the_projector_takes(number, height, width):
    image = np.broadcast_to(np.uint8(0), (number, height, width, 3))
    tall, wide = thumbnail_size(image)
    columns = int(np.ceil(np.sqrt(number)))
    assert 1 <= columns * tall <= 8192
    assert 1 <= columns * wide <= 8192
    assert tall <= height
    assert wide <= width
    assert wide / tall == pytest.approx(width / height, rel=0.15)


def test_large_images_are_scaled_down(rng):
    image = np.zeros((1, 256, 128, 1), "uint8")
    image[:, :128] = 200
    sprite = draw_sprite(image)
    assert sprite.size == (32, 64)
    assert np.asarray(sprite)[:32].min() == 200
    assert np.asarray(sprite)[32:].max() == 0


def test_a_full_disk_does_not_end_the_training(encoder, tmp_path, monkeypatch):
    from keras_supcon.callbacks import embedding_map

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(embedding_map, "whole_file", full)
    maps = EmbeddingMap(DATA, tmp_path, every=1, method="pca", encoder=encoder)
    with pytest.warns(UserWarning, match="nothing was written after epoch 2.*No space left"):
        fit([maps], epochs=2)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_refused_before_training(encoder, tmp_path):
    (tmp_path / "file").write_text("")
    for make in (EmbeddingMap, EmbeddingProjector):
        with pytest.raises(OSError, match="cannot be written to"):
            fit([make(DATA, tmp_path / "file" / "maps", encoder=encoder)])


WRONG = {
    "output_dir": (lambda folder: EmbeddingMap(DATA, 3), "`output_dir` should be a path"),
    "bucket": (lambda folder: EmbeddingProjector(DATA, "gs://x"), "`log_dir` should be a path"),
    "method": (
        lambda folder: EmbeddingMap(DATA, folder, method="umap"),
        "`method` should be one of \\('tsne', 'pca'\\). Received: method='umap'",
    ),
    "class_names": (
        lambda folder: EmbeddingMap(DATA, folder, class_names=["a", "b"]),
        "`class_names` should be a name for each class id up to 2",
    ),
    "max_images": (
        lambda folder: EmbeddingProjector(DATA, folder, max_images=0),
        "`max_images` should be a whole number of at least 2",
    ),
    "images": (
        lambda folder: EmbeddingProjector(DATA, folder, images="yes"),
        "`images` should be True or False",
    ),
    "no pictures": (
        lambda folder: EmbeddingProjector((np.ones((30, 5)), DATA[1]), folder),
        r"`data\[0\]` should be pictures.*`images=False`.*Received: data\[0\].shape=\(30, 5\)",
    ),
    "dictionary": (
        lambda folder: EmbeddingProjector(({"a": DATA[0]}, DATA[1]), folder),
        r"`data\[0\]` should be pictures.*Received: dict",
    ),
}


@every_value(case=list(WRONG))
def test_wrong_arguments_are_refused_at_once(case, tmp_path):
    make, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        make(tmp_path)


def test_missing_packages_are_named_at_once(monkeypatch, tmp_path):
    from keras_supcon import extras

    for package in ("matplotlib", "sklearn", "PIL"):
        monkeypatch.setitem(extras.sys.modules, package, None)
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ImportError, match="`EmbeddingMap` needs matplotlib and sklearn, which are"):
        EmbeddingMap(DATA, tmp_path)
    with pytest.raises(ImportError, match="`EmbeddingMap` needs matplotlib, which is not install"):
        EmbeddingMap(DATA, tmp_path, method="pca")
    with pytest.raises(ImportError, match="`EmbeddingProjector` with thumbnails needs PIL"):
        EmbeddingProjector(DATA, tmp_path)
    EmbeddingProjector(DATA, tmp_path, images=False)
