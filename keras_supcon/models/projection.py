"""Encoder and head on one view."""

from typing import Any

import keras

from keras_supcon.models.encoder_inputs import encode_view
from keras_supcon.typing import Tensor, TensorTree


def check_head(
    name: str, head: keras.layers.Layer | type[keras.layers.Layer] | None
) -> keras.layers.Layer | None:
    """Returns a head, made if a class is given.

    Raises:
        ValueError: If it is neither a layer, nor a class of one, nor None.
    """
    if isinstance(head, type) and issubclass(head, keras.layers.Layer):
        head = head()
    if head is not None and not isinstance(head, keras.layers.Layer):
        raise ValueError(
            f"`{name}` should be a Keras layer, a class of one, or None. Received: {name}={head!r}"
        )
    return head


def check_widths(outputs: dict[str, Tensor]) -> int:
    """Returns the width of projections.

    Args:
        outputs: What a method with a prediction head makes of a view, the predictions among it.

    Raises:
        ValueError: If the predictions are not as wide.
    """
    width = outputs["projection"].shape[-1]
    if outputs["prediction"].shape[-1] != width:
        raise ValueError(
            "`prediction_head` should give predictions as wide as the projections, "
            f"{width}. Received: predictions of width {outputs['prediction'].shape[-1]}"
        )
    return width


def encode_and_project(
    encoder: keras.layers.Layer, head: keras.layers.Layer | None, view: TensorTree, training: bool
) -> Tensor:
    """Runs an encoder and a head on one view; without a head it returns the features."""
    return project_features(head, encode_view(encoder, view, training), training)


def project_features(head: keras.layers.Layer | None, features: Tensor, training: bool) -> Any:
    """Runs a head; without one it returns the features."""
    return features if head is None else head(features, training=training)
