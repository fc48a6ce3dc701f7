"""Linear evaluation: logistic regression on the embeddings of a frozen encoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from keras_supcon.arguments import check_choice, check_each, is_number
from keras_supcon.evaluation.protocols.logistic_regression import (
    REGULARIZATIONS,
    LinearProbe,
    Standardizer,
    fit_path,
    fit_probe,
)
from keras_supcon.evaluation.protocols.predictions import PredictionResult
from keras_supcon.evaluation.protocols.splits import check_splits, check_validation, hold_out
from keras_supcon.evaluation.reporting.charts import draw_lines
from keras_supcon.evaluation.results import ARRAY, describe, percent
from keras_supcon.evaluation.scores.classification import accuracy, mean_per_class_accuracy
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SCORES = {"accuracy": accuracy, "mean_per_class": mean_per_class_accuracy}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LinearResult(PredictionResult):
    """What `linear_evaluation` measured.

    Args:
        accuracy: Share of test images that are classified right.
        interval: Its 95% interval over test images.
        mean_per_class: Mean over classes of the accuracy on the images of a class.
        regularization: The chosen one.
        validation_scores: Score of the validation images for each regularization, in ascending
            order of these.
        probe: The classifier, fitted to training and validation images.
        probabilities: `(test, classes)`, in the order of `probe.classes`.
        labels: Class ids `(test,)`.
        predictions: Class ids `(test,)`.
        protocol: Sizes, choices, seeds and versions.
    """

    regularization: float
    validation_scores: dict[float, float]
    probe: LinearProbe = dataclasses.field(repr=False, metadata=ARRAY)
    probabilities: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)

    title: ClassVar[str] = "Linear evaluation"
    caption: ClassVar[str] = (
        "Score of validation images by the regularization of the classifier. The dashed line marks "
        "the one that was chosen: the test images had no part in it."
    )

    @property
    def places(self) -> np.ndarray:
        """Columns of the true classes in `probabilities`, `(test,)`."""
        return np.searchsorted(self.probe.classes, self.labels)

    @property
    def score(self) -> str:
        """What chose the regularization, `"accuracy"` or `"mean per class"`."""
        return self.protocol["chosen_by"].partition(" on ")[0].replace("_", " ")

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                **super().rows()[0],
                "validation": percent(self.validation_scores[self.regularization]),
                "regularization": f"{self.regularization:.2g}",
            }
        ]

    def plot(self, narrow: bool = False) -> Figure:
        return self._draw({"validation": self}, {"chosen": self.regularization}, narrow)

    @classmethod
    def plot_together(cls, results: Mapping[str, LinearResult], narrow: bool = False) -> Figure:
        chosen = {name: one.regularization for name, one in results.items()}
        return cls._draw(results, chosen, narrow)

    @staticmethod
    def _draw(
        results: Mapping[str, LinearResult], chosen: Mapping[str, float], narrow: bool
    ) -> Figure:
        curves = {name: one.validation_scores for name, one in results.items()}
        scores = {one.score for one in results.values()}
        return draw_lines(
            {name: (list(curve), list(curve.values())) for name, curve in curves.items()},
            "regularization",
            scores.pop() if len(scores) == 1 else "score",
            log_x=True,
            marks=chosen,
            percent=True,
            narrow=narrow,
        )


def linear_evaluation(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    validation: float | tuple[np.ndarray, np.ndarray] = 0.1,
    seed: int = 0,
    *,
    chosen_by: str = "accuracy",
    regularizations: Sequence[float] = REGULARIZATIONS,
    class_weight: Literal["balanced"] | None = None,
    on_progress: Callable[[int, int], Any] | None = None,
) -> LinearResult:
    """Fits a linear classifier to the embeddings of a frozen encoder, and tests it once.

    It is softmax regression by L-BFGS on standardized features. The loss is the mean cross-entropy
    plus `regularization / 2` times the sum of the squared weights. Validation images choose among
    45 regularizations from 1e-6 to 1e5, each fitted from the weights of the next stronger one; of
    equal scores the strongest wins. The classifier is then fitted to training and validation
    images together, from weights of zero, and predicts the test images once.

    Args:
        train: Embeddings `(train, d)`.
        train_labels: Class ids `(train,)`.
        test: Embeddings `(test, d)`.
        test_labels: Class ids `(test,)`.
        validation: Share of each class of the training images that is held out to choose the
            regularization, above 0 and below 1; or a pair `(embeddings, labels)`.
        seed: Seed of the choice of these images.
        chosen_by: The score of the validation images that chooses, `"accuracy"` or
            `"mean_per_class"`.
        regularizations: Positive factors to choose from.
        class_weight: `"balanced"` counts each class alike in the mean cross-entropy, however many
            images it has; None counts each image alike.
        on_progress: Called with the number of fitted regularizations and their total.

    Returns:
        Accuracy with its interval, the curve over regularizations, and the classifier.

    Raises:
        ValueError: If embeddings are not finite rows of one width, labels do not match them, there
            is one class alone, a class of the test images is missing from the training images, or
            no validation images can be held out.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019, appendix A.4; with
        the regularizations of Grill et al., Bootstrap Your Own Latent, NeurIPS 2020.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(200) % 4
    >>> rows = np.eye(4)[labels] + 0.2 * rng.normal(size=(200, 4))
    >>> split = rows[:100], labels[:100], rows[100:], labels[100:]
    >>> keras_supcon.evaluation.linear_evaluation(*split).accuracy
    1.0
    """
    require_extra("report", "sklearn", "scipy", by="`linear_evaluation`")
    splits = check_splits(train, train_labels, test, test_labels)
    validation = check_validation(validation, splits.train, splits.train_labels)
    regularizations = check_regularizations(regularizations)
    check_choice("chosen_by", chosen_by, list(_SCORES))
    balanced = class_weight is not None
    if balanced:
        check_choice("class_weight", class_weight, ["balanced"])
    check_seed(seed)
    all_rows, all_labels = splits.train, splits.train_labels
    if isinstance(validation, float):
        held_out = hold_out(splits.train_labels, validation, seed)
        fitted, of_validation = (
            (splits.train[rows], splits.train_labels[rows]) for rows in (~held_out, held_out)
        )
    else:
        fitted, of_validation = (splits.train, splits.train_labels), validation
        all_rows, all_labels = (
            np.concatenate(pair) for pair in zip(fitted, validation, strict=True)
        )

    scores = {}
    standardizer = Standardizer(fitted[0])
    path = fit_path(*fitted, regularizations[::-1], standardizer, balanced=balanced)
    for number, probe in enumerate(path, start=1):
        predictions = probe.predict(of_validation[0])
        scores[probe.regularization] = _SCORES[chosen_by](predictions, of_validation[1])
        if on_progress is not None:
            on_progress(number, len(regularizations))
    chosen = max(scores, key=scores.get)  # of equal ones the first, which is the strongest
    probe = fit_probe(all_rows, all_labels, chosen, Standardizer(all_rows), balanced)
    probabilities = probe.probabilities(splits.test)
    return LinearResult.of_predictions(
        probe.classes[probabilities.argmax(axis=1)],
        splits.test_labels,
        regularization=chosen,
        validation_scores=dict(sorted(scores.items())),
        probe=probe,
        probabilities=probabilities,
        protocol=describe(
            "linear_evaluation",
            **splits.sizes,
            validation_images=len(of_validation[0]),
            validation=validation if isinstance(validation, float) else "given",
            regularizations=list(regularizations),
            chosen_by=f"{chosen_by} on validation images",
            features_are="standardized by the training images",
            loss="mean cross-entropy + regularization / 2 * sum of squared weights",
            class_weight=class_weight,
            refitted_to="training and validation images",
            seed=seed,
        ),
    )


def check_regularizations(regularizations: Any) -> tuple[float, ...]:
    """Returns regularizations in ascending order, or raises `ValueError`."""
    values = check_each(
        "regularizations",
        regularizations,
        lambda one: is_number(one) and one > 0,
        "positive numbers",
    )
    return tuple(sorted({float(one) for one in values}))
