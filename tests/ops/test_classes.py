"""Classes are numbered by equality of their ids, samples by their order."""

import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon.ops.classes import class_groups, ranks_in_group

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("num_samples", [50, 1500])  # by comparison and by sorting
def test_groups_are_the_classes_and_ranks_the_order_within_them(rng, num_samples):
    class_ids = rng.integers(-1, 6, num_samples) * 357_913_941  # up to 2^31
    class_ids = np.where(class_ids < 0, -1, class_ids).astype("int32")
    groups = class_groups(ops.convert_to_tensor(class_ids))
    ranks = ops.convert_to_numpy(ranks_in_group(groups))
    groups = ops.convert_to_numpy(groups)
    assert groups.min() >= 0
    assert groups.max() < num_samples
    seen = {}
    for place, class_id in enumerate(class_ids.tolist()):
        if class_id < 0:
            assert ranks[place] == 0
            assert np.sum(groups == groups[place]) == 1
        else:
            earlier = seen.setdefault(class_id, [])
            assert ranks[place] == len(earlier)
            assert all(groups[other] == groups[place] for other in earlier)
            earlier.append(place)
    assert len(set(groups.tolist())) == len(seen) + np.sum(class_ids < 0)


def test_no_samples():
    groups = class_groups(ops.zeros((0,), "int32"))
    assert tuple(groups.shape) == tuple(ranks_in_group(groups).shape) == (0,)


@pytest.mark.parametrize(
    "name",
    ["class_groups", "convert_rows", "limit_norm", "permute_rows", "ranks_in_group", "row_loss"],
)
def test_names_that_were_public_lead_to_where_they_are(name):
    with pytest.warns(DeprecationWarning, match=f"`keras_supcon.ops.{name}` is now `keras_supcon"):
        function = getattr(keras_supcon.ops, name)
    assert function.__name__ == name
    assert name not in keras_supcon.ops.__all__
