"""Images at other places."""

import numpy as np
import pytest
from scipy import ndimage

from keras_supcon.evaluation.corruptions.resampling import sample, zoom


@pytest.mark.parametrize(("repeat_edge", "mode"), [(True, "reflect"), (False, "mirror")])
def test_samples_are_those_of_scipy(repeat_edge, mode, rng):
    images = rng.uniform(size=(3, 9, 12, 2)).astype("float32")
    y = rng.uniform(-30, 40, (3, 9, 12)).astype("float32")
    x = rng.uniform(-30, 40, (3, 9, 12)).astype("float32")
    sampled = sample(images, y, x, repeat_edge)
    for i in range(3):
        for channel in range(2):
            expected = ndimage.map_coordinates(
                images[i, ..., channel], [y[i], x[i]], order=1, mode=mode
            )
            np.testing.assert_allclose(sampled[i, ..., channel], expected, atol=1e-4)


def test_samples_at_the_pixels_are_the_pixels(rng):
    images = rng.uniform(size=(2, 8, 9, 3)).astype("float32")
    y, x = (np.stack([grid] * 2).astype("float32") for grid in np.mgrid[:8, :9])
    assert (sample(images, y, x, repeat_edge=True) == images).all()


def test_zooms_add_up_and_a_zoom_by_1_is_the_image(rng):
    images = rng.uniform(size=(2, 10, 16, 3)).astype("float32")
    assert (zoom(images, (1.0,)) == images).all()
    apart = zoom(images, (1.0,)) + zoom(images, (1.25,)) + zoom(images, (4.5,))
    np.testing.assert_allclose(zoom(images, (1.0, 1.25, 4.5)), apart, rtol=1e-6)
