"""Checks that batches divide over replicas and micro-batches before training starts."""

from typing import Any

import keras

from keras_supcon import distribution
from keras_supcon._keras_internals import strategy_of
from keras_supcon.typing import Dataset

_KERAS_DEFAULT = 32


def check_batch_size(
    x: Any, batch_size: int | None, num_replicas: int, micro_batch_size: int | None
) -> None:
    """Raises `ValueError` if batches of a known size do not divide.

    Args:
        x: First argument of `fit`.
        batch_size: Argument of `fit`, for arrays.
        num_replicas: Replicas that share a batch.
        micro_batch_size: Rows that the encoder sees at once, or None.
    """
    size = known_batch_size(x, batch_size)
    if size is None:
        return
    if size % num_replicas:
        raise ValueError(
            f"`batch_size` should be divisible by the number of replicas, {num_replicas}. "
            f"Received: batch_size={size}"
        )
    share = size // num_replicas
    if micro_batch_size is not None and share > micro_batch_size and share % micro_batch_size:
        of_replica = f" on each of {num_replicas} replicas" if num_replicas > 1 else ""
        raise ValueError(
            f"The batch size{of_replica} should be divisible by `micro_batch_size`. "
            f"Received: micro_batch_size={micro_batch_size}, batches of {share}"
        )


def replicas_of(model: keras.Model) -> int:
    """Returns the number of replicas that share the batches of a model."""
    if keras.backend.backend() == "jax":
        return distribution.num_replicas(keras.distribution.distribution())
    return distribution.num_replicas(strategy_of(model))


def holds_samples(x: Any) -> bool:
    """Returns whether the first argument of `fit` is arrays of samples, and not batches."""
    return hasattr(x, "__array__") or isinstance(x, (list, tuple, dict))


def known_batch_size(x: Any, batch_size: int | None) -> int | None:
    """Returns the size of full batches if it is known before the data are read, else None."""
    if hasattr(x, "element_spec"):  # tf.data
        return _tf_data_batch_size(x)
    if holds_samples(x):
        size = _KERAS_DEFAULT if batch_size is None else batch_size
        first = keras.tree.flatten(x)[0]
        num_rows = first.shape[0] if hasattr(first, "shape") else len(x)
        return None if num_rows < size else size  # a single batch that is not full
    return getattr(x, "batch_size", None)  # torch's DataLoader


def _tf_data_batch_size(dataset: Dataset) -> int | None:
    spec = dataset.element_spec
    images = spec[0] if isinstance(spec, tuple) else spec
    images = next(iter(images.values()), None) if isinstance(images, dict) else images
    shape = getattr(images, "shape", None)
    return shape[0] if shape is not None and shape.rank else None
