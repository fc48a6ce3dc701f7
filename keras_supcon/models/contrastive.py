"""Stage one: contrastive pre-training of an encoder."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number_or_none
from keras_supcon.augmentation import MultiView
from keras_supcon.augmentation.calling import as_augmenter, deserialize_augmenter, holds_keras_cv
from keras_supcon.augmentation.views import check_num_views
from keras_supcon.distribution import DistributedFit
from keras_supcon.layers import ProjectionHead
from keras_supcon.models.batch_size import check_batch_size, num_replicas
from keras_supcon.models.compiled_checks import check_labels, check_metrics
from keras_supcon.models.gradient_caching import cached_train_step
from keras_supcon.models.preprocessing import check_encoder, encoder_features, one_view, prepare_images
from keras_supcon.models.seed_states import SavesSeedStates, fixed_seeds

_IMAGE_RANK = 4


@dataclasses.dataclass(frozen=True)
class ViewGroup:
    """Views that are made alike: `make(images, view)` gives the number `view` of them for a micro-batch."""

    num_views: int
    make: Callable[[Any, Any], Any]


@keras.saving.register_keras_serializable(package="keras_supcon")
class ContrastiveModel(SavesSeedStates, DistributedFit, keras.Model):
    """Augmenter, encoder and projection head, trained by `compile` and `fit` with a contrastive loss.

    A training step makes `num_views` augmented views of every image, sends all of them through the encoder and the
    head in one batch, and gives the loss `(batch, num_views, dim)` projections. `evaluate`, and with it `val_loss`, measures
    what training minimizes: the loss of `num_views` augmented views, with fixed seeds, so that each call sees the same views,
    and with the encoder and the head in inference mode. `predict` uses one view without augmentation, `(batch, 1, dim)`.
    Stage two takes `model.encoder` and leaves the head behind.

    `fit` takes `(images, labels)`, with images of rank 4, or `(views, labels)`, with views of shape
    `(batch, views, height, width, channels)` that were made before, for which the augmenter is not called. Labels are
    what the loss takes; without labels every image is its own class (the loss sees -1).

    Args:
        encoder: Any Keras model or layer that maps images to `(batch, features)`.
        projection_head: Layer from features to projections; `ProjectionHead()` if None.
        augmenter: Layer that augments a batch of images; see `keras_supcon.augmentation`. keras-cv layers work;
            those that draw are left out when not training. A `MultiView` makes all views at once, each by its own recipe if it
            has several; the one view of `predict` and `embed` is then its first augmenter's inference form. With
            None the views of an image differ only by the encoder's own randomness (dropout), integer images are
            scaled to [0, 1] and float inputs pass unchanged.
        num_views: Views of each image in a training step, at least 1. None takes the number of a `MultiView`, and 2
            otherwise. Ignored for views made before.
        micro_batch_size: Rows that the encoder sees at once in a training step, at least 1, or None for all views of
            the batch. A value turns gradient caching on: the encoder runs over one view of `micro_batch_size` images after the
            other, first without gradient, then, when the loss of the whole batch is known, again with gradient. The loss and
            the gradients are those of the whole batch, the memory is that of `micro_batch_size` rows, the time that of one
            forward pass more. The augmenter, the encoder and the head draw in the second pass what they drew in the first, as
            far as they draw from Keras' seed generators; the views of augmenters from keras-cv are made before, all at once.
            What layers of the encoder and the head add to the loss is taken for a mean over rows, as activity regularizers are.
            Batch normalization takes its statistics from each pass of `micro_batch_size` rows (on TensorFlow of one
            replica, synchronized or not), and its moving averages move once a step, by the mean over all passes. `fit` wants
            batches of a size, on each replica, that is divisible by it; a last batch that is not full may be of any size.
            On TensorFlow `compile` uses XLA for it by `jit_compile=True` alone, which wants all batches of that size.
        augment_in_evaluation: Whether `evaluate` makes the views of training. With False it takes one view without
            augmentation, of which only other samples of a class are positives: `NTXentLoss`, and every loss without labels, is
            then 0. keras-cv layers draw from generators of their own, so that with them each call sees other views.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`. The dtype of an encoder in `"mixed_float16"` is
            the model's too unless given, so that `compile` scales the loss.

    Raises:
        ValueError: If an argument is of the wrong kind, `num_views` is not that of the `MultiView`, the encoder's output is
            not of rank 2, or the images are neither of rank 4 nor 5. By `fit` and `evaluate`, before the first step: for arrays
            of labels that the loss does not take, and for metrics of class scores beside a contrastive loss.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 3.1.

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
        **kwargs: Any,
    ) -> None:
        check_encoder(encoder)
        augmenter = as_augmenter(augmenter)
        if projection_head is not None and not isinstance(projection_head, keras.layers.Layer):
            raise ValueError(
                f"`projection_head` should be a Keras layer, or None. Received: projection_head={projection_head!r}"
            )
        num_views = check_num_views(num_views, augmenter.num_views if isinstance(augmenter, MultiView) else None)
        micro_batch_size = check_whole_number_or_none("micro_batch_size", micro_batch_size, at_least=1)
        if _computes_in_float16(encoder):
            kwargs.setdefault("dtype", "mixed_float16")  # Keras scales the loss by the policy of the outermost model alone
        super().__init__(**kwargs)
        self.encoder = encoder
        self.projection_head = ProjectionHead() if projection_head is None else projection_head
        self.augmenter = augmenter
        self.num_views = num_views
        self.micro_batch_size = micro_batch_size
        self.augment_in_evaluation = bool(augment_in_evaluation)
        self._is_evaluating = False

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self._check_rank(input_shape)
        if self._holds_views(input_shape):
            image = keras.KerasTensor((None, *input_shape[2:]), keras.config.floatx())
        else:
            image = keras.KerasTensor((None, *input_shape[1:]), keras.config.floatx())
            image = prepare_images(image, one_view(self.augmenter), training=False)
        features = encoder_features(self.encoder, image)
        self.projection_head(features)
        self.built = True

    def call(self, images: Any, training: bool = False) -> Any:
        is_evaluating = self._is_evaluating and not training
        views = self._views_of_evaluation(images) if is_evaluating else self._views(images, bool(training))
        num_views = views.shape[1]
        features = self.encoder(_merge_views(views), training=training)
        projections = self.projection_head(features, training=training)
        return ops.reshape(projections, (-1, num_views, projections.shape[-1]))

    def embed(self, images: Any) -> Any:
        """Features of the encoder, without augmentation and in inference mode: what stage two sees.

        Args:
            images: `(batch, height, width, channels)`.

        Returns:
            Float tensor `(batch, features)`.
        """
        images = ops.convert_to_tensor(images)
        return self.encoder(prepare_images(images, one_view(self.augmenter), training=False), training=False)

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, *args: Any, **kwargs: Any) -> Any:
        check_metrics(self)
        _, validation_y, _ = keras.utils.unpack_x_y_sample_weight(kwargs.get("validation_data"))
        for labels in (y, validation_y):
            check_labels(self, labels)
        check_batch_size(x, batch_size, num_replicas(self), self.micro_batch_size)
        return super().fit(x, y, batch_size, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        check_metrics(self)
        check_labels(self, y)
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
            `(batch, groups)`: what to cut into micro-batches, and the groups of views in their order.
        """
        images, augmenter = ops.convert_to_tensor(images), self.augmenter
        if not self._holds_views(images.shape) and augmenter is not None and holds_keras_cv(augmenter):
            images = self._views(images, training=True)
        if self._holds_views(images.shape):

            def take_view(views: Any, view: Any) -> Any:
                return prepare_images(ops.take(views, view, axis=1), None, training=True)

            return images, [ViewGroup(images.shape[1], take_view)]
        augmenters = augmenter.augmenters if isinstance(augmenter, MultiView) else [augmenter] * self.num_views
        if all(one is augmenters[0] for one in augmenters):
            return images, [ViewGroup(len(augmenters), lambda part, _: prepare_images(part, augmenters[0], training=True))]
        return images, [ViewGroup(1, lambda part, _, one=one: prepare_images(part, one, training=True)) for one in augmenters]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        y = _unlabelled(y_pred) if y is None else y
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        y = _unlabelled(y_pred) if y is None else y
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _views(self, images: Any, training: bool) -> Any:
        if self._holds_views(images.shape):
            return ops.reshape(prepare_images(_merge_views(images), None, training), ops.shape(images))
        if training and isinstance(self.augmenter, MultiView):
            return prepare_images(images, self.augmenter, training)
        num_views = self.num_views if training else 1
        # One call a view, not one call on repeated images: some layers draw once for a whole batch.
        views = [prepare_images(images, one_view(self.augmenter), training) for _ in range(num_views)]
        return ops.stack(views, axis=1)

    def _views_of_evaluation(self, images: Any) -> Any:
        if self.augmenter is None:
            return self._views(images, training=True)
        with fixed_seeds(self.augmenter):
            return self._views(images, training=True)

    def _holds_views(self, input_shape: tuple[int | None, ...]) -> bool:
        return len(input_shape) == (self._encoder_rank() or _IMAGE_RANK) + 1

    def _check_rank(self, input_shape: tuple[int | None, ...]) -> None:
        rank = self._encoder_rank()
        # An encoder that does not say may read vectors or sequences as well as images.
        allowed = (2, 3, _IMAGE_RANK, _IMAGE_RANK + 1) if rank is None else (rank, rank + 1)
        if len(input_shape) not in allowed:
            raise ValueError(
                "`ContrastiveModel` should be called on a batch for its encoder, such as images of shape "
                "(batch, height, width, channels), or on views of it, (batch, views, height, width, channels): rank "
                f"{' or '.join(map(str, allowed))}. Received: input_shape={tuple(input_shape)}"
            )

    def _encoder_rank(self) -> int | None:
        """Rank of a batch for the encoder, where it says: functional models by their inputs, other layers by `input_spec`."""
        inputs = getattr(self.encoder, "inputs", None)
        if inputs:
            return len(inputs[0].shape)
        spec = self.encoder.input_spec
        return spec.ndim if isinstance(spec, keras.layers.InputSpec) else None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "projection_head": keras.saving.serialize_keras_object(self.projection_head),
            "augmenter": keras.saving.serialize_keras_object(self.augmenter),
            "num_views": self.num_views,
            "micro_batch_size": self.micro_batch_size,
            "augment_in_evaluation": self.augment_in_evaluation,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "ContrastiveModel":
        config = dict(config)
        for part in ("encoder", "projection_head"):
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects=custom_objects)
        config["augmenter"] = deserialize_augmenter(config["augmenter"], custom_objects)
        return cls(**config)


def _computes_in_float16(encoder: keras.layers.Layer) -> bool:
    return any(layer.dtype_policy.name == "mixed_float16" for layer in encoder._flatten_layers())


def _merge_views(views: Any) -> Any:
    """`(batch, views, ...)` to `(batch * views, ...)`."""
    return ops.reshape(views, (-1, *ops.shape(views)[2:]))


def _unlabelled(y_pred: Any) -> Any:
    return ops.full((ops.shape(y_pred)[0],), -1, dtype="int32")
