"""The projection network of contrastive training."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_supcon.arguments import check_whole_number
from keras_supcon.layers.quantized_parts import SavesQuantizedParts
from keras_supcon.ops import convert_rows, l2_normalize


@keras.saving.register_keras_serializable(package="keras_supcon")
class ProjectionHead(SavesQuantizedParts, keras.layers.Layer):
    """Maps encoder features to unit vectors for the contrastive loss; thrown away after
    pre-training.

    Hidden layers are dense + ReLU (with batch normalization between them if `batch_norm`); the last
    layer is dense without bias and activation, followed by L2 normalization in float32.

    Args:
        output_dim: Width of the projections, at least 1. The paper uses 128.
        hidden_units: Widths of the hidden layers; an empty sequence gives a linear head.
        batch_norm: Whether hidden layers use batch normalization (SimCLR does, SupCon does not).
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `(batch, features)`. Output shape: `(batch, output_dim)`, float32, rows of length
    one (a zero row stays zero).

    Raises:
        ValueError: If a width is not a positive integer, or the input is not of rank 2.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 3.1.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> head = keras_supcon.ProjectionHead(output_dim=16, hidden_units=(32,))
    >>> projections = head(np.random.default_rng(0).normal(size=(4, 64)).astype("float32"))
    >>> tuple(projections.shape), np.linalg.norm(projections, axis=1).round(4).tolist()
    ((4, 16), [1.0, 1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        output_dim: int = 128,
        hidden_units: Sequence[int] = (2048,),
        batch_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(hidden_units, Sequence):
            raise ValueError(
                "`hidden_units` should be a sequence of integers. Received: "
                f"hidden_units={hidden_units}"
            )
        self.output_dim = check_whole_number("output_dim", output_dim, at_least=1)
        self.hidden_units = tuple(
            check_whole_number("hidden_units", units, at_least=1) for units in hidden_units
        )
        self.batch_norm = batch_norm
        self.hidden_layers = []
        for units in self.hidden_units:
            self.hidden_layers.append(
                keras.layers.Dense(
                    units,
                    use_bias=not batch_norm,
                    kernel_initializer="he_normal",
                    dtype=self.dtype_policy,
                )
            )
            if batch_norm:
                self.hidden_layers.append(
                    keras.layers.BatchNormalization(
                        momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy
                    )
                )
            self.hidden_layers.append(keras.layers.ReLU(dtype=self.dtype_policy))
        self.output_layer = keras.layers.Dense(output_dim, use_bias=False, dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 2:
            raise ValueError(
                "`ProjectionHead` should be called on features of shape (batch, features). "
                f"Received: input_shape={tuple(input_shape)}"
            )
        shape = tuple(input_shape)
        for layer in self.quantizable_parts():
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, features: Any, training: bool = False) -> Any:
        for layer in self.hidden_layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                features = layer(features, training=training)
            else:
                features = layer(features)
        # Half precision would lose the angle between near neighbours.
        return l2_normalize(convert_rows(self.output_layer(features), "float32"))

    def quantizable_parts(self) -> list[keras.layers.Layer]:
        return [*self.hidden_layers, self.output_layer]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.output_dim)

    def compute_output_spec(self, features: Any, training: bool = False) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(features.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "hidden_units": self.hidden_units,
            "batch_norm": self.batch_norm,
        }
