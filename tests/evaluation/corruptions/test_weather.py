"""Weather: fog, frost, snow and brightness."""

import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

from keras_supcon.evaluation.corruptions import corrupt, weather
from keras_supcon.evaluation.corruptions.frost import NUM_PICTURES, frost_picture
from keras_supcon.evaluation.corruptions.levels import to_gray
from keras_supcon.evaluation.corruptions.streams import Streams


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 12, 10, 3)).astype("float32") / 255


@pytest.fixture
def streams():
    return Streams(0, ("weather",), first=0, count=2)


def test_brightness_is_added_to_the_value_of_hsv(images, streams):
    hsv = rgb_to_hsv(images)
    hsv[..., 2] = np.clip(hsv[..., 2] + 0.3, 0, 1)
    np.testing.assert_allclose(weather.brightness(images, streams, 0.3), hsv_to_rgb(hsv), atol=1e-5)
    black = np.zeros((2, 8, 8, 3), "float32")
    np.testing.assert_allclose(weather.brightness(black, streams, 0.3), 0.3, atol=1e-7)


def plasma_by_loops(noise, side, decay):
    """The diamond-square algorithm, a point at a time."""
    heights = np.zeros((side, side))
    numbers, amplitude, step = iter(noise), 1.0, side
    while step >= 2:
        half = step // 2
        grid = range(0, side, step)
        for corners, dy, dx in (
            (((0, 0), (0, 1), (1, 0), (1, 1)), half, half),
            (((0, 0), (0, 1), (0.5, 0.5), (-0.5, 0.5)), 0, half),
            (((0, 0), (1, 0), (0.5, 0.5), (0.5, -0.5)), half, 0),
        ):
            for y in grid:
                for x in grid:
                    around = [
                        heights[int(y + a * step) % side, int(x + b * step) % side]
                        for a, b in corners
                    ]
                    heights[y + dy, x + dx] = np.mean(around) + amplitude * next(numbers)
        step, amplitude = half, amplitude / decay**2
    heights -= heights.min()
    return heights / heights.max()


@pytest.mark.parametrize("side", [2, 8, 16])
def test_plasma_is_diamond_square(side, rng):
    noise = rng.uniform(-1, 1, (3, side * side - 1))
    heights = weather.plasma(noise, side, 1.75)
    for i in range(3):
        np.testing.assert_allclose(heights[i], plasma_by_loops(noise[i], side, 1.75), atol=1e-5)


def test_fog_adds_clouds_below_the_brightest_value(images, streams):
    foggy = weather.fog(images, streams, 1.5, 2)
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    assert (foggy <= brightest + 1e-6).all()
    clouds = foggy * (brightest + 1.5) / brightest - images
    assert clouds.min() > -1e-5
    assert np.ptp(clouds, axis=3).max() < 1e-5  # the same in all channels
    assert (weather.fog(0 * images, streams, 1.5, 2) == 0).all()


def test_snow_without_flakes_is_paler(images, streams):
    pale = weather.snow(images, streams, 0.1, 0.3, 3, 9.0, 10, 4, 0.8)
    expected = 0.8 * images + 0.2 * np.maximum(images, to_gray(images) * 1.5 + 0.5)
    np.testing.assert_allclose(pale, expected, atol=1e-6)


def test_flakes_are_light_and_turned_by_180_degrees(images, streams):
    falling = weather.snow(images, streams, 0.5, 0.3, 1.25, 0.4, 8, 3, 0.8)
    flakes = falling - 0.8 * images - 0.2 * np.maximum(images, to_gray(images) * 1.5 + 0.5)
    assert flakes.min() > -1e-6
    assert flakes.max() > 0.2
    np.testing.assert_allclose(flakes, flakes[:, ::-1, ::-1], atol=1e-6)


def test_frost_adds_a_part_of_a_picture(streams):
    black = np.zeros((2, 20, 24, 3), "float32")
    frozen = weather.frost(black, streams, 1, 0.5, 1) / 0.5
    for image in frozen:
        found = False
        for number in range(NUM_PICTURES):
            picture = np.pad(frost_picture(number), ((0, 20), (0, 24), (0, 0)), mode="wrap")
            corners = np.argwhere((np.abs(picture - image[0, 0]) < 1e-6).all(axis=2))
            found |= any(
                np.allclose(picture[y : y + 20, x : x + 24], image, atol=1e-6)
                for y, x in corners
                if y < 500 and x < 500
            )
        assert found


def test_all_pictures_of_frost_occur():
    black = np.zeros((200, 32, 32, 3), "uint8")
    colors = corrupt(black, "frost", 5, constants="imagenet").mean(axis=(1, 2))
    pictures = np.array([255 * 0.75 * frost_picture(n).mean((0, 1)) for n in range(NUM_PICTURES)])
    nearest = np.abs(colors[:, None] - pictures).sum(axis=2).argmin(axis=1)
    assert set(nearest) == {*range(NUM_PICTURES)}


@pytest.mark.parametrize("number", range(NUM_PICTURES))
def test_pictures_of_frost_have_no_seam(number):
    picture = frost_picture(number)
    assert 0 <= picture.min() < picture.max() <= 1
    inside = np.abs(np.diff(picture, axis=0)).mean()
    across = np.abs(picture[0] - picture[-1]).mean()
    assert across < 1.5 * inside
    assert (frost_picture(number, 5) == picture[2::5, 2::5]).all()
