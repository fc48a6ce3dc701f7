"""Stage two: a classifier on the frozen encoder."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number
from keras_supcon.augmentation.calling import as_augmenter, deserialize_augmenter
from keras_supcon.distribution import DistributedFit
from keras_supcon.models.preprocessing import check_encoder, encoder_features, one_view, prepare_images
from keras_supcon.models.seed_states import SavesSeedStates


@keras.saving.register_keras_serializable(package="keras_supcon")
class LinearClassifier(SavesSeedStates, DistributedFit, keras.Model):
    """One dense layer on the features of a frozen encoder.

    The encoder runs in inference mode (batch normalization and dropout too) and takes no gradient; only the dense layer
    is in `trainable_variables`. The encoder object itself is left as it was, so that pre-training can go on with it.

    Args:
        encoder: Any Keras model or layer that maps images to `(batch, features)`, for instance `model.encoder`.
        num_classes: Number of classes, at least 2.
        augmenter: Layer for the images before the encoder: augments in `fit`, and gives the inference form of the
            images otherwise. With None integer images are scaled to [0, 1] and float inputs pass unchanged. Our
            encoders accept every scale of pixels; another encoder should see the scale of its pre-training, for which
            `augmenter=model.augmenter` is the safe choice.
        classifier_activation: `"softmax"` for probabilities, None for logits.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Input shape: `(batch, height, width, channels)`. Output shape: `(batch, num_classes)`, float32.

    Raises:
        ValueError: If an argument is of the wrong kind or the encoder's output is not of rank 2.

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
        **kwargs: Any,
    ) -> None:
        check_encoder(encoder)
        augmenter = one_view(as_augmenter(augmenter))
        num_classes = check_whole_number("num_classes", num_classes, at_least=2)
        super().__init__(**kwargs)
        self.encoder = encoder
        self.num_classes = num_classes
        self.augmenter = augmenter
        self.classifier_activation = classifier_activation
        # float32: probabilities in half precision lose the small classes.
        self.head = keras.layers.Dense(num_classes, activation=classifier_activation, dtype="float32", name="head")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        image = keras.KerasTensor((None, *input_shape[1:]), keras.config.floatx())
        features = encoder_features(self.encoder, prepare_images(image, self.augmenter, training=False))
        self.head.build(features.shape)
        self.built = True

    def call(self, images: Any, training: bool = False) -> Any:
        images = prepare_images(images, self.augmenter, bool(training))
        return self.head(ops.stop_gradient(self.encoder(images, training=False)))

    # Setting `encoder.trainable = False` would freeze the encoder for its owner too.
    @property
    def trainable_variables(self) -> list[Any]:
        return self.head.trainable_variables if self.trainable else []

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

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "num_classes": self.num_classes,
            "augmenter": keras.saving.serialize_keras_object(self.augmenter),
            "classifier_activation": self.classifier_activation,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "LinearClassifier":
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"], custom_objects=custom_objects)
        config["augmenter"] = deserialize_augmenter(config["augmenter"], custom_objects)
        return cls(**config)
