"""Contrast, elastic transform, pixelation, JPEG compression and saturation."""

import io

import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image
from scipy import ndimage

from keras_supcon.evaluation.corruptions import corrupt, digital
from keras_supcon.evaluation.corruptions.streams import Streams


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 16, 12, 3)).astype("float32") / 255


@pytest.fixture
def streams():
    return Streams(0, ("digital",), first=0, count=2)


def test_contrast_keeps_the_mean_of_each_channel(images, streams):
    changed = digital.contrast(images, streams, 0.3)
    means = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(changed, means + 0.3 * (images - means), atol=1e-6)
    np.testing.assert_allclose(changed.mean(axis=(1, 2)), means[:, 0, 0], atol=1e-6)


@pytest.mark.parametrize(("factor", "amount"), [(0.1, 0), (1, 0), (2, 0.1), (20, 0.2)])
def test_saturation_is_that_of_hsv(factor, amount, images, streams):
    images = images.copy()
    images[:, 0] = images[:, 0, :, :1]  # gray
    images[:, 1] = 0
    hsv = rgb_to_hsv(images)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + amount, 0, 1)
    np.testing.assert_allclose(
        digital.saturate(images, streams, factor, amount), hsv_to_rgb(hsv), atol=1e-5
    )


def test_half_a_pixelation_makes_squares_of_four(rng):
    images = rng.integers(0, 256, (2, 16, 12, 3)).astype("uint8")
    squares = corrupt(images, "pixelate", 2, constants="imagenet")
    means = images.reshape(2, 8, 2, 6, 2, 3).mean(axis=(2, 4)).repeat(2, 1).repeat(2, 2)
    assert np.abs(squares - means).max() <= 1  # Pillow rounds rows, then columns


def test_jpeg_is_that_of_pillow(photographs):
    images = np.stack(photographs)[:, :64, :80]
    for image, result in zip(images, corrupt(images, "jpeg_compression", 5), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=40)
        assert (np.asarray(Image.open(file)) == result).all()


def test_elastic_transform_without_displacements_is_the_identity(images, streams):
    same = digital.elastic_transform(images, streams, 1, 0, 0.1, 0)
    np.testing.assert_allclose(same, images, atol=1e-5)


def test_the_affine_map_moves_three_corners(rng):
    height, width = 30, 42
    moves = rng.uniform(-3, 3, (4, 3, 2))
    rows, columns = digital._affine_places(moves, height, width)
    y, x = np.mgrid[:height, :width]
    corners = np.array([[31, 25], [31, 5], [11, 5]])  # x, y about (21, 15), 10 away
    for i in range(4):
        design = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
        targets = np.stack([columns[i].ravel(), rows[i].ravel()], axis=1)
        affine, residual, *_ = np.linalg.lstsq(design, targets, rcond=None)
        assert residual.max() < 1e-5
        moved = np.concatenate([corners + moves[i], np.ones((3, 1))], axis=1)
        np.testing.assert_allclose(moved @ affine, corners, atol=1e-4)


@pytest.mark.parametrize("sigma", [0, 0.1, 0.5, 2, 40])
def test_displacements_are_smoothed_by_a_gaussian(sigma, rng):
    noise = rng.uniform(-1, 1, (3, 15, 22)).astype("float32")
    expected = ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="reflect", truncate=3)
    np.testing.assert_allclose(digital.smooth(noise, sigma), expected, atol=1e-6)


def test_displacements_scale_with_the_image(photographs):
    photo = photographs[0][:400, :400]
    sizes = [np.asarray(Image.fromarray(photo).resize((side, side))) for side in (100, 200)]
    small, large = [
        np.abs(corrupt(np.repeat(image[None], 20, 0), "elastic_transform", 2) - 1.0 * image)
        for image in sizes
    ]
    assert small.mean() == pytest.approx(large.mean(), rel=0.2)
