"""Trains with probes, as one of the workers in the environment variable TF_CONFIG.

    python -m tests.callbacks.probe_worker FOLDER

It writes what it saw to `history-INDEX.json`.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras

from keras_supcon.callbacks import EmbeddingProjector, KNNProbe
from keras_supcon.distribution import strategy
from tests.callbacks.small_training import fit, images, make_model


class ChiefOnly(KNNProbe):
    """Falls from epoch to epoch, on the chief; no other worker should measure."""

    def measure(self, epoch, train, test):
        assert self._is_chief
        return {self.name: super().measure(epoch, train, test)[self.name] - epoch}


def main(folder: pathlib.Path) -> None:
    several = strategy("multi_worker")
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    train, test = images(40, seed=1), images(21, seed=2)
    with several.scope():
        model = make_model(run_eagerly=False)
    callbacks = [
        ChiefOnly(train, test, num_neighbors=5),
        EmbeddingProjector(train, folder / f"written-by-{index}"),
        keras.callbacks.EarlyStopping("knn_accuracy", mode="max", patience=1),
    ]
    history = fit(model, callbacks, epochs=5, shuffle=False).history
    (folder / f"history-{index}.json").write_text(json.dumps(history))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
