"""Base of all augmentation layers."""

import weakref
from typing import Any

import keras

from keras_supcon._keras_internals import (
    ImageLayer,
    is_in_symbolic_scope,
    outermost_call,
)
from keras_supcon.arguments import is_number, is_pair, is_whole
from keras_supcon.augmentation.adapters import always_augments
from keras_supcon.augmentation.input_warnings import warn_of_dark_pixels, warn_of_missing_training
from keras_supcon.augmentation.operations.not_finite import has_floats, nan_unless_finite
from keras_supcon.augmentation.stateless_seeds import current_seed_sequence
from keras_supcon.augmentation.tracing import is_symbolic_tensorflow
from keras_supcon.distribution import ReplicaSeedGenerator
from keras_supcon.seeds import seed_of_class
from keras_supcon.typing import Tensor, TensorTree

# Ranges that were warned of in an outermost call of a layer, which may hold several layers.
_WARNED_OF: weakref.WeakKeyDictionary[Any, set[tuple[float, float]]] = weakref.WeakKeyDictionary()


class ImageAugmentation(ImageLayer):
    """Base of the layers that draw once for each image of a batch.

    Subclasses write `draw(batch_size, image_shape)`, which returns the random numbers of a batch,
    and `transform(images, draws)`. Both use `self.backend`, which is TensorFlow inside `tf.data`
    whatever the backend of Keras. `transform` computes in float32 and takes the images in the dtype
    of the input: a crop of uint8 moves a quarter of the bytes.

    Args:
        value_range: Lowest and highest pixel value of the images, `(0, 255)` or `(0, 1)`.
        seed: Integer that fixes the random numbers, or None. Layers of one class need different
            seeds.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        images: `(batch, height, width, channels)` or one image `(height, width, channels)` with 1
            or 3 channels; or a dictionary with `"images"` and, unchanged by the layer, `"labels"`.
        training: True augments, False applies the inference form of the layer. None takes the
            value of the model or layer around it, and False without one: unlike Keras' own image
            layers, ours do not augment in a model that is called directly, nor in an exported one.
            In a layer of keras-cv, which always augments, they augment too.

    When augmenting, pixels that are not finite become NaN, and change no other image.

    Warns:
        UserWarning: In a map of `tf.data` without `training`; and once for floats in [0, 1] under a
            wider `value_range`, if their values can be seen, which traced programs hide.
    """

    # Whether training changes the output.
    draws_at_random = True
    # Whether the output depends on `value_range`.
    reads_value_range = True
    # Whether `transform` itself turns pixels that are not finite into NaN; for other layers this
    # happens before it.
    makes_nan = False
    # Whether the output is in [0, 1] whatever `value_range` is; other layers keep the range.
    ends_in_unit_range = False

    def __init__(
        self,
        *,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format="channels_last", **kwargs)
        if not (
            is_pair(value_range)
            and all(map(is_number, value_range))
            and value_range[0] < value_range[1]
        ):
            raise ValueError(
                "`value_range` should be two numbers, lowest first. Received: "
                f"value_range={value_range}"
            )
        self.value_range = tuple(value_range)
        if seed is not None and not is_whole(seed):
            raise ValueError(f"`seed` should be a whole number, or None. Received: seed={seed!r}")
        self.seed = None if seed is None else int(seed)
        self.generator = ReplicaSeedGenerator(seed_of_class(self.seed, type(self).__name__))
        self._other_generator = None
        self._pixels_are_known = False

    def __call__(self, images: TensorTree, **kwargs: Any) -> TensorTree:
        if isinstance(images, dict):  # labels do not change
            return {**images, "images": self(images["images"], **kwargs)}
        if not is_in_symbolic_scope():
            outermost = outermost_call()
            warned_of = set() if outermost is None else _WARNED_OF.setdefault(outermost, set())
            self.look_at(images, warned_of)
        if not is_symbolic_tensorflow(images):
            return super().__call__(images, **kwargs)
        return self.call_on_tensorflow(images, **kwargs)

    def look_at(self, images: TensorTree, warned_of: set[tuple[float, float]]) -> None:
        """Warns of pixels that do not span `value_range`, in the first images that can be seen.

        Args:
            images: Inputs of a call, present or future.
            warned_of: Ranges that the user has been warned of for these images; that of this
                layer is added.
        """
        if self.reads_value_range and not self._pixels_are_known:
            self._pixels_are_known = warn_of_dark_pixels(
                images, self.value_range, self.name, warned_of
            )

    def call(self, images: Tensor, training: bool | None = None) -> TensorTree:
        self._check_channels(tuple(images.shape))
        if training is None:
            training = always_augments(self.entry_layer())
            if self.draws_at_random and not training:
                warn_of_missing_training(self)
        return super().call(images, training=bool(training))

    def get_random_transformation(
        self, data: Tensor, training: bool = True, seed: Any = None
    ) -> TensorTree:
        if not training:
            return None
        shape = self.backend.shape(data)
        return self.draw(1 if len(shape) == 3 else shape[0], tuple(shape[-3:]))

    def transform_images(
        self, images: Tensor, transformation: TensorTree, training: bool = True
    ) -> Tensor:
        if training and not self.makes_nan and has_floats(images):
            # Infinity would be clipped to a pixel like others.
            images = images + nan_unless_finite(images)
        images = (
            self.transform(images, transformation)
            if training
            else self.transform_for_inference(images)
        )
        return self.backend.cast(images, self.compute_dtype)

    def transform_single_image(
        self, image: Tensor, transformation: TensorTree, training: bool = True
    ) -> Tensor:
        # Keras would squeeze, which fails where reshaping has lost that the batch is of one image.
        return self.transform_images(
            self.backend.numpy.expand_dims(image, 0), transformation, training
        )[0]

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> TensorTree:
        """Draws the random numbers of a batch: tensors whose first axis is the batch."""
        raise NotImplementedError

    def transform(self, images: Tensor, draws: TensorTree) -> Tensor:
        """Applies the draws to images.

        Args:
            images: `(batch, height, width, channels)` of any dtype.
            draws: The output of `draw`.

        Returns:
            Images of any float dtype.
        """
        raise NotImplementedError

    def transform_for_inference(self, images: Tensor) -> Tensor:
        """Applies the inference form: the identity unless the layer sets the image size."""
        return images

    def uniform(self, shape: tuple[Any, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draws float32 numbers in [low, high).

        The generator is the layer's own, or that of `stateless_seeds`.
        """
        return self.backend.random.uniform(shape, low, high, dtype="float32", seed=self._seeds())

    def normal(self, shape: tuple[Any, ...]) -> Tensor:
        """Draws standard normal float32 numbers, like `uniform`."""
        return self.backend.random.normal(shape, dtype="float32", seed=self._seeds())

    def _seeds(self) -> keras.random.SeedGenerator:
        return current_seed_sequence() or self._generator_of_backend()

    def _generator_of_backend(self) -> keras.random.SeedGenerator:
        if self.backend.name == keras.backend.backend():
            return self.generator
        if self._other_generator is None:  # inside tf.data, with another backend of Keras
            generator = keras.random.SeedGenerator(
                seed_of_class(self.seed, type(self).__name__), backend=self.backend
            )
            # Keras would take its state for a weight of the layer.
            object.__setattr__(self, "_other_generator", generator)
        return self._other_generator

    def _constant(self, values: Any) -> Tensor:
        return self.backend.convert_to_tensor(values, dtype="float32")

    def build(self, input_shape: Any) -> None:
        # None for tensors of TensorFlow with another backend of Keras.
        if input_shape is not None:
            self._check_channels(tuple(input_shape))
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("data_format", None)  # always channels last
        return {**config, "value_range": self.value_range, "seed": self.seed}

    def _check_channels(self, shape: tuple[int | None, ...]) -> None:
        if len(shape) not in (3, 4) or shape[-1] not in (1, 3):
            raise ValueError(
                f"`{type(self).__name__}` should be called on images of shape (batch, height, "
                "width, channels) or (height, width, channels) with 1 or 3 channels. "
                f"Received: images.shape={tuple(shape)}"
            )
