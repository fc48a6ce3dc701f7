"""The base of models around an encoder: how a batch reaches it, features, files and exports."""

import functools
import inspect
from pathlib import Path
from typing import Any

import keras
from keras import ops, tree

from keras_supcon.augmentation import MultiView
from keras_supcon.augmentation.any_layer import (
    as_augmenter,
    call_augmenter,
    deserialize_augmenter,
    keras_layers_within,
)
from keras_supcon.augmentation.pixel_range import (
    check_pixel_range,
    readers_of_pixels,
    restore_pixel_range,
)
from keras_supcon.augmentation.policies.augmentation_policy import AugmentationPolicy
from keras_supcon.distribution import DistributedFit
from keras_supcon.models.class_weights import check_class_weight, weigh_batch, weigh_classes
from keras_supcon.models.encoder_inputs import (
    as_floats,
    check_encoder,
    dtypes_of,
    encode_view,
    export_signature,
    holds_views,
    remove_view_axis,
    symbolic_inputs,
)
from keras_supcon.models.pixel_warnings import warn_of_older_file, warn_of_unscaled_pixels
from keras_supcon.models.seed_states import SavesSeedStates
from keras_supcon.typing import Tensor, TensorTree

_FIT = inspect.signature(keras.Model.fit)


@keras.saving.register_keras_serializable(package="keras_supcon")
class EncoderModel(SavesSeedStates, DistributedFit, keras.Model):
    """Gives the features of an encoder, `(batch, features)`; base of the models around one.

    One rule holds for all of them. Inputs reach the encoder as they are given, integers as floats
    of the same values, and augmentation leaves the range of pixels as it is. A policy, whose views
    are in [0, 1], is brought back to its `value_range`. Integers that the encoder declares as
    integers, or may read as ids (`(batch,)` and `(batch, n)` where it declares nothing), stay
    integers, and strings stay strings.

    A subclass hands its other arguments to `get_config`. Those that are Keras objects are
    deserialized by `from_config`.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`.
        augmenter: Layer that augments a batch, or None.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Raises:
        ValueError: If an argument is of the wrong kind, or the encoder has several outputs or one
            that is not of rank 2.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.models.EncoderModel(
    ...     keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar")
    ... )
    >>> model.predict(np.zeros((4, 8, 8, 1), "uint8"), verbose=0).shape
    (4, 64)
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        *,
        augmenter: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        check_encoder(encoder)
        augmenter = as_augmenter(augmenter)
        check_pixel_range(augmenter)
        # Networks of a subclass, by attribute. Checkpoints hold variables in the order of
        # attributes, in which those of version 0.1 have the projection head before the augmenter.
        networks = kwargs.pop("networks", {})
        super().__init__(**kwargs)
        self.encoder = encoder
        for name, network in networks.items():
            setattr(self, name, network)
        self.augmenter = augmenter
        self._input_dtypes: Any = None

    def build(self, input_shape: Any) -> None:
        self.encode(self.symbolic_view(input_shape))
        self.built = True

    def call(self, inputs: TensorTree, training: bool = False) -> TensorTree:
        return self.features(inputs, training=bool(training))

    def __call__(self, inputs: TensorTree, *args: Any, **kwargs: Any) -> TensorTree:
        if not self.built:
            self._input_dtypes = dtypes_of(inputs)  # Keras tells `build` the shapes alone
        return super().__call__(inputs, *args, **kwargs)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        arguments = _FIT.bind(self, *args, **kwargs).arguments
        del arguments["self"]
        return super().fit(**self.prepare_fit(arguments))

    def prepare_fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Checks the arguments of `fit` before anything is trained.

        Args:
            arguments: The arguments that were given, by name.

        Returns:
            The arguments to train with.
        """
        x = arguments.get("x")
        images = x["images"] if isinstance(x, dict) and "images" in x else x
        warned_of = set()
        for layer in [] if self.augmenter is None else readers_of_pixels(self.augmenter):
            layer.look_at(images, warned_of)
        if arguments.get("class_weight") is None:
            return arguments
        return weigh_classes(arguments, self.check_class_weight(arguments["class_weight"]))

    @property
    def num_label_classes(self) -> int | None:
        """A number that class ids should be below; None, unless overridden, for no such number."""
        return None

    def check_class_weight(self, class_weight: Any) -> dict[int, float]:
        """Checks weights of classes before anything is trained.

        Args:
            class_weight: As in `fit`: from a class id to the factor of the losses of its samples.

        Returns:
            The same, with plain numbers.

        Raises:
            ValueError: If it is something else, or names a class that there is not.
        """
        return check_class_weight(class_weight, self.num_label_classes)

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        if class_weight is not None:
            class_weight = self.check_class_weight(class_weight)
            sample_weight = weigh_batch(y, sample_weight, class_weight)
        return super().train_on_batch(x, y, sample_weight, None, return_dict)

    def features(self, inputs: TensorTree, training: bool = False) -> Tensor:
        """Features of a batch, augmented when training.

        Args:
            inputs: `(batch, height, width, channels)`, or what else the encoder takes.
            training: Whether to augment one view, and to run the encoder in training mode.

        Returns:
            Float tensor `(batch, features)`.
        """
        return self.encode(
            augment(one_view(self.augmenter), as_tensors(inputs), training), training
        )

    def embed(self, inputs: TensorTree) -> Tensor:
        """Features without augmentation and in inference mode: what stage two sees.

        Args:
            inputs: `(batch, height, width, channels)`, or what else the encoder takes.

        Returns:
            Float tensor `(batch, features)`.
        """
        return self.features(inputs, training=False)

    def encode(self, view: TensorTree, training: bool = False) -> Tensor:
        """Runs the encoder on one view that was made, and returns `(batch, features)`.

        Raises:
            ValueError: On symbolic inputs, if the features are not of shape (batch, features).
        """
        return encode_view(self.encoder, view, training)

    def symbolic_view(self, input_shape: Any) -> TensorTree:
        """Returns one view, as the encoder gets it, for inputs of a shape or of views of them."""
        inputs = symbolic_inputs(self.encoder, input_shape, self._input_dtypes)
        if holds_views(self.encoder, inputs):
            return remove_view_axis(inputs)
        augmenter = one_view(self.augmenter)
        warn_of_unscaled_pixels(self, augmenter, inputs)
        return augment(augmenter, inputs, training=False)

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
        strings and all else, pixels included, as float32. Pixels of uint8 that are cast to float32
        give the predictions of uint8 pixels.
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

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "augmenter": keras.saving.serialize_keras_object(self.augmenter),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "EncoderModel":
        def restored(name: str, value: Any) -> Any:
            if name == "augmenter":
                return deserialize_augmenter(value, custom_objects)
            is_object = name != "dtype" and isinstance(value, dict) and "class_name" in value
            if not is_object:
                return value
            return keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)

        return cls(**{name: restored(name, value) for name, value in config.items()})


def augment(augmenter: keras.layers.Layer | None, inputs: TensorTree, training: bool) -> TensorTree:
    """Augments a batch, or gives its inference form, in the range that the pixels came in.

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
    """Returns the augmenter of a single view: of a `MultiView` its first one."""
    return augmenter.augmenters[0] if isinstance(augmenter, MultiView) else augmenter


def as_tensors(inputs: TensorTree) -> TensorTree:
    return tree.map_structure(ops.convert_to_tensor, inputs)
