"""The supported kinds of image files, checks of their headers, and decoding by Pillow."""

from __future__ import annotations

import io
import mimetypes
import os
import re
import warnings
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from keras_supcon.data.orientation import EXIF_MARK, ORIENTATION_TAG

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (
    *(
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".gif",
        ".bmp",
        ".dib",
        ".webp",
        ".tif",
        ".tiff",
        ".avif",
    ),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
# Suffixes of images that `mimetypes` may not know.
_OTHER_SUFFIXES = (
    *(
        ".heic",
        ".heif",
        ".jp2",
        ".j2k",
        ".jxl",
        ".psd",
        ".tga",
        ".exr",
        ".hdr",
        ".xcf",
        ".svs",
        ".ndpi",
    ),
    *(
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".orf",
        ".raf",
        ".rw2",
        ".dcm",
        ".dicom",
        ".nii",
        ".mha",
    ),
)
# Names that downloads leave behind, such as `cat.jpg_large` and `cat.jpg.1`.
_WITHIN_A_NAME = re.compile(r"\.(jpe?g|png|gif|webp)[^a-z]", re.IGNORECASE)
_PILLOW_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_HEAD_BYTES = 4096
_TAIL_BYTES = 16
# Of a segment: its marker, its length and the fields that are read.
_SEGMENT_BYTES = 10
# Markers of the segments with the size, of files that TensorFlow decodes and of others.
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_JPEG_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END = b"\xff\xd9"
_TRAILER_BYTES = 2**16
_MOST_SEGMENTS = 1000


def is_other_image(name: str) -> bool:
    """Checks whether a file name is that of an image of an unsupported kind."""
    suffix = os.path.splitext(name)[1].lower()
    kind, _ = mimetypes.guess_type(name)
    is_image = (
        suffix in _OTHER_SUFFIXES
        or (kind or "").startswith("image/")
        or _WITHIN_A_NAME.search(name) is not None
    )
    return suffix not in SUFFIXES and is_image


class Header(NamedTuple):
    """Facts from the first and the last bytes of an image file.

    Args:
        fault: The fault of the file; an empty string if only decoding can tell; None if it looks
            whole.
        is_jpeg: Whether the file is a JPEG file whose further fields are known.
        height: Rows in the file.
        width: Columns in the file.
        channels: 1 for gray, 3 for color, 4 for CMYK.
        orientation: The EXIF orientation, 1 (upright) to 8.
        num_bytes: The length of the file.
    """

    fault: str | None
    is_jpeg: bool = False
    height: int = 0
    width: int = 0
    channels: int = 0
    orientation: int = 1
    num_bytes: int = 0


def read_header(path: str | bytes) -> Header:
    """Reads the first and the last bytes of an image file."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(_HEAD_BYTES)
            size = os.fstat(file.fileno()).st_size
            if head.startswith(b"\xff\xd8\xff"):
                return _read_jpeg_header(file, head, size)
            return Header(_fault_of_other(file, head, size), num_bytes=size)
    except OSError as error:
        return Header(error.strerror or str(error))


def _fault_of_other(file: BinaryIO, head: bytes, size: int) -> str | None:
    if not head:
        return "the file is empty"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return None if b"IEND" in _tail(file, size) else ""
    if head.startswith((b"GIF87a", b"GIF89a")):
        return None if _tail(file, size).endswith(b";") else ""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return None if int.from_bytes(head[4:8], "little") + 8 <= size else ""
    if head.startswith(b"BM"):
        return None if int.from_bytes(head[2:6], "little") <= size else ""
    is_avif = head[4:8] == b"ftyp" and b"avi" in head[8:32]
    is_portable = head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()
    is_tiff = head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"))
    if is_tiff or is_avif or is_portable:
        return None
    if head[4:8] == b"ftyp":
        return "a HEIF file or a film, of kind " + repr(head[8:12].decode("latin-1"))
    return f"no kind of image that is read begins with {head[:8]!r}"


def _read_jpeg_header(file: BinaryIO, head: bytes, size: int) -> Header:
    """Reads the segments up to the one that has the size of the image."""
    to_be_decoded = Header("", num_bytes=size)
    place, start, orientation, is_adobe, has_exif = 2, 0, 1, False, False
    for _ in range(_MOST_SEGMENTS):
        if place - start + _SEGMENT_BYTES > len(head):
            file.seek(place)
            start, head = place, file.read(_HEAD_BYTES)
        segment = head[place - start : place - start + _SEGMENT_BYTES]
        if len(segment) < _SEGMENT_BYTES or segment[0] != 0xFF:
            return to_be_decoded
        marker, length = segment[1], int.from_bytes(segment[2:4], "big")
        if marker in _JPEG_FRAMES:
            height, width = int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big")
            channels = segment[9]
            # Others, such as 12 bits or four unspecified colors, are left to Pillow.
            is_plain = (
                segment[4] == 8
                and height
                and width
                and (channels in (1, 3) or (channels == 4 and is_adobe))
            )
            if not is_plain or not _has_end(file, place, size):
                return to_be_decoded
            return Header(None, True, height, width, channels, orientation, size)
        if marker in _OTHER_JPEG_FRAMES:
            return to_be_decoded
        if marker == 0xE1 and segment[4:10] == EXIF_MARK and not has_exif:
            file.seek(place + 4)
            orientation, has_exif = _read_orientation(file.read(length - 2)), True
        is_adobe |= marker == 0xEE and segment[4:9] == b"Adobe"
        place += 1 if marker == 0xFF else 2 + length  # bytes of 0xff may stand before a marker
    return to_be_decoded


def _has_end(file: BinaryIO, begin: int, size: int) -> bool:
    """Checks whether the end marker is after a position and near the end of the file.

    Cameras may write more behind it.
    """
    if _tail(file, size).endswith(_JPEG_END):
        return True
    file.seek(max(size - _TRAILER_BYTES, begin))
    return _JPEG_END in file.read()


def _read_orientation(exif: bytes) -> int:
    from PIL import Image

    metadata = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata
            metadata.load(exif)
            orientation = metadata.get(ORIENTATION_TAG)
    except Exception:  # damage can look like anything to Pillow; the pixels may be fine
        return 1
    return orientation if orientation in range(1, 9) else 1


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(size - _TAIL_BYTES, 0))
    return file.read()


def decode_with_pillow(encoded: bytes, background: tuple[int, int, int]) -> np.ndarray:
    """Decodes an image file of any kind, its first frame, upright, on a background.

    Args:
        encoded: The contents of the file.
        background: Color behind transparent pixels, from 0 to 255.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: With the reason, if it cannot be decoded.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, and of large images
            with Image.open(io.BytesIO(encoded), formats=_PILLOW_FORMATS) as file:
                file.load()
                has_16_bits = file.mode.startswith("I;16") or (
                    file.mode == "I" and file.format == "PPM"
                )
                image = ImageOps.exif_transpose(file)
    except UnidentifiedImageError as error:
        raise ValueError("Pillow does not know its kind") from error
    except Exception as error:  # damage can look like anything to Pillow
        raise ValueError(f"Pillow says: {error or type(error).__name__}") from error
    if has_16_bits:
        image = Image.fromarray((np.asarray(image).astype("int64") >> 8).astype("uint8"))
    return np.array(_in_color(image, background))


def _in_color(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    from PIL import Image

    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode!r}, which have no range from black to white")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(
            Image.new("RGBA", image.size, (*background, 255)), image
        ).convert("RGB")
    return image.convert("RGB")
