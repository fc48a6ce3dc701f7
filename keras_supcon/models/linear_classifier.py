"""Stage two: a classifier on the encoder, frozen or fine-tuned."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number
from keras_supcon.augmentation.any_layer import as_augmenter, deserialize_augmenter
from keras_supcon.augmentation.pixel_range import check_pixel_range
from keras_supcon.layers.quantized_parts import SavesQuantizedParts
from keras_supcon.models.encoder_inputs import check_encoder
from keras_supcon.models.encoder_model import EncoderModel, augment, one_view
from keras_supcon.models.fine_tuning import (
    check_trainable_encoder,
    trained_weights,
    watch_trainable,
)
from keras_supcon.user_lines import stacklevel_of_user


@keras.saving.register_keras_serializable(package="keras_supcon")
class LinearClassifier(SavesQuantizedParts, EncoderModel):
    """One dense layer on the features of an encoder, which is frozen unless it is said to be
    trained as well.

    The encoder runs in inference mode (batch normalization and dropout too) and takes no gradient;
    only the dense layer is in `trainable_variables`. The encoder object itself is left as it was,
    so that pre-training can go on with it.

    `trainable_encoder=True` fine-tunes it, and so does `classifier.trainable_encoder = True`, or
    Keras' own `classifier.encoder.trainable = True`, before `compile`; the classifier then trains
    what is trainable in the encoder. The weights are those of the encoder object: fine-tuning
    changes them for all who use it. Batch normalization keeps the statistics of pre-training while
    its scale and offset are trained, and dropout is off, which suits small data;
    `encoder_training_mode=True` turns to the statistics of each batch, moves the averages, and
    drops.

    Pixels: inputs reach the encoder as they are given, integers as floats of the same values, and
    an augmenter leaves their range as it is. What was pre-trained on raw pixels, with any recipe,
    is so given the same numbers by the same raw pixels, uint8 or float32, in `fit`, `predict`, an
    exported and a loaded model. See `ContrastiveModel`.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`, for instance
            `model.encoder`.
        num_classes: Number of classes, at least 2.
        augmenter: Layer for the images before the encoder: augments in `fit`, and gives the
            inference form of the images otherwise, which resizes them if the augmenter sets the
            size. None leaves the images as they are.
        classifier_activation: `"softmax"` for probabilities, None for logits.
        trainable_encoder: False freezes the encoder, True trains it. A whole number of at least 1
            trains its last blocks: the last so many of the layers with weights that it lists in
            `encoder.layers`, which are residual blocks and a stem in `encoders.ResNet`, single
            layers in a flat network.
        encoder_training_mode: Whether `fit` runs an encoder that is trained in training mode. Needs
            `trainable_encoder=True`: blocks that are frozen should not move their statistics.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Input shape: `(batch, height, width, channels)`, or what else the encoder takes. Output shape:
    `(batch, num_classes)`, float32.

    Raises:
        ValueError: If an argument is of the wrong kind or the encoder's output is not of rank 2. By
            `fit`, if the encoder should be trained and has no trainable weight, or if what is
            trained has changed since `compile`.

    Warns:
        UserWarning: If uint8 images reach a convolution or dense layer with nothing that scales
            them. By `fit`, if the encoder is trained because `encoder.trainable = True` was
            assigned, which holds for all classifiers on that encoder.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 3.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> encoder = keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar")
    >>> classifier = keras_supcon.LinearClassifier(encoder, num_classes=4)
    >>> classifier.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)).astype("uint8")
    >>> history = classifier.fit(images, np.arange(16) % 4, verbose=0)
    >>> len(classifier.trainable_variables), classifier.predict(images, verbose=0).shape
    (2, (16, 4))
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        num_classes: int,
        augmenter: keras.layers.Layer | None = None,
        classifier_activation: str | None = "softmax",
        trainable_encoder: bool | int = False,
        encoder_training_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        check_encoder(encoder)
        trainable_encoder = check_trainable_encoder(trainable_encoder)
        if encoder_training_mode and trainable_encoder is not True:
            raise ValueError(
                "`encoder_training_mode` should be False unless `trainable_encoder` is True: in "
                "training mode frozen blocks "
                "would move their statistics. Received: "
                f"encoder_training_mode={encoder_training_mode!r}, "
                f"trainable_encoder={trainable_encoder!r}"
            )
        augmenter = one_view(as_augmenter(augmenter))
        check_pixel_range(augmenter)
        num_classes = check_whole_number("num_classes", num_classes, at_least=2)
        super().__init__(**kwargs)
        self.encoder = encoder
        self.encoder_training_mode = bool(encoder_training_mode)
        self.trainable_encoder = trainable_encoder
        self._traced_weights: tuple[int, ...] | None = None
        self.num_classes = num_classes
        self.augmenter = augmenter
        self.classifier_activation = classifier_activation
        # float32: probabilities in half precision lose the small classes.
        self.head = keras.layers.Dense(
            num_classes, activation=classifier_activation, dtype="float32", name="head"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.head.build(self.build_encoder(input_shape, self.augmenter).shape)
        self.built = True

    def call(self, images: Any, training: bool = False) -> Any:
        images = augment(self.augmenter, images, bool(training))
        features = self.encode(images, training=bool(training) and self._fits_in_training_mode)
        return self.head(features if self.trainable_encoder else ops.stop_gradient(features))

    @property
    def layers_in_inference_mode(self) -> list[keras.layers.Layer]:
        """Layers that `fit` runs in inference mode, so that replicas do not take statistics of
        their own in them.
        """
        return [] if self._fits_in_training_mode else list(self.encoder._flatten_layers())

    @property
    def _fits_in_training_mode(self) -> bool:
        # Blocks that are frozen should not move their statistics.
        return self.encoder_training_mode and self.trainable_encoder is True

    @property
    def trainable_encoder(self) -> bool | int:
        """False, True, or how many blocks of the encoder are trained; may be set, before `compile`."""
        was_assigned = bool(self.encoder.trainable) and self.encoder.trainable is not self._watched
        return self._trainable_encoder or was_assigned

    @trainable_encoder.setter
    def trainable_encoder(self, value: bool | int) -> None:
        self._trainable_encoder = check_trainable_encoder(value)
        self._watched = watch_trainable(self.encoder)

    def make_train_function(self, force: bool = False) -> Any:
        weights = tuple(id(weight) for weight in self.trainable_variables)
        force = force or weights != self._traced_weights
        self._check_compiled_for(weights)
        function = super().make_train_function(force)
        self._traced_weights = weights
        return function

    def _check_compiled_for(self, weights: tuple[int, ...]) -> None:
        trains_encoder = self.trainable_encoder
        if self.built and trains_encoder and not trained_weights(self.encoder, trains_encoder):
            raise ValueError(
                "`encoder` should have weights that are trainable, or `trainable_encoder` be "
                "False. "
                f"Received: trainable_encoder={trains_encoder!r}, "
                f"encoder.trainable={self.encoder.trainable!r}"
            )
        if trains_encoder and not self._trainable_encoder:
            warnings.warn(
                f"`{self.name}` trains its encoder too, since `encoder.trainable` was set to True "
                "after it was made. "
                "`classifier.trainable_encoder = True` says so, `= False` freezes the encoder "
                "again.",
                stacklevel=stacklevel_of_user(),
            )
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if (
            optimizer is not None
            and optimizer.built
            and {*weights} != {id(one) for one in optimizer._trainable_variables}
        ):
            raise ValueError(
                "`compile` should be called again after a change of what is trained, such as "
                "`encoder.trainable`. Received: an "
                f"optimizer for {len(optimizer._trainable_variables)} weights, of {len(weights)} "
                "to be trained"
            )

    # Keras would set that of all layers: of the encoder for its owner too, or so that it is
    # fine-tuned.
    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = self.head.trainable = bool(value)

    @property
    def trainable_variables(self) -> list[Any]:
        if not self.trainable:
            return []
        return [
            *trained_weights(self.encoder, self.trainable_encoder),
            *self.head.trainable_variables,
        ]

    @property
    def trainable_weights(self) -> list[Any]:
        return self.trainable_variables

    @property
    def non_trainable_variables(self) -> list[Any]:
        return self._all_but_trainable(self.variables)

    @property
    def non_trainable_weights(self) -> list[Any]:
        return self._all_but_trainable(self.weights)

    def _all_but_trainable(self, variables: list[Any]) -> list[Any]:
        trainable = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in variables if id(variable) not in trainable]

    def quantizable_parts(self) -> list[keras.layers.Layer]:
        return [self.head]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "num_classes": self.num_classes,
            "augmenter": keras.saving.serialize_keras_object(self.augmenter),
            "classifier_activation": self.classifier_activation,
            "trainable_encoder": self.trainable_encoder,
            "encoder_training_mode": self.encoder_training_mode,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "LinearClassifier":
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(
            config["encoder"], custom_objects=custom_objects
        )
        config["augmenter"] = deserialize_augmenter(config["augmenter"], custom_objects)
        return cls(**config)
