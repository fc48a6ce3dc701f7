import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import RandomResizedCrop
from tests.augmentation.drawing import draw_and_transform
from tests.autodiff import compiled

pytestmark = pytest.mark.neutral


def crop_box(draws, i):
    return [
        float(ops.convert_to_numpy(draws[name])[i])
        for name in ("left", "top", "width", "height", "flip")
    ]


@pytest.mark.parametrize("image_size", [(32, 48), (200, 130), (500, 700)])
def test_equals_pillow_on_photographs(photographs, image_size):
    from PIL import Image

    layer = RandomResizedCrop(image_size, seed=5)
    images = np.stack(photographs * 3)
    draws, actual = draw_and_transform(layer, images)
    for i, image in enumerate(images):
        left, top, width, height, flip = crop_box(draws, i)
        box = (left, top, left + width, top + height)
        # One channel at a time in Pillow's float mode: no rounding to uint8 between its two passes.
        planes = [Image.fromarray(image[..., c].astype("float32")) for c in range(3)]
        resized = [
            np.asarray(p.resize(image_size[::-1], Image.Resampling.BILINEAR, box=box))
            for p in planes
        ]
        expected = np.stack(resized, axis=-1)
        expected = expected[:, ::-1] if flip else expected
        # Pillow cuts the filter at whole pixels, which moves single pixels of fine texture by a few
        # gray levels.
        assert np.abs(actual[i] - expected).mean() < 0.2
        assert np.abs(actual[i] - expected).max() < 6


def test_draws_follow_the_stated_distribution():
    layer = RandomResizedCrop(
        (8, 8), crop_area=(0.1, 0.4), aspect_ratio=(0.5, 2.0), flip_probability=0.3, seed=1
    )
    height, width = 100, 120
    draws = {
        name: ops.convert_to_numpy(value)
        for name, value in layer.draw(20_000, (height, width, 3)).items()
    }
    area = draws["height"] * draws["width"] / (height * width)
    log_ratio = np.log(draws["width"] / draws["height"])
    # Standard errors are 0.0006, 0.003, 0.003; nearly all rectangles of these areas fit.
    assert abs(area.mean() - 0.25) < 0.003
    assert abs(log_ratio.mean()) < 0.02
    assert area.min() >= 0.1 * 0.999
    assert area.max() <= 0.4 * 1.001
    assert np.abs(log_ratio).max() <= np.log(2) * 1.001
    assert abs(draws["flip"].mean() - 0.3) < 0.013
    for start, extent, size in (("top", "height", height), ("left", "width", width)):
        assert draws[start].min() >= 0
        assert np.all(draws[start] + draws[extent] <= size * 1.0001)
        # Where there is room, the position is uniform in it.
        assert abs((draws[start] / (size - draws[extent])).mean() - 0.5) < 0.01


def test_an_image_in_which_nothing_fits_gives_its_largest_centered_rectangle():
    layer = RandomResizedCrop((8, 8), crop_area=(0.99, 1.0), aspect_ratio=(1.0, 1.0))
    draws = layer.draw(4, (40, 100, 3))
    for i in range(4):
        np.testing.assert_allclose(crop_box(draws, i)[:4], (30, 0, 40, 40), rtol=1e-6)


def test_the_whole_image_at_its_own_size_is_the_image(rng):
    images = rng.uniform(0, 255, (3, 9, 7, 1)).astype("float32")
    layer = RandomResizedCrop(
        (9, 7), crop_area=(1, 1), aspect_ratio=(7 / 9, 7 / 9), flip_probability=0.0
    )
    np.testing.assert_allclose(draw_and_transform(layer, images)[1], images, rtol=1e-4, atol=1e-3)
    mirror = RandomResizedCrop(
        (9, 7), crop_area=(1, 1), aspect_ratio=(7 / 9, 7 / 9), flip_probability=1.0
    )
    np.testing.assert_allclose(
        draw_and_transform(mirror, images)[1], images[:, :, ::-1], rtol=1e-4, atol=1e-3
    )


def test_constant_images_stay_constant():
    images = np.full((16, 30, 20, 3), 200, "uint8")
    for size in ((7, 9), (64, 64)):
        np.testing.assert_allclose(
            draw_and_transform(RandomResizedCrop(size), images)[1], 200, rtol=1e-5
        )


def test_when_not_training_it_only_sets_the_size(photographs):
    images = np.stack(photographs)
    same = RandomResizedCrop((427, 640))(images, training=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(same), images)
    smaller = ops.convert_to_numpy(RandomResizedCrop((61, 64))(images, training=False))
    blocks = images.reshape(2, 61, 7, 64, 10, 3).mean(axis=(2, 4))
    assert np.abs(smaller - blocks).mean() < 6  # a triangle filter sees a little beyond the block


def test_an_xla_program_gives_the_same_as_a_step_by_step_call(photographs):
    images = ops.cast(np.stack(photographs)[:, :64, :64], "float32")
    eager, as_xla = (RandomResizedCrop((16, 16), seed=3) for _ in range(2))
    draws = eager.draw(2, (64, 64, 3))
    expected = ops.convert_to_numpy(eager.transform(images, draws))
    np.testing.assert_allclose(
        ops.convert_to_numpy(compiled(as_xla.transform)(images, draws)),
        expected,
        rtol=1e-3,
        atol=1e-2,
    )
    if keras.backend.backend() == "tensorflow":  # state of the seed inside the program
        assert compiled(lambda x: as_xla(x, training=True))(images).shape == (2, 16, 16, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"image_size": (0, 8)},
            r"`image_size` should be \(height, width\), whole numbers of at least 1. "
            r"Received: image_size=\(0, 8\)",
        ),
        ({"image_size": 8}, "`image_size` should be"),
        ({"image_size": (7.9, 7)}, "`image_size` should be"),
        ({"crop_area": (0, 1)}, "`crop_area` should be two numbers above 0 and at most 1"),
        ({"crop_area": (0.5, 1.5)}, "`crop_area` should be"),
        ({"crop_area": (0.9, 0.5)}, "lowest first"),
        ({"aspect_ratio": (-1, 1)}, "`aspect_ratio` should be"),
        (
            {"flip_probability": 1.1},
            "`flip_probability` should be between 0 and 1. Received: flip_probability=1.1",
        ),
        ({"value_range": (255, 0)}, "`value_range` should be"),
        (
            {"value_range": 255},
            "`value_range` should be two numbers, lowest first. Received: value_range=255",
        ),
    ],
)
def test_refuses_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomResizedCrop(**{"image_size": (8, 8), **arguments})
