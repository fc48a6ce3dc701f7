"""The accuracy of a linear classifier, from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_positive
from keras_supcon.callbacks.labeled_data import LabeledData, read_labeled
from keras_supcon.callbacks.probe import Probe, check_name
from keras_supcon.evaluation.protocols.linear import linear_evaluation
from keras_supcon.evaluation.protocols.logistic_regression import Standardizer, fit_probe
from keras_supcon.evaluation.protocols.splits import check_classes
from keras_supcon.evaluation.scores.classification import accuracy
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed


class LinearProbe(Probe):
    """Writes the accuracy of a linear classifier of the features into the logs.

    In each measured epoch a classifier is fitted to the embeddings of the training images as they
    are then, as in `evaluation.linear_evaluation` but with one regularization, which takes about as
    long as one of its 45. `regularization=None` runs the whole evaluation, in which training images
    that are held out choose.

    Training goes on as without it, bit for bit. See `callbacks.probe.Probe` for the epochs that are
    measured, the logs of the others, several workers and embeddings that are not finite.

    Args:
        train: As for `KNNProbe`; the classifier is fitted to them.
        test: As for `KNNProbe`.
        regularization: Positive factor of half the sum of the squared weights in the loss, which is
            the mean cross-entropy on standardized features. None chooses one in each measurement.
        every: Number of epochs from one measurement to the next, at least 1.
        name: Name of the figure in the logs, different for each probe.
        seed: Seed of the images that are held out with `regularization=None`.
        batch_size: Images that are embedded at once, at least 1.
        encoder: The encoder; None for that of the model that is trained. See
            `callbacks.probe.Probe`.

    Attributes:
        figures: From the name to the last measured accuracy.

    Raises:
        ValueError: As for `KNNProbe`.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Example:

    >>> import keras, keras_supcon
    >>> from keras_supcon.callbacks import LinearProbe
    >>> images, labels = keras_supcon.data.load_arrays("digits", "train")
    >>> layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(32)]
    >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> model = keras_supcon.ContrastiveModel(encoder, num_views=1)
    >>> model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    >>> probe = LinearProbe((images[:200], labels[:200]), (images[200:300], labels[200:300]))
    >>> history = model.fit(images[:64], labels[:64], callbacks=[probe], verbose=0)
    >>> 0.5 < history.history["linear_accuracy"][0] <= 1
    True
    """

    def __init__(
        self,
        train: Any,
        test: Any,
        regularization: float | None = 1e-3,
        every: int = 1,
        name: str = "linear_accuracy",
        seed: int = 0,
        batch_size: int = 256,
        encoder: keras.layers.Layer | None = None,
    ) -> None:
        require_extra("report", "sklearn", "scipy", by="`LinearProbe`")
        super().__init__(every, batch_size, encoder)
        if regularization is not None:
            regularization = check_positive("regularization", regularization)
        self.regularization = regularization
        self.seed, self.name = check_seed(seed), check_name("name", name)
        self.train, self.test = read_labeled("train", train), read_labeled("test", test)
        check_classes("train[1]", self.train.labels, "test[1]", self.test.labels)

    @property
    def names(self) -> Sequence[str]:
        return (self.name,)

    @property
    def data(self) -> Mapping[str, LabeledData]:
        return {"train": self.train, "test": self.test}

    def measure(self, epoch: int, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        if self.regularization is None:
            result = linear_evaluation(
                train, self.train.labels, test, self.test.labels, seed=self.seed
            )
            return {self.name: result.accuracy}
        standardizer = Standardizer(train)
        probe = fit_probe(train, self.train.labels, self.regularization, standardizer)
        return {self.name: accuracy(probe.predict(test), self.test.labels)}
