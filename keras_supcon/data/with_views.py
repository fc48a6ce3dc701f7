"""Views of images, made in the input pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_supcon.arguments import check_whole_number
from keras_supcon.augmentation import MultiView
from keras_supcon.augmentation.layers.multi_view import check_num_views
from keras_supcon.augmentation.stateless_seeds import stateless_seeds
from keras_supcon.extras import require_extra
from keras_supcon.seeds import as_int64, check_seed, fold_in

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def with_views(
    dataset: tf.data.Dataset,
    augmenter: keras.layers.Layer | Sequence[keras.layers.Layer],
    num_views: int | None = None,
    seed: int | None = None,
    *,
    start: int | None = None,
) -> tf.data.Dataset:
    """Augments the images of a data set several times, in parallel, in the input pipeline.

    The layers of this package draw from `seed`, the epoch and the position of the element alone,
    and not from their own seeds. One seed gives the same views in every run, whatever the timing,
    and every pass over the data set gives new ones. Layers of Keras and of keras-cv draw from their
    own generators, in an order that depends on timing. Where `tf.random.set_seed` is set, some
    keras-cv layers draw the same in every pass: give them `dataset.repeat()`.

    Views of a policy are in [0, 1], and models take views in the range that they have. Stage two
    should then see its images in that range too, by `keras.layers.Rescaling(1 / 255)` as its
    augmenter, unless the encoder is independent of the scale, as the encoders of this package are.

    Where `tf.distribute` shards the data set over several workers, it does so by elements, as after
    `dataset.enumerate()`. To read different files, shard before, and give each worker its own seed.

    Args:
        dataset: Images of shape `(batch, height, width, channels)` or `(height, width, channels)`:
            alone, first in a tuple such as `(images, labels)` or `(images, labels, sample_weight)`,
            or as `"images"` in a dictionary.
        augmenter: A layer, a list of layers, one for each view, or a `MultiView`.
        num_views: Number of views, at least 1. None takes the number of a list or a `MultiView`,
            and 2 for a single layer.
        seed: Whole number, of any sign and size, that determines the views, together with
            `tf.random.set_seed` where that is set; None for a random one.
        start: For a data set that holds all epochs, such as that of `load_epochs`: the number of
            its elements before a restart, 0 at the first start. The views of an element then depend
            only on `seed` and its index since the first start, so that a restart does not change
            them; and each pass over the data set gives the same views. Needs a `seed`.

    Returns:
        The data set with views in place of the images, `(batch, num_views, height, width,
        channels)` or `(num_views, height, width, channels)`, and with the attributes `class_names`,
        `steps_per_epoch` and `num_examples` if it had them.

    Raises:
        ValueError: If an argument is of the wrong kind, the images are of another rank, `num_views`
            contradicts `augmenter`, the augmenters give different shapes, or there is a `start`
            without `seed`.
        ImportError: If TensorFlow is missing (`pip install keras-supcon[tensorflow]`).

    Example:

    >>> import keras_supcon
    >>> from keras_supcon.augmentation import SimAugment
    >>> train = keras_supcon.data.load("digits", "train", batch_size=32)
    >>> augmenter = SimAugment(image_size=(8, 8), flip_probability=0.0)
    >>> train = keras_supcon.data.with_views(train, augmenter, seed=1)
    >>> views, labels = next(iter(train))
    >>> views.shape, labels.shape
    (TensorShape([32, 2, 8, 8, 1]), TensorShape([32]))
    """
    require_extra("tensorflow", "tensorflow", by="`with_views`")
    import tensorflow as tf

    seed = check_seed(seed, or_none=True)
    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(f"`dataset` should be a `tf.data.Dataset`. Received: dataset={dataset!r}")
    _check_images(dataset.element_spec)
    if isinstance(augmenter, MultiView):
        check_num_views(num_views, augmenter.num_views)
        multi_view = augmenter
    else:
        multi_view = MultiView(augmenter, num_views=num_views)

    def make_views(element_seed: tf.Tensor, element: Any) -> Any:
        with stateless_seeds(element_seed):
            if isinstance(element, tuple):
                return (multi_view(element[0], training=True), *element[1:])
            return multi_view(element, training=True)

    # The seeds come first: where auto-sharding fails on the second part of a zip, it leaves the
    # first part sharded and shards the whole again.
    views = tf.data.Dataset.zip(_seeds(seed, start), dataset).map(
        make_views, num_parallel_calls=tf.data.AUTOTUNE
    )
    views = views.prefetch(tf.data.AUTOTUNE)
    for name in ("class_names", "steps_per_epoch", "num_examples"):
        if hasattr(dataset, name):
            setattr(views, name, getattr(dataset, name))
    return views


def _seeds(seed: int | None, start: int | None) -> tf.data.Dataset:
    """Makes an endless data set of pairs of integers, one for each element."""
    import tensorflow as tf

    if start is None:  # 32 random bits each, new ones for each iteration of the data set
        return tf.data.Dataset.random(as_int64(seed), rerandomize_each_iteration=True).batch(
            2, drop_remainder=True
        )
    start = check_whole_number("start", start, 0)
    if seed is None:
        raise ValueError(
            "`seed` should be given with `start`: a restart needs the same one. Received: "
            f"seed=None, start={start}"
        )
    return tf.data.Dataset.counter(start).map(
        lambda number: tf.cast(fold_in(seed, number), "int64")
    )


def _check_images(element_spec: Any) -> None:
    images = element_spec
    if isinstance(element_spec, tuple) and element_spec:
        images = element_spec[0]
    elif isinstance(element_spec, dict):
        images = element_spec.get("images")
    if getattr(getattr(images, "shape", None), "rank", None) not in (3, 4):
        raise ValueError(
            "`dataset` should give images of shape (height, width, channels) or (batch, height, "
            "width, channels): alone, first in a tuple, or as 'images' in a dictionary. Received: "
            f"dataset.element_spec={element_spec}"
        )
