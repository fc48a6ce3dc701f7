"""Compares every operation with Pillow, or with plain NumPy where Pillow has none."""

import numpy as np
import pytest
from keras import ops

from keras_supcon import augmentation
from keras_supcon.augmentation.operations.geometric import MAPS
from tests.augmentation.drawing import draw_and_transform

pytestmark = pytest.mark.neutral

MAGNITUDES = (0.0, 0.3, 0.7, 1.0)


@pytest.fixture(scope="module")
def images(photographs) -> np.ndarray:
    """Returns a detail of each photograph, and the first one again, darker, with few levels."""
    details = [photograph[100:190, 200:300] for photograph in photographs]
    return np.stack([*details, details[0] // 5 * 3 + 20])


def pillow_of(operation):
    """Applies an operation of Pillow to each image."""
    from PIL import Image

    return lambda images, *parameters: np.stack(
        [
            np.asarray(operation(Image.fromarray(image), *parameter))
            for image, *parameter in zip(images, *parameters, strict=True)
        ]
    )


def affine(image, a, b, c, d, e, f):
    from PIL import Image

    matrix = tuple(map(float, (a, b, c, d, e, f)))
    gray = (128,) * len(image.getbands())
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=gray
    )


def run(layer, images):
    """Returns the layer's output and draws."""
    draws, output = draw_and_transform(layer, images)
    return output, {name: ops.convert_to_numpy(value) for name, value in draws.items()}


def expected_maps(name, magnitude, signs, height, width):
    """Yields maps from positions in the result to positions in the image, as Pillow takes them."""
    for sign in signs:
        m = sign * magnitude
        yield {
            "ShearX": (1, 0.3 * m, 0, 0, 1, 0),
            "ShearY": (1, 0, 0, 0.3 * m, 1, 0),
            "TranslateX": (1, 0, round(m * width * 150 / 331), 0, 1, 0),
            "TranslateY": (1, 0, 0, 0, 1, round(m * height * 150 / 331)),
        }[name]


@pytest.mark.parametrize("magnitude", MAGNITUDES)
@pytest.mark.parametrize("name", ["ShearX", "ShearY", "TranslateX", "TranslateY"])
def test_geometry_equals_pillow(images, name, magnitude):
    actual, draws = run(getattr(augmentation, name)(magnitude, seed=3), images)
    assert set(draws["sign"]) <= {-1.0, 1.0}
    expected = pillow_of(affine)(
        images, *zip(*expected_maps(name, magnitude, draws["sign"], 90, 100), strict=True)
    )
    # Pillow rounds to whole levels; positions exactly on the border, of which shearing by 0.3
    # makes many, fall to either side.
    assert np.mean(np.abs(actual - expected) <= 1) > 0.995


@pytest.mark.parametrize("magnitude", MAGNITUDES)
def test_rotation_equals_pillow(images, magnitude):
    from PIL import Image

    actual, draws = run(augmentation.Rotate(magnitude, seed=3), images)
    rotate = pillow_of(
        lambda image, angle: image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=(128,) * 3)
    )
    expected = rotate(images, (30 * magnitude * draws["sign"]).astype("float64").tolist())
    assert np.mean(np.abs(actual - expected) <= 1) > 0.999


def test_geometry_goes_to_either_side_equally_often():
    for name in MAPS:
        signs = ops.convert_to_numpy(
            getattr(augmentation, name)(seed=1).draw(4000, (8, 8, 3))["sign"]
        )
        assert abs(np.mean(signs == 1) - 0.5) < 0.03  # four standard errors


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "magnitude"),
    [
        *((name, None) for name in ("AutoContrast", "Equalize", "Invert")),
        *(
            (name, magnitude)
            for name in ("Posterize", "Solarize", "SolarizeAdd")
            for magnitude in MAGNITUDES
        ),
    ],
)
def test_tone_equals_pillow(images, name, magnitude, channels):
    from PIL import ImageOps

    layer = (
        getattr(augmentation, name)()
        if magnitude is None
        else getattr(augmentation, name)(magnitude)
    )
    images = images[..., :channels]
    operation = {
        "AutoContrast": ImageOps.autocontrast,
        "Equalize": ImageOps.equalize,
        "Invert": ImageOps.invert,
        "Posterize": lambda image: ImageOps.posterize(image, max(int(4 * magnitude), 1)),
        "Solarize": lambda image: ImageOps.solarize(image, int(256 * magnitude)),
        "SolarizeAdd": lambda image: image.point(
            lambda level: min(level + int(110 * magnitude), 255) if level < 128 else level
        ),
    }[name]
    actual, _ = run(layer, images)
    expected = pillow_of(operation)(images if channels == 3 else images[..., 0]).reshape(
        images.shape
    )
    if name == "AutoContrast":  # Pillow's table has whole levels, rounded down
        assert np.abs(actual - expected).max() <= 1
    else:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("magnitude", MAGNITUDES)
