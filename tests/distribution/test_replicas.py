"""Several replicas give what one replica gives on the global batch."""

import functools

import numpy as np
import pytest

from keras_supcon import SupConLoss, losses, metrics
from keras_supcon.augmentation import AutoAugment, RandAugment, SimAugment
from keras_supcon.distribution import gather_across_replicas
from tests.covering import representatives


@pytest.mark.slow
def test_without_gathering_each_replica_contrasts_with_its_own_rows(rng, strategy):
    class_ids, projections = np.array([0, 1, 0, 1]), rng.normal(size=(4, 2, 4)).astype("float32")

    def replicas_loss(gather):
        import tensorflow as tf

        loss = SupConLoss(gather=gather, reduction="none")
        own = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(projections[2 * context.replica_id_in_sync_group :][:2])
        )
        run = tf.function(
            lambda own: strategy.run(lambda z: loss(class_ids[:2], z), (own,)), autograph=False
        )
        return np.concatenate(
            [part.numpy() for part in strategy.experimental_local_results(run(own))]
        )

    alone = np.concatenate(
        [losses.supcon_loss(class_ids[:2], projections[start : start + 2]) for start in (0, 2)]
    )
    np.testing.assert_allclose(replicas_loss(gather=False), alone, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        replicas_loss(gather=True), losses.supcon_loss(class_ids, projections), rtol=1e-5, atol=1e-5
    )
    assert np.abs(alone - replicas_loss(gather=True)).min() > 0.1


CLASS_IDS = np.array([0, 1, 0, 2, -1, 1, 0, 1])


