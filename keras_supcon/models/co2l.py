"""Continual learning: contrast of the current task, relations of the task before (Co2L)."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon.arguments import check_bool, check_not_negative, check_whole_number
from keras_supcon.array_checks import check_labels
from keras_supcon.layers import ProjectionHead
from keras_supcon.losses import RelationDistillationLoss, SupConLoss
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.subset_mean import SubsetMean
from keras_supcon.losses.target_loss import TargetLoss
from keras_supcon.models.callback_lists import with_callback
from keras_supcon.models.contrastive import ContrastiveModel
from keras_supcon.models.network_copy import NetworkCopy
from keras_supcon.models.pretraining import Projector
from keras_supcon.models.queue_checks import check_kind_of_loss
from keras_supcon.ops import standardize_labels
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.typing import Tensor, TensorTree

_TEMPERATURE = 0.5  # of the authors on Split CIFAR-10
_NO_CLASS = -1
_NUM_IDS = 2**31  # that int32 holds
_MEANS = ("sum_over_batch_size", "mean")


@keras.saving.register_keras_serializable(package="keras_supcon")
class Co2L(ContrastiveModel):
    """Learns tasks one after the other, and keeps how the networks related samples before.

    `begin_task(classes)` is called before the `fit` of each task, whose data are the samples of the
    task and a buffer of earlier ones. The loss of a batch is

        L = L_contrast + distillation_weight * L_distillation

    - `L_contrast` is the compiled loss, averaged over the samples of the current task in the global
      batch: those of `classes` are the anchors. Samples of the buffer are in the denominators of
      the anchors, and are no anchors themselves. A batch without a current sample gives 0.
    - `L_distillation` is that of `RelationDistillationLoss`, over all samples. From the second task
      on, the teacher is the networks as they were when `begin_task` was called: a copy in inference
      mode that is not trained. The first task has no teacher, and no pass of one.

    A training loop of your own distills as `fit` does. A step that it compiles, as by `tf.function`
    or `jax.jit`, should be compiled again when the second task has begun.

    The networks, the optimizer and its state go on from task to task. A learning rate that starts
    again with each task is a `keras.callbacks.LearningRateScheduler` of `fit`. Without `begin_task`
    a model trains like a `ContrastiveModel` on data with labels.

    The teacher, the number of tasks and the classes are weights, so `.keras` files and checkpoints
    hold them. A program that is restarted within a task restores first and does not begin the task
    again:

    ```python
    for task, classes in enumerate(tasks, start=1):
        checkpoint = keras_supcon.callbacks.Checkpoint(f"run/task-{task}")
        checkpoint.restore(model)
        if model.task < task:
            model.begin_task(classes)
        ...  # fit
    ```

    The authors' code differs in two ways. It averages the contrastive part over all rows of the
    batch, with 0 for those of the buffer, so that it weighs less the more of them there are; and it
    multiplies this part by `temperature / 0.07`, 7.14 at their temperature of 0.5. With the mean
    over anchors that is used here, `distillation_weight=0.07 / temperature` has about their
    balance, and a learning rate of `temperature / 0.07` times theirs has steps of about their size.

    Args:
        encoder: As in `ContrastiveModel`.
        projection_head: As in `ContrastiveModel`. The teacher's projections are distilled.
        augmenter: As in `ContrastiveModel`. Teacher and student see the same views.
        distillation_weight: Factor of the distillation, at least 0. The paper has 1.
        distillation_loss: A loss of the teacher's projections and the student's, such as
            `losses.RelationDistillationLoss(student_temperature=0.1, teacher_temperature=0.1)` or
            `losses.NegativeCosineLoss()`. None for `RelationDistillationLoss()`.
        asymmetric: Whether only samples of the current classes are anchors. With False all are.
        max_task_classes: The largest number of classes of a task, which the model has room for.
        num_views: As in `ContrastiveModel`.
        micro_batch_size: As in `ContrastiveModel`.
        augment_in_evaluation: As in `ContrastiveModel`.
        **kwargs: Further arguments of `ContrastiveModel`, and of `keras.Model`.

    Attributes:
        task: Number of tasks that have begun, 0 before the first one. Read only.
        current_classes: Class ids of the current task, or None for all. Read only.
        teacher: The copy of the networks: `teacher.encoder`, `teacher.head`.

    Logs of `fit` and `evaluate` beside `loss`: `contrastive_loss`, the mean over current samples,
    and `distillation_loss`, the mean over all, 0 in the first task; both without weights.

    Raises:
        ValueError: If an argument is of the wrong kind or out of its range, the reduction of
            `distillation_loss` is no mean, or a network cannot be copied. By `compile`, for a loss
            that is not contrastive, or of which the reduction is no mean. By `fit`, with
            `asymmetric`, for data without labels.

    Reference:
        Cha et al., Co2L: Contrastive Continual Learning, ICCV 2021, equations 9 to 13.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.Co2L(
    ...     keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)]),
    ...     keras_supcon.ProjectionHead(output_dim=4, hidden_units=(7,)),
    ...     augmenter=keras.layers.GaussianNoise(0.1),
    ... )
    >>> model.compile(optimizer="sgd", loss=keras_supcon.SupConLoss(temperature=0.5))
    >>> x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
    >>> model.begin_task([0, 1])
    >>> history = model.fit(x, np.arange(16) % 2, verbose=0)
    >>> model.begin_task([2, 3])
    >>> history = model.fit(x, np.arange(16) % 4, verbose=0)  # 0 and 1 are of the buffer
    >>> model.task, model.current_classes, sorted(history.history)
    (2, (2, 3), ['contrastive_loss', 'distillation_loss', 'loss'])
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None = ProjectionHead,
        *,
        augmenter: keras.layers.Layer | None = None,
        distillation_weight: float = 1.0,
        distillation_loss: TargetLoss | None = None,
        asymmetric: bool = True,
        max_task_classes: int = 1000,
        num_views: int | None = None,
        micro_batch_size: int | None = None,
        augment_in_evaluation: bool = True,
        **kwargs: Any,
    ) -> None:
        distillation_weight = check_not_negative("distillation_weight", distillation_weight)
        asymmetric = check_bool("asymmetric", asymmetric)
        max_task_classes = check_whole_number("max_task_classes", max_task_classes, at_least=1)
        if distillation_loss is None:
            distillation_loss = RelationDistillationLoss()
        if not isinstance(distillation_loss, TargetLoss):
            raise ValueError(
                "`distillation_loss` should be a loss of teacher and student, such as "
                "`keras_supcon.losses.RelationDistillationLoss()`, or None. Received: "
                f"distillation_loss={distillation_loss!r}"
            )
        if distillation_loss.reduction not in _MEANS:
            raise ValueError(
                "`distillation_loss` should have the reduction 'sum_over_batch_size': its weight "
                f"is that of a mean. Received: reduction={distillation_loss.reduction!r}"
            )
        super().__init__(
            encoder,
            projection_head,
            augmenter=augmenter,
            num_views=num_views,
            micro_batch_size=micro_batch_size,
            augment_in_evaluation=augment_in_evaluation,
            **kwargs,
        )
        self.distillation_weight, self.distillation_loss = distillation_weight, distillation_loss
        self.asymmetric, self.max_task_classes = asymmetric, max_task_classes
        head = self.projection_head
        self._taught = [encoder] if head is None else [encoder, head]
        self.teacher = NetworkCopy(self._taught, name="teacher")
        self._num_tasks = self._add_numbers((), 0, "num_tasks")
        self._class_ids = self._add_numbers((max_task_classes,), _NO_CLASS, "class_ids")
        self._anchor_mean = SubsetMean()
        self._contrastive_loss_mean = keras.metrics.Mean(name="contrastive_loss")
        self._distillation_loss_mean = keras.metrics.Mean(name="distillation_loss")
        self._is_taught = False  # whether a step has a teacher

    def _add_numbers(self, shape: tuple[int, ...], value: int, name: str) -> keras.Variable:
        return self.add_weight(
            shape,
            keras.initializers.Constant(value),
            dtype="int32",
            name=name,
            trainable=False,
            aggregation="only_first_replica",
        )

    @property
    def task(self) -> int:
        return int(ops.convert_to_numpy(self._num_tasks))

    @property
    def current_classes(self) -> tuple[int, ...] | None:
        ids = ops.convert_to_numpy(self._class_ids)
        return tuple(ids[ids != _NO_CLASS].tolist()) or None

    def begin_task(self, classes: Iterable[int] | Tensor | None = None) -> None:
        """Begins the next task: the networks as they are become the teacher, from the second on.

        Call it between two `fit`s, or between two steps of a training loop of your own.

        Args:
            classes: Ids of the classes of the task, or labels of its samples, whole numbers from 0
                up to 2^31 - 1: numbers in any collection, or an array `(n,)` or `(n, 1)`. None
                makes all samples anchors.

        Raises:
            ValueError: If `classes` are no such ids, or more than there is room for; at the second
                task, if the model is not built.
        """
        ids = [] if classes is None else _different_ids(classes)
        if len(ids) > self.max_task_classes:
            raise ValueError(
                f"`max_task_classes` should be at least the number of classes of a task, {len(ids)}"
                f". Received: max_task_classes={self.max_task_classes}"
            )
        task = self.task
        if task > 0:
            if not self.built:
                raise ValueError(
                    "The model should be built, as by `fit`, before its second task begins: its "
                    f"networks become the teacher. Received: {self.name!r} without their weights"
                )
            self.teacher.take_weights(self._taught)
        padded = np.full(self.max_task_classes, _NO_CLASS, "int32")
        padded[: len(ids)] = ids
        self._class_ids.assign(padded)
        self._num_tasks.assign(task + 1)
        self._choose_step()

    @property
    def needs_labels(self) -> bool:
        return self.asymmetric or super().needs_labels

    def default_loss(self) -> ContrastiveLoss:
        return SupConLoss(temperature=_TEMPERATURE)

    def check_loss(self, loss: Any) -> None:
        super().check_loss(loss)
        expected = "contrastive loss of `keras_supcon`, such as `keras_supcon.SupConLoss()`"
        check_kind_of_loss(self, loss, (ContrastiveLoss,), expected)
        if loss.reduction not in _MEANS:
            raise ValueError(
                "`loss` of `Co2L` should have the reduction 'sum_over_batch_size': it is a mean "
                f"over current samples. Received: reduction={loss.reduction!r}"
            )

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.teacher.finish_build(self, self._taught)

    def build_networks(self, view: TensorTree) -> None:
        super().build_networks(view)
        self.teacher.project(view, training=False)

    def prepare_weights(self) -> None:
        super().prepare_weights()
        self.teacher.finalize_state()
        self._choose_step()

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self._choose_step()

    # Whether there is a teacher is chosen before a step, not in it: the first task would have to
    # run one whose output counts for nothing.

    def make_train_function(self, force: bool = False) -> Any:
        self._choose_step()
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        self._choose_step()
        return super().make_test_function(force)

    def _choose_step(self) -> None:
        """Forgets the steps that were made, if the present task needs others."""
        is_taught = self.task > 1 and self.distillation_weight > 0
        if is_taught != self._is_taught:
            self._is_taught = is_taught
            self.train_function = self.test_function = None

    def prepare_fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        callbacks = with_callback(self, _ChooseStep(), arguments.get("callbacks"))
        return super().prepare_fit({**arguments, "callbacks": callbacks})

    def step_projectors(self, num_views: int) -> Projector:
        return self._project_and_teach if self._is_taught else super().step_projectors(num_views)

    def _project_and_teach(self, view: TensorTree, training: bool) -> TensorTree:
        own = super().step_projectors(1)(view, training)
        own = own if isinstance(own, dict) else {"projection": own}
        return {**own, "teacher": self.teacher.project(view, training=False)}

    def contrast(self, projections: TensorTree, y: Tensor, sample_weight: Any) -> Tensor:
        if not isinstance(projections, dict) or "teacher" not in projections:
            return super().contrast(projections, y, sample_weight)
        own = {name: rows for name, rows in projections.items() if name != "teacher"}
        student = own["projection"]
        loss = super().contrast(student if self.classifier is None else own, y, sample_weight)
        values = self.distillation_loss.call(projections["teacher"], student)
        self._distillation_loss_mean.update_state(values)
        distillation = self.distillation_loss.reduced(values, sample_weight)
        return loss + self.loss_weight * self.distillation_weight * distillation

    def contrast_projections(self, projections: Tensor, y: Tensor, sample_weight: Any) -> Tensor:
        values = self.loss.call(y, convert_rows(projections, self.loss.dtype))
        are_anchors = self._are_anchors(y, values)
        self._contrastive_loss_mean.update_state(values, ops.cast(are_anchors, values.dtype))
        return self.loss_weight * self._anchor_mean.mean(values, are_anchors, sample_weight)

    def _are_anchors(self, y: Tensor, values: Tensor) -> Tensor:
        """Returns which samples are anchors, bool `(batch,)`."""
        if not self.asymmetric:
            return ops.ones_like(values, dtype="bool")
        labels = standardize_labels(y, getattr(self.loss, "ignore_class", None))
        classes = ops.convert_to_tensor(self._class_ids)
        is_class = classes != _NO_CLASS
        is_current = ops.logical_and(ops.equal(labels[:, None], classes[None]), is_class[None])
        return ops.logical_or(ops.any(is_current, axis=1), ops.logical_not(ops.any(is_class)))

    def metric_projections(self, projections: TensorTree) -> TensorTree:
        return projections["projection"] if isinstance(projections, dict) else projections

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "distillation_weight": self.distillation_weight,
            "distillation_loss": keras.saving.serialize_keras_object(self.distillation_loss),
            "asymmetric": self.asymmetric,
            "max_task_classes": self.max_task_classes,
        }


def _different_ids(classes: Any) -> list[int]:
    """Returns class ids in ascending order, each once."""
    is_collection = isinstance(classes, Iterable) and not isinstance(classes, (str, Mapping))
    if ops.is_tensor(classes):
        classes = ops.convert_to_numpy(classes)
    elif is_collection and not hasattr(classes, "__array__"):
        classes = list(classes)  # NumPy takes a set for one object
    if np.asarray(classes).dtype == bool or not np.size(classes):
        raise ValueError(
            "`classes` should be one or more class ids, or None for all samples. Received: "
            f"classes={classes!r}"
        )
    return np.unique(check_labels("classes", classes, num_classes=_NUM_IDS)).tolist()


class _ChooseStep(keras.callbacks.Callback):
    """Chooses the step once more, after callbacks that load weights when training begins."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.make_train_function()
