"""The views of BYOL and MoCo v2: each effect as strong and as often as the papers say."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import SimAugment, byol_views
from keras_supcon.augmentation.layers.solarize import RandomSolarize
from tests.augmentation.drawing import draw_and_transform, transform
from tests.autodiff import compiled

pytestmark = pytest.mark.neutral

SIZE = (24, 28)


def test_the_policies_are_those_of_the_paper():
    """Appendix B of Grill et al."""
    first, second = byol_views(SIZE).augmenters
    for one in (first, second):
        jitter = one.jitter
        amounts = jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
        np.testing.assert_allclose(amounts, (0.4, 0.4, 0.2, 0.1))
        assert (jitter.probability, one.grayscale.probability) == (0.8, 0.2)
        assert (one.crop.crop_area, one.crop.flip_probability) == ((0.08, 1.0), 0.5)
        assert one.blur.sigma == (0.1, 2.0)
    assert (first.blur.probability, first.solarize_probability) == (1.0, 0.0)
    assert (second.blur.probability, second.solarize_probability) == (0.1, 0.2)
    assert second.solarize.threshold == 0.5


def test_sim_augment_has_the_policy_of_moco():
    """Version 2, the published code with `--aug-plus`."""
    policy = SimAugment(SIZE, strength=0.5, crop_area=(0.2, 1.0))
    jitter = policy.jitter
    amounts = jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
    np.testing.assert_allclose(amounts, (0.4, 0.4, 0.4, 0.1))
    probabilities = jitter.probability, policy.grayscale.probability, policy.blur.probability
    assert probabilities == (0.8, 0.2, 0.5)
    assert (policy.crop.flip_probability, policy.blur.sigma) == (0.5, (0.1, 2.0))


def test_solarization_is_the_last_step(photographs):
    """Of views in [0, 1]; a policy that never solarizes has no such layer."""
    images = np.stack([photograph[100:160, 200:260] for photograph in photographs] * 8)
    layer = SimAugment(SIZE, blur_probability=0.5, solarize_probability=0.5, seed=3)
    draws, actual = draw_and_transform(layer, images)
    is_solarized = ops.convert_to_numpy(draws["views"].pop("solarize"))
    assert 0 < is_solarized.sum() < len(images)
    layer._last_parts.remove("solarize")
    without = ops.convert_to_numpy(layer.transform(ops.convert_to_tensor(images), draws))
    part = RandomSolarize(value_range=(0, 1))
    expected = transform(part, without, ops.convert_to_tensor(is_solarized))
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert not hasattr(SimAugment(SIZE), "solarize")


def test_draws_are_as_frequent_as_the_paper_says():
    number, view_size = 2000, (24, 28, 3)
    shares = {"jitter": (0.8, 0.8), "grayscale": (0.2, 0.2), "blur": (1.0, 0.1), "flip": (0.5, 0.5)}
    for view, policy in enumerate(byol_views(SIZE, seed=1).augmenters):
        draws = policy.draw(number, view_size)
        chosen = {
            "jitter": draws["views"]["jitter"]["hue"] != 0,
            "grayscale": draws["views"]["grayscale"],
            "blur": draws["views"]["blur"]["chosen"],
            "flip": draws["crop"]["flip"],
        }
        for name, expected in shares.items():
            share = ops.convert_to_numpy(chosen[name]).astype("float64").mean()
            assert share == pytest.approx(expected[view], abs=0.035), name


def test_pictures_are_gray_and_solarized_as_often_as_the_paper_says():
    """The first view of a bright picture is never solarized, the second in one of five."""
    red = np.broadcast_to(np.array([250, 150, 150], "uint8"), (2000, 4, 4, 3))
    views = ops.convert_to_numpy(byol_views((4, 4), strength=0.0, seed=2)(red, training=True))
    for view in (0, 1):
        are_gray = np.isclose(views[:, view, 0, 0, 0], views[:, view, 0, 0, 1], atol=1e-3)
        assert are_gray.mean() == pytest.approx(0.2, abs=0.035)
    images = np.full((2000, 4, 4, 1), 200, "uint8")
    views = byol_views((4, 4), strength=0.0, seed=1)(images, training=True)
    views = ops.convert_to_numpy(views)[:, :, 0, 0, 0]
    are_dark = np.isclose(views, 55 / 255, atol=1e-3)
    assert np.all(are_dark | np.isclose(views, 200 / 255, atol=1e-3))
    assert are_dark[:, 0].sum() == 0
    assert abs(are_dark[:, 1].mean() - 0.2) < 0.03


def test_a_seed_repeats_both_views_which_differ(photographs):
    images = np.stack([photograph[:40, :40] for photograph in photographs])
    first, second = (
        ops.convert_to_numpy(byol_views(SIZE, seed=seed)(images, training=True)) for seed in (4, 4)
    )
    np.testing.assert_array_equal(first, second)
    assert first.shape == (len(images), 2, *SIZE, 3)
    assert np.abs(first[:, 0] - first[:, 1]).mean() > 0.01
    options = {"crop_area": (0.5, 1.0), "flip_probability": 0.0, "value_range": (0, 1)}
    assert byol_views(SIZE, **options).augmenters[1].crop.crop_area == (0.5, 1.0)


def test_saved_and_loaded_views_are_the_same(photographs, tmp_path):
    images = np.stack([photograph[:40, :40] for photograph in photographs])
    keras.Sequential([keras.Input(images.shape[1:]), byol_views(SIZE, seed=4)]).save(
        tmp_path / "views.keras"
    )
    again = keras.saving.load_model(tmp_path / "views.keras").layers[-1]
    assert again.augmenters[1].get_config()["solarize_probability"] == 0.2
    expected = ops.convert_to_numpy(byol_views(SIZE, seed=4)(images, training=True))
    np.testing.assert_array_equal(ops.convert_to_numpy(again(images, training=True)), expected)


def test_bytes_and_floats_compile_to_the_same_views_in_the_unit_range(photographs):
    images = np.stack([photograph[100:160, 200:260] for photograph in photographs] * 8)
    policy = byol_views(SIZE, blur_probability=(1.0, 0.5), seed=3).augmenters[1]
    draws = policy.draw(len(images), images.shape[1:])
    expected = ops.convert_to_numpy(policy.transform(ops.convert_to_tensor(images), draws))
    for given in (images, images.astype("float32")):
        actual = ops.convert_to_numpy(
            compiled(policy.transform)(ops.convert_to_tensor(given), draws)
        )
        np.testing.assert_allclose(actual, expected, atol=2e-3)
        assert np.abs(actual - expected).mean() < 1e-5
        assert actual.min() >= -1e-6
        assert actual.max() <= 1 + 1e-6


def test_pictures_of_mixed_sizes_give_views_of_one(photographs):
    views = byol_views(SIZE, seed=4)
    for height, width in ((30, 50), (20, 16)):
        picture = photographs[0][100 : 100 + height, 200 : 200 + width]
        assert tuple(views(picture, training=True).shape) == (2, *SIZE, 3)


def test_a_number_for_each_view_is_wanted():
    for name in ("blur_probability", "solarize_probability"):
        for value in (0.5, (0.5,), (0.5, 1.1), (0.5, "1")):
            with pytest.raises(ValueError, match=f"`{name}` should be .*Received: {name}="):
                byol_views(SIZE, **{name: value})
