"""The orientation that a camera writes into a JPEG file, and images turned by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

EXIF_MARK = b"Exif\x00\x00"
ORIENTATION_TAG = 0x0112
# Of a segment of a JPEG file: the marker, the length, and the mark of EXIF.
_SEGMENT_BYTES = 10
_APPLICATION_1 = 0xE1
# The markers of the segments before that with the size: tables, applications, comments.
_BEFORE_FRAME = (0xC4, 0xDB, *range(0xE0, 0xF0), 0xFE)
_MOST_SEGMENTS = 1000
_LONG = 4
# Bytes of an entry of the directory: tag, type, count, value.
_ENTRY_BYTES = 12
_UPRIGHT = 1
MIRRORED_ROWS = (3, 4, 7, 8)
MIRRORED_COLUMNS = (2, 3, 6, 7)
FIRST_TRANSPOSED = 5


def read_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a JPEG file.

    Args:
        encoded: Scalar string, the contents of the file.

    Returns:
        int32 scalar from 1 (upright) to 8; 1 where the file has none or an invalid one.

    Reference:
        CIPA DC-008, Exif 2.32, 2019, section 4.6.4.
    """
    import tensorflow as tf

    encoded = tf.convert_to_tensor(encoded)
    # Most files have none; a search finds out faster than reading segment by segment.
    around = split_once(encoded, EXIF_MARK)
    return tf.cond(
        tf.size(around) > 1,
        lambda: _orientation_in(_exif_segment(encoded)),
        lambda: tf.constant(_UPRIGHT),
    )


