"""Stage two: a classifier on the encoder, frozen or fine-tuned."""

import warnings
from typing import Any

import keras
from keras import ops

from keras_supcon._keras_internals import (
    nested_layers,
    own_trainable,
    set_own_trainable,
    variables_in_training,
)
from keras_supcon.arguments import check_whole_number
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.layers.quantized_parts import SavesQuantizedParts
from keras_supcon.models.encoder_model import EncoderModel, augment, one_view
from keras_supcon.models.fine_tuning import (
    check_trainable_encoder,
    trained_weights,
    watch_trainable,
)
from keras_supcon.typing import TensorTree
from keras_supcon.user_lines import stacklevel_of_user


@keras.saving.register_keras_serializable(package="keras_supcon")
class LinearClassifier(SavesQuantizedParts, EncoderModel):
    """Classifies the features of a frozen or fine-tuned encoder by one dense layer.

    A frozen encoder runs in inference mode, batch normalization and dropout included, and takes no
    gradient: only the dense layer is in `trainable_variables`. The encoder object itself does not
    change, so that pre-training can resume with it.

    `trainable_encoder=True` fine-tunes the encoder. So do `classifier.trainable_encoder = True` and
    Keras' own `classifier.encoder.trainable = True`, before `compile`. The classifier then trains
    what is trainable in the encoder. Fine-tuning changes the weights for every model that shares
    the encoder. Batch normalization keeps the statistics of pre-training while its scale and offset
    are trained, and dropout is off, which suits small data. `encoder_training_mode=True` uses the
    statistics of each batch, updates the moving averages, and applies dropout.

    Pixels reach the encoder as they are given, integers as floats of the same values, and an
    augmenter keeps their range. So raw pixels, uint8 or float32, give an encoder the numbers of its
    pre-training in `fit`, `predict`, an exported and a loaded model. See `ContrastiveModel`.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`, for instance
            `model.encoder`.
        num_classes: Number of classes, at least 2.
        augmenter: Layer that augments the images in `fit`. Otherwise it gives their inference form,
            which resizes them if it sets the size. None leaves the images as they are.
        classifier_activation: `"softmax"` for probabilities, None for logits.
        trainable_encoder: False freezes the encoder, True trains it. A whole number of at least 1
            trains as many of its last blocks. Blocks are the layers with weights in
            `encoder.layers`: residual blocks and a stem in `encoders.ResNet`, single layers in a
            flat network.
        encoder_training_mode: Whether `fit` runs a fine-tuned encoder in training mode. Needs
            `trainable_encoder=True`: frozen blocks should keep their statistics.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Input shape: `(batch, height, width, channels)`, or what else the encoder takes. Output shape:
    `(batch, num_classes)`, float32.

    Raises:
        ValueError: If an argument is of the wrong kind or the encoder's output is not of rank 2. By
            `fit`, if a fine-tuned encoder has no trainable weight, or if the trained weights have
            changed since `compile`.

    Warns:
        UserWarning: If uint8 images reach a convolution or dense layer with nothing that scales
            them. By `fit`, if the encoder is trained because of `encoder.trainable = True`, which
            affects all classifiers on that encoder.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 3.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> encoder = keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar")
    >>> classifier = keras_supcon.LinearClassifier(encoder, num_classes=4)
    >>> classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)).astype("uint8")
    >>> history = classifier.fit(images, np.arange(16) % 4, verbose=0)
    >>> len(classifier.trainable_variables), classifier.predict(images, verbose=0).shape
    (2, (16, 4))
    """

    @deprecate_positional
    def __init__(
        self,
        encoder: keras.layers.Layer,
        num_classes: int,
        *,
        augmenter: keras.layers.Layer | None = None,
        classifier_activation: str | None = "softmax",
        trainable_encoder: bool | int = False,
        encoder_training_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        trainable_encoder = check_trainable_encoder(trainable_encoder)
        if encoder_training_mode and trainable_encoder is not True:
            raise ValueError(
                "`encoder_training_mode` should be False unless `trainable_encoder` is True: in "
                "training mode frozen blocks would move their statistics. Received: "
                f"encoder_training_mode={encoder_training_mode!r}, "
                f"trainable_encoder={trainable_encoder!r}"
            )
        num_classes = check_whole_number("num_classes", num_classes, at_least=2)
        super().__init__(encoder, augmenter=one_view(augmenter), **kwargs)
        self.encoder_training_mode = bool(encoder_training_mode)
        self.trainable_encoder = trainable_encoder
        self._traced_weights: tuple[int, ...] | None = None
        self.num_classes = num_classes
        self.classifier_activation = classifier_activation
        # float32: probabilities in half precision lose the small classes.
        self.head = keras.layers.Dense(
            num_classes, activation=classifier_activation, dtype="float32", name="head"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.head.build(self.encode(self.symbolic_view(input_shape)).shape)
        self.built = True

    def call(self, images: TensorTree, training: bool = False) -> Any:
        images = augment(self.augmenter, images, bool(training))
        features = self.encode(images, training=bool(training) and self._fits_in_training_mode)
        return self.head(features if self.trainable_encoder else ops.stop_gradient(features))

    @property
    def num_label_classes(self) -> int:
        return self.num_classes

    @property
    def layers_in_inference_mode(self) -> list[keras.layers.Layer]:
        """Layers that `fit` runs in inference mode: they use no per-replica statistics."""
        return [] if self._fits_in_training_mode else nested_layers(self.encoder)

    @property
    def _fits_in_training_mode(self) -> bool:
        # Frozen blocks should keep their statistics.
        return self.encoder_training_mode and self.trainable_encoder is True

    @property
    def trainable_encoder(self) -> bool | int:
        """Whether the encoder is trained, or the number of its trained blocks.

        May be set before `compile`.
        """
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
                "`encoder` should have trainable weights, or `trainable_encoder` be False. "
                f"Received: trainable_encoder={trains_encoder!r}, "
                f"encoder.trainable={self.encoder.trainable!r}"
            )
        if trains_encoder and not self._trainable_encoder:
            warnings.warn(
                f"`{self.name}` trains its encoder too, since `encoder.trainable` was set to True "
                "after the classifier was made. `classifier.trainable_encoder = True` confirms it, "
                "`= False` freezes the encoder again.",
                stacklevel=stacklevel_of_user(),
            )
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if (
            optimizer is not None
            and optimizer.built
            and {*weights} != {id(one) for one in variables_in_training(optimizer)}
        ):
            raise ValueError(
                "`compile` should be called again after a change of the trained weights, such as "
                "by `encoder.trainable`. Received: an optimizer for "
                f"{len(variables_in_training(optimizer))} weights, {len(weights)} trained weights"
            )

    # Keras would set it in all layers: in the encoder also for the other models that share it.
    @property
    def trainable(self) -> bool:
        return own_trainable(self)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        set_own_trainable(self, bool(value))
        self.head.trainable = bool(value)

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
            "num_classes": self.num_classes,
            "classifier_activation": self.classifier_activation,
            "trainable_encoder": self.trainable_encoder,
            "encoder_training_mode": self.encoder_training_mode,
        }
