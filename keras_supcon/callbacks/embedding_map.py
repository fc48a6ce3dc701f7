"""Pictures of the embedding, from epoch to epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_choice
from keras_supcon.callbacks.embedding_files import EmbeddingFiles
from keras_supcon.evaluation.reporting.figures import draw_embedding_map
from keras_supcon.evaluation.reporting.png import as_pngs
from keras_supcon.evaluation.search import normalize_rows
from keras_supcon.extras import require_extra
from keras_supcon.files import whole_file
from keras_supcon.seeds import random_generator

# t-SNE begins with positions that are close together, as scikit-learn's own start is.
_START_SCALE = 1e-4


class EmbeddingMap(EmbeddingFiles):
    """Draws the embedding as a map, a point for each image, and writes `epoch-0010.png` and so on.

    The images are the same in each picture, and each map follows the one before: t-SNE starts from
    the earlier positions, and the map is turned, or mirrored, to meet them. So a class stays about
    where it was, and most of what moves between two pictures has moved in the embedding.

    Distances between far groups of a t-SNE map mean little. It takes some seconds for 2,000 images
    on one core, principal components take none.

    Training goes on as without it, bit for bit. It draws after the first epoch of `fit`, after
    every `every`-th one and after the last. See `callbacks.probe.Probe` for several workers and
    embeddings that are not finite, of which there is no map.

    Args:
        data: A pair of arrays `(images, labels)`, or batches of such pairs, which are read once.
        output_dir: Folder of the pictures, created when training begins.
        every: Number of epochs from one picture to the next, at least 1.
        class_names: Names for the legend by class id; None for the ids.
        method: `"tsne"`, or `"pca"` for the first two principal components; both of rows of unit
            length.
        max_images: Number of images to draw, at least 2; of more, so many are chosen at random.
        seed: Seed of this choice and of t-SNE.
        batch_size: Images that are embedded at once, at least 1.
        encoder: The encoder; None for that of the model that is trained. See
            `callbacks.probe.Probe`.

    Raises:
        ValueError: If data are not labeled images, a class has no name, or an argument is out of
            its range. When training begins, if there is no encoder, or one whose outputs are not
            features.
        OSError: When training begins, if the folder cannot be written to.
        ImportError: If matplotlib, or scikit-learn for t-SNE, is missing
            (`pip install keras-supcon[report]`).

    Reference:
        van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 2008.

    Example:

    >>> import pathlib, tempfile
    >>> import keras, keras_supcon
    >>> from keras_supcon.callbacks import EmbeddingMap
    >>> images, labels = keras_supcon.data.load_arrays("digits", "train")
    >>> images, labels = images[:64], labels[:64]
    >>> layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(32)]
    >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> model = keras_supcon.ContrastiveModel(encoder, num_views=1)
    >>> model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pictures = EmbeddingMap((images, labels), folder, method="pca")
    ...     history = model.fit(images, labels, epochs=2, callbacks=[pictures], verbose=0)
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['epoch-0001.png', 'epoch-0002.png']
    """

    def __init__(
        self,
        data: Any,
        output_dir: str | os.PathLike[str],
        every: int = 10,
        class_names: Sequence[str] | None = None,
        method: str = "tsne",
        max_images: int = 2000,
        seed: int = 0,
        batch_size: int = 256,
        encoder: keras.layers.Layer | None = None,
    ) -> None:
        self.method = check_choice("method", method, ["tsne", "pca"])
        packages = ("matplotlib", "sklearn") if method == "tsne" else ("matplotlib",)
        require_extra("report", *packages, by="`EmbeddingMap`")
        super().__init__(
            data,
            output_dir,
            "output_dir",
            class_names,
            max_images,
            seed,
            every,
            batch_size,
            encoder,
        )
        self.positions: np.ndarray | None = None

    def write(self, epoch: int, embeddings: np.ndarray) -> None:
        place = place_by_tsne if self.method == "tsne" else place_by_pca
        self.positions = place(normalize_rows(embeddings), self.positions, self.seed)
        places = np.searchsorted(list(self.names_of_classes), self.shown.labels)
        figure = draw_embedding_map(self.positions, places, list(self.names_of_classes.values()))
        figure.axes[0].set_title(f"epoch {epoch + 1}")
        with whole_file(self.folder / f"epoch-{epoch + 1:04d}.png") as path:
            path.write_bytes(as_pngs(figure)[0])


def place_by_pca(rows: np.ndarray, earlier: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Maps rows to their first two principal components.

    Args:
        rows: `(n, d)`.
        earlier: Positions `(n, 2)` of the same images, to which the map is turned or mirrored as
            far as it fits best; None for a first map.
        seed: Ignored: nothing is drawn.

    Returns:
        `(n, 2)`, float64.
    """
    centered = rows - rows.mean(axis=0, dtype="float64")
    left, singular, _ = np.linalg.svd(centered, full_matrices=False)
    points = np.zeros((len(rows), 2))
    points[:, : len(singular)] = (left * singular)[:, :2]
    return points if earlier is None else _turn_to(points, earlier)


def place_by_tsne(rows: np.ndarray, earlier: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Maps rows to two dimensions by t-SNE.

    Args:
        rows: `(n, d)`, at least two.
        earlier: Positions `(n, 2)` of the same images, from which the map starts; None starts from
            principal components.
        seed: Seed of t-SNE.

    Returns:
        `(n, 2)`, float32.
    """
    from sklearn.manifold import TSNE

    start = place_by_pca(rows) if earlier is None else earlier - earlier.mean(axis=0)
    spread = start.std()
    # Points at one place would stay there, as would a collapsed embedding from then on.
    start = start / spread if spread > 0 else np.zeros_like(start)
    start = start + 1e-3 * random_generator(seed).normal(size=start.shape)
    perplexity = min(30, max(1, (len(rows) - 1) / 3))
    model = TSNE(
        init=(_START_SCALE * start).astype("float32"),
        perplexity=perplexity,
        random_state=seed % 2**32,
    )
    points = model.fit_transform(rows)
    # The first steps overshoot, by which the whole map may turn.
    return points if earlier is None else _turn_to(points, earlier)


def _turn_to(points: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Turns or mirrors points `(n, 2)` so that they come closest to earlier ones (Procrustes)."""
    first, _, second = np.linalg.svd(points.T @ (earlier - earlier.mean(axis=0)))
    return points @ (first @ second)
