"""The base of callbacks that look at the encoder between epochs."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_supcon._keras_internals import nested_layers
from keras_supcon.arguments import check_whole_number
from keras_supcon.callbacks.labeled_data import LabeledData
from keras_supcon.distribution import worker
from keras_supcon.evaluation.embedding import Embedder
from keras_supcon.models import EncoderModel
from keras_supcon.models.seed_states import fixed_seeds
from keras_supcon.seeds import random_states, set_random_states
from keras_supcon.typing import Strategy


class Probe(keras.callbacks.Callback):
    """Embeds labeled images between epochs and writes figures into the logs.

    Training goes on as without it, bit for bit: weights, optimizer, moving averages, metrics, seeds
    and compiled steps stay as they are. Embeddings are those of `evaluation.embed`, and the states
    of seed generators are put back, in case that the encoder draws in inference mode.

    It measures after the first epoch of `fit`, after every `every`-th one and after the last. Other
    epochs have the last measured value in their logs. So `History` has a value for each epoch,
    `CSVLogger` has the column from its first row on, `EarlyStopping`, `ReduceLROnPlateau` and
    `ModelCheckpoint` find their figure in each epoch, and their patience counts epochs; a value
    that repeats is no improvement. Callbacks behind this one in the list see the figures. These
    callbacks need `mode="max"` or `"min"`: Keras infers it for the metrics of `compile` alone.

    If embeddings are not finite, since training has diverged, figures are NaN and a warning says so
    once. Training goes on; `keras.callbacks.TerminateOnNaN` ends it.

    Of several workers the chief measures and the others wait for its figures, so that all of them
    stop together. On JAX, where a computation is that of all processes, all measure.

    A subclass gives `names` and `measure`.

    Args:
        every: Number of epochs from one measurement to the next, at least 1.
        batch_size: Images that are embedded at once, at least 1.
        encoder: Model or layer whose outputs `(batch, features)` are measured. None for the encoder
            of the model that is trained, which should be an `EncoderModel`, such as a
            `ContrastiveModel`. For other models it is a part of them, such as
            `keras.Model(model.inputs, model.layers[-2].output)`.

    Attributes:
        figures: From each name to the last measured value; empty before the first measurement.

    Raises:
        ValueError: If an argument is out of its range. When training begins, if there is no
            encoder, or one whose outputs are not features.
    """

    def __init__(
        self, every: int = 1, batch_size: int = 256, encoder: keras.layers.Layer | None = None
    ) -> None:
        super().__init__()
        self.every = check_whole_number("every", every, at_least=1)
        self.batch_size = check_whole_number("batch_size", batch_size, at_least=1)
        if encoder is not None and not isinstance(encoder, keras.layers.Layer):
            raise ValueError(
                "`encoder` should be a Keras model or layer, or None for that of the model that is "
                f"trained. Received: encoder={encoder!r}"
            )
        self.encoder = encoder
        self.figures: dict[str, float] = {}
        self._source: keras.layers.Layer | None = None
        self._embedder: Embedder | None = None

    @property
    def names(self) -> Sequence[str]:
        """Names of the figures in the logs."""
        return ()

    @property
    def data(self) -> Mapping[str, LabeledData]:
        """The data that are embedded, by the name that `measure` knows."""
        raise NotImplementedError

    def measure(self, epoch: int, **embeddings: np.ndarray) -> dict[str, float]:
        """Computes the figures.

        Args:
            epoch: Index of the epoch that ends.
            **embeddings: Finite rows `(n, features)` for each of `data`.

        Returns:
            A number for each of `names`.
        """
        raise NotImplementedError

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.figures, self._is_first, self._has_warned = {}, True, False
        self._strategy = getattr(self.model, "distribute_strategy", None)
        index, count = worker(self._strategy)
        self._is_chief, self._has_workers = index == 0, count > 1
        self._embeds = self._is_chief or keras.backend.backend() == "jax"
        self._find_encoder()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._is_due(epoch):
            figures = self._measure(epoch) if self._embeds else dict.fromkeys(self.names, math.nan)
            if self._has_workers and self.names:
                values = _of_chief(self._strategy, np.array([figures[name] for name in self.names]))
                figures = dict(zip(self.names, values.tolist(), strict=True))
            self.figures = figures
            self._is_first = False
            self.on_figures(epoch)
        if logs is not None:
            logs.update(self.figures)

    def on_figures(self, epoch: int) -> None:
        """Looks at new figures, on all workers; does nothing unless overridden."""

    def warn(self, message: str) -> None:
        """Warns, on the chief alone."""
        if self._is_chief:
            warnings.warn(f"{type(self).__name__}: {message}", stacklevel=2)

    def _is_due(self, epoch: int) -> bool:
        is_last = epoch + 1 == (self.params or {}).get("epochs") or self.model.stop_training
        return self._is_first or (epoch + 1) % self.every == 0 or bool(is_last)

    def _measure(self, epoch: int) -> dict[str, float]:
        embeddings = {name: self._embed(data) for name, data in self.data.items()}
        if all(np.isfinite(rows).all() for rows in embeddings.values()):
            self._has_warned = False
            return self.measure(epoch, **embeddings)
        if not self._has_warned:
            self._has_warned = True
            self.warn(
                f"after epoch {epoch + 1} the encoder gives embeddings that are not finite, and "
                "nothing was measured. The training has diverged, or the images are not finite"
            )
        return dict.fromkeys(self.names, math.nan)

    def _find_encoder(self) -> None:
        """Prepares embedding, and tries it on a first batch.

        Raises:
            ValueError: If there is no encoder, or one whose outputs are not features.
        """
        source = self.model if self.encoder is None else self.encoder
        if self.encoder is None and not isinstance(source, EncoderModel):
            raise ValueError(
                f"`encoder` of {type(self).__name__} should be given for a model that is no "
                "`keras_supcon.models.EncoderModel`, as a part of the model such as "
                "`keras.Model(model.inputs, model.layers[-2].output)`. Received: encoder=None for "
                f"a {type(source).__name__}"
            )
        if not self._embeds:
            return
        if self._source is not source:  # else what was compiled still serves
            self._source = source
            self._embedder = Embedder(source)
        # Variables are created in the order in which training would create them.
        if all(layer.built for layer in nested_layers(source)):
            for data in self.data.values():
                self._embed(data, slice(self.batch_size))

    def _embed(self, data: LabeledData, rows: slice = slice(None)) -> np.ndarray:
        images = tree.map_structure(lambda array: array[rows], data.images)
        arrays = images, data.labels[rows]
        with _unchanged_seeds(self._source):
            embeddings, _ = self._embedder(arrays, self.batch_size, verbose=False)
        return embeddings


@contextlib.contextmanager
def _unchanged_seeds(layer: keras.layers.Layer) -> Iterator[None]:
    states = random_states()
    with fixed_seeds(layer):
        try:
            yield
        finally:
            set_random_states(states)


def _of_chief(strategy: Strategy | None, values: np.ndarray) -> np.ndarray:
    """Waits for all workers, and returns the numbers of the chief."""
    if keras.backend.backend() == "jax":
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.broadcast_one_to_all(values))
    if keras.backend.backend() == "torch":
        import torch

        tensor = torch.from_numpy(values).to(keras.ops.zeros(()).device)
        torch.distributed.broadcast(tensor, src=0)
        return tensor.cpu().numpy()
    import tensorflow as tf

    def of_first_replica() -> tf.Tensor:
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.where(tf.equal(place, 0), values, np.zeros_like(values))

    return strategy.reduce("SUM", strategy.run(of_first_replica), axis=None).numpy()


def check_name(name: str, value: Any, may_be_empty: bool = False) -> str:
    """Checks a name in the logs, or a prefix of names.

    Raises:
        ValueError: If it is not a string, or empty where it should not be.
    """
    if not isinstance(value, str) or not (value or may_be_empty):
        raise ValueError(f"`{name}` should be a string for the logs. Received: {name}={value!r}")
    return value
