import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import RandomGaussianBlur
from tests.augmentation.drawing import draw_and_transform

pytestmark = pytest.mark.neutral


def reference(image, sigma, radius):
    """Divides the Gaussian of the image by the Gaussian of a constant image, in float64."""
    from scipy.ndimage import correlate1d

    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)

    def blur(pixels):
        for axis in (0, 1):
            pixels = correlate1d(pixels, taps, axis=axis, mode="constant")
        return pixels

    return blur(image.astype("float64")) / blur(np.ones(image.shape))


@pytest.mark.parametrize(
    ("size", "kernel_size", "radius"), [((100, 80), 7, 3), ((100, 120), None, 5), ((19, 19), 19, 9)]
)
def test_equals_a_float64_gaussian_on_photographs(photographs, size, kernel_size, radius):
    images = np.stack([photograph[: size[0], : size[1]] for photograph in photographs])
    layer = RandomGaussianBlur(kernel_size=kernel_size, probability=1.0, seed=1)
    draws, blurred = draw_and_transform(layer, images)
    for image, sigma, result in zip(
        images, ops.convert_to_numpy(draws["sigma"]), blurred, strict=True
    ):
        np.testing.assert_allclose(result, reference(image, float(sigma), radius), atol=2e-3)


def test_sigma_is_uniform_and_the_rate_as_stated():
    draws = RandomGaussianBlur(sigma=(0.5, 2.0), probability=0.3, seed=1).draw(10_000, (64, 64, 3))
    sigma = ops.convert_to_numpy(draws["sigma"])
    assert sigma.min() >= 0.5
    assert sigma.max() <= 2.0
    # A mean of 1.25 and a variance of 1.5^2 / 12, within four standard errors.
    assert abs(sigma.mean() - 1.25) < 0.018
    assert abs(sigma.var() - 0.1875) < 0.007
    assert abs(ops.convert_to_numpy(draws["chosen"]).mean() - 0.3) < 0.019


def test_below_20_pixels_a_kernel_of_a_tenth_is_one_pixel(rng):
    images = rng.integers(0, 256, (4, 19, 40, 1)).astype("uint8")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(RandomGaussianBlur(probability=1.0)(images, training=True)), images
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": (0.0, 2.0)}, "`sigma` should be two numbers above 0, lowest first"),
        ({"sigma": 2.0}, "`sigma` should be two numbers"),
        (
            {"kernel_size": 4},
            "`kernel_size` should be an odd whole number, or None. Received: kernel_size=4",
        ),
        ({"kernel_size": 3.0}, "`kernel_size` should be"),
        ({"probability": 2}, "`probability` should be between 0 and 1"),
    ],
)
def test_refuses_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomGaussianBlur(**arguments)


def test_refuses_images_smaller_than_the_kernel():
    with pytest.raises(
        ValueError,
        match="`kernel_size` should be at most the height and width of the images. Received: ",
    ):
        RandomGaussianBlur(kernel_size=9)(np.zeros((2, 8, 16, 3), "uint8"), training=True)
