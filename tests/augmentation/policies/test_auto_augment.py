import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import AutoAugment, RandAugment
from keras_supcon.augmentation.operations.sequence import NONE, OPERATIONS
from keras_supcon.augmentation.policies.auto_augment_policies import POLICY_NAMES, read_policy

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_published_policies_are_25_pairs(name):
    policy = read_policy(name)
    assert len(policy) == 25
    assert {len(sub_policy) for sub_policy in policy} == {2}
    assert read_policy(policy) == policy


def test_sub_policies_and_their_operations_are_drawn_as_often_as_stated():
    policy = [
        [("Rotate", 0.5, 0.3), ("Invert", 1.0, None)],
        [("Color", 0.0, 1.0)],
        [("Cutout", 1.0, 0.7), ("Rotate", 1.0, 0.1)],
    ]
    layer = AutoAugment((8, 8), policy=policy, seed=1)
    assert layer._names == ("Rotate", "Invert", "Color", "Cutout")
    first, second = layer.draw_views(12_000, (8, 8, 3))
    choices = [ops.convert_to_numpy(step["choice"]) for step in (first, second)]
    pairs, counts = np.unique(np.stack(choices, axis=1), axis=0, return_counts=True)
    fractions = {
        tuple(pair): count / 12_000 for pair, count in zip(pairs.tolist(), counts, strict=True)
    }
    expected = {(0, 1): 1 / 6, (NONE, 1): 1 / 6, (NONE, NONE): 1 / 3, (3, 0): 1 / 3}
    assert set(fractions) == set(expected)
    assert all(
        abs(fractions[pair] - expected[pair]) < 0.018 for pair in expected
    )  # four standard errors
    # An operation has the magnitude of its own sub-policy.
    magnitude = ops.convert_to_numpy(second["magnitude"])
    np.testing.assert_allclose(magnitude[choices[1] == 0], 0.1)
    np.testing.assert_allclose(ops.convert_to_numpy(first["magnitude"])[choices[0] == 0], 0.3)


def test_rand_augment_draws_17_outcomes_equally_often():
    layer = RandAugment((8, 8), num_ops=3, magnitude=0.4, seed=1)
    steps = layer.draw_views(17_000, (8, 8, 3))
    assert len(steps) == 3
    choices = [ops.convert_to_numpy(step["choice"]) for step in steps]
    for choice in choices:
        outcomes, counts = np.unique(choice, return_counts=True)
        assert outcomes.tolist() == [NONE, *range(len(OPERATIONS))]
        assert np.abs(counts - 1000).max() < 130  # a little over four standard errors
    assert abs(np.corrcoef(choices[0], choices[1])[0, 1]) < 0.03
    np.testing.assert_allclose(ops.convert_to_numpy(steps[0]["magnitude"]), 0.4)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            "imagnet",
            r"`policy` should be one of \('imagenet', 'cifar10', 'svhn'\), or a list. "
            "Received: policy='imagnet'",
        ),
        ([], "a list of at least one sub-policy"),
        (3, "a list of at least one sub-policy. Received: policy=3"),
        (
            [[]],
            r"`policy` should hold lists of \(operation, probability, magnitude\). Received: \[\]",
        ),
        (
            [("Rotate", 0.5, 0.3)],
            r"`policy` should hold lists of \(operation, probability, magnitude\). "
            "Received: 'Rotate'",
        ),
        (
            [[("Rotat", 0.5, 0.3)]],
            "Operations in `policy` should be among .*'Rotat' in .* Did you mean 'Rotate'?",
        ),
        (
            [[("Rotate", 1.5, 0.3)]],
            "Every probability in `policy` should be between 0 and 1. Received: 1.5",
        ),
        (
            [[("Rotate", 0.5, 3)]],
            "Every magnitude in `policy` should be between 0 and 1. Received: 3",
        ),
        (
            [[("Rotate", 0.5, None)]],
            "Every magnitude in `policy` should be between 0 and 1. Received: None",
        ),
    ],
)
def test_refuses_other_policies(policy, message):
    with pytest.raises(ValueError, match=message):
        AutoAugment((8, 8), policy=policy)
