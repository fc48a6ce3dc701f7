"""What the named recipes share: a random-resized crop with flip first, pixels in [0, 1] last."""

from typing import Any

from keras_supcon.augmentation.layers.crop import RandomResizedCrop
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations.not_finite import has_floats, nan_unless_finite
from keras_supcon.augmentation.operations.sequence import OPERATIONS, apply_operations
from keras_supcon.augmentation.seeds import seed_of_part


class AugmentationPolicy(ImageAugmentation):
    """Base of the recipes.

    Subclasses make their layers by `part` and write `draw_views` and `transform_views`, for images
    of `image_size`. When not training, images are only resized to `image_size`, by `crop`, and
    scaled to [0, 1].

    Args:
        image_size: Height and width of the output, in pixels.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
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

    def part(self, layer_class: type[ImageAugmentation], *args: Any, **kwargs: Any) -> Any:
        """Makes a layer that computes where this one does, with a seed of its own.

        With one seed the draws of all parts, and of the recipe itself, would be the same numbers.
        """
        self._num_parts += 1
        seed = seed_of_part(self.seed, self._num_parts)
        part = layer_class(*args, seed=seed, dtype=self.dtype_policy, **kwargs)
        part.backend = self.backend
        part.built = True
        return part

    def draw(self, batch_size: Any, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        views_shape = (*self.crop.image_size, image_shape[2])
        return {
            "crop": self.crop.draw(batch_size, image_shape),
            "views": self.draw_views(batch_size, views_shape),
        }

    def transform(self, images: Any, draws: dict[str, Any]) -> Any:
        low, _ = self.value_range
        pixels = self.crop.transform(images, draws["crop"])
        views = self.transform_views(pixels - low if low else pixels, draws["views"])
        if not has_floats(images):
            return views
        # Once for all steps, of which some lose NaN: in tables, and where XLA clips.
        return views + self.backend.numpy.sum(
            nan_unless_finite(pixels), axis=(1, 2, 3), keepdims=True
        )

    def transform_for_inference(self, images: Any) -> Any:
        low, high = self.value_range
        images = self.backend.cast(self.crop.transform_for_inference(images), "float32")
        return (images - low) / (high - low)

    def draw_views(self, batch_size: Any, views_shape: tuple[int, int, int]) -> Any:
        """The random numbers of all that follows the crop."""
        raise NotImplementedError

    def transform_views(self, images: Any, draws: Any) -> Any:
        """Turns float32 images from 0 to the width of `value_range` into views from 0 to 1. NaN
        need not stay.
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
    """Base of the recipes whose draws are operations; `_names` are those that may be drawn."""

    _names: tuple[str, ...] = OPERATIONS

    def transform_views(self, images: Any, draws: Any) -> Any:
        low, high = self.value_range
        images = apply_operations(self.backend, self._names, images * (255.0 / (high - low)), draws)
        return self.backend.numpy.clip(images / 255.0, 0.0, 1.0)