def of_labels(ids, z, kind, function=losses.supcon_loss, **options):
    """The loss of other labels, which follow from class ids."""
    import tensorflow as tf

    ids = tf.cast(ids, "float32")
    if kind == "hierarchy":
        labels = tf.stack([tf.maximum(ids, 0) // 2, ids], axis=1)
    else:
        labels = tf.cast(tf.abs(ids[:, None] - [[0.0, 1.0, 2.0]]) <= 1, "float32")
    if kind == "soft":
        labels = labels / tf.reduce_sum(labels, axis=1, keepdims=True)
    return function(labels, z, positives=kind, **options)


def of_matrix(ids, z, **options):
    import tensorflow as tf

    distance = tf.cast(ids[:, None], "float32") - CLASS_IDS[None].astype("float32")
    return losses.supcon_loss(None, z, pair_weights=tf.exp(-(distance**2)), **options)


LOSSES = {
    "supcon": losses.supcon_loss,
    "supcon of several labels": functools.partial(of_labels, kind="multi_label", block_size=3),
    "supcon of any label": functools.partial(
        of_labels, kind="any", denominator="one_positive", block_size=10
    ),
    "supcon of soft labels with a queue": functools.partial(
        of_labels,
        kind="soft",
        summation="in",
        queue=np.eye(4, dtype="float32"),
        queue_labels=np.array([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 0], [-2, -2, -2]], "float32"),
    ),
    "supcon of a hierarchy with keys": functools.partial(
        of_labels, kind="hierarchy", denominator="only_negatives"
    ),
    "supcon of constrained levels": functools.partial(
        of_labels, kind="hierarchy", level_constraint=True, level_weights=(1.0, 2.0), block_size=3
    ),
    "supcon of a matrix": functools.partial(of_matrix, block_size=3),
    "supcon in blocks": functools.partial(losses.supcon_loss, block_size=3),
    "supcon in": functools.partial(losses.supcon_loss, summation="in", block_size=3),
    "supcon with one positive": functools.partial(
        losses.supcon_loss, denominator="one_positive", summation="in"
    ),
    "supcon with only negatives": functools.partial(
        losses.supcon_loss, denominator="only_negatives", block_size=3
    ),
    "supcon of first views with a limit": functools.partial(
        losses.supcon_loss, contrast_mode="one", positives_cap=2
    ),
    "supcon at low temperature": functools.partial(
        losses.supcon_loss, temperature=0.01, block_size=3
    ),
    # The shares have 10 and 6 rows: in one block, of 16 contrasts in two.
    "supcon with more contrasts than a block": functools.partial(losses.supcon_loss, block_size=10),
    "supcon in with more contrasts than a block": functools.partial(
        losses.supcon_loss, summation="in", block_size=10
    ),
    "supcon with a queue": functools.partial(
        losses.supcon_loss,
        queue=np.eye(4, dtype="float32"),
        queue_labels=[1, 2, 0, -1],
        contrast_mode="one",
    ),
    "supcon with keys": functools.partial(losses.supcon_loss, summation="in", block_size=3),
    "supcon with keys and a queue": functools.partial(
        losses.supcon_loss,
        queue=np.eye(4, dtype="float32"),
        queue_labels=[1, -2, 0, -1],
        positives_cap=2,
    ),
    "supcon with own keys": functools.partial(
        losses.supcon_loss,
        queue=np.eye(4, dtype="float32"),
        queue_labels=[1, 2, 0, -1],
        in_batch_keys=False,
        ignore_class=1,
    ),
    "supcon with trainable keys": functools.partial(
        losses.supcon_loss, trainable_keys=True, block_size=3
    ),
    "ntxent with keys": losses.ntxent_loss,
    "ntxent with trainable keys": functools.partial(losses.ntxent_loss, trainable_keys=True),
    "triplet with keys": functools.partial(losses.triplet_loss, ignore_class=2),
    "supcon without a class": functools.partial(
        losses.supcon_loss, denominator="one_positive", ignore_class=1, block_size=3
    ),
    "ntxent": losses.ntxent_loss,
    "spread": functools.partial(losses.spread_loss, block_size=3),
    "spread of first views without a class": functools.partial(
        losses.spread_loss, denominator="one_positive", contrast_mode="one", ignore_class=1
    ),
    "spread with keys": functools.partial(losses.spread_loss, ignore_class=2),
    "spread with own keys": functools.partial(
        losses.spread_loss,
        queue=np.eye(4, dtype="float32"),
        queue_labels=[1, 2, 0, -1],
        in_batch_keys=False,
    ),
    "spread with trainable keys": functools.partial(
        losses.spread_loss, trainable_keys=True, block_size=3
    ),
    "ntlogistic": losses.ntlogistic_loss,
    "sigmoid": functools.partial(
        losses.ntlogistic_loss, bias=-2.0, pair_reduction="sum", block_size=3
    ),
    "sigmoid of soft labels with keys": functools.partial(
        of_labels, kind="soft", function=losses.ntlogistic_loss, bias=-2.0, pair_reduction="sum"
    ),
    "npairs": losses.npairs_loss,
    "max_margin": losses.max_margin_loss,
    "triplet": losses.triplet_loss,
    "triplet semi-hard": functools.partial(losses.triplet_loss, mining="semi_hard", block_size=2),
    "triplet hard": functools.partial(losses.triplet_loss, mining="hard"),
    "max_margin without a class": functools.partial(losses.max_margin_loss, ignore_class=0),
    "relation distillation": lambda _, z: losses.relation_distillation_loss(
        z[..., :2] ** 3, z, teacher_temperature=0.2, block_size=3
    ),
    "triplet without a class": functools.partial(losses.triplet_loss, ignore_class=-1),
}


# One for each way in which pairs are visited.
PATHS = [
    "supcon",
    "supcon of several labels",
    "supcon of soft labels with a queue",
    "supcon of a matrix",
    "supcon with one positive",
    "supcon of first views with a limit",
    "supcon in with more contrasts than a block",
    "supcon with a queue",
    "supcon with keys and a queue",
    "ntxent with keys",
    "ntxent with trainable keys",
    "supcon without a class",
    "ntxent",
    "spread",
    "spread with trainable keys",
    "ntlogistic",
    "npairs",
    "max_margin",
    "triplet hard",
    "relation distillation",
]


@pytest.mark.slow
@representatives("name", PATHS, [name for name in LOSSES if name not in PATHS])
def test_loss_and_gradient_of_uneven_shares_are_those_of_the_whole_batch(rng, strategy, name):
    import tensorflow as tf

    loss = LOSSES[name]
    class_ids, projections = CLASS_IDS, rng.normal(size=(8, 2, 4)).astype("float32")

    # Keys of one view are the projections of the other.
    takes_keys = "key" in name

    def step(class_ids, projections):
        keys = {"keys": projections[:, ::-1]} if takes_keys else {}
        with tf.GradientTape() as tape:
            tape.watch(projections)
            values = loss(class_ids, projections, **keys)
        return values, tape.gradient(values, projections)

    expected = [tensor.numpy() for tensor in step(tf.constant(class_ids), tf.constant(projections))]
    shares = [slice(0, 5), slice(5, 8)]
    of_replica = strategy.experimental_distribute_values_from_function(
        lambda context: (
            tf.constant(class_ids[shares[context.replica_id_in_sync_group]]),
            tf.constant(projections[shares[context.replica_id_in_sync_group]]),
        )
    )
    results = tf.function(lambda: strategy.run(step, args=of_replica), autograph=False)()
    for actual, whole in zip(results, expected, strict=True):
        actual = np.concatenate(
            [part.numpy() for part in strategy.experimental_local_results(actual)]
        )
        np.testing.assert_allclose(actual, whole, rtol=1e-4, atol=2e-5)


@pytest.mark.slow
def test_levels_are_compared_over_all_replicas(rng, strategy):
    """One replica alone would choose another level than the batch of both."""
    import tensorflow as tf

    levels = np.array([[0, 0], [0, 1], [1, 2], [1, 2], [1, 3], [0, 0], [0, 1], [1, 3]])
    shares = [slice(0, 5), slice(5, 8)]

    def loss(labels, z):
        return losses.supcon_loss(labels, z, positives="hierarchy", level_constraint=True)

    def fine_is_larger(z, share):
        means = [losses.supcon_loss(levels[:, one], z).numpy()[share].mean() for one in (0, 1)]
        return means[1] > means[0]

    differ = 0
    while not differ:
        projections = rng.normal(size=(8, 2, 4)).astype("float32")
        of_batch, *of_shares = (fine_is_larger(projections, one) for one in (slice(None), *shares))
        differ = sum(one != of_batch for one in of_shares)

    def step(labels, z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            values = loss(labels, z)
        return values, tape.gradient(values, z)

    expected = step(tf.constant(levels), tf.constant(projections))
    of_replica = strategy.experimental_distribute_values_from_function(
        lambda context: (
            tf.constant(levels[shares[context.replica_id_in_sync_group]]),
            tf.constant(projections[shares[context.replica_id_in_sync_group]]),
        )
    )
    results = tf.function(lambda: strategy.run(step, args=of_replica), autograph=False)()
    for actual, whole in zip(results, expected, strict=True):
        actual = np.concatenate(
            [part.numpy() for part in strategy.experimental_local_results(actual)]
        )
        np.testing.assert_allclose(actual, whole, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize(
    "cls", [SupConLoss, losses.NegativeCosineLoss, losses.RelationDistillationLoss]
)
def test_uneven_shares_have_the_gradient_of_the_global_mean_and_values_of_their_own(
    rng, strategy, cls, reduction
):
    import tensorflow as tf

    loss, shares = cls(reduction=reduction), [slice(0, 5), slice(5, 8)]
    projections = rng.normal(size=(8, 2, 4)).astype("float32")
    y_true = np.array([0, 1, 0, 2, -1, 1, 0, 1])
    if cls is not SupConLoss:
        y_true = rng.normal(size=projections.shape).astype("float32")
    weights = rng.uniform(0.5, 2.0, 8).astype("float32")

    def step(y_true, projections, weights):
        with tf.GradientTape() as tape:
            tape.watch(projections)
            value = loss(y_true, projections, sample_weight=weights)
        return value, tape.gradient(value, projections)

    whole = (y_true, projections, weights)
    _, expected = step(*map(tf.constant, whole))
    of_replica = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(
            tf.constant(part[shares[context.replica_id_in_sync_group]]) for part in whole
        )
    )
    run = tf.function(lambda: strategy.run(step, args=of_replica), autograph=False)
    values, gradients = (strategy.experimental_local_results(result) for result in run())
    np.testing.assert_allclose(np.concatenate(gradients), expected, rtol=1e-4, atol=1e-6)
    per_sample = cls(reduction="none")(y_true, projections).numpy()
    for value, share in zip(values, shares, strict=True):
        total = (
            weights[share].sum() if reduction == "mean_with_sample_weight" else len(weights[share])
        )
        own_mean = (per_sample * weights)[share].sum() / total
        assert float(value) == pytest.approx(
            own_mean / 2, rel=1e-5
        )  # Keras divides by the replicas


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric",
    [
        metrics.AnchorsWithPositive,
        metrics.ContrastiveAccuracy,
        metrics.PositivesPerAnchor,
        metrics.ChanceLoss,
        metrics.Alignment,
        metrics.Uniformity,
        metrics.RecallAtK,
        functools.partial(metrics.EffectiveRank, dim=4),
    ],
)
def test_metrics_see_the_rows_of_all_replicas(rng, strategy, metric):
    import tensorflow as tf

    class_ids, projections = rng.integers(0, 3, 16), rng.normal(size=(16, 2, 4)).astype("float32")
    single = metric()
    single.update_state(class_ids, projections)
    with strategy.scope():
        mirrored = metric()
    dataset = tf.data.Dataset.from_tensor_slices((class_ids, projections)).batch(16)
    for batch in strategy.experimental_distribute_dataset(dataset):
        tf.function(
            lambda batch: strategy.run(lambda y, z: mirrored.update_state(y, z), args=batch)
        )(batch)
    assert float(mirrored.result()) == pytest.approx(float(single.result()), rel=1e-6)


@pytest.mark.parametrize("recipe", [SimAugment, AutoAugment, RandAugment])
def test_replicas_augment_differently_and_keep_one_seed_state(rng, strategy, recipe):
    import tensorflow as tf

    images = np.repeat(rng.integers(0, 256, (1, 16, 16, 3)), 4, axis=0).astype("float32")
    with strategy.scope():
        layer = recipe(image_size=(16, 16), seed=1)
    run = tf.function(lambda: strategy.run(lambda: layer(images, training=True)))
    first, second = (views.numpy() for views in strategy.experimental_local_results(run()))
    assert not any(np.array_equal(a, b) for a in first for b in second)
    for part in (layer, layer.crop):
        states = strategy.experimental_local_results(part.generator.state.value)
        np.testing.assert_array_equal(*(state.numpy() for state in states))


@pytest.mark.slow
def test_gathers_uneven_batches_with_gradient(rng, strategy):
    import tensorflow as tf

    rows = [rng.normal(size=(n, 3)).astype("float32") for n in (2, 3)]
    weights = rng.normal(size=(5, 3)).astype("float32")

    def step(own):
        with tf.GradientTape() as tape:
            tape.watch(own)
            (gathered,), offset = gather_across_replicas(own)
            value = tf.reduce_sum(gathered * weights)
        return gathered, offset, tape.gradient(value, own)

    # As Keras does it: one program for all replicas, so that the collectives pair up.
    run = tf.function(lambda own: strategy.run(step, (own,)))
    own = strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(rows[c.replica_id_in_sync_group])
    )
    gathered, offsets, gradients = (
        strategy.experimental_local_results(result) for result in run(own)
    )
    for everything in gathered:
        np.testing.assert_array_equal(everything, np.concatenate(rows))
    assert [int(offset) for offset in offsets] == [0, 2]
    # Both replicas' values depend on each row, hence twice the weight.
    np.testing.assert_allclose(gradients[0], 2 * weights[:2], rtol=1e-6)
    np.testing.assert_allclose(gradients[1], 2 * weights[2:], rtol=1e-6)
