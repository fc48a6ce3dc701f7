"""Views of a batch: made before, made by an augmenter, at once or of one micro-batch."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from keras_supcon.augmentation import MultiView
from keras_supcon.augmentation.any_layer import draws_outside_keras
from keras_supcon.models.encoder_inputs import holds_views
from keras_supcon.models.encoder_model import as_tensors, augment, one_view
from keras_supcon.typing import Tensor, TensorTree


@dataclasses.dataclass(frozen=True)
class ViewGroup:
    """Views that are made alike.

    Args:
        num_views: Number of views.
        make: `make(part, view)` returns the view of that number of a part of the batch.
    """

    num_views: int
    make: Callable[[TensorTree, Any], TensorTree]


def make_views(
    encoder: keras.layers.Layer,
    augmenter: keras.layers.Layer | None,
    inputs: TensorTree,
    num_views: int,
    training: bool,
) -> TensorTree:
    """Returns `(batch, views, ...)`: views made before as they are, else views of the augmenter.

    Args:
        encoder: It says what a sample is.
        augmenter: Layer that augments a batch, or None.
        inputs: Samples, or views of them.
        num_views: Number of views to make.
        training: Whether to augment. If not, all views are the augmenter's inference form.
    """
    inputs = as_tensors(inputs)
    if holds_views(encoder, inputs):
        return inputs
    if training and isinstance(augmenter, MultiView):
        return _with_view_axis(augment(augmenter, inputs, training), num_views)
    # One call a view, not one call on repeated images: some layers draw once for a whole batch.
    views = [augment(one_view(augmenter), inputs, training) for _ in range(num_views)]
    return tree.map_structure(_stack_views, *views)


def view_groups(
    encoder: keras.layers.Layer,
    augmenter: keras.layers.Layer | None,
    inputs: TensorTree,
    num_views: int,
) -> tuple[TensorTree, list[ViewGroup]]:
    """Says how the training views of a micro-batch are made.

    Args:
        encoder: It says what a sample is.
        augmenter: Layer that augments a batch, or None.
        inputs: Samples, or views of them.
        num_views: Number of views to make.

    Returns:
        `(batch, groups)`: what to cut into micro-batches, and the groups of views in their order.
    """
    inputs = as_tensors(inputs)
    are_views = holds_views(encoder, inputs)
    if not are_views and augmenter is not None and draws_outside_keras(augmenter):
        # Its generators would not draw the same numbers again.
        inputs, are_views = make_views(encoder, augmenter, inputs, num_views, training=True), True
    if are_views:

        def take_view(views: TensorTree, view: Tensor | int) -> TensorTree:
            return tree.map_structure(lambda one: ops.take(one, view, axis=1), views)

        return inputs, [ViewGroup(tree.flatten(inputs)[0].shape[1], take_view)]
    is_multi_view = isinstance(augmenter, MultiView)
    augmenters = augmenter.augmenters if is_multi_view else [augmenter] * num_views

    def augment_by(one: keras.layers.Layer | None) -> Callable[[TensorTree, Any], TensorTree]:
        return lambda part, view: augment(one, part, training=True)

    if all(one is augmenters[0] for one in augmenters):
        return inputs, [ViewGroup(len(augmenters), augment_by(augmenters[0]))]
    return inputs, [ViewGroup(1, augment_by(one)) for one in augmenters]


def single_views(groups: list[ViewGroup]) -> list[ViewGroup]:
    """Returns a group for each view."""

    def single(group: ViewGroup, view: int) -> ViewGroup:
        return ViewGroup(1, lambda part, _: group.make(part, view))

    return [single(group, view) for group in groups for view in range(group.num_views)]


def join_views(parts: list[TensorTree]) -> TensorTree:
    """Joins `(batch, views, ...)` on the axis of views.

    Args:
        parts: Tensors, or dictionaries of them. A name need not be in all dictionaries: its tensor
            has the views of those that it is in.

    Returns:
        A tensor or a dictionary.

    Raises:
        ValueError: If some parts are dictionaries and some are not.
    """
    if len({isinstance(part, dict) for part in parts}) > 1:
        raise ValueError(
            "Projections of all views should be dictionaries, or none. Received: "
            f"{[type(part).__name__ for part in parts]}"
        )
    if not isinstance(parts[0], dict):
        flat = [tree.flatten(part) for part in parts]
        joined = [ops.concatenate(one, axis=1) for one in zip(*flat, strict=True)]
        return tree.pack_sequence_as(parts[0], joined)
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: ops.concatenate([part[name] for part in parts if name in part], axis=1)
        for name in names
    }


def merge_views(views: TensorTree) -> TensorTree:
    """Reshapes `(batch, views, ...)` to `(batch * views, ...)`."""
    return tree.map_structure(lambda one: ops.reshape(one, (-1, *ops.shape(one)[2:])), views)


def split_views(rows: TensorTree, num_views: int) -> TensorTree:
    """Reshapes `(batch * views, ...)` to `(batch, views, ...)`."""
    return tree.map_structure(lambda one: ops.reshape(one, (-1, num_views, *one.shape[1:])), rows)


def _with_view_axis(views: TensorTree, num_views: int) -> TensorTree:
    """Repeats the parts of a dictionary that `MultiView` leaves alone, once a view."""
    if not isinstance(views, dict):
        return views
    return {
        name: one if name == "images" else _stack_views(*[one] * num_views)
        for name, one in views.items()
    }


def _stack_views(*views: Any) -> Any:
    """Stacks views `(batch, ...)` to `(batch, views, ...)`.

    Not by `ops.stack`: where views are the same, TensorFlow 2.21 makes one tile of the stacks of
    different inputs.
    """
    return ops.concatenate([view[:, None] for view in views], axis=1)