@pytest.mark.parametrize("name", ["Color", "Contrast", "Brightness", "Sharpness"])
def test_enhancement_equals_pillow(images, name, magnitude):
    from PIL import ImageEnhance

    actual, _ = run(getattr(augmentation, name)(magnitude), images)
    expected = pillow_of(
        lambda image: getattr(ImageEnhance, name)(image).enhance(0.1 + 1.8 * magnitude)
    )(images)
    # Pillow rounds the degenerate image, which counts 0.9 times, and the result.
    assert np.abs(actual - expected).max() <= 2
    assert np.abs(actual - expected).mean() <= 0.8


@pytest.mark.parametrize("magnitude", MAGNITUDES)
def test_cutout_covers_the_square_about_its_center(images, magnitude):
    actual, draws = run(augmentation.Cutout(magnitude, seed=2), images)
    half = int(magnitude * 40 / 224 * 90 + 1e-6)
    for image, result, center in zip(images, actual, draws["center"], strict=True):
        row, column = (
            int(fraction * size) for fraction, size in zip(center, (90, 100), strict=True)
        )
        expected = image.copy()
        expected[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 128
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["Equalize", "Invert", "Solarize"])
def test_pixels_beyond_the_value_range_count_as_its_ends(name):
    """Levels of one image are not looked up in the table of another, or outside all tables."""
    images = np.full((2, 4, 4, 3), 100, "float32")
    images[0, 0], images[1, 3] = -300, 600
    layer = getattr(augmentation, name)()
    np.testing.assert_array_equal(run(layer, images)[0], run(layer, np.clip(images, 0, 255))[0])


@pytest.mark.parametrize("name", ["Equalize", "AutoContrast"])
def test_flat_channels_stay(name):
    images = np.broadcast_to(np.array([0, 100, 255], "uint8"), (2, 8, 8, 3))
    np.testing.assert_array_equal(run(getattr(augmentation, name)(), images)[0], images)


def test_levels_follow_the_value_range(images):
    """Pixels in [0, 1] or around 0 give the same picture."""
    for name, magnitude in (
        ("Rotate", 0.7),
        ("Posterize", 0.7),
        ("Color", 0.9),
        ("Equalize", None),
    ):
        arguments = {} if magnitude is None else {"magnitude": magnitude}
        expected, _ = run(getattr(augmentation, name)(**arguments, seed=5), images)
        for low, high in ((0, 1), (-1, 1)):
            scaled = (images / 255 * (high - low) + low).astype("float32")
            actual, _ = run(
                getattr(augmentation, name)(**arguments, seed=5, value_range=(low, high)), scaled
            )
            np.testing.assert_allclose((actual - low) / (high - low) * 255, expected, atol=2e-3)


def test_probability_is_the_fraction_of_changed_images():
    images = np.zeros((4000, 2, 2, 1), "uint8")
    fraction = np.mean(
        ops.convert_to_numpy(augmentation.Invert(probability=0.3, seed=1)(images, training=True))[
            :, 0, 0, 0
        ]
        == 255
    )
    assert abs(fraction - 0.3) < 0.03


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: augmentation.Rotate(magnitude=1.5),
            "`magnitude` should be between 0 and 1. Received: magnitude=1.5",
        ),
        (
            lambda: augmentation.Cutout(probability=-0.1),
            "`probability` should be between 0 and 1. Received: probability=-0.1",
        ),
        (
            lambda: augmentation.Color(magnitude="strong"),
            "`magnitude` should be between 0 and 1. Received: magnitude='strong'",
        ),
        (
            lambda: augmentation.Invert(probability=float("nan")),
            "`probability` should be between 0 and 1",
        ),
    ],
)
def test_refuses_impossible_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
