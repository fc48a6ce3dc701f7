"""Saves layers whose parts were quantized."""

from typing import Any

import keras


class SavesQuantizedParts:
    """Restores the parts that `quantize` changed when a layer is loaded. Goes before the class of
    Keras.

    `Model.quantize` gives each part, such as a `Dense` layer, a dtype policy. A loaded layer
    creates its parts with its own policy, for which Keras finds other variables in the file. Here
    the policies of the parts are saved with the shapes that the layer was built with.

    Subclasses override `quantizable_parts`.
    """

    def quantizable_parts(self) -> list[keras.layers.Layer]:
        """Returns the parts that the layer creates, in the same order for the same config."""
        raise NotImplementedError

    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        policies = [_quantized_policy(part) for part in self.quantizable_parts()]
        return (
            config
            if config is None or not any(policies)
            else {**config, "quantized_parts": policies}
        )

    def build_from_config(self, config: dict[str, Any]) -> None:
        config = dict(config or {})
        for part, policy in zip(
            self.quantizable_parts(), config.pop("quantized_parts", ()), strict=False
        ):
            if policy is not None:
                part.dtype_policy = keras.saving.deserialize_keras_object(policy)
        super().build_from_config(config)


def _quantized_policy(part: keras.layers.Layer) -> dict[str, Any] | None:
    policy = part.dtype_policy
    return (
        keras.saving.serialize_keras_object(policy)
        if getattr(policy, "quantization_mode", None)
        else None
    )
