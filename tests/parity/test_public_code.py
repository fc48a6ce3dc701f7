"""Values and gradients of the public code of methods that no package on PyPI has.

The code was run once, in float64, on the random rows in public_code.json: two views of eleven
samples, of which the last is alone in its class, centers of four classes and several labels. The
file names each source. What it computes differently from the paper or from ours is a factor or an
argument here.
"""

import json
import pathlib

import numpy as np
import pytest
from keras import ops

from keras_supcon import losses
from tests.autodiff import quickest_value_and_gradient

pytestmark = pytest.mark.neutral

RECORD = json.loads(pathlib.Path(__file__).with_name("public_code.json").read_text())
INPUTS = {name: np.asarray(values) for name, values in RECORD["inputs"].items()}
CLASS_IDS, TAGS = INPUTS["class_ids"], INPUTS["tags"]
TEMPERATURE = 0.2


def rows(name: str) -> np.ndarray:
    return INPUTS[name].astype("float32")


def with_threshold(own, others):
    """Jaccard overlaps of at least 0.3, as MultiSupCon takes them."""
    common = ops.matmul(own, ops.transpose(others))
    sizes = ops.sum(own, axis=1)[:, None] + ops.sum(others, axis=1)[None]
    overlap = common / ops.maximum(sizes - common, 1.0)
    return ops.where(overlap >= 0.3, overlap, 0.0)


def multi_supcon(z):
    """Divides by the number of positives, not by the sum of their weights."""
    values = losses.supcon_loss(TAGS.astype("float32"), z, TEMPERATURE, positives=with_threshold)
    union = np.maximum(TAGS[:, None], TAGS[None]).sum(axis=2)
    overlap = (TAGS @ TAGS.T) / union
    overlap = np.where(overlap >= 0.3, overlap, 0)
    num_rows = 2 * (overlap > 0).sum(axis=1) - 1
    weights = 2 * overlap.sum(axis=1) - 1
    return ops.mean(values * ops.convert_to_tensor((weights / num_rows).astype("float32")))


def first_ten(loss):
    """Without the sample that has no positive in another sample, for which the code differs."""
    return lambda z: ops.mean(loss(CLASS_IDS[:10], z[:10]))


def thanos(denominator):
    """Each view is contrasted with the earlier ones alone, at temperature 0.5."""
    return lambda z: ops.mean(
        losses.spread_loss(
            CLASS_IDS,
            z[:, 1:],
            0.5,
            keys=z[:, :1],
            trainable_keys=True,
            denominator=denominator,
        )
    )


def sincere(epsilon):
    return first_ten(lambda y, z: losses.sincere_loss(y, z, TEMPERATURE, epsilon=epsilon))


OURS = {
    "BalSCL": lambda z, centers: ops.mean(
        losses.balanced_supcon_loss(CLASS_IDS, z, TEMPERATURE, centers=centers)
    ),
    "SINCERE": sincere(0.0),
    "EpsSupInfoNCE of tufts-ml": sincere(0.25),
    "EpsilonSupInfoNCE": sincere(0.25),
    "MultiSupCon": multi_supcon,
    "SupMin": lambda z: ops.mean(
        losses.supcon_loss(CLASS_IDS == 1, z, TEMPERATURE, self_supervised_class=0)
    ),
    "thanos": thanos("one_positive"),
    "thanos pos_in_denom": thanos("all"),
}
# What the code adds within a logarithm, against NaN, moves it by this.
ADDED = {"EpsilonSupInfoNCE": 1e-5}


def test_all_of_the_record_is_compared():
    assert OURS.keys() == RECORD["cases"].keys()


@pytest.mark.parametrize("name", list(OURS))
def test_equals_the_public_code_in_value_and_gradient(name):
    case, tolerance = RECORD["cases"][name], ADDED.get(name, 2e-6)
    given = {"z": rows("projections"), "centers": rows("centers")}
    given = {key: given[key] for key in case["gradients"]}
    for moved, expected in case["gradients"].items():

        def loss(changed, moved=moved):
            return OURS[name](**{**given, moved: changed})

        value, gradient = quickest_value_and_gradient(loss, given[moved])
        assert value == pytest.approx(case["value"], rel=tolerance)
        # Along the rows, which are of unit length, the code has a gradient and ours has none.
        expected, at = np.asarray(expected), given[moved]
        along = np.sum(expected * at, axis=-1, keepdims=True)
        expected = expected - along * at / np.sum(at**2, axis=-1, keepdims=True)
        np.testing.assert_allclose(gradient, expected, atol=5 * tolerance * np.abs(expected).max())
