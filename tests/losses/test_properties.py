"""Any batch, any option: finite in value and gradient, and equal to the double loop where float32
can tell.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from keras import ops

from keras_supcon import losses
from tests.autodiff import quickest, quickest_value_and_gradient
from tests.losses import double_loop

pytestmark = [pytest.mark.neutral, pytest.mark.slow]

SHAPES = ("plain", "zero rows", "identical", "opposite", "tiny", "huge", "every length")


@dataclasses.dataclass
class Batch:
    class_ids: np.ndarray
    projections: np.ndarray
    shape: str
    dtype: str


@st.composite
def batches(draw) -> Batch:
    size, views, dim = draw(st.integers(1, 7)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    kind = draw(st.sampled_from(["some classes", "one class", "all unique", "unlabeled"]))
    class_ids = {
        "some classes": lambda: np.array(
            draw(st.lists(st.integers(-1, 2), min_size=size, max_size=size))
        ),
        "one class": lambda: np.full(size, 2**31 - 1),
        "all unique": lambda: np.arange(size) + 2**24,
        "unlabeled": lambda: np.full(size, -1),
    }[kind]()
    shape = draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    projections = rng.normal(size=(size, views, dim))
    if shape == "zero rows":
        projections[rng.uniform(size=(size, views)) < 0.5] = 0
    elif shape == "identical":
        projections[:] = projections[0, 0]
    elif shape == "opposite":
        projections[:] = projections[0, 0] * rng.choice([-1, 1], size=(size, views, 1))
    # Half precision ends near 1e-7 and 65504.
    dtype = draw(st.sampled_from(["float32", "float32", "bfloat16", "float16"]))
    length = 4 if dtype == "float16" else 20
    if shape == "tiny":
        projections *= 10.0**-length
    elif shape == "huge":
        projections *= 10.0**length / (10 if dtype == "float16" else 1)
    elif shape == "every length":
        projections *= 10.0 ** rng.uniform(-length, length - 1, size=(size, views, 1))
    return Batch(class_ids, projections.astype("float32"), shape, dtype)


def block_of(batch: Batch, smallest: int | None) -> int | None:
    """Rows in a block: no fewer than the smallest, and no more than five blocks, as step by step
    each pair of them counts.
    """
    rows = batch.projections.shape[0] * batch.projections.shape[1]
    return None if smallest is None else max(smallest, -(-rows // 5))


def check(function: Any, reference: Any, batch: Batch, comparable: bool, tolerance: float) -> None:
    def loss(z: Any) -> Any:
        return function(batch.class_ids, ops.cast(z, batch.dtype))

    value, gradient = quickest_value_and_gradient(lambda z: ops.mean(loss(z)), batch.projections)
    assert np.isfinite(value)
    if not np.all(np.isfinite(gradient)):
        # A short row has a long gradient; beyond the largest float16 it rounds to infinity.
        rounded = ops.convert_to_numpy(
            ops.cast(ops.cast(batch.projections, batch.dtype), "float32")
        )
        _, exact = quickest_value_and_gradient(
            lambda z: ops.mean(function(batch.class_ids, z)), rounded
        )
        assert np.all(np.isfinite(exact))
        assert batch.dtype == "float16"
        is_rounded = (
            np.isinf(gradient) & (np.sign(gradient) == np.sign(exact)) & (np.abs(exact) > 65504)
        )
        assert np.all(np.isfinite(gradient) | is_rounded)
    if comparable:
        rounded = ops.convert_to_numpy(
            ops.cast(ops.cast(batch.projections, batch.dtype), "float32")
        )
        expected = reference(batch.class_ids, rounded)
        per_sample = ops.convert_to_numpy(quickest(loss)(batch.projections))
        np.testing.assert_allclose(per_sample, expected, rtol=tolerance, atol=tolerance)


@given(
    batch=batches(),
    temperature=st.sampled_from([0.01, 0.1, 1.0]),
    summation=st.sampled_from(["out", "in"]),
    denominator=st.sampled_from(["all", "one_positive", "only_negatives"]),
    contrast_mode=st.sampled_from(["all", "one"]),
    kept_samples=st.sampled_from([None, None, 0, 1, 3]),
    normalize=st.sampled_from([True, True, False]),
    smallest_block=st.sampled_from([None, 1, 3]),
)
@example(  # a row whose candidates are all opposite, in a block that is not full
    batch=Batch(
        np.zeros(3, int),
        np.array([[[1, 0]], [[-1, 0]], [[-1, 0]]], "float32"),
        "opposite",
        "float32",
    ),
    temperature=0.01,
    summation="out",
    denominator="all",
    contrast_mode="all",
    kept_samples=None,
    normalize=True,
    smallest_block=2,
)
def test_supcon(
    batch,
    temperature,
    summation,
    denominator,
    contrast_mode,
    kept_samples,
    normalize,
    smallest_block,
):
    cap = None if kept_samples is None else kept_samples * batch.projections.shape[1]
    options = {
        "temperature": temperature,
        "summation": summation,
        "denominator": denominator,
        "contrast_mode": contrast_mode,
        "positives_cap": cap,
        "normalize": normalize,
    }
    # Without normalization logits of 1e40 / tau have no float32.
    is_short = np.abs(batch.projections).max() < 10
    check(
        functools.partial(
            losses.supcon_loss, block_size=block_of(batch, smallest_block), **options
        ),
        lambda y, z: double_loop.supcon(y, z, **options),
        batch,
        comparable=normalize or is_short,
        tolerance=2e-5 * max(1.0, 0.1 / temperature) * (1 if normalize else 10),
    )


FEW = settings(max_examples=max(settings.default.max_examples // 2, 2))
RELATIVES = {
    "ntxent": (losses.ntxent_loss, lambda y, z: double_loop.supcon(np.full(len(y), -1), z, 0.1)),
    "ntlogistic": (losses.ntlogistic_loss, double_loop.ntlogistic),
    "balanced": (losses.balanced_supcon_loss, double_loop.balanced_supcon),
    "spread": (losses.spread_loss, double_loop.spread),
    "sigmoid": (
        functools.partial(losses.ntlogistic_loss, bias=-3.0, pair_reduction="sum"),
        functools.partial(double_loop.ntlogistic, bias=-3.0, pair_reduction="sum"),
    ),
    "npairs": (losses.npairs_loss, lambda y, z: double_loop.supcon(y, z, 1.0)),
    "max_margin": (losses.max_margin_loss, double_loop.max_margin),
    "triplet all": (losses.triplet_loss, double_loop.triplet),
    "triplet hard": (
        functools.partial(losses.triplet_loss, mining="hard"),
        functools.partial(double_loop.triplet, mining="hard"),
    ),
    "triplet semi_hard": (
        functools.partial(losses.triplet_loss, mining="semi_hard"),
        functools.partial(double_loop.triplet, mining="semi_hard"),
    ),
}


@pytest.mark.parametrize("name", list(RELATIVES))
@FEW
@given(
    batch=batches(),
    normalize=st.sampled_from([True, True, False]),
    smallest_block=st.sampled_from([None, 1, 3]),
)
@example(  # all rows at one point: every distance is a distance of 0
    batch=Batch(np.array([0, 0, 1, 1]), np.ones((4, 2, 3), "float32"), "identical", "float32"),
    normalize=True,
    smallest_block=None,
)
def test_relatives(name, batch, normalize, smallest_block):
    function, reference = RELATIVES[name]
    assume(name != "spread" or batch.projections.shape[1] > 1)
    # Of equal distances rounding makes unequal ones, and another negative is the nearest that is
    # farther.
    has_ties = (
        batch.shape in ("zero rows", "identical", "opposite") or batch.projections.shape[2] == 1
    )
    check(
        functools.partial(
            function, normalize=normalize, block_size=block_of(batch, smallest_block)
        ),
        reference,
        batch,
        comparable=normalize and not (name == "triplet semi_hard" and has_ties),
        # A distance near 0 is a difference of squares.
        tolerance=2e-3 if name == "max_margin" else 2e-5,
    )
