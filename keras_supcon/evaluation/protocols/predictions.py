"""The base of results with one prediction for each test image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_supcon.evaluation.reporting.charts import draw_bars
from keras_supcon.evaluation.results import ARRAY, Result, percent, percent_with_interval
from keras_supcon.evaluation.scores.classification import mean_per_class_accuracy
from keras_supcon.evaluation.scores.intervals import accuracy_interval

if TYPE_CHECKING:
    from typing import Self

    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PredictionResult(Result):
    """Accuracy of predictions.

    Args:
        accuracy: Share of right predictions.
        interval: Its 95% interval over test images (Wilson).
        mean_per_class: Mean over classes of the accuracy on the images of a class.
        labels: Class ids `(test,)`.
        predictions: Class ids `(test,)`.
        protocol: Sizes, choices, seeds and versions.
    """

    accuracy: float
    interval: tuple[float, float]
    mean_per_class: float
    labels: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)
    predictions: np.ndarray = dataclasses.field(repr=False, metadata=ARRAY)

    caption = "Accuracy on the test images of each class."

    @classmethod
    def of_predictions(cls, predictions: np.ndarray, labels: np.ndarray, **fields: Any) -> Self:
        """Computes the scores of predictions; `fields` are the others of the class."""
        right = int((predictions == labels).sum())
        return cls(
            accuracy=right / len(labels),
            interval=accuracy_interval(right, len(labels)),
            mean_per_class=mean_per_class_accuracy(predictions, labels),
            labels=labels,
            predictions=predictions,
            **fields,
        )

    @property
    def is_right(self) -> np.ndarray:
        """Whether each prediction is right, bool `(test,)`."""
        return self.predictions == self.labels

    def image_scores(self) -> np.ndarray:
        return self.is_right

    def rows(self) -> list[dict[str, str]]:
        return [
            {
                "accuracy": percent_with_interval(self.accuracy, self.interval),
                "mean per class": percent(self.mean_per_class),
            }
        ]

    def plot(self, narrow: bool = False) -> Figure:
        return draw_bars(self.accuracy_of_classes, "accuracy", percent=True, narrow=narrow)

    @classmethod
    def plot_together(
        cls, results: Mapping[str, PredictionResult], narrow: bool = False
    ) -> Figure | None:
        of_models = {name: one.accuracy_of_classes for name, one in results.items()}
        classes = dict.fromkeys(one for of_model in of_models.values() for one in of_model)
        values = {
            one: {name: of_model.get(one, np.nan) for name, of_model in of_models.items()}
            for one in classes
        }
        return draw_bars(values, "accuracy", percent=True, narrow=narrow)

    @property
    def accuracy_of_classes(self) -> dict[str, float]:
        """Accuracy on the test images of each class."""
        return {
            str(one): float(self.is_right[self.labels == one].mean())
            for one in np.unique(self.labels)
        }
