"""The recipes built of keras-cv layers, for those who work with keras-cv.

keras-cv is imported when a recipe is made, not with this module.
"""

from typing import Any

import keras

from keras_supcon.arguments import check_between, check_probability, check_whole_number
from keras_supcon.augmentation.base import has_floats, nan_unless_finite
from keras_supcon.augmentation.calling import call_augmenter
from keras_supcon.augmentation.recipe import Recipe
from keras_supcon.extras import require_extra

_VALUE_RANGE = (0, 255)  # of what the keras-cv layers read and write


class KerasCVRecipe(Recipe):
    """Base of the recipes: keras-cv layers with the manners of our own.

    keras-cv layers augment whether Keras trains or not, and cast the labels of a dictionary to
    float. Here the images alone go through them, and only when training; otherwise the recipe does
    what our own recipes do.

    Subclasses write `keras_cv_layers` and set `pipeline` to what `make_pipeline` makes of them.
    keras-cv computes with TensorFlow: on other backends of Keras the recipes work eagerly and in
    `tf.data`, not in a compiled training step. XLA does not compile some of the keras-cv layers,
    which Keras is told.

    Args:
        image_size: Height and width of the output, in pixels.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        crop_area: tuple[float, float],
        flip_probability: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_size, crop_area, flip_probability, **kwargs)
        self.supports_jit = False

    def make_pipeline(self) -> keras.layers.Layer:
        """Crop, flip and the layers of the recipe, from images of 0..255 to such images."""
        require_extra("tensorflow", "tensorflow", "keras_cv", by=f"`{type(self).__name__}`")
        import keras_cv

        policy = keras.config.dtype_policy()
        # HSV loses too much in half precision. The layers that keras-cv's layers make take no
        # policy but the global one.
        keras.config.set_dtype_policy("float32")
        try:
            crop = keras_cv.layers.RandomCropAndResize(
                self.crop.image_size,
                self.crop.crop_area,
                self.crop.aspect_ratio,
                seed=self.part_seed(0),
            )
            crop.auto_vectorize = (
                False  # vectorized it is a loop as well, at two thirds of the speed
            )
            flip = keras_cv.layers.RandomFlip(
                rate=self.crop.flip_probability, seed=self.part_seed(1)
            )
            pipeline = keras.layers.Pipeline([crop, flip, *self.keras_cv_layers(keras_cv.layers)])
        finally:
            keras.config.set_dtype_policy(policy)
        _draw_from_generator(pipeline, self.part_seed(len(pipeline.layers)))
        return pipeline

    def keras_cv_layers(self, layers: Any) -> list[keras.layers.Layer]:
        """What follows crop and flip, made from the module `keras_cv.layers`; its seeds are the
        parts from 2 on.
        """
        raise NotImplementedError

    def part_seed(self, part: int) -> int | None:
        """The seed of a layer: with one for all, the numbers that cut the images would flip them
        too.
        """
        return None if self.seed is None else self.seed + part

    def draw(self, batch_size: Any, image_shape: tuple[int, int, int]) -> Any:
        return None  # each layer draws its own numbers

    def transform(self, images: Any, draws: Any) -> Any:
        numpy = self.backend.numpy
        low, high = self.value_range
        pixels = (self.backend.cast(images, "float32") - low) * (255.0 / (high - low))
        if not has_floats(images):
            return self._views(pixels)
        # keras-cv takes pixels for places in tables, where NaN has none; afterwards all of the
        # image is NaN.
        views = self._views(numpy.where(numpy.isnan(pixels), 0.0, pixels))
        return views + numpy.sum(nan_unless_finite(pixels), axis=(1, 2, 3), keepdims=True)

    def _views(self, pixels: Any) -> Any:
        return (
            self.backend.cast(call_augmenter(self.pipeline, pixels, training=True), "float32")
            / 255.0
        )

    def _check_channels(self, shape: tuple[int | None, ...]) -> None:
        if len(shape) not in (3, 4) or shape[-1] != 3:
            raise ValueError(
                f"`{type(self).__name__}` should be called on RGB images, (batch, height, width, "
                "3) or (height, width, 3). "
                f"Received: images.shape={tuple(shape)}"
            )


class _Sampler:
    """Draws what a sampler of keras-cv draws, from a generator with a state.

    keras-cv's samplers know no state, and some no seed. Seeded, be it by
    `keras.utils.set_random_seed`, they draw the same numbers in each loop of a graph, hence in both
    views, and in each pass over a data set.
    """

    def __init__(self, sampler: Any, generator: Any) -> None:
        self._sampler = sampler
        self._generator = generator

    def __call__(self, shape: Any = (), dtype: str = "float32") -> Any:
        import tensorflow as tf

        sampler = self._sampler
        if hasattr(sampler, "stddev"):
            draws = self._generator.normal(shape, sampler.mean, sampler.stddev, dtype)
            return tf.clip_by_value(draws, sampler.min_value, sampler.max_value)
        return self._generator.uniform(shape, sampler.lower, sampler.upper, dtype)


def _draw_from_generator(layer: keras.layers.Layer, seed: int | None) -> None:
    """Replaces all uniform and normal samplers in a layer."""
    import tensorflow as tf
    from keras_cv import core

    generator = (
        tf.random.get_global_generator() if seed is None else tf.random.Generator.from_seed(seed)
    )
    for part in layer._flatten_layers():
        for name, value in list(vars(part).items()):
            if isinstance(value, (core.UniformFactorSampler, core.NormalFactorSampler)):
                setattr(part, name, _Sampler(value, generator))


@keras.saving.register_keras_serializable(package="keras_supcon")
class KerasCVSimAugment(KerasCVRecipe):
    """SimCLR's recipe of keras-cv layers: random-resized crop, left-right flip, colour jitter,
    random grey, random blur.

    The output is float in [0, 1] whatever the range of the input. When not training the images are
    only resized to `image_size` and scaled to [0, 1]. With keras-cv 0.9 the recipe differs from
    `SimAugment` in this:

    - Crops have a uniform, not log-uniform, aspect ratio, relative to that of the image; a
      rectangle that does not fit is cut off at the border instead of drawn again. Resizing has no
      filter, so shrinking aliases.
    - Brightness is added to the pixels, not multiplied with them. Contrast keeps the mean of each
      channel, not the mean grey. Saturation and hue change in HSV; the saturation is multiplied by
      `f / (1 - f)` with `f` uniform between the values that stand for 1 - 0.8 `strength` and 1 +
      0.8 `strength`. The images are clipped after brightness, after contrast and after hue.
    - The blur takes the pixels beyond the border for black, which darkens the border.

    Args:
        image_size: Height and width of the output, in pixels.
        strength: Strength of the colour jitter, 0 to 1.25, the most that keras-cv's brightness and
            contrast allow: brightness, contrast and saturation 0.8 `strength`, hue 0.2 `strength`.
            1 for ImageNet, 0.5 for CIFAR.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
        grayscale_probability: Probability that an image loses its colour, 0 to 1.
        blur_probability: Probability that an image is blurred, 0 to 1; it has no effect below 20
            pixels.
        flip_probability: Probability of a left-right flip, 0 to 1.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, 3)`. Output shape: `(batch, *image_size, 3)`.

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Chen et al., SimCLR, ICML 2020, appendix A.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation.keras_cv import KerasCVSimAugment
    >>> augment = KerasCVSimAugment(image_size=(32, 32), strength=0.5, seed=1)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> views = np.asarray(augment(images, training=True))
    >>> views.shape, bool(views.min() >= 0 and views.max() <= 1)
    ((4, 32, 32, 3), True)
    """

    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        strength: float = 1.0,
        crop_area: tuple[float, float] = (0.08, 1.0),
        grayscale_probability: float = 0.2,
        blur_probability: float = 0.5,
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_size, crop_area, flip_probability, **kwargs)
        self.strength = check_between("strength", strength, 0, 1.25)
        self.grayscale_probability = check_probability(
            "grayscale_probability", grayscale_probability
        )
        self.blur_probability = check_probability("blur_probability", blur_probability)
        self.pipeline = self.make_pipeline()

    def keras_cv_layers(self, layers: Any) -> list[keras.layers.Layer]:
        spread = 0.8 * self.strength
        jitter = layers.RandomColorJitter(
            _VALUE_RANGE,
            brightness_factor=spread,
            contrast_factor=spread,
            saturation_factor=tuple(
                ratio / (1 + ratio) for ratio in (max(0.0, 1 - spread), 1 + spread)
            ),
            hue_factor=0.4 * self.strength,  # in half turns, to either side
            seed=self.part_seed(2),
        )
        gray = layers.Grayscale(output_channels=3)
        blur = layers.RandomGaussianBlur(
            2 * (min(self.crop.image_size) // 20) + 1, factor=(0.1, 2.0)
        )
        probabilities = (0.8, self.grayscale_probability, self.blur_probability)
        # A pipeline of one layer is what RandomApply should be, which fails on single images and on
        # loading.
        return [
            layers.RandomAugmentationPipeline(
                [layer], 1, rate=probability, seed=self.part_seed(3 + i)
            )
            for i, (layer, probability) in enumerate(
                zip((jitter, gray, blur), probabilities, strict=True)
            )
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "strength": self.strength,
            "grayscale_probability": self.grayscale_probability,
            "blur_probability": self.blur_probability,
        }


@keras.saving.register_keras_serializable(package="keras_supcon")
class KerasCVRandAugment(KerasCVRecipe):
    """Random-resized crop and left-right flip, then keras-cv's RandAugment.

    The output is float in [0, 1] whatever the range of the input. When not training the images are
    only resized to `image_size` and scaled to [0, 1]. The crop is that of `KerasCVSimAugment`.

    keras-cv's policy has ten operations: auto-contrast, equalize, solarize, colour, contrast,
    brightness, and shear and translation along either axis; rotation, posterize and sharpness of
    the paper are missing. For the paper's identity each operation is left out in 1 of 11 cases. The
    magnitude of solarize, colour and shear varies normally around `magnitude` with a standard
    deviation of 0.15; contrast, brightness and translation are uniform up to it, either way. Shear
    and translation reach further than the paper's, by the whole image at 1, and fill in reflected
    pixels.

    Args:
        image_size: Height and width of the output, in pixels.
        num_ops: Operations on each image, one after another, at least 1.
        magnitude: Strength of the operations, 0 to 1.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip, 0 to 1.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, 3)`. Output shape: `(batch, *image_size, 3)`.

    Raises:
        ImportError: If keras-cv or TensorFlow is not installed.
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., RandAugment, CVPR Workshops 2020.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation.keras_cv import KerasCVRandAugment
    >>> augment = KerasCVRandAugment(image_size=(32, 32), num_ops=1, seed=1)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> tuple(augment({"images": images, "labels": np.arange(4)}, training=True)["images"].shape)
    (4, 32, 32, 3)
    """

    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        num_ops: int = 2,
        magnitude: float = 0.5,
        crop_area: tuple[float, float] = (0.08, 1.0),
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_size, crop_area, flip_probability, **kwargs)
        self.num_ops = check_whole_number("num_ops", num_ops, 1)
        self.magnitude = check_probability("magnitude", magnitude)
        self.pipeline = self.make_pipeline()

    def keras_cv_layers(self, layers: Any) -> list[keras.layers.Layer]:
        return [
            layers.RandAugment(_VALUE_RANGE, self.num_ops, self.magnitude, seed=self.part_seed(2))
        ]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_ops": self.num_ops, "magnitude": self.magnitude}
