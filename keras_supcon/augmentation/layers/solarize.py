"""Solarization, as in BYOL."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor, TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomSolarize(ImageAugmentation):
    """Inverts the bright pixels of an image: `x` from the threshold up becomes `low + high - x`.

    Args:
        threshold: Lowest pixel that is inverted, as a fraction of `value_range`, 0 (all) to 1.
        probability: Probability that an image is solarized.
        **kwargs: `value_range`, `(0, 255)` unless given; `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Grill et al., BYOL, NeurIPS 2020, appendix B: threshold 0.5, probability 0.2 for the second
        view.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandomSolarize
    >>> solarize = RandomSolarize(probability=1.0, value_range=(0, 1))
    >>> image = np.array([[[0.25], [0.5], [1.0]]], "float32")
    >>> np.asarray(solarize(image, training=True)).ravel().tolist()
    [0.25, 0.5, 0.0]
    """

    @deprecate_positional
    def __init__(self, threshold: float = 0.5, *, probability: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = check_probability("threshold", threshold)
        self.probability = check_probability("probability", probability)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> TensorTree:
        return self.uniform((batch_size,)) < self.probability

    def transform(self, images: Tensor, draws: TensorTree) -> Tensor:
        numpy = self.backend.numpy
        low, high = self.value_range
        images = self.backend.cast(images, "float32")
        # An image that is not solarized has its threshold above all pixels.
        threshold = numpy.where(draws, low + self.threshold * (high - low), float("inf"))
        return numpy.where(
            images >= numpy.reshape(threshold, (-1, 1, 1, 1)), low + high - images, images
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "probability": self.probability,
        }
