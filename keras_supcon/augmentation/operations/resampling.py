"""Resamples whole batches, with another rectangle, map or displacement for each image."""

import math
from collections.abc import Callable

from keras_supcon._keras_internals import is_tracing_for_xla
from keras_supcon.typing import Backend, Tensor

# Output pixels that share a band of input pixels. 8 to 32 take about the same time at 224 pixels; a
# band of 16 rows needs a fifteenth of the products of a full matrix.
_TILE = 16
# Below this the full matrix is as fast as its band.
_SMALL = 48


def resample_box(
    backend: Backend,
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    image_size: tuple[int, int],
) -> Tensor:
    """Crops a rectangle out of each image and resizes it.

    Positions and extents are in pixels, `(batch,)` each; see `resample_axis`.

    Returns:
        Float32 `(batch, *image_size, channels)`.
    """
    columns_first = (0, 2, 1, 3)
    images = resample_axis(backend, images, top, height, image_size[0])
    images = resample_axis(
        backend, backend.numpy.transpose(images, columns_first), left, width, image_size[1]
    )
    return backend.numpy.transpose(images, columns_first)


def resample_axis(
    backend: Backend, images: Tensor, start: Tensor, extent: Tensor, out_size: int
) -> Tensor:
    """Resamples rows: `[start, start + extent)` of the second axis becomes `out_size` pixels.

    Shrinking uses a triangle filter as wide as the step (antialiasing), enlarging is bilinear;
    positions beyond the border take the border pixel. Negative extents mirror.

    Args:
        backend: Module of backend functions.
        images: `(batch, height, width, channels)` of any dtype.
        start: Start of the interval of each image, in pixels, `(batch,)`; pixel j covers
            [j, j + 1).
        extent: Length of the interval, `(batch,)`, of absolute value at most the height.
        out_size: Number of pixels to make.

    Returns:
        Float32 `(batch, out_size, width, channels)`.
    """
    numpy = backend.numpy
    in_size = backend.shape(images)[1]
    step = numpy.expand_dims(extent / out_size, 1)
    num_tiles = -(-out_size // _TILE)
    tile = -(-out_size // num_tiles)
    centers = (
        numpy.expand_dims(start, 1)
        + step * (numpy.arange(num_tiles * tile, dtype="float32") + 0.5)
        - 0.5
    )
    last = backend.cast(in_size, "float32") - 1.0
    centers = numpy.minimum(numpy.maximum(centers, 0.0), last)
    radius = numpy.maximum(numpy.abs(step), 1.0)

    def weigh(distance: Tensor) -> Tensor:
        return numpy.maximum(1.0 - numpy.abs(distance) / numpy.reshape(radius, (-1, 1, 1, 1)), 0.0)

    # Centers of a tile span (tile - 1) steps, and no step is longer than in_size / out_size.
    longest_step = (
        in_size / out_size
        if isinstance(in_size, int)
        else backend.cast(in_size, "float32") / out_size
    )
    reach = (tile + 1) * longest_step + 4
    return _apply_bands(
        backend,
        images,
        numpy.reshape(centers, (-1, num_tiles, tile)),
        radius,
        reach,
        weigh,
        out_size,
    )


def blur_axis(backend: Backend, images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blurs along the second axis with a Gaussian of `2 * radius + 1` taps.

    Taps beyond the border are skipped, and the others normalized again.

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
    centers = numpy.minimum(numpy.arange(num_tiles * tile, dtype="float32"), size - 1.0)
    centers = numpy.broadcast_to(
        numpy.expand_dims(centers, 0), (backend.shape(images)[0], num_tiles * tile)
    )
    exponent = numpy.reshape(-0.5 / numpy.square(sigma), (-1, 1, 1, 1))

    def weigh(distance: Tensor) -> Tensor:
        inside = backend.cast(numpy.abs(distance) <= radius, "float32")
        return numpy.exp(exponent * numpy.square(distance)) * inside

    centers = numpy.reshape(centers, (-1, num_tiles, tile))
    return _apply_bands(
        backend, images, centers, float(radius + 1), tile + 2 * radius + 2, weigh, size
    )


def _apply_bands(
    backend: Backend,
    images: Tensor,
    centers: Tensor,
    radius: Tensor,
    reach: float | Tensor,
    weigh: Callable[[Tensor], Tensor],
    out_size: int,
) -> Tensor:
    """Computes weighted sums of rows: one product with a small matrix for each tile of output.

    Args:
        backend: Module of backend functions.
        images: `(batch, in_size, width, channels)`.
        centers: Input position of each output row, `(batch, tiles, tile)`.
        radius: Beyond this distance weights are 0; a number or `(batch, 1)`.
        reach: Upper bound of the input rows that a tile needs.
        weigh: Maps distances `(batch, tiles, tile, rows)` to weights.
        out_size: Rows to return, at most tiles * tile.
    """
    numpy = backend.numpy
    batch, in_size, width, channels = backend.shape(images)
    num_tiles, tile = centers.shape[1:]
    row_size = width * channels
    if isinstance(in_size, int) and (in_size <= _SMALL or reach * num_tiles >= 2 * in_size):
        num_tiles, tile = 1, out_size  # all at once
        centers = numpy.reshape(centers, (-1, centers.shape[1] * centers.shape[2]))[:, :out_size]
        weights = weigh(numpy.expand_dims(centers, (1, 3)) - numpy.arange(in_size, dtype="float32"))
        weights = numpy.reshape(weights, (-1, out_size, in_size))
        rows = backend.cast(numpy.reshape(images, (-1, in_size, row_size)), "float32")
    else:
        if isinstance(in_size, int):
            num_rows = min(math.ceil(reach), in_size)
            room = float(in_size - num_rows)
        else:
            num_rows = numpy.minimum(backend.cast(numpy.ceil(reach), "int32"), in_size)
            room = backend.cast(in_size - num_rows, "float32")
        # The centers of a tile rise or fall.
        first = numpy.minimum(centers[:, :, 0], centers[:, :, -1])
        first = numpy.minimum(numpy.maximum(numpy.floor(first - radius) + 1.0, 0.0), room)
        offsets = numpy.arange(num_rows, dtype="float32")
        rows_of_tile = numpy.expand_dims(first, 2) + offsets  # (batch, tiles, rows)
        weights = weigh(numpy.expand_dims(centers, 3) - numpy.expand_dims(rows_of_tile, 2))
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


def bilinear(backend: Backend, images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Samples images bilinearly; positions beyond the border take the border pixel.

    Args:
        backend: Module of backend functions.
        images: Float32 `(batch, height, width, channels)`.
        x: Positions in pixels from the left edge, `(batch, out_height, out_width)`; pixel
            centers are at j + 0.5.
        y: Positions from the top edge.

    Returns:
        Float32 `(batch, out_height, out_width, channels)`.
    """
    numpy = backend.numpy
    batch, height, width, channels = backend.shape(images)
    (left, right, across), (top, bottom, down) = (
        _neighbors(backend, position, size) for position, size in ((x, width), (y, height))
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


def _neighbors(backend: Backend, position: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the pixels on both sides of a position, and its distance from the first."""
    numpy = backend.numpy
    last = backend.cast(size, "float32") - 1.0
    position = numpy.minimum(numpy.maximum(position - 0.5, 0.0), last)
    before = numpy.floor(position)
    after = numpy.minimum(before + 1.0, last)
    return backend.cast(before, "int32"), backend.cast(after, "int32"), position - before


def gather(backend: Backend, table: Tensor, index: Tensor) -> Tensor:
    """Returns the rows of a table at indices that are known to be inside it."""
    if backend.name == "tensorflow":
        import tensorflow as tf

        # `take` would first look for negative indices, which takes longer than the rest; `gather`
        # is slower for single pixels.
        return tf.gather_nd(table, tf.expand_dims(index, -1))
    if table.shape[0] == 0:  # JAX would forget the shape of the index
        return backend.numpy.zeros((*index.shape, *table.shape[1:]), "float32")
    return backend.numpy.take(table, index, axis=0)


def per_channel(backend: Backend, weights: Tensor, channels: int) -> Tensor:
    """Returns weights `(batch, height, width)` in a form that multiplies every channel."""
    if backend.name == "tensorflow" and channels > 1 and not is_tracing_for_xla():
        import tensorflow as tf

        # TensorFlow broadcasts one weight to three channels slowly: a product with ones is faster.
        shape = tf.concat([tf.shape(weights), [channels]], axis=0)
        spread = tf.reshape(tf.matmul(tf.reshape(weights, (-1, 1)), tf.ones((1, channels))), shape)
        return tf.ensure_shape(spread, (*weights.shape, channels))
    return backend.numpy.expand_dims(weights, -1)
