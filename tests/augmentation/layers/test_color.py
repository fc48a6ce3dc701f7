import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import (
    RandomColorJitter,
    RandomGrayscale,
    SimAugment,
    StackedRandAugment,
)

pytestmark = pytest.mark.neutral


def jittered(image: np.ndarray, **factors: float) -> np.ndarray:
    """Applies the jitter with given factors instead of drawn ones, rounded to whole levels."""
    draws = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, **factors}
    draws = {name: ops.array([value], dtype="float32") for name, value in draws.items()}
    layer = RandomColorJitter()
    return np.round(
        ops.convert_to_numpy(layer.transform(ops.cast(image[None], "float32"), draws))[0]
    )


@pytest.mark.parametrize("factor", [0.2, 0.7, 1.3, 1.8])
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [("brightness", "Brightness"), ("contrast", "Contrast"), ("saturation", "Color")],
)
def test_each_factor_equals_pillow_on_photographs(photographs, name, enhancer, factor):
    from PIL import Image, ImageEnhance

    for image in photographs:
        expected = np.asarray(
            getattr(ImageEnhance, enhancer)(Image.fromarray(image)).enhance(factor)
        ).astype("float32")
        difference = np.abs(jittered(image, **{name: factor}) - expected)
        # Pillow rounds the gray of every pixel and of the mean to whole levels, then truncates.
        assert difference.max() <= 2


def test_hue_rotates_the_chroma_and_keeps_the_luma(photographs):
    image = (
        photographs[0][::8, ::8].astype("float32") * 0.4 + 70
    )  # far from the borders: no clipping
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    for turn in (-0.2, 0.05, 0.25):
        before, after = image @ to_yiq.T, jittered(image, hue=turn) @ to_yiq.T
        chroma_before, chroma_after = (
            before[..., 1] + 1j * before[..., 2],
            after[..., 1] + 1j * after[..., 2],
        )
        np.testing.assert_allclose(after[..., 0], before[..., 0], atol=0.6)
        assert (
            np.abs(chroma_after - chroma_before * np.exp(2j * np.pi * turn)).max() < 1.5
        )  # rounding to whole levels


def test_a_full_turn_and_factors_of_one_change_nothing(photographs):
    np.testing.assert_array_equal(jittered(photographs[0]), photographs[0])
    np.testing.assert_allclose(jittered(photographs[0], hue=1.0), photographs[0], atol=1)


def test_one_matrix_equals_the_four_steps_in_float64(photographs):
    image = photographs[1][::4, ::4].astype("float32") * 0.3 + 60
    b, c, s, h = 1.2, 0.7, 1.4, 0.07
    luma = np.array([0.299, 0.587, 0.114])
    x = image.astype("float64") * b
    x = c * x + (1 - c) * (x @ luma).mean()
    gray = (x @ luma)[..., None]
    x = s * x + (1 - s) * gray
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    angle = 2 * np.pi * h
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    expected = x @ (np.linalg.inv(to_yiq) @ turn @ to_yiq).T
    np.testing.assert_allclose(
        jittered(image, brightness=b, contrast=c, saturation=s, hue=h), np.round(expected), atol=1
    )


def test_draws_follow_the_stated_distribution():
    draws = RandomColorJitter(
        0.4, contrast=0.2, saturation=1.5, hue=0.1, probability=0.7, seed=1
    ).draw(20_000, (8, 8, 3))
    draws = {name: ops.convert_to_numpy(value) for name, value in draws.items()}
    changed = draws["brightness"] != 1
    assert abs(changed.mean() - 0.7) < 0.012
    for name, low, high in (
        ("brightness", 0.6, 1.4),
        ("contrast", 0.8, 1.2),
        ("saturation", 0, 2.5),
        ("hue", -0.1, 0.1),
    ):
        values = draws[name][changed]
        assert np.all((values >= low) & (values <= high))
        assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)
        assert abs(values.std() - (high - low) / np.sqrt(12)) < 0.03 * (high - low)
    np.testing.assert_array_equal(draws["hue"][~changed], 0)


def test_gray_images_change_in_brightness_and_contrast_alone(rng):
    image = rng.uniform(60, 120, (8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(jittered(image, saturation=2.0, hue=0.3), np.round(image))
    expected = 0.5 * (1.5 * image) + 0.5 * (1.5 * image).mean()
    np.testing.assert_allclose(jittered(image, brightness=1.5, contrast=0.5), expected, atol=0.6)


@pytest.mark.parametrize("value_range", [(0, 1), (0, 255), (-1, 1)])
def test_the_value_range_only_changes_the_unit(photographs, value_range):
    low, high = value_range
    unit = np.stack(photographs)[:, ::9, ::9].astype("float32") / 255
    layer, reference = (
        RandomColorJitter(seed=2, value_range=value_range),
        RandomColorJitter(seed=2, value_range=(0, 1)),
    )
    moved = ops.convert_to_numpy(layer(unit * (high - low) + low))
    np.testing.assert_allclose(
        (moved - low) / (high - low), ops.convert_to_numpy(reference(unit)), atol=1e-5
    )


def test_grayscale_is_luma_in_all_channels_at_the_stated_rate(photographs):
    from PIL import Image

    image = photographs[0]
    gray = ops.convert_to_numpy(RandomGrayscale(1.0)(image, training=True))
    np.testing.assert_allclose(
        gray[..., 1], np.asarray(Image.fromarray(image).convert("L")), atol=1
    )
    assert np.ptp(gray, axis=-1).max() < 1e-3
    batch = np.broadcast_to(image[:2, :2], (4000, 2, 2, 3))
    is_gray = (
        np.ptp(
            ops.convert_to_numpy(RandomGrayscale(0.2, seed=1)(batch, training=True)), axis=-1
        ).max(axis=(1, 2))
        < 1e-3
    )
    assert abs(is_gray.mean() - 0.2) < 0.025


@pytest.mark.parametrize("channels", [1, 3])
def test_infinity_is_no_pixel_to_be_clipped(rng, channels):
    images = rng.uniform(0, 255, (3, 6, 6, channels)).astype("float32")
    images[0, 2, 3, 0], images[1, 2, 3, 0] = np.inf, -np.inf
    for layer in (
        RandomColorJitter(0.8, contrast=0.8, saturation=0.8, hue=0.2, probability=1.0, seed=1),
        SimAugment((6, 6), crop_area=(1, 1), seed=1),
        StackedRandAugment((6, 6), crop_area=(1, 1), seed=1),
    ):
        views = ops.convert_to_numpy(layer(images, training=True))
        assert np.isnan(views).any(axis=(1, 2, 3)).tolist() == [True, True, False], layer.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"brightness": -0.1},
            "`brightness` should be a number of at least 0. Received: brightness=-0.1",
        ),
        ({"contrast": float("nan")}, "`contrast` should be"),
        ({"hue": 0.6}, "`hue` should be between 0 and 0.5. Received: hue=0.6"),
        ({"probability": -1}, "`probability` should be between 0 and 1"),
    ],
)
def test_refuses_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomColorJitter(**arguments)
    with pytest.raises(ValueError, match="`probability` should be between 0 and 1"):
        RandomGrayscale(1.5)
