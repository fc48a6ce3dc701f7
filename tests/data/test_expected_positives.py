"""Expectations of the numbers of positives, beside batches that are drawn."""

import numpy as np
import pytest

from keras_supcon.data import expected_positives
from keras_supcon.metrics import AnchorsWithPositive, PositivesPerAnchor

pytestmark = pytest.mark.neutral

COUNTS = np.array([30, 5, 1, 0, 12])


@pytest.mark.parametrize("num_views", [1, 2, 3])
def test_equals_the_mean_of_many_batches_as_the_metrics_count(rng, num_views):
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    expected = expected_positives(9, COUNTS, num_views)
    mean, share = PositivesPerAnchor(), AnchorsWithPositive()
    rows = np.ones((9 * 400, num_views, 2), "float32")
    batches = [labels[rng.permutation(len(labels))[:9]] for _ in range(400)]
    for number, batch in enumerate(batches):
        if number < 20:  # the metrics count as the formula below does
            mean.update_state(batch, rows[:9])
            share.update_state(batch, rows[:9])
            if number == 19:
                others = [(b[:, None] == b[None]).sum(axis=1) - 1 for b in batches[:20]]
                positives = num_views * np.concatenate(others) + num_views - 1
                assert float(mean.result()) == pytest.approx(positives.mean())
                assert float(share.result()) == pytest.approx((positives > 0).mean())
    others = np.concatenate([(b[:, None] == b[None]).sum(axis=1) - 1 for b in batches])
    assert expected.mean == pytest.approx(num_views * others.mean() + num_views - 1, rel=0.05)
    assert expected.without_others == pytest.approx((others == 0).mean(), abs=0.02)
    assert expected.without == (expected.without_others if num_views == 1 else 0)


def test_limits():
    whole = expected_positives(48, COUNTS, num_views=1)  # a batch of all samples
    assert whole.mean == pytest.approx(COUNTS @ (COUNTS - 1) / 48)
    assert whole.without == pytest.approx(1 / 48)
    alone = expected_positives(1, COUNTS, num_views=1)
    assert (alone.mean, alone.without) == (0, 1)
    np.testing.assert_array_equal(expected_positives(7, [100]).mean_of_class, [2 * 6 + 1])
    assert expected_positives(7, [1] * 100).without_others == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, [5]), "`batch_size` should be a whole number of at least 1"),
        ((6, [5]), "`batch_size` should be at most the number of samples, 5"),
        ((2, [5], 0), "`num_views` should be"),
        ((2, [5, -1]), "`class_counts` should be"),
        ((2, [0, 0]), "`class_counts` should be"),
        ((2, [[5]]), "`class_counts` should be"),
        ((2, [0.5, 4]), "`class_counts` should be"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        expected_positives(*arguments)
