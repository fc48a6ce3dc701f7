"""Maps gray levels by a table of 256 levels for each image and channel.

The functions that make tables take the module of backend functions, int32 images `(batch, height,
width, channels)` of levels 0 to 255, the index of each pixel's level in the tables laid end to
end, and magnitudes `(batch, 1, 1)`. They return tables that broadcast to `(batch, channels, 256)`.
"""

from keras_supcon.augmentation.operations.resampling import gather
from keras_supcon.typing import Backend, Tensor

_LEVELS = 256


def auto_contrast_table(
    backend: Backend, images: Tensor, index: Tensor, magnitude: Tensor
) -> Tensor:
    """Stretches each channel from its darkest and brightest pixel to 0 and 255, unless flat."""
    numpy = backend.numpy
    low, high = (
        numpy.min(images, axis=(1, 2), initial=255),
        numpy.max(images, axis=(1, 2), initial=0),
    )
    low, high = (numpy.expand_dims(backend.cast(level, "float32"), 2) for level in (low, high))
    gain = 255.0 / numpy.maximum(high - low, 1.0)
    stretched = numpy.clip((_levels(backend) - low) * gain, 0.0, 255.0)
    return numpy.where(high > low, stretched, _levels(backend))


def equalize_table(backend: Backend, images: Tensor, index: Tensor, magnitude: Tensor) -> Tensor:
    """Equalizes the histogram of each channel, with the integer steps of Pillow."""
    numpy = backend.numpy
    batch, height, width, channels = backend.shape(images)
    counts = backend.math.segment_sum(
        numpy.ones_like(numpy.reshape(images, (-1,)), "float32"),
        numpy.reshape(index, (-1,)),
        batch * channels * _LEVELS,
    )
    counts = numpy.reshape(counts, (batch, channels, _LEVELS))
    pixels = backend.cast(height * width, "float32")
    # The brightest level that occurs is not counted, so that it becomes 255.
    brightest = numpy.max(
        numpy.where(counts > 0, _levels(backend), -1.0), axis=2, keepdims=True, initial=-1.0
    )
    last = numpy.sum(
        numpy.where(_levels(backend) == brightest, counts, numpy.zeros_like(counts)),
        axis=2,
        keepdims=True,
    )
    # All are whole numbers: a half keeps the division clear of rounding.
    step = numpy.floor((pixels - last + 0.5) / 255.0)
    below = numpy.cumsum(counts, axis=2) - counts
    half = numpy.floor(step / 2.0)
    table = numpy.clip(numpy.floor((below + half + 0.5) / numpy.maximum(step, 1.0)), 0.0, 255.0)
    return numpy.where(step > 0, table, _levels(backend))


def invert_table(backend: Backend, images: Tensor, index: Tensor, magnitude: Tensor) -> Tensor:
    """Maps a level to 255 minus itself."""
    return 255.0 - _levels(backend)


def posterize_table(backend: Backend, images: Tensor, index: Tensor, magnitude: Tensor) -> Tensor:
    """Keeps the `floor(4 * magnitude)` highest bits, at least one."""
    bits = backend.numpy.maximum(backend.numpy.floor(4.0 * magnitude), 1.0)
    width = backend.numpy.power(2.0, 8.0 - bits)
    return backend.numpy.floor(_levels(backend) / width) * width


def solarize_table(backend: Backend, images: Tensor, index: Tensor, magnitude: Tensor) -> Tensor:
    """Inverts the levels from `floor(256 * magnitude)` up."""
    threshold = backend.numpy.floor(256.0 * magnitude)
    return backend.numpy.where(
        _levels(backend) < threshold, _levels(backend), 255.0 - _levels(backend)
    )


def solarize_add_table(
    backend: Backend, images: Tensor, index: Tensor, magnitude: Tensor
) -> Tensor:
    """Adds `floor(110 * magnitude)` to the levels below 128."""
    addition = backend.numpy.floor(110.0 * magnitude)
    brighter = backend.numpy.minimum(_levels(backend) + addition, 255.0)
    return backend.numpy.where(_levels(backend) < 128.0, brighter, _levels(backend))


TABLES = {
    "AutoContrast": auto_contrast_table,
    "Equalize": equalize_table,
    "Invert": invert_table,
    "Posterize": posterize_table,
    "Solarize": solarize_table,
    "SolarizeAdd": solarize_add_table,
}


def apply_tone(
    backend: Backend, names: tuple[str, ...], images: Tensor, choice: Tensor, magnitude: Tensor
) -> Tensor:
    """Applies to each image its operation of `names`.

    Args:
        backend: Module of backend functions.
        names: Keys of `TABLES`.
        images: Float32 `(batch, height, width, channels)` of levels 0 to 255; they are rounded to
            whole levels. NaN becomes any level.
        choice: Position in `names`, `(batch,)`.
        magnitude: 0 to 1, `(batch,)`.
    """
    numpy = backend.numpy
    batch, _, _, channels = backend.shape(images)
    levels = backend.cast(numpy.clip(images, 0.0, _LEVELS - 1.0) + 0.5, "int32")
    # The integer that NaN becomes depends on the processor; beyond 255 lies another table.
    levels = numpy.bitwise_and(levels, _LEVELS - 1)
    first = numpy.reshape(
        numpy.arange(batch * channels, dtype="int32") * _LEVELS, (-1, 1, 1, channels)
    )
    index = levels + first
    magnitude = numpy.reshape(magnitude, (-1, 1, 1))
    table = numpy.zeros((batch, channels, _LEVELS), "float32")
    for position, name in enumerate(names):
        is_chosen = numpy.reshape(choice == position, (-1, 1, 1))
        table = numpy.where(is_chosen, TABLES[name](backend, levels, index, magnitude), table)
    return gather(backend, numpy.reshape(table, (-1,)), index)


def _levels(backend: Backend) -> Tensor:
    return backend.numpy.arange(_LEVELS, dtype="float32")
