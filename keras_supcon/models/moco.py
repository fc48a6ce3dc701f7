"""Momentum contrast: keys of a slowly moving encoder, remembered in a queue."""

from typing import Any

import keras
from keras import ops, tree

from keras_supcon.arguments import check_bool, check_whole_number_or_none
from keras_supcon.layers import ProjectionHead, Queue
from keras_supcon.layers.queue import check_rings
from keras_supcon.losses import NTXentLoss
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.models.momentum import MomentumModel, Schedule
from keras_supcon.models.pretraining import Projector
from keras_supcon.models.queue_checks import (
    check_kind_of_loss,
    check_rows_fit,
    labels_for_queue,
)
from keras_supcon.seeds import check_seed
from keras_supcon.typing import Tensor, TensorTree

_TEMPERATURE = 0.2  # of MoCo v2


@keras.saving.register_keras_serializable(package="keras_supcon")
class MoCo(MomentumModel):
    """Contrasts one view with keys of another one, of the batch and of a queue.

    An image has two views. The encoder and the head make queries `q` of the first one. A second
    encoder and head, a moving average of the first, make keys `k` of the second one. In a step

    1. the second networks move, `theta_k <- m theta_k + (1 - m) theta_q`; batch normalization
       keeps the statistics of its own passes;
    2. the loss contrasts the queries with the keys and with the queue of earlier keys, without
       gradient in either;
    3. the keys go into the queue, with their labels.

    The compiled loss says what is contrasted.

    | `compile(loss=...)` | candidates of a query | positives |
    | --- | --- | --- |
    | `NTXentLoss(temperature=0.2)`, the default: MoCo v2 | own key, queue | own key |
    | `NTXentLoss()` with `in_batch_keys=True` | all keys of the batch, queue | own key |
    | `SupConLoss()`: momentum SupCon | all keys of the batch, queue | own key, keys of the class |

    With `SupConLoss` labels of -1 are unlabeled: their own key is their only positive, and they are
    a negative to all others (the rule of UniMoCo). Momentum SupCon is the memory with which SupCon
    reaches 79.1 % on ImageNet; no code of it was published, and its details here are ours.

    Until the queue is full its empty slots count for nothing. So the first step of MoCo v2 has no
    negative, and a loss of 0.

    Two further choices. A key network that normalizes the same batches as the encoder can tell by
    their statistics which key is whose. `shuffle_bn` hides that on one device, and synchronized
    batch normalization under replicas. Networks without batch normalization need neither.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`.
        projection_head: Layer from features to projections, or a class that makes one. None for no
            head. MoCo v2 has `ProjectionHead(128, hidden_units=(2048,), output_bias=True)`.
        augmenter: Layer that augments a batch of images; see `ContrastiveModel`. MoCo v2 has
            `SimAugment(size, strength=0.5, crop_area=(0.2, 1.0))`.
        queue_size: Slots of the queue, at least as many as the keys of a batch. No more than about
            a tenth of the training set: the keys of a longer queue are of the same images.
        momentum: m, in [0, 1], or a schedule of it over steps, such as `CosineMomentum`; values
            beyond that range are clipped to it.
        symmetric: Whether the second view gives queries too, to the keys of the first one. The loss
            is the mean over the two directions, and the keys of both views go into the queue.
        per_class: A number of classes, to keep one ring of `queue_size / per_class` slots for each;
            see `layers.Queue`. Needs labels.
        in_batch_keys: Whether the keys of other images are candidates. None: with a loss that uses
            labels.
        shuffle_bn: Number of groups, at least 2, for which the key networks run one after the
            other, each on other images than the encoder normalizes together. None for one pass.
            Groups have two images or more, also where batches or micro-batches are smaller.
        seed: Seed of that shuffling.
        micro_batch_size: As in `ContrastiveModel`.
        augment_in_evaluation: As in `ContrastiveModel`. Without views both networks see the image.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Attributes:
        queue: The `layers.Queue`, once the model is built.
        momentum_encoder: The encoder of the keys.
        momentum_head: Their head.
        steps: int32 weight, training steps that have begun.

    Raises:
        ValueError: If an argument is of the wrong kind or out of its range, or a network cannot be
            copied. By `compile`, for a loss that takes no keys. By `fit`, for batches that do not
            fit into the queue, and for ids that are not below `per_class`.

    Reference:
        He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020;
        Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020; Khosla et al.,
        Supervised Contrastive Learning, NeurIPS 2020, section 4.1 (memory); Dai et al., UniMoCo,
        2021.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.MoCo(
    ...     keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar"),
    ...     keras_supcon.ProjectionHead(output_dim=8, hidden_units=(16,), output_bias=True),
    ...     augmenter=keras_supcon.augmentation.SimAugment(image_size=(8, 8)),
    ...     queue_size=32,
    ...     momentum=0.99,
    ... )
    >>> model.compile(optimizer="sgd", loss=keras_supcon.SupConLoss())
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)).astype("uint8")
    >>> history = model.fit(images, np.arange(16) % 4, batch_size=8, verbose=0)
    >>> int(model.queue.count), tuple(model.embed(images).shape)
    (16, (16, 64))
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None = ProjectionHead,
        *,
        augmenter: keras.layers.Layer | None = None,
        queue_size: int = 4096,
        momentum: float | Schedule = 0.999,
        symmetric: bool = False,
        per_class: int | None = None,
        in_batch_keys: bool | None = None,
        shuffle_bn: int | None = None,
        seed: int | None = None,
        micro_batch_size: int | None = None,
        augment_in_evaluation: bool = True,
        **kwargs: Any,
    ) -> None:
        queue_size, per_class = check_rings("queue_size", queue_size, per_class)
        shuffle_bn = check_whole_number_or_none("shuffle_bn", shuffle_bn, at_least=2)
        if in_batch_keys is not None and not isinstance(in_batch_keys, bool):
            raise ValueError(
                "`in_batch_keys` should be True, False or None. Received: "
                f"in_batch_keys={in_batch_keys!r}"
            )
        super().__init__(
            encoder,
            projection_head,
            momentum=momentum,
            augmenter=augmenter,
            micro_batch_size=micro_batch_size,
            augment_in_evaluation=augment_in_evaluation,
            **kwargs,
        )
        self.queue: Queue | None = None
        self.queue_size = queue_size
        self.symmetric = check_bool("symmetric", symmetric)
        self.per_class = per_class
        self.in_batch_keys = in_batch_keys
        self.shuffle_bn = shuffle_bn
        self.seed = check_seed(seed, or_none=True)
        if shuffle_bn is not None:
            self._shuffles = keras.random.SeedGenerator(seed)

    @property
    def needs_labels(self) -> bool:
        return self.per_class is not None

    @property
    def num_label_classes(self) -> int | None:
        return self.per_class

    def build_networks(self, view: TensorTree) -> None:
        key = self._query_and_key(view, training=False)["key"]
        if self.queue is None:
            self.queue = Queue(self.queue_size, key.shape[-1], self.per_class, name="queue")

    def check_batch(self, num_samples: int | Tensor, inputs: TensorTree = None) -> TensorTree:
        return check_rows_fit(self.queue_size, num_samples * (2 if self.symmetric else 1), inputs)

    def step_projectors(self, num_views: int) -> list[Projector]:
        if self.symmetric or num_views == 1:
            return [self._query_and_key] * num_views
        return [self._query, self._key]

    def _query(self, view: TensorTree, training: bool) -> TensorTree:
        return {"query": self.project(view, training)}

    def _key(self, view: TensorTree, training: bool) -> TensorTree:
        if training and self.shuffle_bn is not None:
            return {"key": self._in_groups(view)}
        return {"key": self.project_by_copy(view, training)}

    def _query_and_key(self, view: TensorTree, training: bool) -> TensorTree:
        return {**self._query(view, training), **self._key(view, training)}

    def _in_groups(self, view: TensorTree) -> Tensor:
        """Runs the key networks on groups of shuffled rows, and puts the keys back in order."""
        num_rows, groups = ops.shape(tree.flatten(view)[0])[0], self.shuffle_bn
        size = (num_rows + groups - 1) // groups
        # Of one row alone normalization would leave nothing.
        size = max(size, 2) if isinstance(size, int) else ops.maximum(size, 2)
        order = ops.argsort(keras.random.uniform((num_rows,), seed=self._shuffles))
        keys = []
        for group in range(groups):
            # Groups are of one size: where they would not be, the row after their first one fills
            # them up, and groups without a row, whose keys nobody reads, have two of others.
            places = ops.arange(size, dtype="int32") * groups + group
            fillers = ops.where(places == group, group % num_rows, (group + 1) % num_rows)
            rows = ops.take(order, ops.where(places < num_rows, places, fillers), axis=0)
            part = tree.map_structure(lambda one, rows=rows: ops.take(one, rows, axis=0), view)
            keys.append(self.project_by_copy(part, training=True))
        places = ops.argsort(order)
        places = (places % groups) * size + places // groups
        return ops.take(ops.concatenate(keys, axis=0), places, axis=0)

    def contrast(self, projections: TensorTree, y: Tensor, sample_weight: Any) -> Tensor:
        queries, keys = projections["query"], projections["key"]
        num_directions = queries.shape[1]
        # The second query goes to the first key.
        keys = ops.flip(keys, axis=1)
        rows, labels = ops.copy(self.queue.rows), ops.copy(self.queue.labels)
        options = self._loss_options()
        losses = [
            self.loss(
                y,
                queries[:, place],
                sample_weight,
                keys=keys[:, place],
                queue=rows,
                queue_labels=labels,
                **options,
            )
            for place in range(num_directions)
        ]
        if self.is_training_step:
            own_labels, is_ignored = labels_for_queue(self, y, self.per_class)
            for place in range(num_directions):
                self.queue.enqueue(keys[:, place], own_labels, is_ignored=is_ignored)
        return self.loss_weight * sum(losses) / num_directions

    def _loss_options(self) -> dict[str, bool]:
        of_loss = getattr(self.loss, "in_batch_keys", None)
        if of_loss is None:
            return {}
        own = self.in_batch_keys
        return {"in_batch_keys": of_loss and self.loss.uses_labels if own is None else own}

    def metric_projections(self, projections: TensorTree) -> TensorTree:
        return projections["query"]

    def default_loss(self) -> ContrastiveLoss:
        return NTXentLoss(temperature=_TEMPERATURE)

    def check_loss(self, loss: Any) -> None:
        super().check_loss(loss)
        expected = "contrastive loss of `keras_supcon`, such as `keras_supcon.NTXentLoss()`"
        check_kind_of_loss(self, loss, (ContrastiveLoss,), expected)
        if self.in_batch_keys is not None and not hasattr(loss, "in_batch_keys"):
            raise ValueError(
                "`in_batch_keys` should be None for a loss without that option. Received: "
                f"in_batch_keys={self.in_batch_keys}, loss={loss!r}"
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "queue_size": self.queue_size,
            "symmetric": self.symmetric,
            "per_class": self.per_class,
            "in_batch_keys": self.in_batch_keys,
            "shuffle_bn": self.shuffle_bn,
            "seed": self.seed,
        }
