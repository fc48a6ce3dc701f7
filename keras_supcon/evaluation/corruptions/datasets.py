"""Corrupted data sets: of `tf.data`, and those that TensorFlow Datasets prepares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_supcon.arguments import check_choice
from keras_supcon.evaluation.corruptions.arrays import CHANNELS, SMALLEST_SIDE, corrupt
from keras_supcon.evaluation.corruptions.constants import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    check_severity,
    corruption_constants,
)
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed

if TYPE_CHECKING:
    import tensorflow as tf

# Where TFDS names a corruption otherwise.
_NAMES_FOR_CIFAR10 = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}
_WITH_SEVERITIES = ("cifar10", "imagenet2012")
_OF_MNIST = (
    "shot_noise",
    "impulse_noise",
    "glass_blur",
    "motion_blur",
    "fog",
    "brightness",
    "spatter",
)


def corrupted(
    dataset: tf.data.Dataset,
    name: str,
    severity: int,
    seed: int = 0,
    *,
    constants: str | None = None,
) -> tf.data.Dataset:
    """Corrupts the images of a data set as `corrupt` does those of an array.

    The index of an image is the number of images before it. So the result is that of `corrupt` on
    all images, whatever the size of the batches, and alike in each pass. A data set that is
    shuffled before has other corruptions for the same image in each pass: shuffle it after.

    Args:
        dataset: uint8 images of shape `(batch, height, width, channels)` or `(height, width,
            channels)`, with 1 or 3 channels: alone, first in a tuple such as `(images, labels)`, or
            as `"images"` in a dictionary.
        name: Name of a corruption, of `CORRUPTIONS` or `EXTRA_CORRUPTIONS`.
        severity: 1 (weakest) to 5.
        seed: Whole number, of any sign and size.
        constants: Table of constants, as for `corruption_constants`; None chooses by the size of
            the images.

    Returns:
        A data set of the same structure, dtypes, shapes and cardinality, and with the attribute
        `class_names` if it had one.

    Raises:
        ValueError: If an argument is none of the above.
        ImportError: If TensorFlow (`pip install keras-supcon[tensorflow]`), SciPy or Pillow
            (`pip install keras-supcon[report]`) is missing.

    Example:

    >>> import keras_supcon
    >>> from keras_supcon.evaluation.corruptions import corrupted
    >>> test = keras_supcon.data.load("digits", "test", batch_size=32)
    >>> images, labels = next(iter(corrupted(test, "fog", severity=3)))
    >>> images.shape, images.dtype
    (TensorShape([32, 8, 8, 1]), tf.uint8)
    """
    require_extra("tensorflow", "tensorflow", by="`corrupted`")
    require_extra("report", "scipy", "PIL", by="`corrupted`")
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(f"`dataset` should be a `tf.data.Dataset`. Received: dataset={dataset!r}")
    spec = _check_images(dataset.element_spec)
    height, width = (side or SMALLEST_SIDE for side in spec.shape[-3:-1])
    corruption_constants(name, severity, height, width, constants)
    seed = check_seed(seed)

    def count(first: tf.Tensor, element: Any) -> tuple[tf.Tensor, tuple[tf.Tensor, Any]]:
        images = _images_of(element)
        number = 1 if images.shape.rank == 3 else tf.shape(images, "int64")[0]
        return first + number, (first, element)

    def corrupt_batch(images: np.ndarray, first: np.ndarray) -> np.ndarray:
        batch = images[None] if images.ndim == 3 else images
        options = {"first": int(first), "constants": constants}
        return corrupt(batch, name, severity, seed, **options).reshape(images.shape)

    def corrupt_element(first: tf.Tensor, element: Any) -> Any:
        images = _images_of(element)
        result = tf.numpy_function(corrupt_batch, (images, first), "uint8", stateful=False)
        result = tf.ensure_shape(result, images.shape)
        return tf.nest.map_structure(lambda part: result if part is images else part, element)

    counted = dataset.scan(tf.constant(0, "int64"), count)
    result = counted.map(corrupt_element, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if hasattr(dataset, "class_names"):
        result.class_names = dataset.class_names
    return result


def _images_of(element: Any) -> Any:
    if isinstance(element, dict):
        return element.get("images")
    return element[0] if isinstance(element, tuple) and element else element


def _check_images(element_spec: Any) -> Any:
    """Checks that the elements of a data set have images, and returns their spec."""
    images = _images_of(element_spec)
    shape = getattr(images, "shape", None)
    if (
        getattr(shape, "rank", None) not in (3, 4)
        or images.dtype != "uint8"
        or shape[-1] not in (None, *CHANNELS)
    ):
        raise ValueError(
            "`dataset` should give uint8 images of shape (height, width, channels) or (batch, "
            "height, width, channels), with 1 or 3 channels: alone, first in a tuple, or as "
            f"'images' in a dictionary. Received: dataset.element_spec={element_spec}"
        )
    return images


def corrupted_name(dataset: str, name: str, severity: int | None = None) -> str:
    """Returns the name under which TensorFlow Datasets has a published corrupted data set.

    `keras_supcon.data.load(corrupted_name(...), "test", ...)` reads CIFAR-10-C and MNIST-C;
    ImageNet-C has the split `"validation"`. TFDS downloads the first two, and makes ImageNet-C by
    programs and files that it does not bring.

    Args:
        dataset: `"cifar10"`, `"imagenet2012"` or `"mnist"`.
        name: Name of a corruption. MNIST-C has no more than seven of the 19.
        severity: 1 to 5; None for `"mnist"`, which has one severity.

    Returns:
        A name such as `"cifar10_corrupted/fog_3"`.

    Raises:
        ValueError: If there is no such data set.

    Reference:
        Mu and Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision, 2019.

    Example:

    >>> from keras_supcon.evaluation.corruptions import corrupted_name
    >>> corrupted_name("cifar10", "glass_blur", 3)
    'cifar10_corrupted/frosted_glass_blur_3'
    """
    check_choice("dataset", dataset, (*_WITH_SEVERITIES, "mnist"))
    if dataset == "mnist":
        if severity is not None:
            raise ValueError(
                "`severity` should be None for 'mnist', which has one severity. Received: "
                f"severity={severity!r}"
            )
        return f"mnist_corrupted/{check_choice('name', name, _OF_MNIST)}"
    check_choice("name", name, (*CORRUPTIONS, *EXTRA_CORRUPTIONS))
    severity = check_severity(severity)
    if dataset == "cifar10":
        name = _NAMES_FOR_CIFAR10.get(name, name)
    return f"{dataset}_corrupted/{name}_{severity}"
