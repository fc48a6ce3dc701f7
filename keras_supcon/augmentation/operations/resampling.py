"""Resampling of whole batches, with a rectangle, a map or a displacement of its own for each image.

Every function takes the module of Keras' backend functions first, as layers may run on TensorFlow
inside `tf.data`.
"""

import math
from typing import Any

from keras_supcon.ops.compiling import is_for_xla

# Output pixels that share a band of input pixels. 8 to 32 take about the same time at 224 pixels; a
# band of 16 rows needs a fifteenth of the products of a full matrix.
_TILE = 16
# Below this the full matrix is as quick as its band.
_SMALL = 48


def resample_box(
    backend: Any,
    images: Any,
    top: Any,
    left: Any,
    height: Any,
    width: Any,
    image_size: tuple[int, int],
) -> Any:
    """Cuts a rectangle out of each image and resizes it; float32 `(batch, *image_size, channels)`.

    Places and extents are in pixels, `(batch,)` each; see `resample_axis`.
    """
    columns_first = (0, 2, 1, 3)
    images = resample_axis(backend, images, top, height, image_size[0])
    images = resample_axis(
        backend, backend.numpy.transpose(images, columns_first), left, width, image_size[1]
    )
    return backend.numpy.transpose(images, columns_first)


def resample_axis(backend: Any, images: Any, start: Any, extent: Any, out_size: int) -> Any:
    """Resamples rows: `[start, start + extent)` of the second axis becomes `out_size` pixels.

    Shrinking uses a triangle filter as wide as the step (antialiasing), enlarging is bilinear;
    positions beyond the border take the border pixel. Negative extents mirror.

    Args:
        backend: Module of backend functions.
        images: `(batch, height, width, channels)` of any dtype.
        start: Where the interval of each image begins, in pixels, `(batch,)`; pixel j covers [j, j
            + 1).
        extent: Its length, `(batch,)`, of absolute value at most the height.
        out_size: Number of pixels to make.

    Returns:
        Float32 `(batch, out_size, width, channels)`.
    """
    numpy = backend.numpy
    in_size = backend.shape(images)[1]
    step = numpy.expand_dims(extent / out_size, 1)
    num_tiles = -(-out_size // _TILE)
    tile = -(-out_size // num_tiles)
    centres = (
        numpy.expand_dims(start, 1)
        + step * (numpy.arange(num_tiles * tile, dtype="float32") + 0.5)
        - 0.5
    )
    last = backend.cast(in_size, "float32") - 1.0
    centres = numpy.minimum(numpy.maximum(centres, 0.0), last)
    radius = numpy.maximum(numpy.abs(step), 1.0)

    def weigh(distance: Any) -> Any:
        return numpy.maximum(1.0 - numpy.abs(distance) / numpy.reshape(radius, (-1, 1, 1, 1)), 0.0)

    # Centres of a tile span (tile - 1) steps, and no step is longer than in_size / out_size.
    longest_step = (
        in_size / out_size
        if isinstance(in_size, int)
        else backend.cast(in_size, "float32") / out_size
    )
    reach = (tile + 1) * longest_step + 4
    return _apply_bands(
        backend,
        images,
        numpy.reshape(centres, (-1, num_tiles, tile)),
        radius,
        reach,
        weigh,
        out_size,
    )


def blur_axis(backend: Any, images: Any, sigma: Any, radius: int) -> Any:
    """Blurs along the second axis with a Gaussian of `2 * radius + 1` taps; taps beyond the border
    are left out.

    Args:
        backend: Module of backend functions.
        images: `(batch, height, width, channels)`.
        sigma: Standard deviation for each image, in pixels, positive, `(batch,)`.
        radius: Taps on each side.

    Returns:
        Float32 images of the same shape.
    """
    numpy = backend.numpy
    size = backend.shape(images)[1]
    if not isinstance(size, int):
        raise ValueError(
            "Images should have a known height and width to be blurred. Received: "
            f"images.shape={images.shape}"
        )
    num_tiles = -(-size // _TILE)
    tile = -(-size // num_tiles)
    centres = numpy.minimum(numpy.arange(num_tiles * tile, dtype="float32"), size - 1.0)
    centres = numpy.broadcast_to(
        numpy.expand_dims(centres, 0), (backend.shape(images)[0], num_tiles * tile)
    )
    exponent = numpy.reshape(-0.5 / numpy.square(sigma), (-1, 1, 1, 1))

    def weigh(distance: Any) -> Any:
        inside = backend.cast(numpy.abs(distance) <= radius, "float32")
        return numpy.exp(exponent * numpy.square(distance)) * inside

    centres = numpy.reshape(centres, (-1, num_tiles, tile))
    return _apply_bands(
        backend, images, centres, float(radius + 1), tile + 2 * radius + 2, weigh, size
    )


def _apply_bands(
    backend: Any, images: Any, centres: Any, radius: Any, reach: Any, weigh: Any, out_size: int
) -> Any:
    """Weighted sums of rows: one product with a small matrix for each tile of output rows.

    Args:
        backend: Module of backend functions.
        images: `(batch, in_size, width, channels)`.
        centres: Input position of each output row, `(batch, tiles, tile)`.
        radius: Beyond this distance weights are 0; a number or `(batch, 1)`.
        reach: Upper bound of the input rows that a tile needs.
        weigh: Function from distances `(batch, tiles, tile, rows)` to weights.
        out_size: Rows to return, at most tiles * tile.
    """
    numpy = backend.numpy
    batch, in_size, width, channels = backend.shape(images)
    num_tiles, tile = centres.shape[1:]
    row_size = width * channels
    if isinstance(in_size, int) and (in_size <= _SMALL or reach * num_tiles >= 2 * in_size):
        num_tiles, tile = 1, out_size  # all at once
        centres = numpy.reshape(centres, (-1, centres.shape[1] * centres.shape[2]))[:, :out_size]
        weights = weigh(numpy.expand_dims(centres, (1, 3)) - numpy.arange(in_size, dtype="float32"))
        weights = numpy.reshape(weights, (-1, out_size, in_size))
        rows = backend.cast(numpy.reshape(images, (-1, in_size, row_size)), "float32")
    else:
        if isinstance(in_size, int):
            num_rows = min(math.ceil(reach), in_size)
            room = float(in_size - num_rows)
        else:
            num_rows = numpy.minimum(backend.cast(numpy.ceil(reach), "int32"), in_size)
            room = backend.cast(in_size - num_rows, "float32")
        first = numpy.minimum(centres[:, :, 0], centres[:, :, -1])  # centres of a tile rise or fall
        first = numpy.minimum(numpy.maximum(numpy.floor(first - radius) + 1.0, 0.0), room)
        rows_of_tile = numpy.expand_dims(first, 2) + numpy.arange(
            num_rows, dtype="float32"
        )  # (batch, tiles, rows)
        weights = weigh(numpy.expand_dims(centres, 3) - numpy.expand_dims(rows_of_tile, 2))
        weights = numpy.reshape(weights, (-1, tile, num_rows))
        index = backend.cast(rows_of_tile, "int32") + numpy.reshape(
            numpy.arange(batch, dtype="int32") * in_size, (-1, 1, 1)
        )
        rows = gather(backend, numpy.reshape(images, (-1, row_size)), numpy.reshape(index, (-1,)))
        rows = backend.cast(numpy.reshape(rows, (-1, num_rows, row_size)), "float32")
    weights = weights / numpy.sum(weights, axis=2, keepdims=True)
    num_made = num_tiles * tile
    result = numpy.reshape(numpy.matmul(weights, rows), (-1, num_made, width, channels))
    return result if num_made == out_size else result[:, :out_size]


def bilinear(backend: Any, images: Any, x: Any, y: Any) -> Any:
    """Values of float32 images between their pixels; beyond the border the border pixel.

    Args:
        backend: Module of backend functions.
        images: Float32 `(batch, height, width, channels)`.
        x: Where to look, in pixels from the left edge, `(batch, out_height, out_width)`; pixel
            centres are at j + 0.5.
        y: The same from the top edge.

    Returns:
        Float32 `(batch, out_height, out_width, channels)`.
    """
    numpy = backend.numpy
    batch, height, width, channels = backend.shape(images)
    (left, right, across), (top, bottom, down) = (
        _neighbours(backend, position, size) for position, size in ((x, width), (y, height))
    )
    across, down = per_channel(backend, across, channels), per_channel(backend, down, channels)
    origin = numpy.reshape(numpy.arange(batch, dtype="int32") * (height * width), (-1, 1, 1))
    top, bottom = top * width + origin, bottom * width + origin
    pixels = numpy.reshape(images, (-1, channels))
    above_left, above_right, below_left, below_right = (
        gather(backend, pixels, row + column) for row in (top, bottom) for column in (left, right)
    )
    above = above_left + across * (above_right - above_left)
    below = below_left + across * (below_right - below_left)
    return above + down * (below - above)


def _neighbours(backend: Any, position: Any, size: Any) -> tuple[Any, Any, Any]:
    """The pixels on both sides of a position, and how far it is from the first to the second."""
    numpy = backend.numpy
    last = backend.cast(size, "float32") - 1.0
    position = numpy.minimum(numpy.maximum(position - 0.5, 0.0), last)
    before = numpy.floor(position)
    after = numpy.minimum(before + 1.0, last)
    return backend.cast(before, "int32"), backend.cast(after, "int32"), position - before


def gather(backend: Any, table: Any, index: Any) -> Any:
    """Rows of a table at indices that are known to be inside it."""
    if (
        backend.name == "tensorflow"
    ):  # `take` would first look for negative indices, which takes longer than the rest
        import tensorflow as tf

        return tf.gather_nd(
            table, tf.expand_dims(index, -1)
        )  # quicker than `gather` for single pixels
    if table.shape[0] == 0:  # JAX would forget the shape of the index
        return backend.numpy.zeros((*index.shape, *table.shape[1:]), "float32")
    return backend.numpy.take(table, index, axis=0)


def per_channel(backend: Any, weights: Any, channels: int) -> Any:
    """Weights `(batch, height, width)` in a form that multiplies `(batch, height, width,
    channels)`.
    """
    if backend.name == "tensorflow" and channels > 1 and not is_for_xla():
        import tensorflow as tf

        # TensorFlow multiplies three channels by one weight slowly: a product with ones is quicker
        # than that.
        shape = tf.concat([tf.shape(weights), [channels]], axis=0)
        spread = tf.reshape(tf.matmul(tf.reshape(weights, (-1, 1)), tf.ones((1, channels))), shape)
        return tf.ensure_shape(spread, (*weights.shape, channels))
    return backend.numpy.expand_dims(weights, -1)