def _exif_segment(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the contents of the first EXIF segment before the pixels, or nothing."""
    import tensorflow as tf

    def segment_at(place: tf.Tensor) -> tf.Tensor:
        """Returns its first bytes; zeros beyond the end."""
        place = tf.minimum(place, tf.strings.length(encoded))
        piece = tf.io.decode_raw(tf.strings.substr(encoded, place, _SEGMENT_BYTES), "uint8")
        return tf.cast(tf.pad(piece, [[0, _SEGMENT_BYTES - tf.size(piece)]]), "int32")

    def is_exif(segment: tf.Tensor) -> tf.Tensor:
        mark = tf.constant([0xFF, _APPLICATION_1], "int32"), tf.constant(list(EXIF_MARK), "int32")
        return tf.reduce_all(tf.equal(segment[:2], mark[0])) & tf.reduce_all(
            tf.equal(segment[4:], mark[1])
        )

    def continues(place: tf.Tensor, segment: tf.Tensor) -> tf.Tensor:
        is_before = tf.reduce_any(tf.equal(segment[1], _BEFORE_FRAME)) & tf.equal(segment[0], 0xFF)
        return is_before & ~is_exif(segment)

    def next_segment(place: tf.Tensor, segment: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place += 2 + 256 * segment[2] + segment[3]
        return place, segment_at(place)

    start = tf.constant(2)
    place, segment = tf.while_loop(
        continues, next_segment, (start, segment_at(start)), maximum_iterations=_MOST_SEGMENTS
    )
    begin = tf.minimum(place + _SEGMENT_BYTES, tf.strings.length(encoded))
    return tf.where(
        is_exif(segment), tf.strings.substr(encoded, begin, 256 * segment[2] + segment[3]), ""
    )


def split_once(text: tf.Tensor, separator: bytes) -> tf.Tensor:
    """Returns the parts before and after the first separator, or the text alone.

    `tf.strings.split` would make it ragged.
    """
    import tensorflow as tf

    return tf.raw_ops.StringSplitV2(input=text[None], sep=separator, maxsplit=1).values


def _orientation_in(directory: tf.Tensor) -> tf.Tensor:
    """Reads the orientation from the first image file directory of a TIFF header."""
    import tensorflow as tf

    def at(data: tf.Tensor, place: tf.Tensor | int, size: int) -> tf.Tensor:
        """Reads an unsigned number of `size` bytes; 0 beyond the end."""
        piece = tf.cast(data[place : place + size], "int64")
        piece = tf.pad(piece, [[0, size - tf.size(piece)]])
        piece = tf.cond(is_little_endian, lambda: piece, lambda: tf.reverse(piece, [0]))
        return tf.cast(
            tf.reduce_sum(piece * tf.constant([256**i for i in range(size)], "int64")), "int32"
        )

    data = tf.io.decode_raw(directory, "uint8")
    # Padded, so that an empty header has a first byte.
    is_little_endian = tf.equal(tf.pad(data, [[0, 1]])[0], ord("I"))
    offset = tf.clip_by_value(at(data, 4, 4), 0, tf.size(data))
    count = tf.minimum(at(data, offset, 2), (tf.size(data) - offset - 2) // _ENTRY_BYTES)
    entries = data[offset + 2 : offset + 2 + tf.maximum(count, 0) * _ENTRY_BYTES]
    entries = tf.cast(tf.reshape(entries, (-1, _ENTRY_BYTES)), "int32")
    low, high = (
        tf.where(is_little_endian, [0, 1], [1, 0])[0],
        tf.where(is_little_endian, [1, 0], [0, 1])[0],
    )

    def short(column: int) -> tf.Tensor:
        return tf.gather(entries, column + low, axis=1) + 256 * tf.gather(
            entries, column + high, axis=1
        )

    # The lower half of a big-endian long number comes last.
    is_long_big = tf.equal(short(2), _LONG) & ~is_little_endian
    values = tf.boolean_mask(
        tf.where(is_long_big, short(10), short(8)), tf.equal(short(0), ORIENTATION_TAG)
    )
    value = tf.pad(values[:1], [[0, 1 - tf.size(values[:1])]], constant_values=_UPRIGHT)[0]
    return tf.where((value >= 1) & (value <= 8), value, _UPRIGHT)


def is_transposed(orientation: tf.Tensor) -> tf.Tensor:
    """Checks whether the rows of a file are the columns of the upright image."""
    return orientation >= FIRST_TRANSPOSED


def upright_size(size: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Swaps rows and columns of a file whose upright image has them exchanged."""
    import tensorflow as tf

    return tf.where(is_transposed(orientation), size[::-1], size)


def stored_begin(
    begin: tf.Tensor, size: tf.Tensor, whole: tf.Tensor, orientation: tf.Tensor
) -> tf.Tensor:
    """Returns where a window of the upright image begins in the file.

    Args:
        begin: int32 (top, left) of the window in the upright image.
        size: int32 (height, width) of the window in the upright image.
        whole: int32 (height, width) of the upright image.
        orientation: As from `read_orientation`.

    Returns:
        int32 (first row, first column) in the file.
    """
    import tensorflow as tf

    return upright_size(tf.where(_mirrored(orientation), whole - size - begin, begin), orientation)


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns an image `(rows, columns, channels)`, as stored in a file, upright."""
    import tensorflow as tf

    def turn() -> tf.Tensor:
        turned = tf.cond(
            is_transposed(orientation), lambda: tf.transpose(image, (1, 0, 2)), lambda: image
        )
        return tf.raw_ops.Reverse(
            tensor=turned, dims=tf.concat([_mirrored(orientation), [False]], axis=0)
        )

    turned = tf.cond(tf.equal(orientation, _UPRIGHT), lambda: image, turn)
    return tf.ensure_shape(turned, (None, None, image.shape[-1]))


def _mirrored(orientation: tf.Tensor) -> tf.Tensor:
    """Checks whether the rows and the columns are mirrored, after the transposition."""
    import tensorflow as tf

    return tf.stack(
        [
            tf.reduce_any(tf.equal(orientation, numbers))
            for numbers in (tf.constant(MIRRORED_ROWS), tf.constant(MIRRORED_COLUMNS))
        ]
    )
