"""The step on TensorFlow: two `tf.while_loop`s, in eager mode, in graphs, for XLA and in each
replica of a strategy.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import tree

from keras_supcon.distribution.empty_replicas import call_with_placeholder_row
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.models.gradient_caching import passes
from keras_supcon.models.seed_states import seed_states
from keras_supcon.ops.compiling import is_for_xla


def train_step(model: keras.Model, data: Any) -> dict[str, Any]:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    batch, groups = model.view_groups(x)
    num_views = sum(group.num_views for group in groups)
    cut = _Cut(batch, model.micro_batch_size)
    seeds, states = seed_states(model), passes.running_states(model)
    first_seeds, first_states = (
        [tf.identity(seed) for seed in seeds],
        [tf.identity(state) for state in states],
    )

    with passes.statistics_of_micro_batches(model):
        projections = _project(model, cut, groups, functools.partial(_assign, states, first_states))
    passes.forget_activity_losses(model)
    projections = tf.transpose(
        tf.reshape(projections, (num_views, -1, projections.shape[-1])), (1, 0, 2)
    )
    projections = tf.ensure_shape(projections, (cut.first.shape[0], num_views, None))

    trainable = model.trainable_weights
    with tf.GradientTape() as tape:
        tape.watch(projections)
        loss = model._compute_loss(
            x=x, y=y, y_pred=projections, sample_weight=sample_weight, training=True
        )
        scaled_loss = model.optimizer.scale_loss(loss)
    # Penalties of weights, and what else the loss takes from them directly, have their gradient
    # here.
    gradient, *direct = tape.gradient(scaled_loss, [projections, *trainable])
    gradient = tf.transpose(gradient, (1, 0, 2))

    _assign(seeds, first_seeds)
    with passes.statistics_of_micro_batches(model):
        gradients, changes, activity_loss = _propagate(
            model, cut, groups, gradient, states, first_states
        )
    passes.forget_activity_losses(model)
    _assign(
        states, _averaged(model, states, first_states, changes, cut.num_micro_batches * num_views)
    )

    context = replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    model._loss_tracker.update_state(
        (loss + activity_loss) * replicas, sample_weight=tf.shape(cut.first)[0]
    )
    gradients = [_sum(cached, own) for cached, own in zip(gradients, direct, strict=True)]
    model.optimizer.apply_gradients(zip(gradients, trainable, strict=True))
    return model.compute_metrics(x, y, projections, sample_weight=sample_weight)


class _Cut:
    """A batch cut into micro-batches: all alike if its size is static and divisible, else the last
    one may be smaller.
    """

    def __init__(self, batch: Any, size: int) -> None:
        self.batch, self.first = batch, tree.flatten(batch)[0]
        length = self.first.shape[0]
        self.num_rows = tf.shape(self.first)[0] if length is None else length
        static = length is not None and length > 0
        self.size = min(size, length) if static else size
        self.even = static and length % self.size == 0
        self.num_micro_batches = -(-self.num_rows // self.size)
        # A replica without rows makes a pass on none, which gives the shape of the projections.
        self.count = self.num_micro_batches if self.even else tf.maximum(self.num_micro_batches, 1)
        if not self.even and is_for_xla():
            raise ValueError(
                "Programs for XLA should get batches of a static size that `micro_batch_size` "
                "divides, as of "
                "`dataset.batch(size, drop_remainder=True)`; `compile(jit_compile=False)` does "
                "without XLA. "
                f"Received: micro_batch_size={size}, a batch of {length}"
            )

    def micro_batch(self, index: tf.Tensor) -> Any:
        return tree.map_structure(lambda tensor: self.rows(tensor, index), self.batch)

    def rows(self, tensor: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        start = index * self.size
        if not self.even:
            return tensor[start : tf.minimum(start + self.size, self.num_rows)]
        rest = tensor.shape.rank - 1
        return tf.slice(tensor, (start, *[0] * rest), (self.size, *[-1] * rest))


def _project(
    model: keras.Model, cut: _Cut, groups: list[Any], begin: Callable[[], None]
) -> tf.Tensor:
    """All projections `(views * rows, dim)`, view after view, without gradient."""
    parts, dim = [], None

    def body(
        index: tf.Tensor, rows: tf.TensorArray, group: Any
    ) -> tuple[tf.Tensor, tf.TensorArray]:
        nonlocal dim
        begin()
        projections = _project_views(
            model, group.make(cut.micro_batch(index % cut.count), index // cut.count)
        )
        dim = projections.shape[-1]
        return index + 1, rows.write(index, projections)

    for group in groups:
        size = cut.count * group.num_views
        shape = (cut.size if cut.even else None, None)
        rows = tf.TensorArray(
            passes.projection_dtype(model), size, infer_shape=cut.even, element_shape=shape
        )
        _, rows = tf.while_loop(
            lambda index, _, size=size: index < size,
            functools.partial(body, group=group),
            (tf.constant(0), rows),
            parallel_iterations=1,
        )
        parts.append(tf.reshape(rows.stack() if cut.even else rows.concat(), (-1, dim)))
    return tf.concat(parts, 0)


def _project_views(model: keras.Model, views: Any) -> tf.Tensor:
    return call_with_placeholder_row(functools.partial(passes.project, model), views, model)


def _propagate(
    model: keras.Model,
    cut: _Cut,
    groups: list[Any],
    gradient: tf.Tensor,
    states: list[Any],
    first_states: list[tf.Tensor],
) -> tuple[list[tf.Tensor | None], list[tf.Tensor], tf.Tensor]:
    """Gradients of the weights, the sums over passes of what the states changed by, and the
    activity losses.
    """
    trainable = model.trainable_weights
    without_gradient: set[int] = set()
    num_rows = tf.cast(
        tf.maximum(cut.num_rows, 1) * sum(group.num_views for group in groups), "float32"
    )

    def body(
        index: tf.Tensor,
        total: list[tf.Tensor],
        changes: list[tf.Tensor],
        activity: tf.Tensor,
        group: Any,
        first: int,
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor], tf.Tensor]:
        _assign(states, first_states)
        view = index // cut.count
        with tf.GradientTape() as tape:
            views = group.make(cut.micro_batch(index % cut.count), view)
            projections = _project_views(model, views)
            target = tf.reduce_sum(
                projections * cut.rows(gradient[first + view], index % cut.count)
            )
            losses = passes.activity_losses(model)
            if losses:
                share = (
                    tf.cast(tf.shape(projections)[0], "float32") / num_rows
                )  # Keras divides them by the rows of a call
                added = share * tf.add_n([tf.cast(loss, "float32") for loss in losses])
                activity += added
                target += model.optimizer.scale_loss(added)
        own = tape.gradient(target, trainable)
        without_gradient.update(number for number, part in enumerate(own) if part is None)
        total = [_sum(part, new) for part, new in zip(total, own, strict=True)]
        changes = [
            change + (tf.convert_to_tensor(state) - start)
            for change, state, start in zip(changes, states, first_states, strict=True)
        ]
        return index + 1, total, changes, activity

    total = [tf.zeros(weight.shape, weight.dtype) for weight in trainable]
    changes = [tf.zeros_like(state) for state in first_states]
    activity, first = tf.zeros(()), 0
    for group in groups:
        size = cut.count * group.num_views
        _, total, changes, activity = tf.while_loop(
            lambda index, *_, size=size: index < size,
            functools.partial(body, group=group, first=first),
            (tf.constant(0), total, changes, activity),
            parallel_iterations=1,
        )
        first += group.num_views
    return (
        [None if number in without_gradient else part for number, part in enumerate(total)],
        changes,
        activity,
    )


def _averaged(
    model: keras.Model,
    states: list[Any],
    first_states: list[tf.Tensor],
    changes: list[tf.Tensor],
    num_passes: Any,
) -> list[tf.Tensor]:
    """The states moved once by the mean change over passes; by that of all replicas for
    synchronized layers.
    """
    context, shared = replica_context(), passes.synchronized_states(model)
    num_passes = tf.cast(num_passes, "float32")
    all_passes = (
        None if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, num_passes)
    )
    moved = []
    for state, start, change in zip(states, first_states, changes, strict=True):
        count = num_passes
        if context is not None and id(state) in shared:
            change, count = context.all_reduce(tf.distribute.ReduceOp.SUM, change), all_passes
        moved.append(start + tf.math.divide_no_nan(change, tf.cast(count, change.dtype)))
    return moved


def _assign(variables: list[Any], values: list[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _sum(total: tf.Tensor | None, part: Any) -> tf.Tensor | None:
    if part is None:
        return total
    part = tf.convert_to_tensor(part)  # of an embedding it is sparse
    return part if total is None else total + part
