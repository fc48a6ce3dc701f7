"""Data sets as streams of tasks, for learning one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from keras_supcon.arguments import check_each, check_whole_number, is_whole, name_some
from keras_supcon.data.class_ids import check_class_ids, check_labeled_images
from keras_supcon.data.rotation import Rotation
from keras_supcon.seeds import check_seed, derive_seed, random_generator

ROTATION = "rotation"
_MOST_DEGREES = 180.0
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """The samples of one task.

    Args:
        index: Its place in the stream, from 0 on.
        classes: Class ids that its samples have.
        images: Samples `(n, ...)`.
        labels: Class ids, int64 `(n,)`: what is predicted.
        loss_labels: Ids for a contrastive loss, int64 `(n,)`. They are the class ids, but in a
            domain-incremental stream the same class is another one in each task.
        loss_classes: Those ids that the samples have, for `Co2L.begin_task`.
    """

    index: int
    classes: tuple[int, ...]
    images: np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)
    loss_labels: np.ndarray = dataclasses.field(repr=False)
    loss_classes: tuple[int, ...] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class TaskStream(Sequence):
    """A sequence of tasks, made by `class_incremental` and its relatives.

    A task is made when it is asked for, and not kept.

    Args:
        scenario: `"class"`, `"task"` or `"domain"`. In the first two, each task has classes of its
            own; in `"task"` the task of a test sample is known. In `"domain"` all tasks have the
            same classes, in another form.
        classes: Class ids of each task.
        transforms: What makes the images of each task from the same ones, or None.
        images: Samples of all tasks.
        labels: Their class ids.
    """

    scenario: Literal["class", "task", "domain"]
    classes: tuple[tuple[int, ...], ...]
    transforms: tuple[Callable[[np.ndarray], np.ndarray], ...] | None
    images: np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        index = range(len(self))[index]  # raises IndexError, and counts from the end
        classes = self.classes[index]
        if self.transforms is None:
            rows = np.isin(self.labels, classes)
            images, labels = self.images[rows], self.labels[rows]
        else:
            images, labels = self.transforms[index](self.images), self.labels
            if len(images) != len(labels):
                raise ValueError(
                    "`transforms` should keep the number of images. Received: "
                    f"{len(images)} of {len(labels)} images from transforms[{index}]"
                )
        return Task(
            index,
            classes,
            images,
            labels,
            self._ids_for_loss(labels, index),
            tuple(self._ids_for_loss(np.array(classes), index).tolist()),
        )

    def __iter__(self) -> Iterator[Task]:
        return (self[index] for index in range(len(self)))

    def _ids_for_loss(self, labels: np.ndarray, index: int) -> np.ndarray:
        if self.scenario != "domain":
            return labels
        classes = self._domain_classes
        return index * len(classes) + np.searchsorted(classes, labels)

    @property
    def _domain_classes(self) -> np.ndarray:
        """The classes that all tasks share, in ascending order."""
        return np.sort(self.classes[0])

    def class_of(self, loss_labels: np.ndarray) -> np.ndarray:
        """Returns the class ids that belong to ids of the loss, such as those in a buffer.

        Args:
            loss_labels: Ids `(n,)`, as in `Task.loss_labels`.

        Returns:
            Class ids, int64 `(n,)`.

        Raises:
            ValueError: If `loss_labels` are no such ids.
        """
        ids = check_class_ids("loss_labels", loss_labels)
        if self.scenario != "domain":
            return ids
        return self._domain_classes[ids % len(self._domain_classes)]

    def with_data(self, images: np.ndarray, labels: np.ndarray) -> TaskStream:
        """Returns the same tasks of other samples, such as those to test on.

        Args:
            images: Samples `(n, ...)`.
            labels: Class ids `(n,)`. Samples of classes that are in no task are left out; not every
                class of a task needs one.

        Returns:
            A stream with the same classes, or transforms, in each task.

        Raises:
            ValueError: If the arrays are not such, or a task has no sample.
        """
        images, labels = check_labeled_images(images, labels)
        for index, classes in enumerate(self.classes):
            if not np.isin(labels, classes).any():
                raise ValueError(
                    "`labels` should have a class of each task. Received: none of "
                    f"{_name(classes)} of task {index}"
                )
        is_known = np.isin(labels, np.concatenate(self.classes))
        if not is_known.all():
            images, labels = images[is_known], labels[is_known]
        return dataclasses.replace(self, images=images, labels=labels)


def class_incremental(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    num_tasks: int | None = None,
    classes_per_task: int | None = None,
    classes: Sequence[Sequence[int]] | None = None,
    order: int | None = None,
) -> TaskStream:
    """Splits a data set by its classes into tasks, each with classes of its own.

    One of `num_tasks`, `classes_per_task` and `classes` says how. Where the classes do not divide
    evenly, the first tasks have one class more with `num_tasks`, and the last task has fewer with
    `classes_per_task`.

    Args:
        images: Samples `(n, ...)`.
        labels: Class ids `(n,)`, whole numbers of at least 0.
        num_tasks: Number of tasks, at most that of the classes.
        classes_per_task: Number of classes of a task.
        classes: Class ids of each task. Classes that are in none are left out.
        order: Seed that shuffles the classes before they are divided; None takes them in ascending
            order.

    Returns:
        The stream of tasks. `stream.with_data(test_images, test_labels)` has the same classes in
        each task.

    Raises:
        ValueError: If the arrays are no samples with class ids, or classes are in several tasks, or
            in none of the labels, or there are more tasks than classes.

    Example:

    >>> import keras_supcon
    >>> images, labels = keras_supcon.data.load_arrays("digits", "train")
    >>> tasks = keras_supcon.data.class_incremental(images, labels, num_tasks=5)
    >>> [task.classes for task in tasks]
    [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    >>> tasks[1].images.shape, sorted(set(tasks[1].labels.tolist()))
    ((289, 8, 8, 1), [2, 3])
    """
    images, labels = check_labeled_images(images, labels)
    _check_not_empty(labels)
    given = {"num_tasks": num_tasks, "classes_per_task": classes_per_task, "classes": classes}
    if sum(one is not None for one in given.values()) != 1:
        raise ValueError(
            "One of `num_tasks`, `classes_per_task` and `classes` should be given. Received: "
            f"{', '.join(f'{name}={one!r}' for name, one in given.items())}"
        )
    available = np.unique(labels)
    if classes is not None:
        if order is not None:
            raise ValueError(f"`order` should be None with `classes`. Received: order={order!r}")
        parts = _check_task_classes(classes, available)
    else:
        if order is not None:
            available = random_generator(check_seed(order)).permutation(available)
        parts = _divide(available, num_tasks, classes_per_task)
    return TaskStream("class", parts, None, images, labels)


def task_incremental(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    num_tasks: int | None = None,
    classes_per_task: int | None = None,
    classes: Sequence[Sequence[int]] | None = None,
    order: int | None = None,
) -> TaskStream:
    """Splits a data set as `class_incremental`; the task of a test sample is known.

    Training is the same. The stream says that a prediction is among the classes of the task of the
    sample, which is the second of the accuracies of `evaluation.continual_evaluation`.

    Args:
        images: As in `class_incremental`, and so the other arguments.
        labels: Class ids `(n,)`.
        num_tasks: Number of tasks.
        classes_per_task: Number of classes of a task.
        classes: Class ids of each task.
        order: Seed of the order of the classes, or None.

    Returns:
        The stream of tasks.

    Raises:
        ValueError: As by `class_incremental`.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.data import task_incremental
    >>> tasks = task_incremental(np.zeros((6, 4)), np.arange(6), classes_per_task=2, order=1)
    >>> tasks.scenario, len(tasks)
    ('task', 3)
    """
    stream = class_incremental(
        images,
        labels,
        num_tasks=num_tasks,
        classes_per_task=classes_per_task,
        classes=classes,
        order=order,
    )
    return dataclasses.replace(stream, scenario="task")


def domain_incremental(
    images: np.ndarray,
    labels: np.ndarray,
    transforms: Sequence[Callable[[np.ndarray], np.ndarray]] | Literal["rotation"] = ROTATION,
    *,
    num_tasks: int | None = None,
    seed: int = 0,
) -> TaskStream:
    """Makes tasks of the same samples and classes, in another form in each task.

    For a contrastive loss the same class in two tasks is two classes (`Task.loss_labels`), as the
    authors of Co2L do; what is predicted is the class. The images of a task are made when it is
    asked for: `tasks[3]` is computed anew each time.

    Args:
        images: Samples `(n, ...)`; for `"rotation"` `(n, height, width, channels)`.
        labels: Class ids `(n,)`, whole numbers of at least 0.
        transforms: For each task a function of `images`; or `"rotation"`, by an angle for each
            task, drawn from 0 up to 180 degrees.
        num_tasks: Number of tasks with `"rotation"`.
        seed: Seed of the angles.

    Returns:
        The stream of tasks. `stream.with_data(test_images, test_labels)` has the same transforms.

    Raises:
        ValueError: If the arrays are no samples with class ids, `transforms` are no functions, or
            `num_tasks` is missing, or is not the number of transforms.

    Reference:
        Cha et al., Co2L: Contrastive Continual Learning, ICCV 2021, section 5; the rotations are
        those of Lopez-Paz and Ranzato, Gradient Episodic Memory, NIPS 2017.

    Example:

    >>> import keras_supcon
    >>> images, labels = keras_supcon.data.load_arrays("digits", "train")
    >>> tasks = keras_supcon.data.domain_incremental(images, labels, "rotation", num_tasks=20)
    >>> task = tasks[3]
    >>> task.images.shape, task.classes == tuple(range(10)), task.loss_classes[:2]
    ((1442, 8, 8, 1), True, (30, 31))
    """
    images, labels = check_labeled_images(images, labels)
    _check_not_empty(labels)
    seed = check_seed(seed)
    if isinstance(transforms, str):
        if transforms != ROTATION:
            raise ValueError(
                f"`transforms` should be functions or {ROTATION!r}. Received: "
                f"transforms={transforms!r}"
            )
        num_tasks = check_whole_number("num_tasks", num_tasks, at_least=1)
        if images.ndim != 4:
            raise ValueError(
                "`images` should have shape (n, height, width, channels), to be rotated. Received: "
                f"images.shape={images.shape}"
            )
        generator = random_generator(derive_seed(seed, "angles"))
        angles = generator.uniform(0, _MOST_DEGREES, num_tasks).tolist()
        transforms = [Rotation(degrees) for degrees in angles]
    transforms = check_each("transforms", transforms, callable, "functions")
    if num_tasks not in (None, len(transforms)):
        raise ValueError(
            f"`num_tasks` should be the number of transforms, {len(transforms)}, or None. "
            f"Received: num_tasks={num_tasks!r}"
        )
    classes = tuple(np.unique(labels).tolist())
    return TaskStream("domain", (classes,) * len(transforms), transforms, images, labels)


def _check_not_empty(labels: np.ndarray) -> None:
    if not len(labels):
        raise ValueError("`images` should have at least one sample. Received: none")


def _divide(
    classes: np.ndarray, num_tasks: int | None, classes_per_task: int | None
) -> tuple[tuple[int, ...], ...]:
    if num_tasks is not None:
        num_tasks = check_whole_number("num_tasks", num_tasks, at_least=1)
        if num_tasks > len(classes):
            raise ValueError(
                f"`num_tasks` should be at most the number of classes, {len(classes)}. Received: "
                f"num_tasks={num_tasks}"
            )
        parts = np.array_split(classes, num_tasks)
    else:
        width = check_whole_number("classes_per_task", classes_per_task, at_least=1)
        if width > len(classes):
            raise ValueError(
                f"`classes_per_task` should be at most the number of classes, {len(classes)}. "
                f"Received: classes_per_task={width}"
            )
        parts = np.split(classes, range(width, len(classes), width))
    return tuple(tuple(part.tolist()) for part in parts)


def _check_task_classes(classes: Any, available: np.ndarray) -> tuple[tuple[int, ...], ...]:
    parts = check_each("classes", classes, lambda one: np.ndim(one) == 1, "lists of class ids")
    parts = tuple(
        check_each("classes", one, lambda one: is_whole(one, 0), "lists of class ids")
        for one in parts
    )
    parts = tuple(tuple(int(one) for one in part) for part in parts)
    ids, counts = np.unique([one for part in parts for one in part], return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            "`classes` should have each class in one task: tasks should not overlap. Received: "
            f"{_name(ids[counts > 1])} more than once in classes={parts}"
        )
    missing = np.setdiff1d(ids, available)
    if len(missing):
        raise ValueError(
            f"`labels` should have the classes of all tasks. Received: no sample of "
            f"{_name(missing)}"
        )
    return parts


def _name(classes: Sequence[int] | np.ndarray) -> str:
    word = "class" if len(classes) == 1 else "classes"
    return f"{word} {name_some([str(one) for one in classes], _MOST_NAMED)}"
