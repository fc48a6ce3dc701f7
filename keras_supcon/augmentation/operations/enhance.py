"""Blends images with a degenerate form of themselves.

The result is `degenerate + factor * (image - degenerate)`, clipped to 0..255. The factor is
`0.1 + 1.8 * magnitude`: below 1 it moves towards the degenerate form, at 1 (magnitude 0.5) the
image does not change, above 1 it moves away.
"""

import numpy as np

from keras_supcon.augmentation.operations.color_maps import LUMA, apply_color_map, mean_luma
from keras_supcon.typing import Backend, Tensor

# The degenerate forms: the gray image, its mean gray, black, and the image smoothed by [[1, 1, 1],
# [1, 5, 1], [1, 1, 1]] / 13.
NAMES = ("Color", "Contrast", "Brightness", "Sharpness")


def apply_enhancement(
    backend: Backend, names: tuple[str, ...], images: Tensor, choice: Tensor, magnitude: Tensor
) -> Tensor:
    """Applies to each image its operation of `names`.

    Args:
        backend: Module of backend functions.
        names: Some of `NAMES`.
        images: Float32 `(batch, height, width, channels)` of levels 0 to 255.
        choice: Position in `names`, `(batch,)`.
        magnitude: 0 to 1, `(batch,)`.
    """
    numpy = backend.numpy
    channels = images.shape[-1]
    factor = numpy.reshape(0.1 + 1.8 * magnitude, (-1, 1, 1))

    def weight_of(name: str) -> Tensor:
        """Returns the weight of a degenerate form in each image, `(batch, 1, 1)`."""
        if name not in names:
            return 0.0
        return (1.0 - factor) * numpy.reshape(
            backend.cast(choice == names.index(name), "float32"), (-1, 1, 1)
        )

    is_rgb = channels == 3
    identity = backend.convert_to_tensor(np.eye(channels), dtype="float32")
    to_gray = backend.convert_to_tensor(
        np.repeat(LUMA[:, None], 3, axis=1) if is_rgb else np.eye(1), dtype="float32"
    )
    matrix = factor * identity + weight_of("Color") * to_gray
    offset = (
        weight_of("Contrast") * numpy.reshape(mean_luma(backend, images), (-1, 1, 1))
        if "Contrast" in names
        else None
    )
    if "Sharpness" not in names:
        return apply_color_map(backend, images, matrix, offset, 255.0)
    enhanced = apply_color_map(backend, images, matrix, offset)
    weight = numpy.expand_dims(weight_of("Sharpness"), 3)
    return numpy.clip(enhanced + weight * _smooth(backend, images), 0.0, 255.0)


def _smooth(backend: Backend, images: Tensor) -> Tensor:
    """Returns the degenerate form of sharpness, with unchanged pixels at the border."""
    height, width = backend.shape(images)[1:3]
    if isinstance(height, int) and isinstance(width, int) and min(height, width) < 3:
        return images
    if not (isinstance(height, int) and isinstance(width, int)):
        return _smooth_of_any_size(backend, images, height, width)
    box = backend.nn.average_pool(images, 3, 1, "valid", "channels_last")
    inner = images[:, 1:-1, 1:-1]
    # 9 box means and 4 centers make the 13 of the kernel.
    change = (box - inner) * (9.0 / 13.0)
    return images + backend.numpy.pad(change, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _smooth_of_any_size(backend: Backend, images: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Smooths images of unknown size, which may have no pixel inside the border."""
    numpy = backend.numpy
    framed = numpy.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    box = backend.nn.average_pool(framed, 3, 1, "valid", "channels_last")
    rows, columns = (numpy.arange(size, dtype="int32") for size in (height, width))
    inner_rows = backend.cast(numpy.logical_and(rows > 0, rows < height - 1), "float32")
    inner_columns = backend.cast(numpy.logical_and(columns > 0, columns < width - 1), "float32")
    inner = numpy.expand_dims(inner_rows, (1, 2)) * numpy.expand_dims(inner_columns, 1)
    return images + (box - images) * (9.0 / 13.0) * inner
