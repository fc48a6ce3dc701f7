"""Files of the embedding for TensorBoard's projector."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_bool
from keras_supcon.callbacks.embedding_files import EmbeddingFiles
from keras_supcon.callbacks.sprite import check_pictures, draw_sprite, thumbnail_size
from keras_supcon.evaluation.reporting.names import visible
from keras_supcon.extras import require_extra
from keras_supcon.files import whole_file

_CONFIG, _METADATA, _SPRITE = "projector_config.pbtxt", "metadata.tsv", "sprite.png"
_TENSORS = re.compile(r"epoch-\d+\.tsv")


class EmbeddingProjector(EmbeddingFiles):
    """Writes the embedding for the projector of TensorBoard, with class names and thumbnails.

    `tensorboard --logdir=LOG_DIR` shows it on the page "Projector", an entry for each epoch that
    was written. TensorBoard itself is not needed to write the files: `projector_config.pbtxt`,
    `epoch-0010.tsv` with a row of tab-separated features for each image, `metadata.tsv` with their
    classes, and `sprite.png`. https://projector.tensorflow.org takes the two `.tsv` files, too.
    Features are as the encoder gives them; the projector can normalize them.

    A `keras.callbacks.TensorBoard` with `embeddings_freq` writes a `projector_config.pbtxt` of its
    own, so give each its own folder. TensorBoard reads the list of epochs when it starts.

    Training goes on as without it, bit for bit. It writes after the first epoch of `fit`, after
    every `every`-th one and after the last. See `callbacks.probe.Probe` for several workers and
    embeddings that are not finite, which are not written.

    Args:
        data: A pair of arrays `(images, labels)`, or batches of such pairs, which are read once.
        log_dir: Folder of the files, created when training begins.
        class_names: Names by class id; None for the ids.
        images: Whether the points are shown as thumbnails. The images are then `(n, height, width,
            channels)` with 1, 3 or 4 channels, as integers from 0 to 255, or floats from 0 to 1 or
            from 0 to 255. Other values are stretched to the range that they have.
        every: Number of epochs from one entry to the next, at least 1.
        max_images: Number of images to write, at least 2; of more, so many are chosen at random.
        seed: Seed of this choice.
        batch_size: Images that are embedded at once, at least 1.
        encoder: The encoder; None for that of the model that is trained. See
            `callbacks.probe.Probe`.

    Raises:
        ValueError: If data are not labeled images, a class has no name, or an argument is out of
            its range. When training begins, if there is no encoder, or one whose outputs are not
            features.
        OSError: When training begins, if the folder cannot be written to.
        ImportError: If Pillow, which makes the thumbnails, is missing
            (`pip install keras-supcon[report]`).

    Example:

    >>> import pathlib, tempfile
    >>> import keras, keras_supcon
    >>> from keras_supcon.callbacks import EmbeddingProjector
    >>> images, labels = keras_supcon.data.load_arrays("digits", "train")
    >>> images, labels = images[:64], labels[:64]
    >>> layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(32)]
    >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> model = keras_supcon.ContrastiveModel(encoder, num_views=1)
    >>> model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     projector = EmbeddingProjector((images, labels), folder)
    ...     history = model.fit(images, labels, callbacks=[projector], verbose=0)
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['epoch-0001.tsv', 'metadata.tsv', 'projector_config.pbtxt', 'sprite.png']
    """

    def __init__(
        self,
        data: Any,
        log_dir: str | os.PathLike[str],
        class_names: Sequence[str] | None = None,
        images: bool = True,
        every: int = 10,
        max_images: int = 2000,
        seed: int = 0,
        batch_size: int = 256,
        encoder: keras.layers.Layer | None = None,
    ) -> None:
        self.images = check_bool("images", images)
        if self.images:
            require_extra("report", "PIL", by="`EmbeddingProjector` with thumbnails")
        super().__init__(
            data, log_dir, "log_dir", class_names, max_images, seed, every, batch_size, encoder
        )
        if self.images:
            check_pictures("data[0]", self.shown.images)

    def write(self, epoch: int, embeddings: np.ndarray) -> None:
        # Anew each time, since training may go on with another choice of images.
        with whole_file(self.folder / _METADATA) as path:
            path.write_text(self._metadata(), encoding="utf-8")
        if self.images:
            with whole_file(self.folder / _SPRITE) as path:
                draw_sprite(self.shown.images).save(path, format="png")
        with whole_file(self.folder / f"epoch-{epoch + 1:04d}.tsv") as path:
            np.savetxt(path, embeddings, fmt="%.6g", delimiter="\t")
        with whole_file(self.folder / _CONFIG) as path:
            path.write_text(self._config(), encoding="utf-8")

    def _metadata(self) -> str:
        # A header is one only if there are two columns.
        lines = ["class\tid"]
        lines += [f"{_one_line(self.names_of_classes[one])}\t{one}" for one in self.shown.labels]
        return "\n".join(lines) + "\n"

    def _config(self) -> str:
        """Lists all epochs in the folder, those from before training was resumed included."""
        files = sorted(p.name for p in self.folder.iterdir() if _TENSORS.fullmatch(p.name))
        return "".join(map(self._entry, files))

    def _entry(self, file: str) -> str:
        lines = [
            f"tensor_name: {json.dumps(file.removesuffix('.tsv'))}",
            f"tensor_path: {json.dumps(file)}",
            f"metadata_path: {json.dumps(_METADATA)}",
        ]
        if self.images:
            height, width = thumbnail_size(self.shown.images)
            lines.append(
                f"sprite {{ image_path: {json.dumps(_SPRITE)} "
                f"single_image_dim: {width} single_image_dim: {height} }}"
            )
        return "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _one_line(name: str) -> str:
    """Escapes tabs and line breaks of all kinds, which would end a column or a row."""
    escaped = visible(name, spaces="")
    return escaped.replace("\u2028", r"\u2028").replace("\u2029", r"\u2029") or " "
