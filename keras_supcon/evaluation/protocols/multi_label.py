"""Linear evaluation of images that show several classes: one classifier for each class."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_supcon.array_checks import check_embeddings
from keras_supcon.evaluation.protocols.linear import check_regularizations
from keras_supcon.evaluation.protocols.logistic_regression import (
    REGULARIZATIONS,
    Standardizer,
    fit_path,
    fit_probe,
)
from keras_supcon.evaluation.reporting.charts import draw_bars
from keras_supcon.evaluation.results import Result, describe, percent
from keras_supcon.evaluation.scores.classification import eleven_point_average_precision
from keras_supcon.extras import require_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MultiLabelResult(Result):
    """What `multi_label_evaluation` measured.

    Args:
        mean_average_precision: Mean over classes of the eleven-point average precision.
        average_precisions: That of each class; NaN for a class in no test image.
        regularization: The chosen one.
        validation_scores: Mean average precision of the validation images for each regularization.
        protocol: Sizes, choices and versions.
    """

    mean_average_precision: float
    average_precisions: tuple[float, ...]
    regularization: float
    validation_scores: dict[float, float]

    title: ClassVar[str] = "Linear evaluation of several labels"
    caption: ClassVar[str] = "Eleven-point average precision of each class."

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                "mean average precision": percent(self.mean_average_precision),
                "validation": percent(self.validation_scores[self.regularization]),
                "regularization": f"{self.regularization:.2g}",
            }
        ]

    def plot(self, narrow: bool = False) -> Figure:
        values = {str(i): one for i, one in enumerate(self.average_precisions)}
        return draw_bars(values, "average precision", percent=True, narrow=narrow)


def multi_label_evaluation(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    regularizations: Sequence[float] = REGULARIZATIONS,
) -> MultiLabelResult:
    """Fits a logistic regression for each class, and computes the mean average precision.

    It is the protocol of PASCAL VOC 2007: eleven-point average precision, averaged over classes.
    Validation images choose one regularization for all classes; then the classifiers are fitted to
    training and validation images together.

    Args:
        train: Embeddings `(train, d)`.
        train_labels: `(train, classes)`: 1 where an image shows a class, 0 where it does not, -1
            where it is left out for that class, as an object that is hard to see.
        test: Embeddings `(test, d)`.
        test_labels: `(test, classes)`, likewise.
        validation: `(embeddings, labels)` of the images that choose.
        regularizations: Positive factors to choose from.

    Returns:
        Mean average precision, and that of each class.

    Raises:
        ValueError: If embeddings are not finite rows of one width, labels do not match them, a
            class is in no training image or in all of them, or validation or test images show none.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019, appendix A.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 2, (300, 3))
    >>> rows = labels + 0.1 * rng.normal(size=(300, 3))
    >>> parts = [(rows[i : i + 100], labels[i : i + 100]) for i in (0, 100, 200)]
    >>> keras_supcon.evaluation.multi_label_evaluation(
    ...     *parts[0], *parts[1], parts[2]
    ... ).mean_average_precision
    1.0
    """
    require_extra("report", "sklearn", by="`multi_label_evaluation`")
    regularizations = check_regularizations(regularizations)
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise ValueError(
            "`validation` should be a pair (embeddings, labels). Received: "
            f"validation={validation!r}"
        )
    train, train_labels = _check("train", train, train_labels)
    shapes = train.shape[1], train_labels.shape[1]
    test, test_labels = _check("test", test, test_labels, shapes)
    held_out, held_out_labels = _check("validation", *validation, shapes)
    classes = range(train_labels.shape[1])
    for one in classes:
        if not {0, 1} <= {*train_labels[:, one]}:
            raise ValueError(
                "`train_labels` should have images with and without each class. Received: class "
                f"{one} in {(train_labels[:, one] == 1).sum()} of {len(train)} images"
            )
    standardizer = Standardizer(train)
    scores: dict[float, list[float]] = {one: [] for one in reversed(regularizations)}
    for one in classes:
        rows = train_labels[:, one] >= 0
        for probe in fit_path(train[rows], train_labels[rows, one], [*scores], standardizer):
            scores[probe.regularization].append(
                _precision(probe, held_out, held_out_labels[:, one])
            )
    means = {one: float(np.nanmean(of_classes)) for one, of_classes in scores.items()}
    chosen = max(means, key=means.get)

    every, every_label = (
        np.concatenate([train, held_out]),
        np.concatenate([train_labels, held_out_labels]),
    )
    standardizer = Standardizer(every)
    precisions = []
    for one in classes:
        rows = every_label[:, one] >= 0
        probe = fit_probe(every[rows], every_label[rows, one], chosen, standardizer)
        precisions.append(_precision(probe, test, test_labels[:, one]))
    return MultiLabelResult(
        mean_average_precision=float(np.nanmean(precisions)),
        average_precisions=tuple(precisions),
        regularization=chosen,
        validation_scores=dict(sorted(means.items())),
        protocol=describe(
            "multi_label_evaluation",
            train_images=len(train),
            validation_images=len(held_out),
            test_images=len(test),
            features=train.shape[1],
            classes=len(classes),
            regularizations=list(regularizations),
            metric="eleven-point average precision, mean over classes",
            features_are="standardized by the training images",
            refitted_to="training and validation images",
        ),
    )


def _precision(probe: Any, rows: np.ndarray, labels: np.ndarray) -> float:
    counts = labels >= 0
    if not counts.any():
        return float("nan")
    return eleven_point_average_precision(probe.logits(rows)[counts, 1], labels[counts])


def _check(
    name: str, embeddings: Any, labels: Any, shapes: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    embeddings = check_embeddings(name, embeddings)
    labels = np.asarray(labels)
    if labels.ndim != 2 or len(labels) != len(embeddings) or not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError(
            f"labels of `{name}` should be ({len(embeddings)}, classes), of 1, 0 and -1. Received: "
            f"labels of shape {labels.shape}"
        )
    if not (labels == 1).any():
        raise ValueError(
            f"labels of `{name}` should have an image that shows a class, a 1. Received: none"
        )
    if shapes is not None and (embeddings.shape[1], labels.shape[1]) != shapes:
        raise ValueError(
            f"`{name}` should have {shapes[0]} features and {shapes[1]} classes, as `train` has. "
            f"Received: {embeddings.shape[1]} and {labels.shape[1]}"
        )
    return embeddings, labels.astype("int64")
