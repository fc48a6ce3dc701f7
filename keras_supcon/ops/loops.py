"""Loops over blocks of rows that each backend runs without copies.

`keras.ops` has loops and slice updates. On TensorFlow its loop runs up to ten bodies ahead, with
ten tiles in memory instead of one. On TensorFlow and PyTorch its slice update copies the whole
accumulator at every step.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_supcon.typing import Tensor


def for_each(lower: Any, upper: Any, body: Callable[[Any, Any], Any], state: Any) -> Any:
    """Repeats `state = body(i, state)` for `i` from `lower` up to, but not including, `upper`.

    Args:
        lower: First index, a Python integer or an integer tensor.
        upper: The index after the last one.
        body: Takes an index and the state, a tensor or a tuple of tensors, and returns the next
            state.
        state: The first state.

    Returns:
        The last state. It is not differentiable on every backend: for use within a custom gradient.
    """
    are_known = isinstance(lower, int) and isinstance(upper, int)
    if are_known and upper <= lower:
        return state
    if are_known and upper == lower + 1:
        return body(lower, state)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            _, state = tf.while_loop(
                lambda index, _: index < upper,
                lambda index, state: (index + 1, body(index, state)),
                (tf.convert_to_tensor(lower, "int32"), state),
                parallel_iterations=1,
            )
            return state
    elif backend == "jax":
        # With static bounds JAX would make a scan of the loop.
        return ops.fori_loop(
            ops.convert_to_tensor(lower), ops.convert_to_tensor(upper), body, state
        )
    for index in range(int(lower), int(upper)):
        state = body(index, state)
    return state


def loop_bounds(bounds: Any) -> Any:
    """Returns the items of an integer vector as bounds of `for_each`, Python integers if known."""
    if keras.backend.backend() == "jax":
        return bounds
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return bounds
    return ops.convert_to_numpy(bounds).tolist()


def add_to_block(blocks: Any, index: Tensor | int, update: Any) -> Any:
    """Adds `update` to `blocks[index]`, in place where the backend can.

    The caller must not use `blocks` afterwards.

    Args:
        blocks: Tensor `(count, ...)` without other references.
        index: Integer or integer tensor below `count`.
        update: Tensor `(...)`.

    Returns:
        The changed `blocks`.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.tensor_scatter_nd_add(blocks, [[index]], update[None])
    if backend == "jax":
        return blocks.at[index].add(update)
    blocks[index] += update
    return blocks


def add_to(total: Any, update: Any) -> Any:
    """Adds `update` to a tensor, in place where the backend does not find out itself that it can.

    The caller must not use `total` afterwards.

    Args:
        total: Tensor without other references.
        update: Tensor of its shape.

    Returns:
        The changed `total`.
    """
    return total.add_(update) if keras.backend.backend() == "torch" else total + update


def gradient_function(backward: Callable[[Any], Any]) -> Callable[..., Any]:
    """Wraps a function of the upstream gradient for `keras.ops.custom_gradient`."""

    def gradient(*args: Any, upstream: Tensor = None) -> Any:
        # PyTorch passes it by name, the other backends by position.
        return backward(args[0] if upstream is None else upstream)

    return gradient
