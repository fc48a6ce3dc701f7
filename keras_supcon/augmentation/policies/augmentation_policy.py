"""Bases of the policies: a random-resized crop with flip first, pixels in [0, 1] last."""

from typing import Any

import keras

from keras_supcon.augmentation.layers.crop import RandomResizedCrop
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations.not_finite import has_floats, nan_unless_finite
from keras_supcon.augmentation.operations.sequence import OPERATIONS, apply_operations
from keras_supcon.seeds import seed_of_part
from keras_supcon.typing import Tensor, TensorTree


class AugmentationPolicy(ImageAugmentation):
    """Base of the policies.

    Subclasses make their layers by `part` and write `draw_views` and `transform_views`, for images
    of `image_size`. When not training, images are only resized to `image_size`, by `crop`, and
    scaled to [0, 1].

    Args:
        image_size: Height and width of the output, in pixels.
        crop_area: Smallest and largest fraction of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` of the input, `seed`, `name`, `dtype`.
    """

    ends_in_unit_range = True
    makes_nan = True

    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        crop_area: tuple[float, float],
        flip_probability: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._num_parts = 0
        self.crop = self.part(
            RandomResizedCrop,
            image_size=image_size,
            crop_area=crop_area,
            flip_probability=flip_probability,
        )

    def part(self, layer_class: type[ImageAugmentation], **arguments: Any) -> keras.layers.Layer:
        """Makes a layer that computes on the backend of this one, with a seed derived from its own.

        With one seed the draws of all parts, and of the policy itself, would be the same numbers.
        """
        self._num_parts += 1
        seed = seed_of_part(self.seed, self._num_parts)
        part = layer_class(seed=seed, dtype=self.dtype_policy, **arguments)
        part.backend = self.backend
        part.built = True
        return part

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> dict[str, TensorTree]:
        views_shape = (*self.crop.image_size, image_shape[2])
        return {
            "crop": self.crop.draw(batch_size, image_shape),
            "views": self.draw_views(batch_size, views_shape),
        }

    def transform(self, images: Tensor, draws: dict[str, TensorTree]) -> Tensor:
        low, _ = self.value_range
        pixels = self.crop.transform(images, draws["crop"])
        views = self.transform_views(pixels - low if low else pixels, draws["views"])
        if not has_floats(images):
            return views
        # Once for all steps, some of which lose NaN: in tables, and where XLA clips.
        return views + self.backend.numpy.sum(
            nan_unless_finite(pixels), axis=(1, 2, 3), keepdims=True
        )

    def transform_for_inference(self, images: Tensor) -> Tensor:
        low, high = self.value_range
        images = self.backend.cast(self.crop.transform_for_inference(images), "float32")
        return (images - low) / (high - low)

    def draw_views(self, batch_size: Tensor, views_shape: tuple[int, int, int]) -> TensorTree:
        """Draws the random numbers of all that follows the crop."""
        raise NotImplementedError

    def transform_views(self, images: Tensor, draws: TensorTree) -> Tensor:
        """Turns cropped images into views.

        Args:
            images: Float32, from 0 to the width of `value_range`.
            draws: The output of `draw_views`.

        Returns:
            Views from 0 to 1. NaN need not be kept.
        """
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.crop.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_size": self.crop.image_size,
            "crop_area": self.crop.crop_area,
            "flip_probability": self.crop.flip_probability,
        }


class OperationsPolicy(AugmentationPolicy):
    """Base of the policies that draw operations; `_names` are those that may be drawn."""

    _names: tuple[str, ...] = OPERATIONS

    def transform_views(self, images: Tensor, draws: list[dict[str, Tensor]]) -> Tensor:
        low, high = self.value_range
        images = apply_operations(self.backend, self._names, images * (255.0 / (high - low)), draws)
        return self.backend.numpy.clip(images / 255.0, 0.0, 1.0)
