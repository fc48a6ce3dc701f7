"""Applies any layer to a random part of the images."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability
from keras_supcon.augmentation.any_layer import as_augmenter, call_augmenter, deserialize_augmenter
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor, TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomApply(ImageAugmentation):
    """Applies a layer to each image with a probability, independently of the other images.

    Args:
        layer: A layer from images to images of the same shape and range of values: one of this
            package, of Keras or of keras-cv. Policies are refused, since they change the range.
        probability: Probability that the layer is applied to an image.
        **kwargs: `value_range` (not used by this layer), `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument of the wrong kind or out of its range, a layer that changes the
            shape of the images, and images of another rank or number of channels.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import Invert, RandomApply
    >>> images = np.zeros((1000, 1, 1, 1), "uint8")
    >>> inverted = RandomApply(Invert(), probability=0.3, seed=0)(images, training=True)
    >>> bool(abs((np.asarray(inverted) == 255).mean() - 0.3) < 0.05)
    True
    """

    reads_value_range = False

    @deprecate_positional
    def __init__(
        self, layer: keras.layers.Layer, *, probability: float = 0.5, **kwargs: Any
    ) -> None:
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(f"`layer` should be a Keras layer. Received: layer={layer!r}")
        if getattr(layer, "ends_in_unit_range", False):
            raise ValueError(
                "`layer` should give images of the range that it takes, and policies give [0, 1]: "
                f"apply the layers that they are made of. Received: layer={layer.name}"
            )
        super().__init__(**kwargs)
        self.layer = as_augmenter(layer)
        self.probability = check_probability("probability", probability)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> TensorTree:
        return self.uniform((batch_size,)) < self.probability

    def transform(self, images: Tensor, draws: TensorTree) -> Tensor:
        changed = call_augmenter(self.layer, images, training=True)
        if tuple(changed.shape[1:]) != tuple(images.shape[1:]):
            raise ValueError(
                "`layer` should give images of the shape that it takes. "
                f"Received: layer={self.layer.name}, from shape {tuple(images.shape)} to "
                f"{tuple(changed.shape)}"
            )
        chosen = self.backend.numpy.reshape(draws, (-1, 1, 1, 1))
        return self.backend.numpy.where(chosen, changed, self.backend.cast(images, changed.dtype))

    def get_config(self) -> dict[str, Any]:
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer, "probability": self.probability}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "RandomApply":
        return cls(**{**config, "layer": deserialize_augmenter(config["layer"], custom_objects)})
