"""The accuracy of nearest neighbors, from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_positive, check_whole_number
from keras_supcon.callbacks.labeled_data import LabeledData, read_labeled
from keras_supcon.callbacks.probe import Probe, check_name
from keras_supcon.evaluation.protocols.knn import knn_evaluation
from keras_supcon.evaluation.protocols.splits import check_classes


class KNNProbe(Probe):
    """Writes the accuracy of `evaluation.knn_evaluation` into the logs, from epoch to epoch.

    A contrastive loss says little about what the features are good for; this figure does, and
    nothing is trained for it. Give it validation images, as for each figure that stops training or
    chooses among epochs: an accuracy on test images that chooses is too high.

    Training goes on as without it, bit for bit. See `callbacks.probe.Probe` for the epochs that are
    measured, the logs of the others, several workers and embeddings that are not finite.

    Args:
        train: A pair of arrays `(images, labels)`, or batches of such pairs, which are read once
            and kept in memory. The neighbors are among them.
        test: As `train`; the images that are classified, of the same classes.
        num_neighbors: As for `evaluation.knn_evaluation`.
        temperature: As for `evaluation.knn_evaluation`.
        every: Number of epochs from one measurement to the next, at least 1.
        name: Name of the figure in the logs, different for each probe.
        batch_size: Images that are embedded at once, at least 1.
        encoder: The encoder; None for that of the model that is trained. See
            `callbacks.probe.Probe`.

    Attributes:
        figures: From the name to the last measured accuracy.

    Raises:
        ValueError: If data are not labeled images, a class of the test images is missing from the
            training images, or an argument is out of its range. When training begins, if there is
            no encoder, or one whose outputs are not features.

    Reference:
        Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR
        2018, section 3.4.

    Example:

    >>> import keras, keras_supcon
    >>> from keras_supcon.callbacks import KNNProbe
    >>> images, labels = keras_supcon.data.load_arrays("digits", "train")
    >>> layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(32)]
    >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> model = keras_supcon.ContrastiveModel(encoder, num_views=1)
    >>> model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    >>> probe = KNNProbe((images[:200], labels[:200]), (images[200:300], labels[200:300]))
    >>> history = model.fit(images[:64], labels[:64], callbacks=[probe], verbose=0)
    >>> 0.5 < history.history["knn_accuracy"][0] <= 1
    True
    """

    def __init__(
        self,
        train: Any,
        test: Any,
        num_neighbors: int = 200,
        temperature: float = 0.1,
        every: int = 1,
        name: str = "knn_accuracy",
        batch_size: int = 256,
        encoder: keras.layers.Layer | None = None,
    ) -> None:
        super().__init__(every, batch_size, encoder)
        self.num_neighbors = check_whole_number("num_neighbors", num_neighbors, at_least=1)
        self.temperature = check_positive("temperature", temperature)
        self.name = check_name("name", name)
        self.train, self.test = read_labeled("train", train), read_labeled("test", test)
        check_classes("train[1]", self.train.labels, "test[1]", self.test.labels)

    @property
    def names(self) -> Sequence[str]:
        return (self.name,)

    @property
    def data(self) -> Mapping[str, LabeledData]:
        return {"train": self.train, "test": self.test}

    def measure(self, epoch: int, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        result = knn_evaluation(
            train,
            self.train.labels,
            test,
            self.test.labels,
            self.num_neighbors,
            self.temperature,
        )
        return {self.name: result.accuracy}
