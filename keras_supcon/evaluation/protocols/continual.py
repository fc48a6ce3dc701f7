"""Accuracy on all tasks so far, by a probe that sees the last task and a buffer of earlier ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_supcon.arguments import check_each, is_pair, is_whole, name_some, rename_arguments
from keras_supcon.evaluation.protocols.cross_validation import (
    MOST_FOLDS,
    REGULARIZATIONS,
    choose_regularization,
)
from keras_supcon.evaluation.protocols.linear import check_regularizations
from keras_supcon.evaluation.protocols.logistic_regression import (
    LinearProbe,
    Standardizer,
    fit_probe,
)
from keras_supcon.evaluation.protocols.splits import Splits, check_splits
from keras_supcon.evaluation.reporting.charts import draw_bars
from keras_supcon.evaluation.results import ARRAY, Result, describe, percent
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed, derive_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ContinualEvaluation(Result):
    """What `continual_evaluation` measured.

    Args:
        class_accuracy: Mean over tasks of the accuracy where a prediction may be any class seen so
            far (class-IL; domain-IL where all tasks have the same classes).
        task_accuracy: Mean over tasks of the accuracy where it is among the classes of the task of
            the image (task-IL).
        class_accuracies: The first one on each task.
        task_accuracies: The second one on each task.
        task_classes: Class ids of each task.
        regularization: The chosen one.
        probe: The classifier.
        tasks: Place of the task of each test image, `(test,)`.
        labels: Class ids `(test,)`.
        predictions: Class ids among all classes, `(test,)`.
        task_predictions: Class ids among those of the task, `(test,)`.
        protocol: Sizes, choices, seeds and versions.
    """

    class_accuracy: float
    task_accuracy: float
    class_accuracies: tuple[float, ...]
    task_accuracies: tuple[float, ...]
    task_classes: tuple[tuple[int, ...], ...]
    regularization: float
    probe: LinearProbe = dataclasses.field(repr=False, metadata=ARRAY)
    tasks: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)
    labels: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)
    predictions: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)
    task_predictions: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)

    title: ClassVar[str] = "Continual evaluation"
    caption: ClassVar[str] = (
        "Accuracy on the test images of each task, among all classes (class-IL) and among those of "
        "the task (task-IL). The classifier saw the last task and the buffer alone."
    )

    def image_scores(self) -> np.ndarray:
        return self.predictions == self.labels

    def rows(self) -> list[dict[str, str]]:
        numbers = zip(self.class_accuracies, self.task_accuracies, strict=True)
        rows = [(str(place + 1), *both) for place, both in enumerate(numbers)]
        return [
            {"task": name, "class-IL": percent(of_class), "task-IL": percent(of_task)}
            for name, of_class, of_task in (
                *rows,
                ("mean", self.class_accuracy, self.task_accuracy),
            )
        ]

    def plot(self, narrow: bool = False) -> Figure:
        bars = {
            f"task {place + 1}": {"class-IL": of_class, "task-IL": of_task}
            for place, (of_class, of_task) in enumerate(
                zip(self.class_accuracies, self.task_accuracies, strict=True)
            )
        }
        return draw_bars(bars, "accuracy", percent=True, narrow=narrow)


def continual_evaluation(
    train: np.ndarray,
    train_labels: np.ndarray,
    tests: Sequence[tuple[np.ndarray, np.ndarray]],
    task_classes: Sequence[Sequence[int]] | None = None,
    *,
    regularizations: Sequence[float] = REGULARIZATIONS,
    seed: int = 0,
) -> ContinualEvaluation:
    """Measures all tasks so far with a linear classifier of the last task and a buffer.

    This is Co2L's linear evaluation with a buffer. The encoder is frozen as it is after the last
    task. The classifier is fitted to embeddings of the samples of that task and of the buffer, in
    which there are few of each earlier class. So classes are balanced: each counts alike in the
    mean cross-entropy. Cross-validation of these samples alone, in up to three folds and by the
    mean accuracy over classes, chooses the regularization. Features are standardized by them.

    The authors train their classifier by SGD without weight decay, on batches that draw a class and
    then one of its samples, which is the same expected loss.

    Where all tasks have the same classes, as in domain-incremental learning, the two accuracies are
    equal.

    Args:
        train: Embeddings `(train, d)` of the last task and the buffer.
        train_labels: Class ids `(train,)`.
        tests: For each task so far, embeddings `(n, d)` and class ids `(n,)` of its test samples.
        task_classes: Class ids of each task; None takes those of its test samples.
        regularizations: Positive factors to choose from; one alone is taken.
        seed: Seed of the folds.

    Returns:
        Accuracy on each task and their means, among all classes and among those of the task.

    Raises:
        ValueError: If embeddings are not finite rows of one width, labels do not match them or are
            not of the classes of their task, or a class of the tests is missing from the training
            samples, as with a buffer that has lost it.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Cha et al., Co2L: Contrastive Continual Learning, ICCV 2021, section 5.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> rng = np.random.default_rng(0)
    >>> def embeddings(classes, number):
    ...     labels = np.repeat(classes, number)
    ...     return np.eye(4)[labels] + 0.1 * rng.normal(size=(len(labels), 4)), labels
    >>> buffer, last = embeddings([0, 1], 5), embeddings([2, 3], 100)
    >>> train, labels = (np.concatenate(both) for both in zip(buffer, last))
    >>> tests = [embeddings([0, 1], 50), embeddings([2, 3], 50)]
    >>> result = keras_supcon.evaluation.continual_evaluation(train, labels, tests)
    >>> result.class_accuracy, result.task_accuracies
    (1.0, (1.0, 1.0))
    """
    require_extra("report", "sklearn", "scipy", by="`continual_evaluation`")
    check_seed(seed)
    regularizations = check_regularizations(regularizations)
    splits, tasks = _check_tests(train, train_labels, tests)
    task_classes = _check_task_classes(task_classes, splits, tasks)
    standardizer = Standardizer(splits.train)
    chosen = choose_regularization(
        splits.train,
        splits.train_labels,
        regularizations,
        standardizer,
        derive_seed(seed, "folds"),
        balanced=True,
    )
    probe = fit_probe(splits.train, splits.train_labels, chosen, standardizer, balanced=True)
    logits = probe.logits(splits.test)
    is_of_task = np.stack([np.isin(probe.classes, classes) for classes in task_classes])[tasks]
    predictions, task_predictions = (
        probe.classes[scores.argmax(axis=1)]
        for scores in (logits, np.where(is_of_task, logits, -np.inf))
    )
    class_accuracies, task_accuracies = (
        tuple(
            float((predicted == splits.test_labels)[tasks == task].mean())
            for task in range(len(task_classes))
        )
        for predicted in (predictions, task_predictions)
    )
    return ContinualEvaluation(
        class_accuracy=float(np.mean(class_accuracies)),
        task_accuracy=float(np.mean(task_accuracies)),
        class_accuracies=class_accuracies,
        task_accuracies=task_accuracies,
        task_classes=task_classes,
        regularization=chosen,
        probe=probe,
        tasks=tasks,
        labels=splits.test_labels,
        predictions=predictions,
        task_predictions=task_predictions,
        protocol=describe(
            "continual_evaluation",
            **splits.sizes,
            tasks=len(task_classes),
            task_classes=[list(one) for one in task_classes],
            train_images_are="those of the last task and the buffer",
            regularizations=list(regularizations),
            chosen_by="mean per class, by cross-validation of the training images in up to "
            f"{MOST_FOLDS} folds",
            features_are="standardized by the training images",
            loss="cross-entropy, its mean over the images of a class, their mean over classes, "
            "+ regularization / 2 * sum of squared weights",
            seed=seed,
        ),
    )


def _check_tests(train: Any, train_labels: Any, tests: Any) -> tuple[Splits, np.ndarray]:
    """Returns the splits, those to test on after each other, and the task of each test sample."""
    tests = check_each("tests", tests, is_pair, "pairs (embeddings, labels), one for each task")
    checked = []
    for place, one in enumerate(tests):
        try:
            checked.append(check_splits(train, train_labels, *one))
        except ValueError as error:
            names = {"test": f"tests[{place}][0]", "test_labels": f"tests[{place}][1]"}
            raise ValueError(rename_arguments(str(error), names)) from None
    tasks = np.repeat(np.arange(len(tests)), [len(one.test) for one in checked])
    test, test_labels = (
        np.concatenate([getattr(one, name) for one in checked]) for name in ("test", "test_labels")
    )
    first = checked[0]
    return Splits(first.train, first.train_labels, test, test_labels), tasks


def _check_task_classes(
    task_classes: Any, splits: Splits, tasks: np.ndarray
) -> tuple[tuple[int, ...], ...]:
    """Returns the class ids of each task in ascending order."""
    number = int(tasks[-1]) + 1
    present = [np.unique(splits.test_labels[tasks == task]) for task in range(number)]
    if task_classes is None:
        return tuple(tuple(one.tolist()) for one in present)
    given = check_each(
        "task_classes",
        task_classes,
        lambda one: np.ndim(one) == 1 and all(is_whole(id_, 0) for id_ in one),
        "lists of class ids",
    )
    if len(given) != number:
        raise ValueError(
            f"`task_classes` should have the classes of each of the {number} tasks of `tests`. "
            f"Received: task_classes={given}"
        )
    for task, (classes, labels) in enumerate(zip(given, present, strict=True)):
        others = np.setdiff1d(labels, classes)
        if len(others):
            raise ValueError(
                f"`tests` should have samples of `task_classes`. Received: tests[{task}] with "
                f"{name_some([str(one) for one in others], _MOST_NAMED)}, not in {tuple(classes)}"
            )
    return tuple(tuple(sorted({int(one) for one in classes})) for classes in given)
