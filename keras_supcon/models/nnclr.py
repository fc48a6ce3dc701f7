"""Contrasts predictions with nearest neighbors among the projections of earlier batches."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_supcon.arguments import check_bool, check_positive, check_whole_number
from keras_supcon.layers import Queue
from keras_supcon.losses import NTXentLoss, SupConLoss
from keras_supcon.models.pretraining import PretrainingModel, Projector
from keras_supcon.models.projection import (
    check_head,
    check_widths,
    encode_and_project,
    project_features,
)
from keras_supcon.models.queue_checks import (
    check_kind_of_loss,
    check_rows_fit,
    labels_for_queue,
)
from keras_supcon.ops import POSITIVES, Rows, l2_normalize, pair_argmax
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.typing import Tensor, TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class NNCLR(PretrainingModel):
    """Contrasts predictions of one view with nearest neighbors of the projections of another one.

    Encoder and projection head make projections of both views, and the prediction head predictions
    `p` of them. `nn` of a projection is its nearest neighbor, by cosine, in a queue of earlier
    projections. Without gradient in `nn`, the loss of a direction is a cross-entropy over the
    predictions of the batch,

        L_i = -log( exp(nn_i.p'_i / tau) / sum_k exp(nn_i.p'_k / tau) )

    and the same with the roles of `nn` and `p'` exchanged. The loss of a batch is the mean of both
    over the two directions of the views. Then the projections of the first views go into the queue,
    with their labels.

    While the queue is empty, a projection is its own neighbor.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`.
        projection_head: Layer from features to projections, or None for none. The paper has
            `ProjectionHead(256, hidden_units=(2048, 2048), batch_norm="all", output_bias=True,
            normalize=False)`.
        prediction_head: Layer from projections to predictions of the same width, or None for none.
            The paper has `layers.PredictionHead(256, hidden_units=(4096,), output_bias=True)`.
        augmenter: Layer that augments a batch of images; see `ContrastiveModel`. The paper has
            `augmentation.byol_views(size)`.
        queue_size: Slots of the queue, at least the images of a batch. No more than about a tenth
            of the training set: in a longer one the neighbor is the image itself.
        temperature: tau of the default loss, a positive float.
        supervised: Whether the neighbor of an image is searched among those of its class. An image
            without a label has the whole queue, one whose class is not in the queue itself.
        micro_batch_size: As in `ContrastiveModel`.
        augment_in_evaluation: As in `ContrastiveModel`. Without views an image is its own one.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Attributes:
        queue: The `layers.Queue`, once the model is built.

    Logs of `fit` and `evaluate` beside `loss`: `neighbor_class`, the share of labeled images whose
    neighbor has their class, 0 where none is labeled, and `neighbor_self`, the share of images
    whose neighbor is an earlier projection of the same image. The latter should be near 0, else the
    queue is too long. Images are told by their pixels, before augmentation.

    Raises:
        ValueError: If an argument is of the wrong kind or out of its range; if predictions and
            projections differ in width. By `compile`, for a loss other than `NTXentLoss` and
            `SupConLoss`. By `fit`, for batches that do not fit into the queue, and with
            `supervised` for data without labels.

    Reference:
        Dwibedi et al., With a Little Help from My Friends: Nearest-Neighbor Contrastive Learning of
        Visual Representations, ICCV 2021, equations 2 to 4.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.NNCLR(
    ...     keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar"),
    ...     keras_supcon.ProjectionHead(
    ...         output_dim=8, hidden_units=(16,), batch_norm="all", normalize=False
    ...     ),
    ...     keras_supcon.layers.PredictionHead(output_dim=8, hidden_units=(16,)),
    ...     augmenter=keras_supcon.augmentation.SimAugment(image_size=(8, 8)),
    ...     queue_size=32,
    ... )
    >>> model.compile(optimizer="adam")
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)).astype("uint8")
    >>> history = model.fit(images, np.arange(16) % 4, batch_size=8, verbose=0)
    >>> sorted(history.history), int(model.queue.count)
    (['loss', 'neighbor_class', 'neighbor_self'], 16)
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None,
        prediction_head: keras.layers.Layer | type[keras.layers.Layer] | None,
        *,
        augmenter: keras.layers.Layer | None = None,
        queue_size: int = 4096,
        temperature: float = 0.1,
        supervised: bool = False,
        micro_batch_size: int | None = None,
        augment_in_evaluation: bool = True,
        **kwargs: Any,
    ) -> None:
        queue_size = check_whole_number("queue_size", queue_size, at_least=1)
        temperature = check_positive("temperature", temperature)
        heads = {"projection_head": projection_head, "prediction_head": prediction_head}
        super().__init__(
            encoder,
            networks={name: check_head(name, head) for name, head in heads.items()},
            augmenter=augmenter,
            num_views=2,
            micro_batch_size=micro_batch_size,
            augment_in_evaluation=augment_in_evaluation,
            **kwargs,
        )
        self.queue: Queue | None = None
        self.queue_size, self.temperature = queue_size, temperature
        self.supervised = check_bool("supervised", supervised)
        self._neighbor_class = keras.metrics.Mean(name="neighbor_class")
        self._neighbor_self = keras.metrics.Mean(name="neighbor_self")

    @property
    def step_num_views(self) -> int:
        return 2

    @property
    def needs_labels(self) -> bool:
        return self.supervised

    def build_networks(self, view: TensorTree) -> None:
        width = check_widths(self._projection_and_prediction(view, training=False))
        if self.queue is None:
            self.queue = Queue(self.queue_size, width, name="queue")

    def check_batch(self, num_samples: int | Tensor, inputs: TensorTree = None) -> TensorTree:
        return check_rows_fit(self.queue_size, num_samples, inputs)

    def project(self, view: TensorTree, training: bool) -> TensorTree:
        return encode_and_project(self.encoder, self.projection_head, view, training)

    def step_projectors(self, num_views: int) -> list[Projector]:
        return [self._projection_and_prediction] * num_views

    def _projection_and_prediction(self, view: TensorTree, training: bool) -> TensorTree:
        projection = self.project(view, training)
        prediction = project_features(self.prediction_head, projection, training)
        return {"projection": projection, "prediction": prediction}

    def contrast(self, projections: TensorTree, y: Tensor, sample_weight: Any) -> Tensor:
        predictions = projections["prediction"]
        rows = ops.stop_gradient(projections["projection"])
        rows = l2_normalize(ops.cast(convert_rows(rows, "float32"), "float32"))
        labels, is_ignored = labels_for_queue(self, y)
        tags = None if self.step_inputs is None else _fingerprints(self.step_inputs)
        neighbors = self._neighbors(rows, labels, tags)
        places = range(2) if rows.shape[1] == 2 else (0,)
        losses = []
        for place in places:
            neighbor, prediction = neighbors[:, place], predictions[:, places[-1] - place]
            losses += [
                self.loss(y, neighbor, sample_weight, keys=prediction, trainable_keys=True),
                self.loss(y, prediction, sample_weight, keys=neighbor),
            ]
        if self.is_training_step:
            self.queue.enqueue(rows[:, 0], labels, tags, is_ignored)
        return self.loss_weight * sum(losses) / len(losses)

    def _neighbors(self, rows: Tensor, labels: Tensor, tags: Tensor | None) -> Tensor:
        """Returns the nearest neighbors of unit rows `(batch, views, dim)`, and reports on them."""
        _, num_views, dim = rows.shape
        anchors = ops.reshape(rows, (-1, dim))
        labels = ops.repeat(labels, num_views, axis=0)
        queue, queue_labels = ops.copy(self.queue.rows), ops.copy(self.queue.labels)
        places = pair_argmax(anchors, None, queue, Rows(present=self.queue.is_filled()))
        if self.supervised:
            of_class = _nearest_of_class(anchors, labels, queue, queue_labels)
            places = ops.where(labels < 0, places, of_class)
        is_found, places = places >= 0, ops.maximum(places, 0)
        is_of_class = ops.equal(ops.take(queue_labels, places), labels)
        counts = ops.logical_and(is_found, labels >= 0)
        self._neighbor_class.update_state(
            ops.cast(is_of_class, "float32"), ops.cast(counts, "float32")
        )
        if tags is not None:
            tags = ops.repeat(tags, num_views, axis=0)
            is_self = ops.equal(ops.take(self.queue.tags, places), tags)
            self._neighbor_self.update_state(
                ops.cast(is_self, "float32"), ops.cast(is_found, "float32")
            )
        neighbors = ops.where(is_found[:, None], ops.take(queue, places, axis=0), anchors)
        return ops.reshape(neighbors, (-1, num_views, dim))

    def metric_projections(self, projections: TensorTree) -> TensorTree:
        return projections["projection"]

    def default_loss(self) -> keras.losses.Loss:
        return NTXentLoss(temperature=self.temperature)

    def check_loss(self, loss: Any) -> None:
        super().check_loss(loss)
        expected = "`keras_supcon.NTXentLoss` or `keras_supcon.SupConLoss`"
        check_kind_of_loss(self, loss, (NTXentLoss, SupConLoss), expected)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_views"]
        return {
            **config,
            "projection_head": keras.saving.serialize_keras_object(self.projection_head),
            "prediction_head": keras.saving.serialize_keras_object(self.prediction_head),
            "queue_size": self.queue_size,
            "temperature": self.temperature,
            "supervised": self.supervised,
        }


def _nearest_of_class(anchors: Tensor, labels: Tensor, rows: Tensor, row_labels: Tensor) -> Tensor:
    """Returns the place of the nearest row with the label of each anchor, -1 for none."""
    order, row_order = ops.argsort(labels), ops.argsort(row_labels)
    nowhere = ops.full_like(labels, -1)
    places = pair_argmax(
        ops.take(anchors, order, axis=0),
        Rows(index=nowhere, group=ops.take(labels, order)),
        ops.take(rows, row_order, axis=0),
        Rows(
            index=ops.arange(ops.shape(row_labels)[0], dtype="int32"),
            group=ops.take(row_labels, row_order),
        ),
        POSITIVES,
    )
    in_rows = ops.cast(ops.take(row_order, ops.maximum(places, 0)), "int32")
    places = ops.where(places < 0, places, in_rows)
    return ops.take(places, ops.argsort(order))


def _fingerprints(inputs: TensorTree) -> Tensor | None:
    """Returns a whole number for each sample, the same for the same numbers.

    None for strings, and for samples of a size that is not known.

    It is a sum of the bits of each number times an odd factor of its place, modulo 2^32.
    """
    total = None
    for leaf, tensor in enumerate(tree.flatten(inputs)):
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if dtype == "string" or None in tensor.shape[1:]:
            return None
        bits = ops.reshape(ops.convert_to_tensor(tensor), (-1, math.prod(tensor.shape[1:])))
        if "float" in dtype:
            bits = ops.view(ops.cast(bits, "float32"), dtype="int32")
        rng = np.random.default_rng(leaf)
        factors = rng.integers(-(2**30), 2**30, bits.shape[1]) * 2 + 1
        products = ops.cast(bits, "int32") * ops.convert_to_tensor(factors.astype("int32"))
        total = ops.sum(products, axis=1) + (0 if total is None else total)
    return ops.cast(total, "int32")
