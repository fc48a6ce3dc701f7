"""The step on JAX: two `jax.lax.scan`s.

A micro-batch takes every so-many-th row, so that rows which `keras.distribution` has laid out over
devices stay where they are and every device has its share of each micro-batch.
"""

from typing import Any

import jax
import keras
from jax import numpy as jnp
from keras import ops, tree

from keras_supcon.models.gradient_caching import passes
from keras_supcon.models.seed_states import seed_states


def train_step(
    model: keras.Model, state: tuple[Any, ...], data: Any
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    trainable, non_trainable, optimizer_state, metrics_state = state
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    passed = _Passes(model, x, trainable, non_trainable)

    projections, _ = passed.project()
    (_, (loss, variables)), (gradient, direct) = _loss_and_gradient(
        model,
        projections,
        trainable,
        non_trainable,
        optimizer_state,
        metrics_state,
        x,
        y,
        sample_weight,
    )
    _, non_trainable, metrics_state = variables  # the loss may have moved a queue
    gradients, activity_loss, moved = passed.propagate(gradient, optimizer_state)
    gradients = [cached + own for cached, own in zip(gradients, direct, strict=True)]
    trainable, optimizer_state = model.optimizer.stateless_apply(
        optimizer_state, gradients, trainable
    )
    logs, metrics_state = model._update_metrics_variables(
        metrics_state, loss + activity_loss, x, y, projections, sample_weight
    )
    non_trainable = [moved.get(number, value) for number, value in enumerate(non_trainable)]
    return logs, (trainable, non_trainable, optimizer_state, metrics_state)


class _Passes:
    """The passes over a batch, from the state that the model is in when the step begins."""

    def __init__(
        self, model: keras.Model, x: Any, trainable: list[Any], non_trainable: list[Any]
    ) -> None:
        self.model, self.trainable, self.non_trainable = model, trainable, non_trainable
        self.number = {
            id(variable): number for number, variable in enumerate(model.non_trainable_variables)
        }
        self.seeds = [self.number[id(seed)] for seed in seed_states(model)]
        self.states = [self.number[id(state)] for state in passes.running_states(model)]
        with self._scope(trainable, non_trainable) as scope:
            self.batch, self.groups = model.view_groups(x)
        # Views that were made all at once have drawn already.
        self.first_seeds = [
            scope.get_current_value(model.non_trainable_variables[number]) for number in self.seeds
        ]
        self.num_rows = tree.flatten(self.batch)[0].shape[0]
        self.size = min(model.micro_batch_size, self.num_rows)
        self.count, self.rest = divmod(self.num_rows, self.size)
        self.num_views = sum(group.num_views for group in self.groups)

    def project(self) -> tuple[Any, list[Any]]:
        """Projections `(rows, views, dim)` without gradient, and the seeds after them."""

        def run(seeds: list[Any], group: Any, part: Any, view: Any) -> tuple[list[Any], Any]:
            projections, _, seeds, _ = self._run(self.trainable, group, part, view, seeds)
            return seeds, projections

        seeds, views = self.first_seeds, []
        for group in self.groups:
            whole, parts = self._cut_all(self.batch)
            seeds, projections = jax.lax.scan(
                lambda seeds, index, group=group, parts=parts: run(
                    seeds, group, _all_at(parts, index % self.count), index // self.count
                ),
                seeds,
                jnp.arange(self.count * group.num_views),
            )
            projections = self._joined(
                projections.reshape(group.num_views, self.count, self.size, -1)
            )
            if self.rest:
                tails = []
                for view in range(group.num_views):
                    seeds, tail = run(seeds, group, self._last(whole), view)
                    tails.append(tail)
                projections = jnp.concatenate([projections, jnp.stack(tails)], axis=1)
            views.append(projections)
        return jnp.moveaxis(jnp.concatenate(views), 0, 1), seeds

    def propagate(
        self, gradient: Any, optimizer_state: list[Any]
    ) -> tuple[list[Any], Any, dict[int, Any]]:
        """Gradients of the weights, the activity losses, and the moved states and seeds by their
        number.

        Args:
            gradient: That of the loss at the projections, `(rows, views, dim)`.
            optimizer_state: Holds the scale of the loss.
        """
        gradient = jnp.moveaxis(gradient, 1, 0)

        def run(
            carry: tuple[Any, ...], group: Any, part: Any, view: Any, share: Any
        ) -> tuple[Any, ...]:
            seeds, total, changes, activity = carry

            def target(trainable: list[Any]) -> tuple[Any, tuple[Any, ...]]:
                projections, losses, after, states = self._run(trainable, group, part, view, seeds)
                value, added = jnp.sum(projections * share), jnp.zeros(())
                if losses:
                    # Keras divides them by the rows of a call.
                    added = sum(losses) * (projections.shape[0] / (self.num_rows * self.num_views))
                    value += _scaled(self.model, added, optimizer_state)
                return value, (after, states, added)

            own, (after, states, added) = jax.grad(target, has_aux=True)(self.trainable)
            total = [part + new for part, new in zip(total, own, strict=True)]
            first = (self.non_trainable[number] for number in self.states)
            changes = [
                change + (new - old)
                for change, new, old in zip(changes, states, first, strict=True)
            ]
            return after, total, changes, activity + added

        zeros = [jnp.zeros_like(weight) for weight in self.trainable]
        carry = (
            self.first_seeds,
            zeros,
            [jnp.zeros_like(self.non_trainable[number]) for number in self.states],
            jnp.zeros(()),
        )
        first = 0
        for group in self.groups:
            whole, parts = self._cut_all(self.batch)
            share = gradient[first : first + group.num_views]
            shares = jnp.stack([self._cut(one)[1] for one in share]).reshape(
                -1, self.size, gradient.shape[-1]
            )

            def step(
                carry: tuple[Any, ...],
                index: Any,
                group: Any = group,
                parts: Any = parts,
                shares: Any = shares,
            ) -> tuple[tuple[Any, ...], None]:
                return run(
                    carry,
                    group,
                    _all_at(parts, index % self.count),
                    index // self.count,
                    shares[index],
                ), None

            carry, _ = jax.lax.scan(step, carry, jnp.arange(self.count * group.num_views))
            if self.rest:
                for view in range(group.num_views):
                    carry = run(carry, group, self._last(whole), view, share[view][-self.rest :])
            first += group.num_views
        seeds, total, changes, activity = carry
        num_passes = (self.count + bool(self.rest)) * self.num_views
        moved = dict(zip(self.seeds, seeds, strict=True))
        moved |= {
            number: self.non_trainable[number] + change / num_passes
            for number, change in zip(self.states, changes, strict=True)
        }
        return total, activity, moved

    def _run(
        self, trainable: list[Any], group: Any, part: Any, view: Any, seeds: list[Any]
    ) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """One pass: projections, activity losses, the seeds and the states after it."""
        non_trainable = list(self.non_trainable)
        for number, seed in zip(self.seeds, seeds, strict=True):
            non_trainable[number] = seed
        with self._scope(trainable, non_trainable) as scope:
            projections = passes.project(self.model, group.make(part, view))
            losses = passes.activity_losses(self.model)
        variables = self.model.non_trainable_variables
        after = [
            [scope.get_current_value(variables[number]) for number in numbers]
            for numbers in (self.seeds, self.states)
        ]
        return projections, losses, *after

    def _scope(self, trainable: list[Any], non_trainable: list[Any]) -> keras.StatelessScope:
        mapping = [
            *zip(self.model.trainable_variables, trainable, strict=True),
            *zip(self.model.non_trainable_variables, non_trainable, strict=True),
        ]
        return keras.StatelessScope(state_mapping=mapping, collect_losses=True)

    def _cut_all(self, batch: Any) -> tuple[Any, Any]:
        """The batch itself and its micro-batches, each with the structure of the batch."""
        return batch, tree.map_structure(lambda rows: self._cut(rows)[1], batch)

    def _last(self, batch: Any) -> Any:
        return tree.map_structure(lambda rows: rows[-self.rest :], batch)

    def _cut(self, rows: Any) -> tuple[Any, Any]:
        """The rows and, `(count, size, ...)`, those that fill micro-batches."""
        full = rows[: self.count * self.size]
        return rows, jnp.moveaxis(full.reshape(self.size, self.count, *rows.shape[1:]), 1, 0)

    def _joined(self, parts: Any) -> Any:
        """`(views, count, size, dim)` back to `(views, rows, dim)`."""
        return jnp.moveaxis(parts, 1, 2).reshape(parts.shape[0], -1, parts.shape[-1])


def _loss_and_gradient(
    model: keras.Model,
    projections: Any,
    trainable: list[Any],
    non_trainable: list[Any],
    optimizer_state: list[Any],
    metrics_state: list[Any],
    x: Any,
    y: Any,
    sample_weight: Any,
) -> Any:
    """The scaled loss, `(loss, variables)`, and the gradients at the projections and straight at
    the weights.
    """

    def scaled_loss(projections: Any, trainable: list[Any]) -> tuple[Any, tuple[Any, Any]]:
        loss, variables = model.stateless_compute_loss(
            trainable,
            non_trainable,
            metrics_state,
            x=x,
            y=y,
            y_pred=projections,
            sample_weight=sample_weight,
            training=True,
        )
        return _scaled(model, loss, optimizer_state), (loss, variables)

    return jax.value_and_grad(scaled_loss, argnums=(0, 1), has_aux=True)(projections, trainable)


def _scaled(model: keras.Model, loss: Any, optimizer_state: list[Any]) -> Any:
    with keras.StatelessScope(
        state_mapping=list(zip(model.optimizer.variables, optimizer_state, strict=True))
    ):
        return ops.convert_to_tensor(model.optimizer.scale_loss(loss))


def _all_at(parts: Any, index: Any) -> Any:
    return tree.map_structure(
        lambda part: jax.lax.dynamic_index_in_dim(part, index, keepdims=False), parts
    )
