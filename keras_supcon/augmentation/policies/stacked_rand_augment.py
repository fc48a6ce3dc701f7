"""RandAugment between the color jitter and the blur of SimCLR."""

from typing import Any

import keras

from keras_supcon.augmentation.policies.rand_augment import RandAugment
from keras_supcon.augmentation.policies.sim_parts import SimParts
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor, TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class StackedRandAugment(SimParts, RandAugment):
    """Combines `SimAugment` and `RandAugment`: crop, flip, jitter, operations, gray, warp, blur.

    The policy of SupCon's largest ImageNet models. The output is float in [0, 1] whatever the
    range of the input. When not training, images are only resized to `image_size` and scaled to
    [0, 1].

    Args:
        image_size: Height and width of the output, in pixels.
        num_ops: Operations of RandAugment for each image, a whole number of at least 1.
        magnitude: Magnitude of RandAugment, 0 to 1.
        strength: Strength of the color jitter, 0 to 2, as in `SimAugment`.
        crop_area: Smallest and largest fraction of the area that a crop keeps, in (0, 1].
        grayscale_probability: Probability that an image loses its color.
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
        al., NeurIPS 2020, section 4.4.

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
        low, high = self.value_range
        self.make_sim_parts(
            strength=strength,
            grayscale_probability=grayscale_probability,
            blur_probability=blur_probability,
            warp_probability=warp_probability,
            value_range=(0.0, high - low),  # of the cropped images
        )

    def draw_views(
        self, batch_size: Tensor, views_shape: tuple[int, int, int]
    ) -> dict[str, TensorTree]:
        parts = {"jitter": self.jitter, **self.used_parts("grayscale", "warp", "blur")}
        draws = {name: part.draw(batch_size, views_shape) for name, part in parts.items()}
        return {**draws, "operations": super().draw_views(batch_size, views_shape)}

    def transform_views(self, images: Tensor, draws: dict[str, TensorTree]) -> Tensor:
        images = self.jitter.transform(images, draws["jitter"])
        images = super().transform_views(images, draws["operations"])
        for name, part in self.used_parts("grayscale", "warp", "blur").items():
            images = part.transform(images, draws[name])
        return images
