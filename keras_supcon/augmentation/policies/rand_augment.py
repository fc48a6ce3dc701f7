"""RandAugment: a few random operations, all at one magnitude."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability, check_whole_number
from keras_supcon.augmentation.layers.operations import draw_places
from keras_supcon.augmentation.operations.sequence import OPERATIONS
from keras_supcon.augmentation.policies.augmentation_policy import OperationsPolicy
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandAugment(OperationsPolicy):
    """Crops, flips and applies `num_ops` random operations, all at one magnitude.

    Each of the `num_ops` is one of the sixteen operations or none, all 17 equally likely and
    independent. Geometric ones go to either side. The layer of each operation says what a
    magnitude means. As published, color, contrast, brightness and sharpness do nothing at 0.5, and
    posterize and solarize are weaker at higher magnitudes. The output is float in [0, 1] whatever
    the range of the input. When not training, images are only resized to `image_size` and scaled
    to [0, 1].

    Args:
        image_size: Height and width of the output, in pixels.
        num_ops: Operations for each image, a whole number of at least 1.
        magnitude: 0 to 1, a tenth of the paper's level.
        crop_area: Smallest and largest fraction of the area that a crop keeps, in (0, 1].
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
    >>> augment = RandAugment(image_size=(32, 32), num_ops=2, magnitude=0.9)
    >>> views = np.asarray(augment(images, training=True))
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
        self, batch_size: Tensor, views_shape: tuple[int, int, int]
    ) -> list[dict[str, Tensor]]:
        numpy = self.backend.numpy
        draws = []
        for _ in range(self.num_ops):
            outcome = numpy.floor(self.uniform((batch_size,), 0.0, len(OPERATIONS) + 1))
            # The first outcome is no operation.
            choice = numpy.minimum(self.backend.cast(outcome, "int32"), len(OPERATIONS)) - 1
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
