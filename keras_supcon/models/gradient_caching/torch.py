"""The step on PyTorch."""

from collections.abc import Callable
from typing import Any

import keras
import torch
from keras import tree

from keras_supcon.models.gradient_caching import passes
from keras_supcon.models.seed_states import seed_states
from keras_supcon.seeds import random_states, set_random_states


def train_step(model: keras.Model, data: Any) -> dict[str, Any]:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    batch, groups = model.view_groups(x)
    num_rows, size = len(tree.flatten(batch)[0]), model.micro_batch_size
    plan = [
        (group.make, view, slice(start, start + size))
        for group in groups
        for view in range(group.num_views)
        for start in range(0, num_rows, size)
    ]
    num_views = sum(group.num_views for group in groups)
    seeds, states = seed_states(model), passes.running_states(model)
    first_seeds, first_states = _copies(seeds), _copies(states)
    generators = random_states()

    def run(make: Callable[..., Any], view: int, rows: slice) -> torch.Tensor:
        _assign(states, first_states)
        return passes.project(model, make(tree.map_structure(lambda one: one[rows], batch), view))

    with torch.no_grad():
        projections = torch.cat([run(*one_pass) for one_pass in plan])
    passes.forget_activity_losses(model)
    projections = (
        projections.reshape(num_views, num_rows, -1).transpose(0, 1).detach().requires_grad_()
    )

    model.zero_grad()
    loss = model._compute_loss(
        x=x, y=y, y_pred=projections, sample_weight=sample_weight, training=True
    )
    # Penalties of weights, and what else the loss takes from them directly, have their gradient
    # here.
    model.optimizer.scale_loss(loss).backward()
    gradient = projections.grad.transpose(0, 1).reshape(num_views * num_rows, -1)

    _assign(seeds, first_seeds)
    set_random_states(generators)
    changes, activity_loss, done = [torch.zeros_like(state) for state in first_states], 0.0, 0
    for one_pass in plan:
        again = run(*one_pass)
        target = (again * gradient[done : done + len(again)]).sum()
        done += len(again)
        losses = passes.activity_losses(model)
        if losses:
            added = sum(losses) * (
                len(again) / len(gradient)
            )  # Keras divides them by the rows of a call
            activity_loss = activity_loss + added.detach()
            target = target + model.optimizer.scale_loss(added)
        target.backward()
        for change, state, start in zip(changes, states, first_states, strict=True):
            change += state.value.detach() - start
    passes.forget_activity_losses(model)
    _assign(
        states,
        [start + change / len(plan) for start, change in zip(first_states, changes, strict=True)],
    )

    model._loss_tracker.update_state(loss.detach() + activity_loss, sample_weight=num_rows)
    trainable = model.trainable_weights
    with torch.no_grad():
        model.optimizer.apply([weight.value.grad for weight in trainable], trainable)
    return model.compute_metrics(x, y, projections.detach(), sample_weight=sample_weight)


def _copies(variables: list[Any]) -> list[torch.Tensor]:
    return [variable.value.detach().clone() for variable in variables]


def _assign(variables: list[Any], values: list[torch.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
