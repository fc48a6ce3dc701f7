"""Sequences of operations equal the operations one by one."""

import keras
import numpy as np
import pytest
from keras import ops
from keras.src.utils.backend_utils import DynamicBackend

from keras_supcon.augmentation.operations.sequence import NONE, OPERATIONS, apply_operations
from tests.autodiff import compiled

pytestmark = pytest.mark.neutral


@pytest.fixture(scope="module")
def images(photographs) -> np.ndarray:
    return np.stack([photograph[100:148, 200:256] for photograph in photographs]).astype("float32")


def step(names, operations, magnitude=0.8, sign=1.0, center=(0.3, 0.6)):
    """Returns a step that applies these operations to the images, None for none."""
    number = len(operations)
    return {
        "choice": ops.convert_to_tensor(
            [NONE if o is None else names.index(o) for o in operations], dtype="int32"
        ),
        "magnitude": ops.full((number,), magnitude, dtype="float32"),
        "sign": ops.full((number,), sign, dtype="float32"),
        "center": ops.convert_to_tensor([center] * number, dtype="float32"),
    }


def apply_steps(images, names, steps):
    def run(images, steps):
        return apply_operations(DynamicBackend(), names, images, steps)

    run = compiled(run) if keras.backend.backend() == "jax" else run
    return ops.convert_to_numpy(run(ops.convert_to_tensor(images), steps))


def apply(images, *operations_of_steps, names=OPERATIONS, **arguments):
    return apply_steps(
        images, names, [step(names, operations, **arguments) for operations in operations_of_steps]
    )


def test_each_image_gets_its_own_operation(images):
    """All sixteen operations and none in one batch equal the operations alone."""
    batch = np.repeat(images[:1], len(OPERATIONS) + 1, axis=0)
    together = apply(batch, [*OPERATIONS, None])
    np.testing.assert_array_equal(together[-1], images[0])
    for result, name in zip(together, OPERATIONS, strict=False):
        alone = apply(images[:1], [name], names=(name,))
        np.testing.assert_allclose(result, alone[0], atol=1e-3, err_msg=name)
        assert np.abs(result - images[0]).max() > 10, name


@pytest.mark.parametrize(
    "operations",
    [
        ("Equalize", "Rotate", "Solarize"),
        ("Color", "AutoContrast", "Cutout"),
        ("Cutout", "ShearX", "Sharpness"),
        ("Sharpness", "Equalize", "TranslateY", "ShearY"),
        ("Rotate", None, "Rotate"),
        (None, "Cutout", "Rotate"),
    ],
)
def test_a_sequence_is_its_operations_one_by_one(images, operations):
    together = apply(images, *[[name] * 2 for name in operations])
    one_by_one = images
    for name in operations:
        one_by_one = one_by_one if name is None else apply(one_by_one, [name] * 2, names=(name,))
    np.testing.assert_allclose(together, one_by_one, atol=1e-2)


def test_two_translations_are_exactly_one_after_the_other(images):
    """Pixels uncovered by the first translation stay gray, although the sum of both covers them."""
    there = apply(images, ["TranslateX"] * 2, sign=1.0)
    back = apply(there, ["TranslateX"] * 2, sign=-1.0)
    names = ("TranslateX",)
    steps = [step(names, ["TranslateX"] * 2, sign=sign) for sign in (1.0, -1.0)]
    together = ops.convert_to_numpy(
        apply_operations(DynamicBackend(), names, ops.convert_to_tensor(images), steps)
    )
    np.testing.assert_array_equal(together, back)
    assert np.mean(together == 128) > 0.2


def test_two_rotations_are_one_resampling(images):
    """Rotated there and back, the middle does not change; two resamplings would blur it."""
    names = ("Rotate",)
    steps = [step(names, ["Rotate"] * 2, sign=sign) for sign in (1.0, -1.0)]
    together = apply_steps(images, names, steps)
    middle = np.s_[:, 18:30, 20:36]
    np.testing.assert_allclose(together[middle], images[middle], atol=0.05)


def test_no_image_may_have_an_operation(images):
    np.testing.assert_array_equal(apply(images, [None, None], [None, None]), images)
