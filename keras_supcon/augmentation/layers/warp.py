"""Smooth random warps of images."""

from typing import Any

import keras
import numpy as np

from keras_supcon.arguments import check_not_negative, check_probability, check_whole_number
from keras_supcon.augmentation.layers.image_augmentation import ImageAugmentation
from keras_supcon.augmentation.operations.masked_map import map_where
from keras_supcon.augmentation.operations.resampling import bilinear
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class RandomWarp(ImageAugmentation):
    """Warps an image by moving a grid of points at random.

    Each of `grid_size x grid_size` points, evenly inside the image, is displaced by `l n`: `l` is
    uniform in `[0, max_length]`, one for each image, `n` is standard normal, for each point and
    direction. Between and beyond the points the displacement is the thin-plate spline through them.
    Sampling is bilinear; positions beyond the border take the border pixel. The authors' length is
    up to 23 pixels of any image; here it is a fraction of the size.

    Args:
        max_length: Largest length, as a fraction of height and width, at least 0.
        grid_size: Points in each direction, at least 2.
        probability: Probability that an image is warped.
        **kwargs: `value_range` (not used by this layer), `seed`, `name`, `dtype`.

    Input and output shape: `(batch, height, width, channels)` with 1 or 3 channels.

    Raises:
        ValueError: For an argument out of its range, and for images of another rank or number of
            channels.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 4.4 (SimAugment's
        sparse image warp).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import RandomWarp
    >>> ramp = np.tile(np.arange(32, dtype="float32")[:, None, None], (2, 1, 32, 1))
    >>> warped = np.asarray(RandomWarp(probability=1.0, seed=0)(ramp, training=True))
    >>> warped.shape, bool(np.abs(warped - ramp).max() > 0.1)
    ((2, 32, 32, 1), True)
    """

    reads_value_range = False

    @deprecate_positional
    def __init__(
        self,
        max_length: float = 23 / 224,
        *,
        grid_size: int = 2,
        probability: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_length = check_not_negative("max_length", max_length)
        self.grid_size = check_whole_number("grid_size", grid_size, 2)
        self.probability = check_probability("probability", probability)

    def draw(self, batch_size: Tensor, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        """Draws which images are warped, and how far their points move.

        The displacements across and down are fractions of the size, `(batch, points)` each.
        """
        num_points = self.grid_size**2
        length = self.uniform((batch_size, 1), 0.0, self.max_length)
        return {
            "chosen": self.uniform((batch_size,)) < self.probability,
            "across": length * self.normal((batch_size, num_points)),
            "down": length * self.normal((batch_size, num_points)),
        }

    def transform(self, images: Tensor, draws: dict[str, Any]) -> Tensor:
        images = self.backend.cast(images, "float32")
        return map_where(
            self.backend, draws["chosen"], self._warp, images, draws["across"], draws["down"]
        )

    def _warp(self, images: Tensor, across: Tensor, down: Tensor) -> Tensor:
        numpy = self.backend.numpy
        _, height, width, _ = self.backend.shape(images)
        rows, columns = (self.backend.cast(size, "float32") for size in (height, width))
        x = numpy.reshape(numpy.arange(width, dtype="float32") + 0.5, (1, -1))
        y = numpy.reshape(numpy.arange(height, dtype="float32") + 0.5, (-1, 1))
        influence = self._influence(x / columns, y / rows)
        field = [
            numpy.reshape(numpy.matmul(move, influence), (-1, height, width))
            for move in (across, down)
        ]
        return bilinear(self.backend, images, x - columns * field[0], y - rows * field[1])

    def _influence(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns how far each pixel moves for a unit displacement of each point.

        The shape is `(points, height * width)`.
        """
        numpy = self.backend.numpy
        places = (np.arange(self.grid_size) + 1) / (self.grid_size + 1)
        points = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)  # x, y
        num_points = len(points)
        # The spline is a sum of radial functions about the points and a plane, with given values at
        # the points.
        squared = np.sum((points[:, None] - points[None]) ** 2, axis=2)
        radial = 0.5 * squared * np.log(np.where(squared > 0, squared, 1.0))
        plane = np.concatenate([np.ones((num_points, 1)), points], axis=1)
        system = np.block([[radial, plane], [plane.T, np.zeros((3, 3))]])
        coefficients = np.linalg.inv(system)[:, :num_points]
        basis = []
        for point in points:
            squared = numpy.square(x - float(point[0])) + numpy.square(y - float(point[1]))
            basis.append(0.5 * squared * numpy.log(numpy.maximum(squared, 1e-12)))
        zeros = numpy.zeros_like(x + y)
        basis += [zeros + 1.0, zeros + x, zeros + y]
        basis = numpy.reshape(numpy.stack(basis), (num_points + 3, -1))
        return numpy.matmul(self._constant(coefficients.T), basis)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "grid_size": self.grid_size,
            "probability": self.probability,
        }
