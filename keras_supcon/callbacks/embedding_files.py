"""The base of callbacks that write files of the embedding, and their class names."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_whole_number
from keras_supcon.callbacks.labeled_data import LabeledData, read_labeled
from keras_supcon.callbacks.probe import Probe
from keras_supcon.files import make_writable
from keras_supcon.seeds import check_seed


class EmbeddingFiles(Probe):
    """Writes files of the embedding of a fixed set of images; the chief writes.

    A subclass gives `write`. If files cannot be written, as on a full disk, a warning says so and
    training goes on.

    Args:
        data: As for `read_labeled`.
        folder: Folder of the files, created when training begins.
        folder_name: Name of the argument.
        class_names: Names by class id; None for the ids.
        max_images: Number of images to keep, at least 2.
        seed: Seed of the choice of these.
        every: As for `Probe`, and so the other arguments.
        batch_size: As for `Probe`.
        encoder: As for `Probe`.
    """

    def __init__(
        self,
        data: Any,
        folder: str | os.PathLike[str],
        folder_name: str,
        class_names: Sequence[str] | None,
        max_images: int,
        seed: int,
        every: int,
        batch_size: int,
        encoder: keras.layers.Layer | None,
    ) -> None:
        super().__init__(every, batch_size, encoder)
        if not isinstance(folder, (str, os.PathLike)) or not str(folder) or "://" in str(folder):
            raise ValueError(
                f"`{folder_name}` should be a path of a mounted file system. Received: "
                f"{folder_name}={folder!r}"
            )
        self.folder = pathlib.Path(folder)
        self.max_images = check_whole_number("max_images", max_images, at_least=2)
        self.seed = check_seed(seed)
        everything = read_labeled("data", data)
        self.names_of_classes = _names_of_classes(class_names, everything.labels)
        self.shown = everything.at_most(self.max_images, self.seed)

    @property
    def data(self) -> Mapping[str, LabeledData]:
        return {"shown": self.shown}

    def measure(self, epoch: int, shown: np.ndarray) -> dict[str, float]:
        if self._is_chief:
            try:
                self.write(epoch, shown)
            except OSError as error:
                self.warn(f"nothing was written after epoch {epoch + 1}. {error}")
        return {}

    def write(self, epoch: int, embeddings: np.ndarray) -> None:
        """Writes the files.

        Args:
            epoch: Index of the epoch that ends.
            embeddings: Finite rows `(n, features)` of `shown`.

        Raises:
            OSError: If they cannot be written.
        """
        raise NotImplementedError

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        if self._is_chief:
            make_writable(self.folder)


def _names_of_classes(names: Any, labels: np.ndarray) -> dict[int, str]:
    """Returns the name of each class that occurs, by class id in ascending order.

    Raises:
        ValueError: If a class has no name.
    """
    classes = np.unique(labels).tolist()
    if names is None:
        return {one: str(one) for one in classes}
    if isinstance(names, str) or not hasattr(names, "__len__") or len(names) <= classes[-1]:
        raise ValueError(
            f"`class_names` should be a name for each class id up to {classes[-1]}. Received: "
            f"class_names={names!r}"
        )
    return {one: str(names[one]) for one in classes}
