"""Base of the policies built of keras-cv layers.

keras-cv is imported when a policy is made, not with this module.
"""

from typing import Any

import keras

from keras_supcon._keras_internals import nested_layers
from keras_supcon.augmentation.any_layer import call_augmenter
from keras_supcon.augmentation.operations.not_finite import has_floats, nan_unless_finite
from keras_supcon.augmentation.policies.augmentation_policy import AugmentationPolicy
from keras_supcon.extras import require_extra
from keras_supcon.seeds import seed_of_keras_cv_part
from keras_supcon.typing import Tensor, TensorTree

VALUE_RANGE = (0, 255)  # of what the keras-cv layers read and write


class KerasCVPolicy(AugmentationPolicy):
    """Base of the policies of keras-cv layers, which behave as our own policies do.

    keras-cv layers augment whether Keras trains or not, and cast the labels of a dictionary to
    float. Here the images alone go through them, and only when training. Otherwise images are
    resized and scaled, as by our own policies.

    Subclasses write `keras_cv_layers` and set `pipeline` to the output of `make_pipeline`. keras-cv
    computes with TensorFlow: on other backends of Keras the policies work eagerly and in
    `tf.data`, not in a compiled training step. XLA cannot compile some of the keras-cv layers, so
    that `supports_jit` is False.

    Args:
        image_size: Height and width of the output, in pixels.
        crop_area: Smallest and largest fraction of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        crop_area: tuple[float, float],
        flip_probability: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_size, crop_area=crop_area, flip_probability=flip_probability, **kwargs
        )
        self.supports_jit = False

    def make_pipeline(self) -> keras.layers.Layer:
        """Makes a pipeline of crop, flip and the policy's layers, for images of 0..255."""
        require_extra("tensorflow", "tensorflow", "keras_cv", by=f"`{type(self).__name__}`")
        import keras_cv

        dtype_policy = keras.config.dtype_policy()
        # HSV loses too much in half precision. Layers made by keras-cv's layers take the global
        # policy alone.
        keras.config.set_dtype_policy("float32")
        try:
            crop = keras_cv.layers.RandomCropAndResize(
                self.crop.image_size,
                self.crop.crop_area,
                self.crop.aspect_ratio,
                seed=self.part_seed(0),
            )
            # Vectorized it is a loop as well, at two thirds of the speed.
            crop.auto_vectorize = False
            flip = keras_cv.layers.RandomFlip(
                rate=self.crop.flip_probability, seed=self.part_seed(1)
            )
            pipeline = keras.layers.Pipeline([crop, flip, *self.keras_cv_layers(keras_cv.layers)])
        finally:
            keras.config.set_dtype_policy(dtype_policy)
        _draw_from_generator(pipeline, self.part_seed(len(pipeline.layers)))
        return pipeline

    def keras_cv_layers(self, layers: Any) -> list[keras.layers.Layer]:
        """Makes the layers that follow crop and flip.

        Args:
            layers: The module `keras_cv.layers`.

        Returns:
            Layers with the seeds of parts from 2 up.
        """
        raise NotImplementedError

    def part_seed(self, part: int) -> int | None:
        """Returns the seed of a layer; with one for all, crop and flip would share their draws."""
        return seed_of_keras_cv_part(self.seed, part)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> TensorTree:
        return None  # each layer draws its own numbers

    def transform(self, images: Tensor, draws: TensorTree) -> Tensor:
        numpy = self.backend.numpy
        low, high = self.value_range
        pixels = (self.backend.cast(images, "float32") - low) * (255.0 / (high - low))
        if not has_floats(images):
            return self._views(pixels)
        # keras-cv uses pixels as indices of tables, where NaN has none; afterwards the whole image
        # is NaN.
        views = self._views(numpy.where(numpy.isnan(pixels), 0.0, pixels))
        return views + numpy.sum(nan_unless_finite(pixels), axis=(1, 2, 3), keepdims=True)

    def _views(self, pixels: Tensor) -> Tensor:
        return (
            self.backend.cast(call_augmenter(self.pipeline, pixels, training=True), "float32")
            / 255.0
        )

    def _check_channels(self, shape: tuple[int | None, ...]) -> None:
        if len(shape) not in (3, 4) or shape[-1] != 3:
            raise ValueError(
                f"`{type(self).__name__}` should be called on RGB images, (batch, height, width, "
                f"3) or (height, width, 3). Received: images.shape={tuple(shape)}"
            )


class _Sampler:
    """Draws from the distribution of a keras-cv sampler, by a generator with a state.

    keras-cv's samplers have no state, and some no seed. With a seed, even that of
    `keras.utils.set_random_seed`, they draw the same numbers in each loop of a graph, hence in both
    views, and in each pass over a data set.
    """

    def __init__(self, sampler: Any, generator: Any) -> None:
        self._sampler = sampler
        self._generator = generator

    def __call__(self, shape: Any = (), dtype: str = "float32") -> Tensor:
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
    for part in nested_layers(layer):
        for name, value in list(vars(part).items()):
            if isinstance(value, (core.UniformFactorSampler, core.NormalFactorSampler)):
                setattr(part, name, _Sampler(value, generator))
