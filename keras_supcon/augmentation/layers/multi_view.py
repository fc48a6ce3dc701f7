"""Several augmented views of each image."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_supcon._keras_internals import take_inputs_as_they_are
from keras_supcon.arguments import check_whole_number, is_whole
from keras_supcon.augmentation.any_layer import as_augmenter, call_augmenter, deserialize_augmenter
from keras_supcon.augmentation.input_warnings import warn_of_missing_training
from keras_supcon.augmentation.tracing import is_symbolic_tensorflow
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor, TensorTree

_DEFAULT_NUM_VIEWS = 2


@keras.saving.register_keras_serializable(package="keras_supcon")
class MultiView(keras.layers.Layer):
    """Augments each image several times and stacks the views on a new axis.

    With one augmenter each view is a new draw of it. With a list each view has its own policy, as
    in BYOL. The layer runs eagerly, in models and, with every backend of Keras, inside `tf.data`;
    `keras_supcon.data.with_views` does the latter with views that a seed repeats. When not
    training, each view is its augmenter's inference form of the image; an augmenter without a
    `training` argument has none and is skipped.

    Args:
        augmenter: A Keras layer from images to images, or a list of different ones, one for each
            view, with outputs of one shape and dtype. Seeds that are set should differ, or the
            views would share their draws.
        num_views: Number of views, at least 1. None is the length of a list, and 2 for a single
            layer.
        **kwargs: `name`, `dtype` of the views (that of the augmenter if not given) and the other
            arguments of `keras.layers.Layer`.

    Attributes:
        augmenters: List of layers, one for each view; `num_views` times the same if one was given.
        num_views: Number of views.

    Call arguments:
        images: `(batch, height, width, channels)` or one image `(height, width, channels)`; or a
            dictionary with `"images"`, whose other entries do not change.
        training: True augments, False applies the inference form; so does None, unless the model
            or layer around it is called with True.

    Output shape: `(batch, num_views, height, width, channels)`, or `(num_views, height, width,
    channels)`.

    Raises:
        ValueError: For an argument out of its range, augmenters that share a seed or give different
            shapes or dtypes, and images of another rank.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, appendix B, for policies that differ.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import MultiView, SimAugment
    >>> images = np.zeros((4, 40, 32, 3), "uint8")
    >>> tuple(MultiView(SimAugment(image_size=(16, 16)), num_views=3)(images, training=True).shape)
    (4, 3, 16, 16, 3)
    >>> strong = SimAugment(image_size=(16, 16))
    >>> weak = SimAugment(image_size=(16, 16), strength=0.2)
    >>> tuple(MultiView([strong, weak])(images, training=True).shape)
    (4, 2, 16, 16, 3)
    """

    @deprecate_positional
    def __init__(
        self,
        augmenter: keras.layers.Layer | Sequence[keras.layers.Layer],
        *,
        num_views: int | None = None,
        **kwargs: Any,
    ) -> None:
        is_list = isinstance(augmenter, (list, tuple))
        augmenters = list(augmenter) if is_list else [augmenter]
        if not augmenters or not all(isinstance(layer, keras.layers.Layer) for layer in augmenters):
            raise ValueError(
                "`augmenter` should be a Keras layer or a list of them, one for each view. "
                f"Received: augmenter={augmenter!r}"
            )
        _check_independent(augmenters)
        num_views = check_num_views(num_views, len(augmenters) if is_list else None)
        augmenters = [as_augmenter(layer) for layer in augmenters]
        super().__init__(**{"dtype": augmenters[0].dtype_policy, **kwargs})
        self.num_views = num_views
        self.augmenters = augmenters if is_list else augmenters * num_views
        take_inputs_as_they_are(self)

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> TensorTree:
        if isinstance(images, dict):
            return {**images, "images": self.call(images["images"], training)}
        axis = _view_axis(tuple(images.shape))
        if training is None:
            warn_of_missing_training(self)
        training = bool(training)
        # One call for each view: on repeated images some layers would draw once for a whole batch.
        views = [call_augmenter(augmenter, images, training) for augmenter in self.augmenters]
        dtypes = [keras.backend.standardize_dtype(view.dtype) for view in views]
        _check_alike([tuple(view.shape) for view in views], dtypes, len(images.shape))
        return _stack(views, axis, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if isinstance(input_shape, dict):
            return {**input_shape, "images": self.compute_output_shape(input_shape["images"])}
        axis = _view_axis(tuple(input_shape))
        shapes = [
            tuple(augmenter.compute_output_shape(input_shape)) for augmenter in self.augmenters
        ]
        _check_alike(shapes, [""] * self.num_views, len(input_shape))
        return (*shapes[0][:axis], self.num_views, *shapes[0][axis:])

    def get_config(self) -> dict[str, Any]:
        first = self.augmenters[0]
        is_repeated = all(augmenter is first for augmenter in self.augmenters)
        augmenter = first if is_repeated else list(self.augmenters)
        return {
            **super().get_config(),
            "augmenter": keras.saving.serialize_keras_object(augmenter),
            "num_views": self.num_views,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "MultiView":
        return cls(
            **{**config, "augmenter": deserialize_augmenter(config["augmenter"], custom_objects)}
        )


def check_num_views(num_views: int | None, given: int | None = None) -> int:
    """Returns the number of views; None is the given number, or 2.

    Args:
        num_views: Number chosen by the user, or None.
        given: Number of views of a list of augmenters or a `MultiView`; None for a single layer,
            which makes any number.

    Raises:
        ValueError: If `num_views` is not a positive whole number, or not the given one.
    """
    if num_views is None:
        return given or _DEFAULT_NUM_VIEWS
    num_views = check_whole_number("num_views", num_views, at_least=1)
    if given is not None and num_views != given:
        raise ValueError(
            f"`num_views` should be None or {given}, the number of augmenters, one for each view. "
            f"Received: num_views={num_views!r}"
        )
    return num_views


def _check_independent(augmenters: list[keras.layers.Layer]) -> None:
    if len({id(augmenter) for augmenter in augmenters}) < len(augmenters):
        raise ValueError(
            "`augmenter` should be one layer, with `num_views` for its repetition, or a list of "
            f"different layers. Received: augmenter={augmenters}"
        )
    seeds = [getattr(augmenter, "seed", None) for augmenter in augmenters]
    seeds = [seed for seed in seeds if is_whole(seed)]
    if len(set(seeds)) < len(seeds):
        raise ValueError(
            "`augmenter` should be layers of different seeds: those of one seed draw the same "
            f"numbers, and the views would share their crops. Received: seeds={seeds}"
        )


def _view_axis(shape: tuple[int | None, ...]) -> int:
    if len(shape) not in (3, 4):
        raise ValueError(
            "`MultiView` should be called on images of shape (batch, height, width, channels) or "
            f"(height, width, channels). Received: images.shape={shape}"
        )
    return len(shape) - 3


def _check_alike(shapes: list[tuple[int | None, ...]], dtypes: list[str], rank: int) -> None:
    """Raises `ValueError` if views are known not to fit into one tensor."""
    is_image = all(len(shape) == rank for shape in shapes)
    # A size that is not known yet agrees with all others.
    sizes = [{size for size in axis if size is not None} for axis in zip(*shapes, strict=False)]
    if not is_image or len(set(dtypes)) > 1 or any(len(known) > 1 for known in sizes):
        views = " and ".join(
            f"{shape} {dtype}".strip() for shape, dtype in zip(shapes, dtypes, strict=True)
        )
        raise ValueError(
            "`augmenter` should give images of one shape and dtype in every view. Received: "
            f"views of {views}"
        )


def _stack(views: list[Tensor], axis: int, dtype: str) -> Tensor:
    # Inside tf.data the views are TensorFlow's, whatever the backend of Keras.
    if is_symbolic_tensorflow(views[0]):
        import tensorflow as tf

        return tf.cast(tf.stack(views, axis), dtype)
    return ops.cast(ops.stack(views, axis), dtype)
