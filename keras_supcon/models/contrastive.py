"""Stage one: contrastive pre-training of an encoder."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from keras_supcon.arguments import check_whole_number_or_none
from keras_supcon.augmentation import MultiView
from keras_supcon.augmentation.any_layer import (
    as_augmenter,
    deserialize_augmenter,
    draws_outside_keras,
)
from keras_supcon.augmentation.layers.multi_view import check_num_views
from keras_supcon.augmentation.pixel_range import check_pixel_range
from keras_supcon.layers import ProjectionHead
from keras_supcon.models.batch_size import check_batch_size, num_replicas
from keras_supcon.models.compiled_checks import (
    check_first_labels,
    check_labels,
    check_may_be_unlabelled,
    check_metrics,
)
from keras_supcon.models.encoder_inputs import check_encoder, holds_views
from keras_supcon.models.encoder_model import EncoderModel, as_tensors, augment, one_view
from keras_supcon.models.gradient_caching import cached_train_step
from keras_supcon.models.pixel_warnings import warn_of_other_range
from keras_supcon.models.seed_states import fixed_seeds
from keras_supcon.models.temperature import LearnsTemperature


@dataclasses.dataclass(frozen=True)
class ViewGroup:
    """Views that are made alike: `make(images, view)` gives the number `view` of them for a
    micro-batch.
    """

    num_views: int
    make: Callable[[Any, Any], Any]


@keras.saving.register_keras_serializable(package="keras_supcon")
class ContrastiveModel(LearnsTemperature, EncoderModel):
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
        projection_head: Layer from features to projections; `ProjectionHead()` if None.
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

    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        num_views: int | None = None,
        micro_batch_size: int | None = None,
        augment_in_evaluation: bool = True,
        learnable_temperature: bool = False,
        **kwargs: Any,
    ) -> None:
        check_encoder(encoder)
        augmenter = as_augmenter(augmenter)
        if projection_head is not None and not isinstance(projection_head, keras.layers.Layer):
            raise ValueError(
                "`projection_head` should be a Keras layer, or None. Received: "
                f"projection_head={projection_head!r}"
            )
        check_pixel_range(augmenter)
        warn_of_other_range(augmenter)
        num_views = check_num_views(
            num_views, augmenter.num_views if isinstance(augmenter, MultiView) else None
        )
        micro_batch_size = check_whole_number_or_none(
            "micro_batch_size", micro_batch_size, at_least=1
        )
        if _computes_in_float16(encoder):
            kwargs.setdefault(
                "dtype", "mixed_float16"
            )  # Keras scales the loss by the policy of the outermost model alone
        super().__init__(**kwargs)
        self.encoder = encoder
        self.projection_head = ProjectionHead() if projection_head is None else projection_head
        self.augmenter = augmenter
        self.num_views = num_views
        self.micro_batch_size = micro_batch_size
        self.augment_in_evaluation = bool(augment_in_evaluation)
        self._is_evaluating = False
        if learnable_temperature:
            self.make_temperature_learnable()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.projection_head(self.build_encoder(input_shape, one_view(self.augmenter)))
        self.built = True

    def call(self, images: Any, training: bool = False) -> Any:
        is_evaluating = self._is_evaluating and not training
        views = (
            self._views_of_evaluation(images)
            if is_evaluating
            else self._views(images, bool(training))
        )
        num_views = tree.flatten(views)[0].shape[1]
        features = self.encode(tree.map_structure(_merge_views, views), training)
        projections = self.projection_head(features, training=training)
        return ops.reshape(projections, (-1, num_views, projections.shape[-1]))

    def embed(self, images: Any) -> Any:
        """Features of the encoder, without augmentation and in inference mode: what stage two sees.

        Args:
            images: `(batch, height, width, channels)`, or what else the encoder takes.

        Returns:
            Float tensor `(batch, features)`.
        """
        return self.encode(
            augment(one_view(self.augmenter), as_tensors(images), training=False), training=False
        )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        check_metrics(self)
        _, validation_y, _ = keras.utils.unpack_x_y_sample_weight(validation_data)
        for labels in (y, validation_y):
            check_labels(self, labels)
        x, validation_data = check_first_labels(self, x), check_first_labels(self, validation_data)
        check_batch_size(x, batch_size, num_replicas(self), self.micro_batch_size)
        return super().fit(
            x,
            y,
            batch_size,
            epochs,
            verbose,
            callbacks,
            validation_split,
            validation_data=validation_data,
            **kwargs,
        )

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("_use_cached_eval_dataset"):  # of `fit`, which has checked them
            check_metrics(self)
            check_labels(self, y)
            x = check_first_labels(self, x)
        return super().evaluate(x, y, *args, **kwargs)

    def train_step(self, *arguments: Any) -> Any:
        if self.micro_batch_size is None:
            return super().train_step(*arguments)
        return cached_train_step(self, *arguments)

    def test_step(self, *arguments: Any) -> Any:
        self._is_evaluating = self.augment_in_evaluation  # while `call` is run or traced
        try:
            return super().test_step(*arguments)
        finally:
            self._is_evaluating = False

    def _resolve_auto_jit_compile(self) -> bool:
        # On a GPU Keras would choose XLA, which takes no rest of a batch.
        cuts_batches = self.micro_batch_size is not None and keras.backend.backend() == "tensorflow"
        return False if cuts_batches else super()._resolve_auto_jit_compile()

    def view_groups(self, images: Any) -> tuple[Any, list[ViewGroup]]:
        """How gradient caching makes the views of a micro-batch.

        Args:
            images: A batch as `fit` gets it.

        Returns:
            `(batch, groups)`: what to cut into micro-batches, and the groups of views in their
            order.
        """
        images, augmenter = as_tensors(images), self.augmenter
        are_views = holds_views(self.encoder, images)
        if not are_views and augmenter is not None and draws_outside_keras(augmenter):
            images, are_views = self._views(images, training=True), True
        if are_views:

            def take_view(views: Any, view: Any) -> Any:
                return tree.map_structure(lambda one: ops.take(one, view, axis=1), views)

            return images, [ViewGroup(tree.flatten(images)[0].shape[1], take_view)]
        augmenters = (
            augmenter.augmenters
            if isinstance(augmenter, MultiView)
            else [augmenter] * self.num_views
        )
        if all(one is augmenters[0] for one in augmenters):
            return images, [
                ViewGroup(
                    len(augmenters), lambda part, _: augment(augmenters[0], part, training=True)
                )
            ]
        return images, [
            ViewGroup(1, lambda part, _, one=one: augment(one, part, training=True))
            for one in augmenters
        ]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        if y is None:
            check_may_be_unlabelled(self)
            y = _unlabelled(y_pred)
        return super().compute_loss(
            x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
        )

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        y = _unlabelled(y_pred) if y is None else y
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _views(self, images: Any, training: bool) -> Any:
        images = as_tensors(images)
        if holds_views(self.encoder, images):
            return images
        if training and isinstance(self.augmenter, MultiView):
            return _with_view_axis(augment(self.augmenter, images, training), self.num_views)
        num_views = self.num_views if training else 1
        # One call a view, not one call on repeated images: some layers draw once for a whole batch.
        views = [augment(one_view(self.augmenter), images, training) for _ in range(num_views)]
        return tree.map_structure(_stack_views, *views)

    def _views_of_evaluation(self, images: Any) -> Any:
        if self.augmenter is None:
            return self._views(images, training=True)
        with fixed_seeds(self.augmenter):
            return self._views(images, training=True)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "projection_head": keras.saving.serialize_keras_object(self.projection_head),
            "augmenter": keras.saving.serialize_keras_object(self.augmenter),
            "num_views": self.num_views,
            "micro_batch_size": self.micro_batch_size,
            "augment_in_evaluation": self.augment_in_evaluation,
            "learnable_temperature": self.learnable_temperature,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "ContrastiveModel":
        config = dict(config)
        for part in ("encoder", "projection_head"):
            config[part] = keras.saving.deserialize_keras_object(
                config[part], custom_objects=custom_objects
            )
        config["augmenter"] = deserialize_augmenter(config["augmenter"], custom_objects)
        return cls(**config)


def _computes_in_float16(encoder: keras.layers.Layer) -> bool:
    return any(layer.dtype_policy.name == "mixed_float16" for layer in encoder._flatten_layers())


def _with_view_axis(views: Any, num_views: int) -> Any:
    """Views of the images of a dictionary, and as many of its other parts, which `MultiView` leaves
    alone.
    """
    if not isinstance(views, dict):
        return views
    return {
        name: one if name == "images" else _stack_views(*[one] * num_views)
        for name, one in views.items()
    }


def _stack_views(*views: Any) -> Any:
    """`(batch, ...)` several times to `(batch, views, ...)`.

    Not `ops.stack`: where views are the same, TensorFlow 2.21 makes one tile of the stacks of
    different inputs.
    """
    return ops.concatenate([view[:, None] for view in views], axis=1)


def _merge_views(views: Any) -> Any:
    """`(batch, views, ...)` to `(batch * views, ...)`."""
    return ops.reshape(views, (-1, *ops.shape(views)[2:]))


def _unlabelled(y_pred: Any) -> Any:
    return ops.full((ops.shape(y_pred)[0],), -1, dtype="int32")
