"""What every model around an encoder shares: how a batch reaches the encoder, and what files and
exports say of it.
"""

from pathlib import Path
from typing import Any

import keras
from keras import ops, tree

from keras_supcon.augmentation import MultiView
from keras_supcon.augmentation.any_layer import call_augmenter, keras_layers_within
from keras_supcon.augmentation.pixel_range import readers_of_pixels, restore_pixel_range
from keras_supcon.augmentation.policies.augmentation_policy import AugmentationPolicy
from keras_supcon.distribution import DistributedFit
from keras_supcon.models.encoder_inputs import (
    as_floats,
    cast_for_encoder,
    dtypes_of,
    encoder_features,
    export_signature,
    holds_views,
    remove_view_axis,
    symbolic_inputs,
)
from keras_supcon.models.pixel_warnings import warn_of_older_file, warn_of_unscaled_pixels
from keras_supcon.models.seed_states import SavesSeedStates


class EncoderModel(SavesSeedStates, DistributedFit, keras.Model):
    """Base of the models around an encoder.

    One rule holds for all of them: inputs reach the encoder as they are given, integers as floats
    of the same values, and augmentation leaves the range of pixels as it is. A recipe, whose views
    are in [0, 1], is brought back to its `value_range`. Integers that the encoder declares as
    integers, or may read as ids (`(batch,)` and `(batch, n)` where it declares nothing), stay
    integers, and strings stay strings.

    Subclasses set `encoder` and `augmenter`, which makes one view of a batch when not training,
    before they are built.

    Args:
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._input_dtypes: Any = None

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.built:
            self._input_dtypes = dtypes_of(inputs)  # Keras tells `build` the shapes alone
        return super().__call__(inputs, *args, **kwargs)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        images = x["images"] if isinstance(x, dict) and "images" in x else x
        warned_of = set()
        for layer in [] if self.augmenter is None else readers_of_pixels(self.augmenter):
            layer.look_at(images, warned_of)
        return super().fit(x, *args, **kwargs)

    def build_encoder(
        self, input_shape: Any, augmenter: keras.layers.Layer | None
    ) -> keras.KerasTensor:
        """Builds the encoder for inputs of a shape, or for views of them, and returns its symbolic
        features.

        Raises:
            ValueError: If the features are not of shape (batch, features).
        """
        inputs = symbolic_inputs(self.encoder, input_shape, self._input_dtypes)
        if holds_views(self.encoder, inputs):
            inputs = remove_view_axis(inputs)
        else:
            warn_of_unscaled_pixels(self, augmenter, inputs)
            inputs = augment(augmenter, inputs, training=False)
        return encoder_features(self.encoder, cast_for_encoder(self.encoder, inputs))

    def encode(self, inputs: Any, training: bool) -> Any:
        """Features of one view, `(batch, features)`."""
        return tree.flatten(
            self.encoder(cast_for_encoder(self.encoder, inputs), training=training)
        )[0]

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Exports the model for inference, as `keras.Model.export` does.

        Unless `input_signature` says otherwise, what is exported takes ids as integers, strings as
        strings and all else, pixels included, as float32; uint8 pixels cast to float32 give the
        predictions of uint8 pixels.
        """
        if input_signature is None and self.built:
            input_signature = [export_signature(self.encoder, self.get_build_config())]
        super().export(
            filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs
        )

    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        return None if config is None else {**config, "input_dtype": self._input_dtypes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        if config and "input_dtype" not in config:
            warn_of_older_file(self)
        elif config:
            config = dict(config)
            self._input_dtypes = config.pop("input_dtype")
        super().build_from_config(config)


def augment(augmenter: keras.layers.Layer | None, inputs: Any, training: bool) -> Any:
    """Augments a batch, or gives the augmenter's inference form of it; either way in the range that
    the pixels came in.

    Args:
        augmenter: A layer, or None, which leaves the batch as it is.
        inputs: `(batch, ...)`, or a structure of such tensors.
        training: Whether to augment.
    """
    if augmenter is None:
        return inputs
    if keras_layers_within(augmenter):
        # On integers `Resizing` rounds, and `GaussianNoise` adds nothing. Other parts of a
        # dictionary may be ids.
        if not tree.is_nested(inputs):
            inputs = as_floats(inputs)
        elif isinstance(inputs, dict) and "images" in inputs:
            inputs = {**inputs, "images": as_floats(inputs["images"])}
    if not training and isinstance(augmenter, AugmentationPolicy):
        return augmenter.crop(inputs, training=False)  # to [0, 1] and back would round
    return restore_pixel_range(augmenter, call_augmenter(augmenter, inputs, training))


def one_view(augmenter: keras.layers.Layer | None) -> keras.layers.Layer | None:
    """What makes a single view where an augmenter makes several: the first recipe of a `MultiView`."""
    return augmenter.augmenters[0] if isinstance(augmenter, MultiView) else augmenter


def as_tensors(inputs: Any) -> Any:
    return tree.map_structure(ops.convert_to_tensor, inputs)
