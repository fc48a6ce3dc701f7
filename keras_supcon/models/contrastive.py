"""Stage one: contrastive pre-training of an encoder."""

from typing import Any

import keras

from keras_supcon.deprecation import deprecate_positional
from keras_supcon.layers import ProjectionHead
from keras_supcon.models.pretraining import PretrainingModel
from keras_supcon.models.temperature import LearnsTemperature
from keras_supcon.typing import TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class ContrastiveModel(LearnsTemperature, PretrainingModel):
    """Augmenter, encoder and projection head, trained by `compile` and `fit` with a contrastive
    loss.

    A training step makes `num_views` augmented views of every image, sends all of them through the
    encoder and the head in one batch, and gives the loss `(batch, num_views, dim)` projections.
    `evaluate`, and with it `val_loss`, measures what training minimizes: the loss of `num_views`
    augmented views, with fixed seeds, so that each call sees the same views, and with the encoder
    and the head in inference mode. `predict` uses one view without augmentation, `(batch, 1, dim)`.
    Stage two takes `model.encoder` and leaves the head behind.

    `fit` takes `(images, labels)`, or `(views, labels)`, with views of shape `(batch, views,
    height, width, channels)` that were made before, for which the augmenter is not called. Labels
    are what the loss takes; without labels every image is its own class (the loss sees -1). Texts,
    tables, series and dictionaries of tensors work as images do: whatever the encoder takes, or
    views of it, with one axis more after the batch. An encoder that does not say what it takes, by
    `keras.Input` or by being built, is given images: rank 5 is views, lower ranks are samples.

    Pixels: inputs reach the encoder as they are given, integers as floats of the same values, and
    augmentation leaves the range of pixels as it is: a recipe, whose views are in [0, 1], is
    brought back to its `value_range`. So `fit`, `predict`, `embed`,
    `LinearClassifier(model.encoder, ...)`, an exported and a loaded model see the same numbers for
    the same picture, uint8 or float32. Scaling belongs to the encoder: `encoders.ResNet`
    standardizes each image, networks of `keras.applications` with preprocessing of their own work
    as they are, others begin with `keras.layers.Rescaling(1 / 255)`. Views that were made before in
    another range, as by `data.with_views` with a recipe, reach the encoder in that range.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`: a tensor, or a
            list or dictionary of them.
        projection_head: Layer from features to projections, or a class that makes it, or None: the
            features are the projections.
        augmenter: Layer that augments a batch of images; see `keras_supcon.augmentation`. keras-cv
            layers work; those that draw are left out when not training. A `MultiView` makes all
            views at once, each by its own recipe if it has several; the one view of `predict` and
            `embed` is then its first augmenter's inference form. With None the views of an image
            differ only by the encoder's own randomness (dropout).
        num_views: Views of each image in a training step, at least 1. None takes the number of a
            `MultiView`, and 2 otherwise. Ignored for views made before.
        micro_batch_size: Rows that the encoder sees at once in a training step, at least 1, or None
            for all views of the batch. A value turns gradient caching on: the encoder runs over one
            view of `micro_batch_size` images after the other, first without gradient, then, when
            the loss of the whole batch is known, again with gradient. The loss and the gradients
            are those of the whole batch, the memory is that of `micro_batch_size` rows, the time
            that of one forward pass more. The augmenter, the encoder and the head draw in the
            second pass what they drew in the first, as far as they draw from Keras' seed
            generators; the views of augmenters from keras-cv are made before, all at once. What
            layers of the encoder and the head add to the loss is taken for a mean over rows, as
            activity regularizers are. Batch normalization takes its statistics from each pass of
            `micro_batch_size` rows (on TensorFlow of one replica, synchronized or not), and its
            moving averages move once a step, by the mean over all passes. `fit` wants batches of a
            size, on each replica, that is divisible by it; a last batch that is not full may be of
            any size. On TensorFlow `compile` uses XLA for it by `jit_compile=True` alone, which
            wants all batches of that size.
        augment_in_evaluation: Whether `evaluate` makes the views of training. With False it takes
            one view without augmentation, of which only other samples of a class are positives:
            `NTXentLoss`, and every loss without labels, is then 0. keras-cv layers draw from
            generators of their own, so that with them each call sees other views.
        learnable_temperature: Whether the temperature of the loss is learned, as CLIP does, from
            that of the compiled loss on, by one weight more, the logarithm of a scale of the
            logits. Each step ends with logits scaled by no more than 100 (or by what they were at
            the start, if that is more). Neither LARS nor the optimizers of Keras decay the weight.
            The temperature is in the logs of `fit`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`. The dtype of an encoder
            in `"mixed_float16"` is the model's too unless given, so that `compile` scales the loss.

    Attributes:
        temperature: The present temperature of the compiled loss, None for a loss that has none.
            Read only.

    Raises:
        ValueError: If an argument is of the wrong kind, `num_views` is not that of the `MultiView`,
            the encoder has several outputs or one that is not of rank 2, or the inputs are of a
            rank that is not the encoder's, nor one more. By `fit` and `evaluate`, before the first
            step: for arrays of labels that the loss does not take, and for metrics of class scores
            beside a contrastive loss; with `learnable_temperature` for a loss without a
            temperature.

    Warns:
        UserWarning: If pixels of a range such as 0..255 reach a convolution or dense layer with
            nothing that scales them, or `augmenter` rescales them.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 3.1. Radford et al.,
        Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, section
        2.5 (learned temperature).

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.ContrastiveModel(
    ...     keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar"),
    ...     keras_supcon.ProjectionHead(output_dim=8, hidden_units=(16,)),
    ...     augmenter=keras_supcon.augmentation.SimAugment(image_size=(8, 8)),
    ... )
    >>> model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)).astype("uint8")
    >>> history = model.fit(images, np.arange(16) % 4, batch_size=8, verbose=0)
    >>> model.predict(images, verbose=0).shape, tuple(model.embed(images).shape)
    ((16, 1, 8), (16, 64))
    """

    @deprecate_positional
    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None = ProjectionHead,
        *,
        augmenter: keras.layers.Layer | None = None,
        num_views: int | None = None,
        micro_batch_size: int | None = None,
        augment_in_evaluation: bool = True,
        learnable_temperature: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(projection_head, type) and issubclass(projection_head, keras.layers.Layer):
            projection_head = projection_head()
        if projection_head is not None and not isinstance(projection_head, keras.layers.Layer):
            raise ValueError(
                "`projection_head` should be a Keras layer, or None. Received: "
                f"projection_head={projection_head!r}"
            )
        super().__init__(
            encoder,
            augmenter=augmenter,
            num_views=num_views,
            micro_batch_size=micro_batch_size,
            augment_in_evaluation=augment_in_evaluation,
            **kwargs,
        )
        self.projection_head = projection_head
        if learnable_temperature:
            self.make_temperature_learnable()

    def project(self, view: TensorTree, training: bool) -> TensorTree:
        features = self.encode(view, training)
        if self.projection_head is None:
            return features
        return self.projection_head(features, training=training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "projection_head": keras.saving.serialize_keras_object(self.projection_head),
            "learnable_temperature": self.learnable_temperature,
        }
