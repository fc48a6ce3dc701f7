import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import RandomSolarize

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_equals_pillow_on_photographs(photographs, threshold):
    from PIL import Image, ImageOps

    image = photographs[0]
    expected = np.asarray(ImageOps.solarize(Image.fromarray(image), int(np.ceil(threshold * 255))))
    actual = ops.convert_to_numpy(RandomSolarize(threshold, probability=1.0)(image, training=True))
    np.testing.assert_array_equal(actual, expected)


def test_rate_and_value_range():
    ones = np.ones((4000, 1, 1, 1), "float32")
    solarized = ops.convert_to_numpy(
        RandomSolarize(probability=0.3, value_range=(-1, 1), seed=1)(ones, training=True)
    ).ravel()
    assert set(solarized) == {-1.0, 1.0}
    assert abs(np.mean(solarized == -1) - 0.3) < 0.03


@pytest.mark.parametrize("threshold", [-0.1, 1.1, None])
def test_refuses_impossible_thresholds(threshold):
    with pytest.raises(
        ValueError, match="`threshold` should be between 0 and 1. Received: threshold="
    ):
        RandomSolarize(threshold)
