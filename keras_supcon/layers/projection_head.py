"""Projection network of contrastive training."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_supcon.arguments import check_whole_number
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.layers.quantized_parts import SavesQuantizedParts
from keras_supcon.ops import l2_normalize
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.typing import Tensor

_BATCH_NORMS = (False, True, "hidden", "all")


@keras.saving.register_keras_serializable(package="keras_supcon")
class ProjectionHead(SavesQuantizedParts, keras.layers.Layer):
    """Maps encoder features to unit vectors for the contrastive loss; removed after pre-training.

    Hidden layers are dense + ReLU, with batch normalization between them if asked. The last layer
    is dense without activation, with batch normalization if asked, followed by L2 normalization in
    float32. Batch normalization has momentum 0.9 and epsilon 1e-5; a dense layer before it has no
    bias, which it would subtract. The heads of the papers:

    | method | arguments |
    | --- | --- |
    | SupCon | `ProjectionHead(128, hidden_units=(2048,))` |
    | SimCLR | `ProjectionHead(128, hidden_units=(2048,), batch_norm="all")` |
    | BYOL | `ProjectionHead(256, hidden_units=(4096,), batch_norm="hidden", normalize=False)` |
    | NNCLR | `ProjectionHead(256, hidden_units=(2048, 2048), batch_norm="all", output_bias=True)` |
    | MoCo v1 | `ProjectionHead(128, hidden_units=(), output_bias=True)` |
    | MoCo v2 | `ProjectionHead(128, hidden_units=(2048,), output_bias=True)` |

    Args:
        output_dim: Width of the projections, at least 1. The paper uses 128.
        hidden_units: Widths of the hidden layers; an empty sequence gives a linear head.
        batch_norm: Layers with batch normalization: False for none, True or `"hidden"` for the
            hidden ones, `"all"` for the last one too.
        synchronized_batch_norm: Whether batch statistics cover all replicas of a strategy, as in
            SimCLR and BYOL (TensorFlow only).
        output_bias: Whether the last layer has a bias; with `batch_norm="all"` it is the offset of
            the batch normalization.
        normalize: Whether projections are scaled to length one. The losses do so too by default.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `(batch, features)`. Output shape: `(batch, output_dim)`, float32, with `normalize`
    rows of length one (a zero row stays zero).

    Raises:
        ValueError: If a width is not a positive integer, `batch_norm` is another value, or the
            input is not of rank 2.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 3.1; Chen et al.,
        SimCLR, ICML 2020; Grill et al., BYOL, NeurIPS 2020; Dwibedi et al., NNCLR, ICCV 2021.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> head = keras_supcon.ProjectionHead(output_dim=16, hidden_units=(32,))
    >>> projections = head(np.random.default_rng(0).normal(size=(4, 64)).astype("float32"))
    >>> tuple(projections.shape), np.linalg.norm(projections, axis=1).round(4).tolist()
    ((4, 16), [1.0, 1.0, 1.0, 1.0])
    """

    @deprecate_positional
    def __init__(
        self,
        output_dim: int = 128,
        *,
        hidden_units: Sequence[int] = (2048,),
        batch_norm: bool | str = False,
        synchronized_batch_norm: bool = False,
        output_bias: bool = False,
        normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(hidden_units, Sequence):
            raise ValueError(
                "`hidden_units` should be a sequence of integers. Received: "
                f"hidden_units={hidden_units}"
            )
        if batch_norm not in _BATCH_NORMS:
            raise ValueError(
                f"`batch_norm` should be one of {_BATCH_NORMS}. Received: batch_norm={batch_norm!r}"
            )
        self.output_dim = check_whole_number("output_dim", output_dim, at_least=1)
        self.hidden_units = tuple(
            check_whole_number("hidden_units", units, at_least=1) for units in hidden_units
        )
        self.batch_norm = batch_norm
        self.synchronized_batch_norm = synchronized_batch_norm
        self.output_bias = output_bias
        self.normalize = normalize

        def normalization(center: bool = True) -> keras.layers.Layer:
            return keras.layers.BatchNormalization(
                momentum=0.9,
                epsilon=1e-5,
                center=center,
                synchronized=synchronized_batch_norm,
                dtype=self.dtype_policy,
            )

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
                self.hidden_layers.append(normalization())
            self.hidden_layers.append(keras.layers.ReLU(dtype=self.dtype_policy))
        self.output_layer = keras.layers.Dense(
            output_dim, use_bias=output_bias and batch_norm != "all", dtype=self.dtype_policy
        )
        if batch_norm == "all":
            self.output_norm = normalization(center=output_bias)

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

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        for layer in self.quantizable_parts():
            if isinstance(layer, keras.layers.BatchNormalization):
                features = layer(features, training=training)
            else:
                features = layer(features)
        # Half precision would lose the angle between near neighbors.
        projections = convert_rows(features, "float32")
        return l2_normalize(projections) if self.normalize else projections

    def first_layers(self, num_layers: int) -> list[keras.layers.Layer]:
        """Returns the layers that make up the first hidden layers."""
        return self.hidden_layers[: num_layers * (3 if self.batch_norm else 2)]

    def quantizable_parts(self) -> list[keras.layers.Layer]:
        last = [self.output_norm] if self.batch_norm == "all" else []
        return [*self.hidden_layers, self.output_layer, *last]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.output_dim)

    def compute_output_spec(self, features: Tensor, training: bool = False) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(features.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_dim": self.output_dim,
            "hidden_units": self.hidden_units,
            "batch_norm": self.batch_norm,
            "synchronized_batch_norm": self.synchronized_batch_norm,
            "output_bias": self.output_bias,
            "normalize": self.normalize,
        }
