"""The policies do what their parts do, in the stated order."""

import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import (
    AutoAugment,
    CenterCropResize,
    Invert,
    RandAugment,
    RandomColorJitter,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomResizedCrop,
    SimAugment,
    StackedRandAugment,
)
from tests.augmentation.drawing import draw_and_transform, transform

pytestmark = pytest.mark.neutral

SIZE = (24, 28)


@pytest.fixture(scope="module")
def images(photographs) -> np.ndarray:
    return np.stack([photograph[100:160, 200:260] for photograph in photographs] * 2)


def crop(images, draws):
    return transform(RandomResizedCrop(SIZE), images, draws["crop"]) / 255


def test_sim_augment_is_crop_jitter_gray_and_blur(images):
    # A small strength keeps colors inside the range: the policy clips once, the layers one by one.
    layer = SimAugment(SIZE, strength=0.1, grayscale_probability=0.5, blur_probability=0.5, seed=3)
    images = images // 2 + 50
    draws, actual = draw_and_transform(layer, images)
    expected = crop(images, draws)
    for part in (RandomColorJitter(value_range=(0, 1)), RandomGrayscale(), RandomGaussianBlur()):
        name = {
            RandomColorJitter: "jitter",
            RandomGrayscale: "grayscale",
            RandomGaussianBlur: "blur",
        }[type(part)]
        expected = transform(part, expected, draws["views"][name])
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_auto_augment_does_the_policy_after_the_crop(images):
    layer = AutoAugment(SIZE, policy=[[("Invert", 1.0, None)]], seed=3)
    draws, actual = draw_and_transform(layer, images)
    expected = ops.convert_to_numpy(Invert(value_range=(0, 1))(crop(images, draws), training=True))
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_stacked_rand_augment_with_nothing_but_the_crop_is_the_crop(images):
    layer = StackedRandAugment(
        SIZE, strength=0.0, grayscale_probability=0.0, blur_probability=0.0, seed=3
    )
    draws = layer.draw(len(images), images.shape[1:])
    for step in draws["views"]["operations"]:
        step["choice"] = ops.zeros_like(step["choice"]) - 1
    np.testing.assert_allclose(transform(layer, images, draws), crop(images, draws), atol=1e-4)


@pytest.mark.parametrize("policy", [SimAugment, AutoAugment, RandAugment, StackedRandAugment])
def test_the_value_range_is_that_of_the_input(images, policy):
    expected = draw_and_transform(policy(SIZE, seed=4), images)[1]
    scaled = (images / 127.5 - 1).astype("float32")
    actual = draw_and_transform(policy(SIZE, seed=4, value_range=(-1, 1)), scaled)[1]
    # A pixel between two levels may be rounded to either of them.
    assert np.mean(np.abs(actual - expected) > 1e-3) < 0.01


@pytest.mark.parametrize("policy", [SimAugment, AutoAugment, RandAugment, StackedRandAugment])
def test_seeds_of_the_parts_differ(policy):
    """With one seed the position of a crop would determine the colors."""
    draws = policy(SIZE, seed=3).draw(64, (60, 60, 3))
    views = draws["views"] if isinstance(draws["views"], dict) else {"operations": draws["views"]}
    steps = views.pop("operations", [])
    numbers = [
        draws["crop"]["top"],
        views.get("jitter", {}).get("hue"),
        *(step["sign"] for step in steps),
    ]
    numbers = [ops.convert_to_numpy(number) for number in numbers if number is not None]
    for i, first in enumerate(numbers):
        assert all(abs(np.corrcoef(first, second)[0, 1]) < 0.6 for second in numbers[:i])


def pillow_center(image, box, size):
    from PIL import Image

    planes = [Image.fromarray(image[..., c].astype("float32")) for c in range(image.shape[2])]
    resized = [
        np.asarray(plane.resize(size[::-1], Image.Resampling.BILINEAR, box=box)) for plane in planes
    ]
    return np.stack(resized, axis=-1) / 255


@pytest.mark.parametrize(
    ("method", "box"),
    [
        # 427 x 640, to 224 with 32 around it. 427 * 224 / 256 = 373.625.
        ("resize_then_crop", (133.1875, 26.6875, 133.1875 + 373.625, 26.6875 + 373.625)),
        ("crop_then_resize", (133, 27, 133 + 373, 27 + 373)),
        ("crop_then_distort", (40, 26.6875, 600, 26.6875 + 373.625)),
    ],
)
def test_center_crop_equals_pillow(photographs, method, box):
    layer = CenterCropResize((224, 224), method=method)
    actual = ops.convert_to_numpy(layer(photographs[0]))
    difference = np.abs(actual - pillow_center(photographs[0], box, (224, 224)))
    # As for random crops: Pillow cuts its filter at whole pixels.
    assert difference.mean() < 0.2 / 255
    assert difference.max() < 6 / 255
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer(photographs[0], training=True)), actual
    )


def test_center_crop_without_padding_at_its_own_size_is_the_image(rng):
    images = rng.integers(0, 256, (2, 20, 30, 1)).astype("uint8")
    for method in ("resize_then_crop", "crop_then_resize", "crop_then_distort"):
        same = CenterCropResize((20, 30), method=method, crop_padding=0)(images)
        np.testing.assert_allclose(ops.convert_to_numpy(same), images / 255, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CenterCropResize(method="resize"),
            r"`method` should be one of \('resize_then_crop', .* method='resize'",
        ),
        (
            lambda: CenterCropResize(crop_padding=-1),
            "`crop_padding` should be a whole number of at least 0",
        ),
        (
            lambda: SimAugment(strength=3),
            "`strength` should be between 0 and 2. Received: strength=3",
        ),
        (lambda: StackedRandAugment(strength="1"), "`strength` should be between 0 and 2"),
        (
            lambda: RandAugment(num_ops=0),
            "`num_ops` should be a whole number of at least 1. Received: num_ops=0",
        ),
        (
            lambda: RandAugment(magnitude=9),
            "`magnitude` should be between 0 and 1. Received: magnitude=9",
        ),
        (lambda: SimAugment(blur_probability=1.1), "`blur_probability` should be between 0 and 1"),
        (
            lambda: AutoAugment(crop_area=(0, 1)),
            "`crop_area` should be two numbers above 0 and at most 1",
        ),
    ],
)
def test_refuses_impossible_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
