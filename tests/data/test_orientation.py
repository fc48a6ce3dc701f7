"""Windows and images are turned as EXIF says."""

import io

import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.data.image_files import read_header
from keras_supcon.data.orientation import read_orientation


def with_exif(picture: np.ndarray, orientation: int | None, endian: str = "<", **options) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "Maker of cameras"
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=95, exif=exif, **options)
    return file.getvalue()


@pytest.fixture
def picture(photographs) -> np.ndarray:
    return photographs[0][:121, :200]


@pytest.mark.parametrize("endian", ["<", ">"])
def test_the_orientation_is_that_which_pillow_reads(picture, endian):
    for orientation in (*range(1, 9), None, 0, 9, 700):
        expected = orientation if orientation in range(1, 9) else 1
        assert read_orientation(with_exif(picture, orientation, endian)) == expected
    assert read_orientation(with_exif(picture, 6, endian, icc_profile=b"a profile" * 5000)) == 6


def test_damaged_metadata_mean_upright(picture):
    content = with_exif(picture, 6)
    begin = content.index(b"Exif\0\0")
    for length in range(0, 40):
        assert read_orientation(content[: begin + 6 + length]) in (1, 6)
    generator = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(content[:200])
        for place in generator.integers(begin + 6, begin + 60, 6):
            damaged[place] = generator.integers(256)
        assert 1 <= int(read_orientation(bytes(damaged))) <= 8


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def test_the_first_segment_of_exif_counts_and_nothing_that_looks_like_one(picture, tmp_path):
    plain, turned = with_exif(picture, 1), with_exif(picture, 6)
    begin = turned.index(b"\xff\xe1")
    exif = turned[begin : begin + 2 + int.from_bytes(turned[begin + 2 : begin + 4], "big")]
    bare = turned[:begin] + turned[begin + len(exif) :]
    as_long = exif.replace(b"\x12\x01\x03\x00", b"\x12\x01\x04\x00")
    assert as_long != exif
    big = with_exif(picture, 6, ">")
    big_exif = big[big.index(b"\xff\xe1") :][: len(exif)].replace(
        b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00",
        b"\x01\x12\x00\x04\x00\x00\x00\x01\x00\x00\x00\x06",
    )
    profile = b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes(60000)) for _ in range(4))

    def with_segments(*segments: bytes) -> bytes:
        return bare[:2] + b"".join(segments) + bare[2:]

    cases = {
        "after a large profile": (with_segments(profile, exif), 6),
        "after XMP": (with_segments(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), exif), 6),
        "after a comment with its mark": (with_segments(segment(0xFE, b"Exif\0\0"), exif), 6),
        "quoted in a comment": (with_segments(segment(0xFE, exif)), 1),
        "of an appended image": (bare + turned, 1),
        "the first of two": (with_segments(plain[begin : begin + len(exif)], exif), 1),
        "as a long number": (with_segments(as_long), 6),
        "as a long number, the highest byte first": (with_segments(big_exif), 6),
    }
    for name, (content, expected) in cases.items():
        (tmp_path / "file.jpg").write_bytes(content)
        assert read_header(tmp_path / "file.jpg").orientation == expected, name
        assert read_orientation(content) == expected, name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crops_are_those_of_the_upright_image(picture, orientation):
    from PIL import Image, ImageOps

    content = with_exif(picture, orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    file = io.BytesIO()
    Image.fromarray(upright).save(file, "png")
    for crop in (
        lambda encoded: data.decode_and_center(encoded, (60, 40), crop_padding=8),
        lambda encoded: data.decode_and_crop(encoded, (1, 7), (24, 24)),
    ):
        turned, expected = (
            crop(encoded).numpy().astype(int) for encoded in (content, file.getvalue())
        )
        assert np.abs(turned - expected).mean() < 3
