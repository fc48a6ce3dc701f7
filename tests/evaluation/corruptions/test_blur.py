"""Blurs equal their formulas in loops over pixels."""

import math

import numpy as np
import pytest
from scipy import ndimage

from keras_supcon.evaluation.corruptions import blur
from keras_supcon.evaluation.corruptions.streams import Streams


@pytest.fixture
def images(rng):
    return rng.uniform(size=(2, 14, 11, 3)).astype("float32")


@pytest.fixture
def streams():
    return Streams(0, ("blur",), first=0, count=2)


def test_gaussian_blur_weighs_neighbors(images, streams):
    sigma, reach = 0.8, 3  # 4 deviations, rounded
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    _, height, width, _ = images.shape
    expected = np.zeros(images.shape)
    for y in range(height):
        for x in range(width):
            for dy, row_weight in zip(offsets, weights, strict=True):
                for dx, weight in zip(offsets, weights, strict=True):
                    row, column = np.clip([y + dy, x + dx], 0, [height - 1, width - 1])
                    expected[:, y, x] += row_weight * weight * images[:, row, column]
    np.testing.assert_allclose(blur.gaussian_blur(images, streams, sigma), expected, atol=1e-6)


@pytest.mark.parametrize(("radius", "alias_sigma"), [(0.3, 0.4), (1.5, 0.1), (4, 0.5), (10, 0.5)])
def test_disk_is_a_smoothed_disk(radius, alias_sigma):
    reach, taps = (8, 3) if radius <= 8 else (10, 5)
    side = 2 * reach + 1
    disk = np.array(
        [[math.hypot(y - reach, x - reach) <= radius for x in range(side)] for y in range(side)]
    )
    offsets = np.arange(taps) - taps // 2
    weights = np.exp(-(offsets**2) / (2 * alias_sigma**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    padded = np.pad(disk / disk.sum(), taps // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (taps, taps))
    expected = np.einsum("yxab,ab->yx", windows, weights)
    kernel = blur.disk(radius, alias_sigma)
    margin = (side - len(kernel)) // 2
    np.testing.assert_allclose(np.pad(kernel, margin), expected, atol=1e-8)


def test_disks_sum_to_1_unless_they_touch_the_border_of_their_array():
    for radius in (0.5, 3, 4, 6):
        assert blur.disk(radius, 0.5).sum(dtype="float64") == pytest.approx(1, abs=1e-6)
    for radius in (8, 10):
        assert 1.01 < blur.disk(radius, 0.5).sum(dtype="float64") < 1.014


def test_defocus_blur_mirrors_at_borders(images, streams):
    kernel = blur.disk(3, 0.5)
    reach = len(kernel) // 2
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape, axis=(1, 2))
    expected = np.einsum("nyxcab,ab->nyxc", windows, kernel)
    np.testing.assert_allclose(blur.defocus_blur(images, streams, 3, 0.5), expected, atol=1e-5)


def published_copies(image, offsets, reach):
    """Copies as the published loop does, whose assignment swaps views of one array."""
    image = image.copy()
    height, width = image.shape[:2]
    for y in range(height - reach, reach, -1):
        for x in range(width - reach, reach, -1):
            row, column = y + offsets[0, y, x], x + offsets[1, y, x]
            image[y, x], image[row, column] = image[row, column], image[y, x]
    return image


@pytest.mark.parametrize(("height", "width", "reach"), [(14, 11, 1), (12, 15, 2), (8, 8, 4)])
def test_glass_blur_copies_as_the_published_loop(height, width, reach, rng):
    pixels = rng.integers(0, 256, (3, height, width, 3)).astype("uint8")
    offsets = rng.integers(-reach, reach, (3, 2, height, width)).astype("int8")
    copied = pixels.reshape(-1, 3)[blur.copied_pixels(offsets, reach)]
    for i in range(3):
        assert (copied[i] == published_copies(pixels[i], offsets[i], reach)).all()


def test_glass_blur_is_two_blurs_around_the_copies(images, streams):
    levels = np.floor(blur.gaussian_blur(images, streams, 0.7) * 255 + 1e-3).astype("uint8")
    copies = Streams(0, ("blur",), first=0, count=2)
    for _ in range(2):
        offsets = copies.integers((2, 14, 11), -1, 1)
        levels = np.stack([published_copies(levels[i], offsets[i], 1) for i in range(2)])
    expected = ndimage.gaussian_filter(levels / 255, (0, 0.7, 0.7, 0), mode="nearest")
    np.testing.assert_allclose(blur.glass_blur(images, streams, 0.7, 1, 2), expected, atol=1e-6)


@pytest.mark.parametrize("degrees", [-135, -60, 0, 20, 45])
def test_smear_weighs_pixels_along_a_direction(degrees, images):
    radius, sigma = 3, 2.0
    _, height, width, _ = images.shape
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    expected = np.zeros(images.shape)
    for y in range(height):
        for x in range(width):
            for i, weight in enumerate(weights):
                dy = math.ceil(i * math.sin(math.radians(degrees)) - 0.5)
                dx = math.ceil(i * math.cos(math.radians(degrees)) - 0.5)
                row, column = np.clip([y + dy, x + dx], 0, [height - 1, width - 1])
                expected[:, y, x] += weight / sum(weights) * images[:, row, column]
    smeared = blur.smear(images, np.full(2, degrees), radius, sigma)
    assert np.abs(smeared - expected).max() <= 0.5001 / 255
    np.testing.assert_allclose(smeared * 255, np.rint(smeared * 255), atol=1e-4)


def test_motion_blur_is_within_45_degrees_of_the_horizontal():
    points = np.zeros((300, 41, 41, 1), "float32")
    points[:, 20, 20] = 1
    blurred = blur.motion_blur(points, Streams(0, ("motion",), 0, 300), 6, 2.5)
    lit = blurred[..., 0] > 0
    assert not lit[:, :, 21:].any()  # it smears to one side
    _, rows, columns = np.nonzero(lit)
    assert (np.abs(rows - 20) <= 20 - columns).all()
    assert lit.any(axis=0)[:, 15].sum() == 11  # every direction occurs


@pytest.mark.parametrize("largest", [1.06, 1.31])
def test_zoom_blur_is_a_mean_of_zooms(largest, images, streams):
    step = 0.01 if largest < 1.3 else 0.03
    factors = np.arange(1, largest, step)
    _, height, width, _ = images.shape
    zooms = []
    for factor in factors:
        tall, wide = math.ceil(height / factor), math.ceil(width / factor)
        top, left = (height - tall) // 2, (width - wide) // 2
        cut = images[:, top : top + tall, left : left + wide]
        zoomed = ndimage.zoom(cut, (1, factor, factor, 1), order=1)
        top, left = (zoomed.shape[1] - height) // 2, (zoomed.shape[2] - width) // 2
        zooms.append(zoomed[:, top : top + height, left : left + width])
    expected = np.mean([images, *zooms], axis=0)
    np.testing.assert_allclose(blur.zoom_blur(images, streams, largest, step), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("operation", "constants"),
    [
        (blur.gaussian_blur, (2,)),
        (blur.defocus_blur, (3, 0.5)),
        (blur.glass_blur, (1.5, 4, 2)),
        (blur.motion_blur, (10, 3)),
        (blur.zoom_blur, (1.2, 0.02)),
    ],
)
def test_blurs_leave_a_constant_image(operation, constants, streams):
    constant = np.full((2, 24, 20, 3), 100 / 255, "float32")
    np.testing.assert_allclose(operation(constant, streams, *constants), constant, atol=1e-5)
