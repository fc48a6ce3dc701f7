"""Names for arguments whose type depends on the backend of Keras.

Each is `Any` to a type checker: a tensor is of another class on each backend, and also a symbolic
`keras.KerasTensor` or what `keras.ops.convert_to_tensor` takes. TensorFlow may not be installed.
"""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the backend, a `keras.KerasTensor`, or an array that converts to one."""

TensorTree: TypeAlias = Any
"""A tensor, or a list, tuple or dictionary of them, nested."""

Dataset: TypeAlias = Any
"""A `tf.data.Dataset`, or one that a strategy has distributed."""

Strategy: TypeAlias = Any
"""A `tf.distribute.Strategy` on TensorFlow, a `keras.distribution.Distribution` on JAX."""

Backend: TypeAlias = Any
"""Functions of one backend of Keras, as `backend.numpy.where`; a layer's `self.backend`."""
