"""Gaussian blur of a random width for each image."""

from typing import Any

import keras

from keras_supcon.arguments import check_probability, check_range, is_whole
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations.masked_map import map_where
from keras_supcon.augmentation.operations.resampling import blur_axis
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomGaussianBlur(ImageAugmentation):
    """Blurs each image by a Gaussian whose standard deviation is uniform in `sigma`.

    The kernel has `kernel_size` taps in each direction, normalized to a sum of 1. Taps beyond the
    border are skipped and the others normalized again, so that a constant image stays constant;
    the authors' code takes black pixels there.

    Args:
        sigma: Smallest and largest standard deviation in pixels, positive.
        kernel_size: Odd number of taps, or None for `2 floor(s / 20) + 1`, a tenth of the image's
            shorter side `s`: 23 at 224 pixels, 3 at 32 and 1, which is no blur, below 20.
        probability: Probability that an image is blurred.
        **kwargs: `value_range` (not used by this layer), `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels; height and
    width must be known.

    Raises:
        ValueError: For an argument out of its range, images smaller than the kernel or of unknown
            size, and images of another rank or number of channels.

    Reference:
        Chen et al., SimCLR, ICML 2020, appendix A.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandomGaussianBlur
    >>> images = np.zeros((4, 9, 9, 1), "float32")
    >>> images[:, 4, 4] = 1
    >>> blur = RandomGaussianBlur(sigma=(0.5, 1.0), kernel_size=5, probability=1.0, seed=0)
    >>> blurred = np.asarray(blur(images, training=True))
    >>> blurred.sum(axis=(1, 2, 3)).round(4).tolist(), bool(blurred.max() < 0.7)
    ([1.0, 1.0, 1.0, 1.0], True)
    """

    reads_value_range = False

    @deprecate_positional
    def __init__(
        self,
        sigma: tuple[float, float] = (0.1, 2.0),
        *,
        kernel_size: int | None = None,
        probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sigma = check_range("sigma", sigma, 0)
        if kernel_size is not None:
            if not is_whole(kernel_size, 1) or kernel_size % 2 == 0:
                raise ValueError(
                    "`kernel_size` should be an odd whole number, or None. Received: "
                    f"kernel_size={kernel_size!r}"
                )
            kernel_size = int(kernel_size)
        self.kernel_size = kernel_size
        self.probability = check_probability("probability", probability)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        """Draws which images are blurred, and their standard deviation."""
        chosen = self.uniform((batch_size,)) < self.probability
        return {"chosen": chosen, "sigma": self.uniform((batch_size,), *self.sigma)}

    def transform(self, images: Tensor, draws: dict[str, Any]) -> Tensor:
        images = self.backend.cast(images, "float32")
        radius = self._radius(images.shape)
        if radius == 0:
            return images

        def blur(some: Tensor, sigma: Tensor) -> Tensor:
            columns_first = (0, 2, 1, 3)
            some = blur_axis(self.backend, some, sigma, radius)
            some = blur_axis(
                self.backend, self.backend.numpy.transpose(some, columns_first), sigma, radius
            )
            return self.backend.numpy.transpose(some, columns_first)

        return map_where(self.backend, draws["chosen"], blur, images, draws["sigma"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "kernel_size": self.kernel_size,
            "probability": self.probability,
        }

    def _radius(self, shape: tuple[int | None, ...]) -> int:
        size = shape[1:3]
        if None in size:
            raise ValueError(
                "`RandomGaussianBlur` should be called on images of known height and width: "
                f"resize or crop them first. Received: images.shape={tuple(shape)}"
            )
        if self.kernel_size is None:
            return min(size) // 20
        if self.kernel_size > min(size):
            raise ValueError(
                "`kernel_size` should be at most the height and width of the images. "
                f"Received: kernel_size={self.kernel_size}, images.shape={tuple(shape)}"
            )
        return self.kernel_size // 2
