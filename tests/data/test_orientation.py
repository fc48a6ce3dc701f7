"""Windows and images are turned as EXIF says."""

import io

import numpy as np
import pytest

from keras_supcon import data
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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crops_are_those_of_the_upright_image(picture, orientation):
    from PIL import Image, ImageOps

    content = with_exif(picture, orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    file = io.BytesIO()
    Image.fromarray(upright).save(file, "png")
    for crop in (
        lambda encoded: data.decode_and_centre(encoded, (60, 40), crop_padding=8),
        lambda encoded: data.decode_and_crop(encoded, (1, 7), (24, 24)),
    ):
        turned, expected = (crop(encoded).numpy().astype(int) for encoded in (content, file.getvalue()))
        assert np.abs(turned - expected).mean() < 3
