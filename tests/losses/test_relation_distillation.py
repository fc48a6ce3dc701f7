"""Distillation of relations: the cross-entropy of softmaxes over the other rows."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.losses import RelationDistillationLoss, relation_distillation_loss
from tests.autodiff import (
    compiled_value_and_gradient,
    quickest,
    quickest_value_and_gradient,
    value_and_gradient,
)
from tests.covering import every_value
from tests.losses import double_loop

pytestmark = pytest.mark.neutral

# Keras on PyTorch multiplies matrices of float64 in float32.
HAS_FLOAT64 = keras.backend.backend() == "tensorflow"


def unit(rows, start):
    z = np.sin(start + 1.7 * np.arange(rows * 4)).reshape(rows, 4)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def values_of(teacher, student, *arguments, **options) -> np.ndarray:
    run = quickest(
        lambda rows: relation_distillation_loss(
            rows["teacher"], rows["student"], *arguments, **options
        )
    )
    return ops.convert_to_numpy(run({"teacher": teacher, "student": student}))


@pytest.mark.parametrize("temperatures", [(0.2, 0.01), (0.1, 0.1), (1.0, 10.0), (0.5, 1e-6)])
@pytest.mark.parametrize("block_size", [None, 5])
def test_values_are_those_of_a_double_loop_in_float64(temperatures, block_size):
    teacher, student = unit(12, 2.3), np.concatenate([unit(6, 1.0), unit(6, 5.0)])
    expected = double_loop.relation_distillation(teacher[:, None], student[:, None], *temperatures)
    options = {"block_size": block_size}
    if HAS_FLOAT64:
        rows = [ops.convert_to_tensor(one, "float64") for one in (teacher, student)]
        values = values_of(*rows, *temperatures, **options)
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=0)
        assert values.sum() == pytest.approx(expected.sum(), rel=1e-6)
    # float32 rounds the products of the teacher, up to 100 at its temperature of 0.01.
    rows = teacher.astype("float32"), student.astype("float32")
    values = values_of(*rows, *temperatures, **options)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


RUNS = [quickest_value_and_gradient]
if keras.backend.backend() == "tensorflow":
    RUNS.append(compiled_value_and_gradient)


@pytest.mark.slow
@every_value(run=RUNS, views=[1, 2, 3], block_size=[None, 4], normalize=[True, False])
def test_value_and_gradient_are_those_of_a_double_loop(rng, run, views, block_size, normalize):
    """Teacher and student differ in width; tiles of four rows do not divide the batch."""
    teacher, student = (rng.normal(size=(7, views, dim)).astype("float32") for dim in (6, 3))
    arguments = {"student_temperature": 0.5, "teacher_temperature": 0.4, "normalize": normalize}

    def expected(z):
        return double_loop.relation_distillation(teacher, z, **arguments)

    value, gradient = run(
        lambda z: ops.mean(
            relation_distillation_loss(teacher, z, **arguments, block_size=block_size)
        ),
        student,
    )
    np.testing.assert_allclose(value, expected(student).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        gradient, double_loop.gradient(expected, student), rtol=1e-4, atol=1e-5
    )
    values = values_of(teacher, student, **arguments, block_size=block_size)
    np.testing.assert_allclose(values, expected(student), rtol=1e-5)


@pytest.mark.parametrize("block_size", [None, 4])
def test_the_teacher_takes_no_gradient(rng, block_size):
    both = rng.normal(size=(2, 6, 4)).astype("float32")
    _, gradient = value_and_gradient(
        lambda both: ops.sum(relation_distillation_loss(both[0], both[1], block_size=block_size)),
        both,
    )
    assert np.all(gradient[0] == 0)
    assert np.all(np.any(gradient[1] != 0, axis=1))


def test_it_is_least_for_a_student_with_the_relations_of_the_teacher(rng):
    """There it is the entropy of the teacher, and its gradient is 0."""
    teacher = rng.normal(size=(8, 4)).astype("float32")
    turned = teacher @ np.linalg.qr(rng.normal(size=(4, 4)))[0].astype("float32")
    value, gradient = value_and_gradient(
        lambda z: ops.sum(relation_distillation_loss(teacher, z, 0.3, 0.3)), turned
    )
    unit_rows = teacher / np.linalg.norm(teacher, axis=1, keepdims=True)
    logits = np.where(np.eye(8) > 0, -np.inf, unit_rows @ unit_rows.T / 0.3)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)))
    assert value == pytest.approx(entropy, rel=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)
    other = rng.normal(size=(8, 4)).astype("float32")
    assert values_of(teacher, other, 0.3, 0.3).sum() > entropy + 0.1


def test_hot_and_cold_teachers(rng):
    """One has all others equally near, the other its nearest neighbor alone."""
    teacher, student = rng.normal(size=(2, 9, 4))
    teacher, student = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (teacher, student)
    )
    logits = np.where(np.eye(9) > 0, -np.inf, student @ student.T / 0.5)
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    nearest = np.argmax(np.where(np.eye(9) > 0, -np.inf, teacher @ teacher.T), axis=1)
    rows = teacher.astype("float32"), student.astype("float32")
    np.testing.assert_allclose(
        values_of(*rows, 0.5, 1e-9), -log_shares[np.arange(9), nearest], rtol=1e-5
    )
    uniform = -np.where(np.eye(9) > 0, 0, log_shares).sum(axis=1) / 8
    np.testing.assert_allclose(values_of(*rows, 0.5, 1e9), uniform, rtol=1e-5)


@pytest.mark.parametrize("block_size", [None, 3])
def test_the_order_of_samples_does_not_matter(rng, block_size):
    teacher, student = rng.normal(size=(2, 8, 2, 4)).astype("float32")
    order = rng.permutation(8)
    expected = values_of(teacher, student)[order]
    actual = values_of(teacher[order], student[order], block_size=block_size)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("views", [1, 2])
def test_a_row_alone_gives_0_and_a_pair_too(rng, views):
    """Of a single other row the share is 1 to teacher and student."""
    rows = rng.normal(size=(2, 1, views, 4)).astype("float32")
    value, gradient = quickest_value_and_gradient(
        lambda z: ops.sum(relation_distillation_loss(rows[0], z)), rows[1]
    )
    assert value == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


# With temperatures at the ends of their range and rows at those of float32.
@pytest.mark.slow
@every_value(
    temperatures=[(0.2, 0.01), (1e-15, 1e-15), (1e15, 1e15), (1e-15, 1e15)],
    scale=[1e-40, 5e-30, 1.0, 1e18, float(np.finfo("float32").max) / 4],
    normalize=[True, False],
    block_size=[None, 4],
)
def test_finite_rows_have_finite_values_and_gradients(
    rng, temperatures, scale, normalize, block_size
):
    options = {"normalize": normalize, "block_size": block_size}
    value, gradient = compiled_value_and_gradient(
        lambda both: ops.mean(
            relation_distillation_loss(both[0], both[1], *temperatures, **options)
        ),
        (rng.uniform(-1, 1, (2, 6, 4)) * scale).astype("float32"),
    )
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def test_float64_rows_beyond_float32_keep_their_direction(rng):
    teacher, student = rng.normal(size=(2, 6, 4))
    expected = float(RelationDistillationLoss()(teacher, student))
    for rows in ((teacher * 1e290, student), (teacher, student * 1e290)):
        assert float(RelationDistillationLoss()(*rows)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("block_size", [None, 2])
def test_what_is_not_finite_shows_in_all_values_and_gradients(rng, place, value, block_size):
    both = rng.normal(size=(2, 5, 4)).astype("float32")
    both[place, 3, 1] = value
    total, gradient = compiled_value_and_gradient(
        lambda z: ops.sum(relation_distillation_loss(both[0], z, block_size=block_size)), both[1]
    )
    assert np.isnan(total)
    assert np.all(np.any(np.isnan(gradient), axis=1))
    assert np.all(np.isnan(values_of(*both, block_size=block_size)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(rng, dtype):
    half = [ops.cast(rows, dtype) for rows in rng.normal(size=(2, 6, 2, 4))]
    rounded = [ops.cast(rows, "float32") for rows in half]
    for loss in (relation_distillation_loss, RelationDistillationLoss(reduction=None, dtype=dtype)):
        values, expected = loss(*half), loss(*rounded)
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
        np.testing.assert_array_equal(ops.convert_to_numpy(values), ops.convert_to_numpy(expected))


def test_weights_scale_samples_and_an_empty_batch_gives_0(rng):
    teacher, student = rng.normal(size=(2, 6, 4)).astype("float32")
    weights = np.linspace(0, 2, 6).astype("float32")
    each = values_of(teacher, student)
    for reduction, expected in {
        "sum_over_batch_size": (each * weights).mean(),
        "sum": (each * weights).sum(),
        "mean_with_sample_weight": np.average(each, weights=weights),
    }.items():
        loss = RelationDistillationLoss(reduction=reduction)
        assert float(loss(teacher, student, weights)) == pytest.approx(expected, rel=1e-5)
        assert float(loss(teacher[:0], student[:0])) == 0


def test_every_option_of_the_class_reaches_the_function(rng):
    teacher, student = rng.normal(size=(2, 6, 2, 4)).astype("float32")
    options = {
        "student_temperature": 0.4,
        "teacher_temperature": 0.3,
        "normalize": False,
        "block_size": 5,
    }
    expected = values_of(teacher, student, **options)
    loss = RelationDistillationLoss(**options, reduction=None)
    np.testing.assert_allclose(ops.convert_to_numpy(loss(teacher, student)), expected, rtol=1e-5)
    plain = RelationDistillationLoss(reduction=None)
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain(teacher, student, **options)), expected, rtol=1e-5
    )
    with pytest.raises(TypeError, match="should be called with its own options, student_temp"):
        plain(teacher, student, temperature=1.0)


def test_other_shapes_and_options_are_refused():
    rows = np.ones((3, 2, 4))
    with pytest.raises(ValueError, match="`y_true` should have the samples and views of `y_pred`"):
        relation_distillation_loss(rows[:2], rows)
    with pytest.raises(ValueError, match=r"\(3, 1, 4\), y_pred of \(3, 2, 4\)"):
        relation_distillation_loss(rows[:, 0], rows)
    with pytest.raises(ValueError, match=r"`y_true` should have shape \(batch, dim\)"):
        relation_distillation_loss(np.ones(3), rows)
    with pytest.raises(ValueError, match="`teacher_temperature` should be from 1e-15 to 1e"):
        RelationDistillationLoss(teacher_temperature=1e-20)
