"""What all augmentation layers share."""

import sys
import warnings
import weakref
import zlib
from typing import Any

import keras
import numpy as np

# Not exported by Keras. It alone knows the outermost call of a layer, and whether it only wants to
# know a shape.
from keras.src.backend.common.global_state import get_global_attribute
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

# Not exported by Keras, but the only way to a layer that runs both in a model and in `tf.data` on
# every backend.
from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
    BaseImagePreprocessingLayer,
)

from keras_supcon.arguments import is_number, is_pair, is_whole
from keras_supcon.augmentation.calling import keras_cv_classes
from keras_supcon.augmentation.seeding import current_seed_sequence
from keras_supcon.distribution import ReplicaSeedGenerator
from keras_supcon.user_lines import stacklevel_of_user

# Images of a batch that tell of what range the pixels are.
_LOOKED_AT = 64

# The ranges that were warned of in an outermost call of a layer, which may hold several layers.
_WARNED_OF: weakref.WeakKeyDictionary[Any, set[tuple[float, float]]] = weakref.WeakKeyDictionary()


class ImageAugmentation(BaseImagePreprocessingLayer):
    """Base of the layers that draw once for each image of a batch.

    Subclasses write `draw(batch_size, shape)`, the random numbers of a batch, and
    `transform(images, draws)`, both in terms of `self.backend`, which is TensorFlow inside
    `tf.data` whatever the backend of Keras. `transform` computes in float32 and takes the images as
    they came, integers included: a crop of integers moves a quarter of the bytes.

    Args:
        value_range: Lowest and highest pixel value of the images, `(0, 255)` or `(0, 1)`.
        seed: Integer that fixes the random numbers, or None. Layers of one class need seeds that
            differ.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Call arguments:
        images: `(batch, height, width, channels)` or one image `(height, width, channels)` with 1
            or 3 channels; or a dictionary with `"images"` and, unchanged by the layer, `"labels"`.
        training: True augments, False gives the inference form of the layer. A call that does not
            say it takes what the model or layer around it was told, and False where nobody was
            told: other than Keras' own image layers, ours leave images alone in a model that is
            called directly, and in an exported one. In a layer of keras-cv, which always augments,
            they augment too.

    When augmenting, what is not finite becomes NaN, and stays in its image.

    Warns:
        UserWarning: In a map of `tf.data` that does not say `training`; and once for floats in [0,
            1], where `value_range` is wider and their values can be seen, which graphs and programs
            for XLA do not show.
    """

    _USE_BASE_FACTOR = False
    # Whether training changes what the layer does.
    draws_at_random = True
    # Whether what the layer does depends on `value_range`.
    reads_value_range = True
    # Whether `transform` itself makes NaN of what is not finite; for other layers it is made
    # beforehand.
    makes_nan = False
    # Whether the output is in [0, 1] whatever `value_range` is; other layers keep the range.
    ends_in_unit_range = False

    def __init__(
        self, value_range: tuple[float, float] = (0, 255), seed: int | None = None, **kwargs: Any
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
        self.generator = ReplicaSeedGenerator(self._own_seed())
        self._other_generator = None
        self._pixels_are_known = False

    def __call__(self, images: Any, **kwargs: Any) -> Any:
        if isinstance(images, dict):  # labels stay what they are
            return {**images, "images": self(images["images"], **kwargs)}
        if (
            not in_symbolic_scope()
        ):  # of a container that Keras builds on the images of its first call, before it calls it
            outermost = get_global_attribute("current_call_ctx")
            self.look_at(
                images, set() if outermost is None else _WARNED_OF.setdefault(outermost, set())
            )
        if not is_symbolic_tensorflow(images):
            return super().__call__(images, **kwargs)
        # Keras' own way here casts the whole input first.
        self.backend.set_backend("tensorflow")
        converts, self._convert_input_args = self._convert_input_args, False
        try:
            return keras.layers.Layer.__call__(
                self, self.backend.convert_to_tensor(images), **kwargs
            )
        finally:
            self.backend.reset()
            self._convert_input_args = converts

    def look_at(self, images: Any, warned_of: set[tuple[float, float]]) -> None:
        """Warns of pixels that do not span `value_range`, where they can be seen, until some were
        seen.

        Args:
            images: What the layer is called on, or will be.
            warned_of: The ranges that the user has been warned of for these images; that of this
                layer is added.
        """
        if self.reads_value_range and not self._pixels_are_known:
            self._pixels_are_known = warn_of_dark_pixels(
                images, self.value_range, self.name, warned_of
            )

    def call(self, images: Any, training: bool | None = None) -> Any:
        self._check_channels(tuple(images.shape))
        if training is None:
            training = bool(keras_cv_classes(self._get_call_context().entry_layer))
            if self.draws_at_random and not training:
                warn_of_plain_images_in_tf_data(self)
        return super().call(images, training=bool(training))

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        if not training:
            return None
        shape = self.backend.shape(data)
        return self.draw(1 if len(shape) == 3 else shape[0], tuple(shape[-3:]))

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if training and not self.makes_nan and has_floats(images):
            # Infinity would be clipped to a pixel like others.
            images = images + nan_unless_finite(images)
        images = (
            self.transform(images, transformation)
            if training
            else self.transform_for_inference(images)
        )
        return self.backend.cast(images, self.compute_dtype)

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> Any:
        # Keras would squeeze, which needs to know that the batch is of one image; reshaping may
        # lose that.
        return self.transform_images(
            self.backend.numpy.expand_dims(image, 0), transformation, training
        )[0]

    def draw(self, batch_size: Any, image_shape: tuple[int, int, int]) -> Any:
        """The random numbers of a batch: tensors whose first axis is the batch."""
        raise NotImplementedError

    def transform(self, images: Any, draws: Any) -> Any:
        """Applies the draws to `(batch, height, width, channels)` images of any dtype; gives any
        float dtype.
        """
        raise NotImplementedError

    def transform_for_inference(self, images: Any) -> Any:
        """What the layer does when it does not augment: nothing, unless it also sets the size."""
        return images

    def uniform(self, shape: tuple[Any, ...], low: float = 0.0, high: float = 1.0) -> Any:
        """Draws float32 numbers in [low, high) from the layer's own generator, or from the seed of
        `stateless_seeds`.
        """
        return self.backend.random.uniform(shape, low, high, dtype="float32", seed=self._seeds())

    def normal(self, shape: tuple[Any, ...]) -> Any:
        """Draws standard normal float32 numbers, like `uniform`."""
        return self.backend.random.normal(shape, dtype="float32", seed=self._seeds())

    def _seeds(self) -> Any:
        return current_seed_sequence() or self._get_seed_generator(self.backend._backend)

    def _own_seed(self) -> int | None:
        """The seed with the name of the class in it: layers of one seed, such as one in another,
        draw other numbers.
        """
        return (
            None
            if self.seed is None
            else (self.seed + zlib.crc32(type(self).__name__.encode())) % 2**31
        )

    def _get_seed_generator(self, backend: str | None = None) -> Any:
        if backend in (None, keras.backend.backend()):
            return self.generator
        if self._other_generator is None:  # inside tf.data, with another backend of Keras
            generator = keras.random.SeedGenerator(self._own_seed(), backend=self.backend)
            object.__setattr__(
                self, "_other_generator", generator
            )  # Keras would take its state for a weight of the layer
        return self._other_generator

    def _constant(self, values: Any) -> Any:
        return self.backend.convert_to_tensor(values, dtype="float32")

    def build(self, input_shape: Any) -> None:
        if (
            input_shape is not None
        ):  # which it is for TensorFlow's tensors with another backend of Keras
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
                "width, channels) or "
                "(height, width, channels) with 1 or 3 channels. Received: "
                f"images.shape={tuple(shape)}"
            )


