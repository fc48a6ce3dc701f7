import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import RandomWarp
from tests.augmentation.drawing import draw_and_transform

pytestmark = pytest.mark.neutral


def reference(image, across, down, grid_size):
    """Warps by SciPy's thin-plate spline and interpolation, in float64."""
    from scipy.interpolate import RBFInterpolator
    from scipy.ndimage import map_coordinates

    height, width = image.shape[:2]
    places = (np.arange(grid_size) + 1) / (grid_size + 1)
    points = [(x, y) for y in places for x in places]
    spline = RBFInterpolator(
        points, np.stack([across, down], axis=1), kernel="thin_plate_spline", degree=1
    )
    y, x = np.mgrid[:height, :width] + 0.5
    field = spline(np.stack([x.ravel() / width, y.ravel() / height], axis=1)).reshape(
        height, width, 2
    )
    where = [y - height * field[..., 1] - 0.5, x - width * field[..., 0] - 0.5]
    channels = [
        map_coordinates(image[..., c].astype("float64"), where, order=1, mode="nearest")
        for c in range(image.shape[2])
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("grid_size", [2, 3])
def test_equals_scipys_spline_on_photographs(photographs, grid_size):
    images = np.stack([photograph[100:160, 200:280] for photograph in photographs])
    layer = RandomWarp(grid_size=grid_size, probability=1.0, seed=1)
    draws, warped = draw_and_transform(layer, images)
    across, down = (ops.convert_to_numpy(draws[name]) for name in ("across", "down"))
    for i in range(2):
        difference = np.abs(warped[i] - reference(images[i], across[i], down[i], grid_size))
        assert difference.max() < 0.2  # of 255, at the sharpest edges
        assert difference.mean() < 0.005


def test_displacements_are_normal_with_a_uniform_length():
    draws = RandomWarp(max_length=0.2, probability=0.4, seed=1).draw(20_000, (64, 64, 3))
    across = ops.convert_to_numpy(draws["across"])
    assert across.shape == (20_000, 4)
    # The variance of l n is that of l plus the square of its mean: 0.2^2 / 3.
    assert abs(across.var() - 0.2**2 / 3) < 0.0006
    # Points of an image have one length: where one moves far, so do the others.
    assert np.corrcoef(np.abs(across[:, 0]), np.abs(across[:, 1]))[0, 1] > 0.15
    assert abs(np.corrcoef(across[:, 0], across[:, 1])[0, 1]) < 0.03
    assert abs(ops.convert_to_numpy(draws["chosen"]).mean() - 0.4) < 0.015


def test_no_length_moves_nothing_and_constant_images_stay(rng):
    images = rng.integers(0, 256, (3, 12, 15, 3)).astype("uint8")
    np.testing.assert_allclose(
        draw_and_transform(RandomWarp(0.0, probability=1.0), images)[1], images, atol=1e-3
    )
    flat = np.full((3, 12, 15, 1), 77, "uint8")
    np.testing.assert_allclose(
        draw_and_transform(RandomWarp(0.3, probability=1.0), flat)[1], flat, atol=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"max_length": -0.1},
            "`max_length` should be a number of at least 0. Received: max_length=-0.1",
        ),
        (
            {"grid_size": 1},
            "`grid_size` should be a whole number of at least 2. Received: grid_size=1",
        ),
        ({"probability": 2}, "`probability` should be between 0 and 1"),
    ],
)
def test_refuses_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomWarp(**arguments)
