"""Pixels of windows are those of the whole image."""

import io

import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.augmentation import CenterCropResize


def encoded(image: np.ndarray, form: str = "png", mode: str = "RGB", **options) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, form, **options)
    return file.getvalue()


@pytest.fixture
def places() -> np.ndarray:
    """Row in the first channel, column in the second."""
    rows, columns = np.indices((120, 200))
    return np.stack([rows, columns, 0 * rows], axis=-1).astype("uint8")


def test_windows_have_the_asked_area_and_aspect(places):
    content = encoded(places)
    areas, aspects = [], []
    for i in range(200):
        crop = data.decode_and_crop(
            content, (i, 7), (64, 64), crop_area=(0.2, 0.6), aspect_ratio=(0.5, 1.5)
        ).numpy()
        low, high = crop[0, 0, :2].astype(float), crop[-1, -1, :2].astype(float)
        height, width = (high - low) * 64 / 63  # from centre to centre of the outer pixels
        areas.append(height * width / (120 * 200))
        aspects.append(width / height)
    assert 0.17 < min(areas) < 0.25
    assert 0.5 < max(areas) < 0.63
    assert 0.45 < min(aspects) < 0.6
    assert 1.3 < max(aspects) < 1.6


def test_the_seed_alone_decides(photographs):
    content = encoded(photographs[0], "jpeg")
    crops = [
        data.decode_and_crop(content, seed, (16, 16)).numpy()
        for seed in ((1, 2), (1, 2), (1, 3), (2, 2))
    ]
    np.testing.assert_array_equal(crops[0], crops[1])
    assert not np.array_equal(crops[0], crops[2])
    assert not np.array_equal(crops[0], crops[3])


def test_windows_of_a_jpeg_are_those_of_the_decoded_image(photographs):
    import tensorflow as tf

    content = encoded(photographs[1], "jpeg", quality=95)
    as_png = encoded(tf.io.decode_jpeg(content).numpy())
    for seed in range(10):
        window, same = (
            data.decode_and_crop(c, (seed, 0), (48, 48)).numpy().astype(int)
            for c in (content, as_png)
        )
        assert (
            np.abs(window - same).max() <= 4
        )  # chroma is interpolated across the edge of a window
        assert np.abs(window - same).mean() < 0.1


@pytest.mark.parametrize(
    ("image_size", "crop_padding"), [((56, 56), 8), ((40, 90), 0), ((300, 300), 32)]
)
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_the_centre_is_that_of_the_layer(photographs, form, image_size, crop_padding):
    import tensorflow as tf

    content = encoded(photographs[0][:301], form)
    image = tf.io.decode_image(content)
    expected = CenterCropResize(image_size, crop_padding=crop_padding)(image.numpy()[None])
    centre = data.decode_and_center(content, image_size, crop_padding).numpy()
    assert centre.dtype == "uint8"
    difference = np.abs(centre - 255 * np.asarray(expected)[0])
    assert difference.max() < (1.01 if form == "png" else 5)
    assert difference.mean() < 0.3


@pytest.mark.parametrize("form", ["png", "jpeg", "bmp", "gif"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_every_kind_of_file_becomes_colour(photographs, form, mode):
    from PIL import Image

    if (form, mode) == ("jpeg", "RGBA"):
        # the fourth channel that a JPEG can have; ImageNet has 22 of those, and a PNG named JPEG
        mode = "CMYK"
    image = photographs[0][:96, :96]
    content = encoded(image, form, mode)
    expected = np.asarray(Image.fromarray(image).convert(mode).convert("RGB")).astype(float)
    centre = data.decode_and_center(content, (96, 96), crop_padding=0).numpy()
    assert np.abs(centre - expected).mean() < (12 if form in ("gif", "jpeg") else 1)
    assert data.decode_and_crop(content, (0, 1), (24, 24)).shape == (24, 24, 3)


def test_runs_inside_tf_data(photographs):
    import tensorflow as tf

    contents = [encoded(photographs[0], "jpeg"), encoded(photographs[1], "png")]
    dataset = tf.data.Dataset.from_tensor_slices(contents).enumerate()
    for make in (
        lambda i, content: data.decode_and_crop(content, (i, 0), (32, 48)),
        lambda i, content: data.decode_and_center(content, (32, 48)),
    ):
        (batch,) = dataset.map(make).batch(2)
        assert batch.shape == (2, 32, 48, 3)
        assert batch.dtype == tf.uint8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 32}, "`image_size` should be"),
        (
            {"crop_area": (0.0, 1.0)},
            "`crop_area` should be two numbers above 0 and at most 1, lowest first",
        ),
        (
            {"aspect_ratio": (2.0, 1.0)},
            "`aspect_ratio` should be two numbers above 0, lowest first",
        ),
    ],
)
def test_refuses_impossible_crops(places, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.decode_and_crop(encoded(places), (0, 1), **{"image_size": (8, 8), **arguments})
    with pytest.raises(
        ValueError,
        match="`crop_padding` should be a whole number of at least 0. Received: crop_padding=-1",
    ):
        data.decode_and_center(encoded(places), (8, 8), crop_padding=-1)


def test_the_name_of_the_version_before_works():
    with pytest.warns(DeprecationWarning, match=r"is now `keras_supcon\.data\.decode_and_center`"):
        assert data.decode_and_centre is data.decode_and_center
