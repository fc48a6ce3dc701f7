"""RandAugment, and RandAugment between colour jitter and blur."""

from typing import Any

import keras

from keras_supcon.arguments import check_between, check_probability, check_whole_number
from keras_supcon.augmentation.layers.blur import RandomGaussianBlur
from keras_supcon.augmentation.layers.color import RandomColorJitter, RandomGrayscale
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.layers.operations import draw_places
from keras_supcon.augmentation.layers.warp import RandomWarp
from keras_supcon.augmentation.operations.sequence import OPERATIONS
from keras_supcon.augmentation.policies.augmentation_policy import OperationsPolicy
from keras_supcon.augmentation.policies.sim_augment import jitter_spreads, used_parts
from keras_supcon.deprecation import deprecate_positional


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandAugment(OperationsPolicy):
    """Random-resized crop, left-right flip, then `num_ops` operations, drawn for each image, all at
    one magnitude.

    Each of the `num_ops` is one of the sixteen operations or none, all 17 equally likely and
    independent. Geometric ones go to either side. What a magnitude means stands with the layer of
    each operation; as published, colour, contrast, brightness and sharpness do nothing at 0.5, and
    posterize and solarize are weaker at higher magnitudes. The output is float in [0, 1] whatever
    the range of the input. When not training the images are only resized to `image_size` and scaled
    to [0, 1].

    Args:
        image_size: Height and width of the output, in pixels.
        num_ops: Operations for each image, a whole number of at least 1.
        magnitude: 0 to 1, a tenth of the paper's level.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, channels)` with 1 or 3 channels. Output shape: `(batch,
    *image_size, channels)`.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Cubuk et al., RandAugment, NeurIPS 2020, with the operations of SupCon's published code.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandAugment
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> views = np.asarray(RandAugment(image_size=(32, 32), num_ops=2, magnitude=0.9)(images, training=True))
    >>> views.shape, bool(views.min() >= 0 and views.max() <= 1)
    ((4, 32, 32, 3), True)
    """

    @deprecate_positional
    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        *,
        num_ops: int = 2,
        magnitude: float = 0.5,
        crop_area: tuple[float, float] = (0.08, 1.0),
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_size, crop_area=crop_area, flip_probability=flip_probability, **kwargs
        )
        self.num_ops = check_whole_number("num_ops", num_ops, 1)
        self.magnitude = check_probability("magnitude", magnitude)

    def draw_views(
        self, batch_size: Any, views_shape: tuple[int, int, int]
    ) -> list[dict[str, Any]]:
        numpy = self.backend.numpy
        draws = []
        for _ in range(self.num_ops):
            outcome = numpy.floor(self.uniform((batch_size,), 0.0, len(OPERATIONS) + 1))
            choice = (
                numpy.minimum(self.backend.cast(outcome, "int32"), len(OPERATIONS)) - 1
            )  # the first outcome is none
            draws.append(
                {
                    "choice": choice,
                    "magnitude": self.magnitude * numpy.ones((batch_size,), "float32"),
                    **draw_places(self, OPERATIONS, batch_size),
                }
            )
        return draws

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_ops": self.num_ops, "magnitude": self.magnitude}


@keras.saving.register_keras_serializable(package="keras_supcon")
class StackedRandAugment(RandAugment):
    """Random-resized crop, left-right flip, colour jitter, RandAugment, random grey, and optionally
    a warp and a blur.

    The recipe of SupCon's largest ImageNet models. The output is float in [0, 1] whatever the range
    of the input. When not training the images are only resized to `image_size` and scaled to [0,
    1].

    Args:
        image_size: Height and width of the output, in pixels.
        num_ops: Operations of RandAugment for each image, a whole number of at least 1.
        magnitude: Magnitude of RandAugment, 0 to 1.
        strength: Strength of the colour jitter, 0 to 2, as in `SimAugment`.
        crop_area: Smallest and largest share of the area that a crop keeps, in (0, 1].
        grayscale_probability: Probability that an image loses its colour.
        blur_probability: Probability of a `RandomGaussianBlur`.
        warp_probability: Probability of a `RandomWarp`.
        flip_probability: Probability of a left-right flip.
        **kwargs: `value_range` of the input, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input shape: `(batch, height, width, channels)` with 1 or 3 channels. Output shape: `(batch,
    *image_size, channels)`.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Tian et al., What Makes for Good Views for Contrastive Learning?, NeurIPS 2020; Khosla et
        al., NeurIPS 2020, section
        4.4.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import StackedRandAugment
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> StackedRandAugment(image_size=(32, 32))(images, training=True).shape == (4, 32, 32, 3)
    True
    """

    @deprecate_positional
    def __init__(
        self,
        image_size: tuple[int, int] = (224, 224),
        *,
        num_ops: int = 2,
        magnitude: float = 1.0,
        strength: float = 1.0,
        crop_area: tuple[float, float] = (0.08, 1.0),
        grayscale_probability: float = 0.2,
        blur_probability: float = 0.5,
        warp_probability: float = 0.0,
        flip_probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_size,
            num_ops=num_ops,
            magnitude=magnitude,
            crop_area=crop_area,
            flip_probability=flip_probability,
            **kwargs,
        )
        self.strength = check_between("strength", strength, 0, 2)
        own_range = {
            "value_range": (0.0, self.value_range[1] - self.value_range[0])
        }  # of what the crop hands on
        self.jitter = self.part(RandomColorJitter, **jitter_spreads(self.strength), **own_range)
        self.grayscale = self.part(
            RandomGrayscale, check_probability("grayscale_probability", grayscale_probability)
        )
        self.warp = self.part(
            RandomWarp, probability=check_probability("warp_probability", warp_probability)
        )
        self.blur = self.part(
            RandomGaussianBlur, probability=check_probability("blur_probability", blur_probability)
        )

    def draw_views(self, batch_size: Any, views_shape: tuple[int, int, int]) -> dict[str, Any]:
        parts = {"jitter": self.jitter, **self._later_parts()}
        draws = {name: part.draw(batch_size, views_shape) for name, part in parts.items()}
        return {**draws, "operations": super().draw_views(batch_size, views_shape)}

    def transform_views(self, images: Any, draws: dict[str, Any]) -> Any:
        images = self.jitter.transform(images, draws["jitter"])
        images = super().transform_views(images, draws["operations"])
        for name, part in self._later_parts().items():
            images = part.transform(images, draws[name])
        return images

    def _later_parts(self) -> dict[str, ImageAugmentation]:
        return used_parts(grayscale=self.grayscale, warp=self.warp, blur=self.blur)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "strength": self.strength,
            "grayscale_probability": self.grayscale.probability,
            "blur_probability": self.blur.probability,
            "warp_probability": self.warp.probability,
        }