def warn_of_dark_pixels(
    images: Any, value_range: tuple[float, float], name: str, warned_of: set[tuple[float, float]]
) -> bool:
    """Warns where float pixels, if they can be seen, are within 1 of 0 and should span a range such
    as 0..255.

    Args:
        images: An array, or a tensor of any kind.
        value_range: The lowest and highest pixel that they are taken to have.
        name: What takes them so.
        warned_of: The ranges that the user has been warned of for these images; `value_range` is
            added.

    Returns:
        Whether pixels were seen that tell the range.
    """
    low, high = value_range
    if high - low <= 2:
        return True
    kind = str(getattr(images, "dtype", ""))
    if "int" in kind or "bool" in kind:
        return True
    if (
        "float" not in kind
        or isinstance(images, keras.KerasTensor)
        or is_symbolic_tensorflow(images)
        or _is_torch_compiling()
    ):
        return False
    try:
        few = images[:_LOOKED_AT] if len(images.shape) > 3 else images
        pixels = few if isinstance(few, np.ndarray) else keras.ops.convert_to_numpy(few)
    # whatever a backend says of a tensor that it traces or exports: without pixels there is no
    # warning
    except Exception:
        return False
    highest = np.max(np.abs(pixels.astype("float32")), initial=0.0)
    if 0 < highest <= 1 and value_range not in warned_of:
        warned_of.add(value_range)
        warnings.warn(
            f"`{name}` takes its pixels for {low:g} to {high:g}, and got floats of no more than "
            f"{highest:.3g}: nearly black "
            "pictures. For pixels in [0, 1] give `value_range=(0, 1)`.",
            stacklevel=stacklevel_of_user(),
        )
    return bool(highest > 0)


def has_floats(images: Any) -> bool:
    """Whether pixels may be other than finite by their dtype."""
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(images.dtype))


def nan_unless_finite(images: Any) -> Any:
    """0 where a pixel is finite and NaN where it is not: added to pixels it leaves them, or makes
    them NaN.

    Masks of booleans take TensorFlow and PyTorch several times as long.
    """
    return images - images


def is_symbolic_tensorflow(images: Any) -> bool:
    """Whether the images are in a TensorFlow graph, such as that of `tf.data`, with any backend of
    Keras.
    """
    tensorflow = sys.modules.get("tensorflow")
    return (
        tensorflow is not None
        and tensorflow.is_tensor(images)
        and not tensorflow.executing_eagerly()
    )


def _is_torch_compiling() -> bool:
    """Whether PyTorch compiles or exports; a program that slices a batch of any size to look at it
    takes no other sizes.
    """
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_compiling()


def warn_of_plain_images_in_tf_data(layer: keras.layers.Layer) -> None:
    """Warns where a layer that was not told whether to augment is in a map of `tf.data`, which has
    no training of its own.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or tensorflow.executing_eagerly():
        return
    graph = tensorflow.compat.v1.get_default_graph()
    while graph is not None:
        if getattr(graph, "name", "").startswith("Dataset_"):
            warnings.warn(
                f"`{layer.name}` does not augment in this map of `tf.data`, which does not say "
                "`training`. For training images "
                "write `data.map(lambda images: layer(images, training=True))`, for others "
                "`training=False`.",
                stacklevel=stacklevel_of_user(),
            )
            return
        graph = getattr(graph, "outer_graph", None)
