"""Embeddings and predictions of a whole data set: the one place that runs a model."""

from __future__ import annotations

import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_supcon.arguments import check_bool, check_whole_number
from keras_supcon.array_checks import (
    SUM_TOLERANCE,
    check_embeddings,
    check_probabilities,
)
from keras_supcon.distribution.scopes import outside_of_scopes
from keras_supcon.evaluation.labeled_batches import labeled_batches
from keras_supcon.evaluation.row_store import RowStore, save_array
from keras_supcon.evaluation.scores.calibration import softmax
from keras_supcon.files import DirectoryLock, whole_file
from keras_supcon.models import EncoderModel
from keras_supcon.models.encoder_inputs import cast_for_encoder
from keras_supcon.models.encoder_model import augment, one_view
from keras_supcon.typing import Dataset, Tensor, TensorTree

EMBEDDINGS, LABELS = "embeddings.npy", "labels.npy"
MEMORY_LIMIT = 2**31
# A bar for less time is only in the way.
_SECONDS_TO_BAR = 3
_SECONDS_BETWEEN_LINES = 10


def embed(
    model: keras.layers.Layer,
    dataset: Iterable[tuple[TensorTree, Tensor]] | tuple[TensorTree, Tensor],
    batch_size: int = 256,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    memory_limit: int = MEMORY_LIMIT,
    verbose: bool | str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the encoder's features of every image, in inference mode and without augmentation.

    Pixels: images reach the encoder as they are given, integers as floats of the same values. They
    pass through the inference form of the model's augmenter if it has one; nothing scales them. See
    `ContrastiveModel`.

    Protocols take the returned arrays, so that an encoder sees each image once. Arrays beyond
    `memory_limit` are memory-mapped: the rows are in a file, a temporary one that ends with the
    array, or those of `output_dir`.

    Args:
        model: A `ContrastiveModel` or another `models.EncoderModel`, whose encoder and image
            preparation are used, or an encoder.
        dataset: Batches `(images, labels)`, for instance a `tf.data.Dataset`, a
            `keras.utils.PyDataset` or a `DataLoader` of torch. It is read once, so that shuffled
            data keep their labels. Or a pair of arrays `(images, labels)` with all of them. Images
            may be any inputs of the encoder, such as texts, or a dictionary of tensors.
        batch_size: Images in a batch of the arrays, at least 1; ignored for batches.
        output_dir: Folder that gets the files embeddings.npy and labels.npy, for `numpy.load`, once
            all images are embedded. Created if missing. None writes no file.
        memory_limit: Bytes of embeddings that are kept in memory.
        verbose: Whether a progress bar is shown; `"auto"` shows one after some seconds.

    Returns:
        `(embeddings, labels)`: float32 `(n, features)` and `(n,)`, in the order of the data set;
        labels of several classes are `(n, classes)`, as they are given.

    Raises:
        ValueError: If the data set is empty or endless, yields no `(images, labels)`, or the arrays
            are not of one length; if the model has several outputs, or features are not of shape
            `(batch, features)`; if they are probabilities, as a classifier gives them; or if
            `output_dir` holds embeddings.
        OSError: If `output_dir` cannot be written to.
        RuntimeError: If another process writes to `output_dir`.

    Example:

    >>> import keras_supcon
    >>> encoder = keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar")
    >>> test = keras_supcon.data.load("digits", "test", batch_size=128)
    >>> embeddings, labels = keras_supcon.evaluation.embed(encoder, test)
    >>> embeddings.shape, labels.shape
    ((355, 64), (355,))
    """
    return Embedder(model)(
        dataset, batch_size, output_dir=output_dir, memory_limit=memory_limit, verbose=verbose
    )


def classify(
    classifier: keras.layers.Layer,
    dataset: Iterable[tuple[TensorTree, Tensor]] | tuple[TensorTree, Tensor],
    batch_size: int = 256,
    *,
    from_logits: bool = False,
    verbose: bool | str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Computes a classifier's probabilities of every image, in inference mode.

    Args:
        classifier: A `LinearClassifier`, or any Keras model whose output is `(batch, classes)`.
        dataset: As for `embed`.
        batch_size: As for `embed`.
        from_logits: Whether the classifier gives logits.
        verbose: As for `embed`.

    Returns:
        `(probabilities, labels)`: float32 `(n, classes)` and `(n,)`, in the order of the data set.

    Raises:
        ValueError: As for `embed`; and if outputs are no probabilities, as those of an encoder, or
            not finite.

    Example:

    >>> import keras_supcon
    >>> encoder = keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar")
    >>> classifier = keras_supcon.LinearClassifier(encoder, num_classes=10)
    >>> test = keras_supcon.data.load("digits", "test", batch_size=128)
    >>> keras_supcon.evaluation.classify(classifier, test)[0].shape
    (355, 10)
    """
    return Classifier(classifier, from_logits)(dataset, batch_size, verbose=verbose)


class _Runner:
    """Runs a model on data sets; what was compiled for one serves the next."""

    def __init__(
        self, network: keras.layers.Layer, augmenter: keras.layers.Layer | None = None
    ) -> None:
        # In the scope of a strategy each replica would run a whole batch.
        self._network = outside_of_scopes(lambda: RunnableNetwork(network, augmenter))

    def __call__(
        self,
        dataset: Dataset,
        batch_size: int = 256,
        *,
        output_dir: str | os.PathLike[str] | None = None,
        memory_limit: int = MEMORY_LIMIT,
        verbose: bool | str = "auto",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the outputs `(n, width)` and the labels of a data set, as `embed` does."""
        check_whole_number("memory_limit", memory_limit, at_least=0)

        def run(path: pathlib.Path | None = None) -> tuple[np.ndarray, np.ndarray]:
            return self._run(dataset, batch_size, memory_limit, path, verbose)

        try:
            return outside_of_scopes(run) if output_dir is None else _write(output_dir, run)
        except _ReadError as error:
            raise error.reason from None

    def _run(
        self,
        dataset: Dataset,
        batch_size: int,
        memory_limit: int,
        path: pathlib.Path | None,
        verbose: bool | str,
    ) -> tuple[np.ndarray, np.ndarray]:
        batches, number = labeled_batches("dataset", dataset, batch_size)
        labels: list[np.ndarray] = []
        check = self._new_check()
        progress = _Progress(number, verbose)
        with RowStore(memory_limit, path) as store:
            for number_done, (images, batch_labels) in enumerate(_reading(batches), start=1):
                of_batch = _as_labels(batch_labels)
                images = tree.map_structure(_as_batch, images)
                if not len(of_batch) and not any(len(one) for one in tree.flatten(images)):
                    continue  # a filter may leave nothing
                rows = _one_output(self._network.predict_on_batch(images))
                if len(of_batch) != len(rows):
                    raise ValueError(
                        "`dataset` should have a label for each image. Received: a batch of "
                        f"{len(rows)} images and {len(of_batch)} labels"
                    )
                if labels and of_batch.shape[1:] != labels[0].shape[1:]:
                    raise ValueError(
                        "`dataset` should have labels of one shape. Received: batches of labels of "
                        f"shape {labels[0].shape} and {of_batch.shape}"
                    )
                check(rows)
                store.append(rows)
                labels.append(of_batch)
                progress.show(number_done)
            if not labels:
                raise ValueError(
                    "`dataset` should yield at least one image. Received: an empty data set"
                )
            return store.finish(), np.concatenate(labels)

    def _new_check(self) -> Callable[[np.ndarray], None]:
        """Returns what looks at the outputs of each batch of a run, and raises `ValueError`."""
        raise NotImplementedError


def _write(
    output_dir: str | os.PathLike[str], run: Callable[[pathlib.Path], tuple]
) -> tuple[np.ndarray, np.ndarray]:
    """Runs with a file for the rows, and keeps that of the labels beside it."""
    folder = pathlib.Path(output_dir)
    for name in (EMBEDDINGS, LABELS):
        if (folder / name).exists():
            raise ValueError(
                f"`output_dir` should not hold the embeddings of another run. Received: "
                f"output_dir={str(output_dir)!r}, which has {name}"
            )
    with (
        DirectoryLock(folder),
        whole_file(folder / LABELS) as labels_file,
        whole_file(folder / EMBEDDINGS) as embeddings_file,
    ):
        _, labels = outside_of_scopes(lambda: run(embeddings_file))
        save_array(labels_file, labels)
    return np.load(folder / EMBEDDINGS, mmap_mode="r"), labels


class _ReadError(Exception):
    """An error of the data: that of a file is one of the file that is written."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason


def _reading(batches: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from batches
    except OSError as error:
        raise _ReadError(error) from None


def _as_labels(labels: Any) -> np.ndarray:
    """Returns labels of a batch, `(n,)` if they are `(n, 1)`."""
    array = np.asarray(keras.ops.convert_to_numpy(labels))
    if array.dtype == object:  # texts of pandas or of TensorFlow, which NumPy would pickle
        array = np.asarray(array.tolist())
    if array.dtype == object:
        raise ValueError(
            f"`dataset` should have labels that are numbers or texts. Received: {array[:3]!r}"
        )
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _one_output(outputs: Any) -> np.ndarray:
    """Returns the output `(n, width)` of a model as float32."""
    arrays = tree.flatten(outputs)
    if len(arrays) != 1:
        raise ValueError(
            "`model` should have one output. Received: a model with "
            f"{len(arrays)} outputs. `keras.Model(model.inputs, model.outputs[0])` has the first"
        )
    if arrays[0].ndim != 2:
        raise ValueError(
            "`model` should give outputs of shape (batch, features). Received: outputs of shape "
            f"{arrays[0].shape}"
        )
    return np.asarray(arrays[0], "float32")


class Embedder(_Runner):
    """Computes the encoder's features of data sets, as `embed`; compiled once for all of them.

    Args:
        model: As for `embed`.
    """

    def __init__(self, model: keras.layers.Layer) -> None:
        if not isinstance(model, keras.layers.Layer):
            raise ValueError(f"`model` should be a Keras model or layer. Received: model={model!r}")
        if isinstance(model, EncoderModel):
            super().__init__(model.encoder, one_view(model.augmenter))
        else:
            super().__init__(model)

    def _new_check(self) -> Callable[[np.ndarray], None]:
        return _ProbabilityCheck()


class _ProbabilityCheck:
    """Refuses outputs of a softmax: rows of at least 0 that add up to 1, not all of them the same.

    Rows of zeros and ones alone may as well be features. It looks at batches until it is sure.
    """

    def __init__(self) -> None:
        self._first: np.ndarray | None = None
        self._may_be, self._are_shares, self._differ = True, False, False

    def __call__(self, rows: np.ndarray) -> None:
        if not (self._may_be and len(rows)):
            return
        self._first = rows[0] if self._first is None else self._first
        self._may_be = bool(
            rows.shape == (len(rows), len(self._first))
            and rows.shape[1] > 1
            and (rows >= 0).all()
            and (np.abs(rows.sum(axis=1) - 1) <= SUM_TOLERANCE).all()
        )
        self._are_shares |= bool(((rows > 0) & (rows < 1)).any())
        self._differ |= self._may_be and bool((rows != self._first).any())
        if self._may_be and self._are_shares and self._differ:
            raise ValueError(
                "`model` should be an encoder. Received: a model whose outputs are probabilities, "
                "rows that add up to 1. Give the encoder within the classifier, or let "
                "`evaluation.classify` compute probabilities"
            )


class Classifier(_Runner):
    """Computes a classifier's probabilities of data sets, as `classify`; compiled once for all.

    Args:
        classifier: As for `classify`.
        from_logits: Whether the classifier gives logits.
    """

    def __init__(self, classifier: keras.layers.Layer, from_logits: bool = False) -> None:
        if not isinstance(classifier, keras.layers.Layer):
            raise ValueError(
                "`classifier` should be a Keras model or layer. Received: "
                f"classifier={classifier!r}"
            )
        super().__init__(classifier)
        self._from_logits = check_bool("from_logits", from_logits)

    def __call__(self, dataset: Dataset, *args: Any, **kwargs: Any) -> tuple:
        outputs, labels = super().__call__(dataset, *args, **kwargs)
        return (softmax(outputs) if self._from_logits else outputs), labels

    def _new_check(self) -> Callable[[np.ndarray], None]:
        return self._check_outputs

    def _check_outputs(self, rows: np.ndarray) -> None:
        if self._from_logits:
            check_embeddings("outputs of `classifier`", rows)
            return
        try:
            check_probabilities("outputs of `classifier`", rows)
        except ValueError as error:
            raise ValueError(
                "`classifier` should give probabilities, or logits with `from_logits=True`. An "
                "encoder needs a classifier first, such as that of `evaluation.linear_evaluation`. "
                f"{error}"
            ) from None


def _as_batch(inputs: Tensor) -> Tensor:
    """Converts inputs to a NumPy array, or strings to a tensor of the backend.

    Keras does not support NumPy's strings.
    """
    array = np.asarray(inputs)
    return keras.ops.convert_to_tensor(inputs) if array.dtype.kind in "OSU" else array


class RunnableNetwork(keras.Model):
    """Gives an encoder or classifier the compiled loop of `keras.Model.predict_on_batch`."""

    def __init__(self, network: keras.layers.Layer, augmenter: keras.layers.Layer | None) -> None:
        super().__init__()
        self.network = network
        self.augmenter = augmenter

    def build(self, input_shape: Any) -> None:
        self.built = True  # the network builds itself

    def call(self, images: TensorTree) -> TensorTree:
        images = augment(self.augmenter, images, training=False)
        return self.network(cast_for_encoder(self.network, images), training=False)


class _Progress:
    """Shows Keras' progress bar, if it takes long enough to be of use."""

    def __init__(self, number: int | None, verbose: bool | str) -> None:
        self._begin = time.monotonic()
        self._wait = _SECONDS_TO_BAR if verbose == "auto" else 0
        self._number, self._is_wanted = number, bool(verbose)
        interval = 0.2 if sys.stdout.isatty() else _SECONDS_BETWEEN_LINES  # lines of a log
        self._bar = keras.utils.Progbar(number, interval=interval, unit_name="batch")

    def show(self, done: int) -> None:
        if self._is_wanted and time.monotonic() - self._begin >= self._wait:
            self._bar.update(done, finalize=done == self._number)
