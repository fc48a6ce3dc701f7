"""Calibration of a classifier, and temperature scaling as its remedy."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_supcon.arguments import check_whole_number
from keras_supcon.array_checks import check_embeddings
from keras_supcon.evaluation.reporting.charts import draw_reliability
from keras_supcon.evaluation.results import ARRAY, Result, describe, percent
from keras_supcon.evaluation.scores.calibration import (
    Bins,
    as_probabilities,
    bin_confidences,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    shift_logits,
    softmax,
)
from keras_supcon.evaluation.scores.intervals import accuracy_interval, basic_interval, bootstrap
from keras_supcon.extras import require_extra
from keras_supcon.seeds import check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class CalibrationScores:
    """Scores of the probabilities of a classifier.

    Args:
        accuracy: Share of images whose most probable class is the true one.
        confidence: Mean of the largest probabilities.
        expected_error: Expected calibration error, bins of equal width.
        expected_error_interval: Its 95% interval over images (basic bootstrap).
        expected_error_by_mass: The same, bins of equal counts.
        classwise_error: Mean over classes of the calibration error of a class's probability.
        maximum_error: Largest distance of accuracy and confidence in a bin of equal width.
        negative_log_likelihood: In nats.
        brier_score: Mean squared distance from the true class, in [0, 2].
    """

    accuracy: float
    confidence: float
    expected_error: float
    expected_error_interval: tuple[float, float]
    expected_error_by_mass: float
    classwise_error: float
    maximum_error: float
    negative_log_likelihood: float
    brier_score: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationResult(Result):
    """What `calibration` measured.

    Args:
        scores: Scores of the probabilities.
        accuracy_interval: 95% interval of the accuracy (Wilson).
        temperature: What divides the logits, fitted on validation images; None without these.
        scaled: Scores of the probabilities after that; None without validation images.
        bins: The reliability diagram.
        scaled_bins: That of the scaled probabilities, or None.
        protocol: Sizes, choices, seeds and versions.
    """

    scores: CalibrationScores
    accuracy_interval: tuple[float, float]
    temperature: float | None = None
    scaled: CalibrationScores | None = None
    bins: Bins = dataclasses.field(repr=False, metadata=ARRAY)
    scaled_bins: Bins | None = dataclasses.field(repr=False, metadata=ARRAY)

    title: ClassVar[str] = "Calibration"
    caption: ClassVar[str] = (
        "Accuracy of the images in each bin of confidence, and the gap to their mean confidence; "
        "below, how many images each bin has."
    )

    @property
    def expected_error(self) -> float:
        """Expected calibration error of the probabilities as they were given."""
        return self.scores.expected_error

    def rows(self) -> list[dict[str, str]]:
        rows = [{"probabilities": "as given", **_row(self.scores)}]
        if self.scaled is not None:
            name = f"temperature {self.temperature:.2f}"
            rows.append({"probabilities": name, **_row(self.scaled)})
        return rows

    def plot(self, narrow: bool = False) -> Figure:
        return draw_reliability(
            self.bins.edges,
            self.bins.accuracy,
            self.bins.confidence,
            self.bins.counts,
            f"expected calibration error {self.expected_error:.3f}",
            narrow=narrow,
        )


def _row(scores: CalibrationScores) -> dict[str, str]:
    low, high = scores.expected_error_interval
    return {
        "accuracy": percent(scores.accuracy),
        "confidence": percent(scores.confidence),
        "ECE": f"{scores.expected_error:.4f} ({low:.4f} to {high:.4f})",
        "by mass": f"{scores.expected_error_by_mass:.4f}",
        "classwise": f"{scores.classwise_error:.4f}",
        "MCE": f"{scores.maximum_error:.3f}",
        "NLL": f"{scores.negative_log_likelihood:.4f}",
        "Brier": f"{scores.brier_score:.4f}",
    }


def calibration(
    probabilities: np.ndarray,
    labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    num_bins: int = 15,
    from_logits: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> CalibrationResult:
    """Measures how well a classifier's confidence tells its accuracy.

    With validation images it also fits one temperature to them, divides the logits of the test
    images by it, and measures again. Logarithms of probabilities serve as logits.

    The calibration error of few images is too large on average: the interval corrects for that, so
    that the error itself may lie above it.

    Args:
        probabilities: `(n, classes)`, or logits with `from_logits`.
        labels: Class ids `(n,)`: columns of the probabilities.
        validation: `(probabilities, labels)` of other images, or logits with `from_logits`.
        num_bins: Number of bins, at least 1.
        from_logits: Whether logits are given. They are never guessed to be.
        resamples: Number of bootstrap draws, at least 1.
        seed: Seed of these draws.

    Returns:
        Calibration errors, likelihood and Brier score, before and after temperature scaling.

    Raises:
        ValueError: If rows are no probabilities, or labels are not among the classes.
        ImportError: If SciPy is missing (`pip install keras-supcon[report]`).

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> rng = np.random.default_rng(0)
    >>> logits, labels = rng.normal(size=(500, 4)), rng.integers(0, 4, 500)  # mere noise
    >>> logits[np.arange(500), labels] += 2
    >>> halves = (3 * logits[:250], labels[:250]), (3 * logits[250:], labels[250:])
    >>> result = keras_supcon.evaluation.calibration(*halves[1], halves[0], from_logits=True)
    >>> result.temperature > 1, result.scaled.expected_error < result.expected_error
    (True, True)
    """
    require_extra("report", "scipy", by="`calibration`")
    num_bins = check_whole_number("num_bins", num_bins, at_least=1)
    resamples = check_whole_number("resamples", resamples, at_least=1)
    check_seed(seed)
    given, logits, labels = _read(probabilities, labels, from_logits)
    scores, bins = _score(given, labels, num_bins, resamples, seed)
    if from_logits:
        scores = _with_likelihood_of(logits, labels, scores)
    temperature = scaled = scaled_bins = None
    if validation is not None:
        others, other_labels = _check_validation(validation, given.shape[1], from_logits)
        temperature = fit_temperature(others, other_labels)
        logits = logits / temperature
        scaled, scaled_bins = _score(softmax(logits), labels, num_bins, resamples, seed)
        scaled = _with_likelihood_of(logits, labels, scaled)
    right = round(scores.accuracy * len(labels))
    return CalibrationResult(
        scores=scores,
        accuracy_interval=accuracy_interval(right, len(labels)),
        temperature=temperature,
        scaled=scaled,
        bins=bins,
        scaled_bins=scaled_bins,
        protocol=describe(
            "calibration",
            images=len(labels),
            classes=given.shape[1],
            validation_images=0 if validation is None else len(other_labels),
            num_bins=num_bins,
            bin_of_a_confidence="min(floor(confidence * num_bins), num_bins - 1)",
            from_logits=from_logits,
            interval=f"basic bootstrap, {resamples} draws of images",
            seed=seed,
        ),
    )


def _check_validation(
    validation: Any, num_classes: int, from_logits: bool
) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise ValueError(
            "`validation` should be a pair (probabilities, labels). Received: "
            f"validation={validation!r}"
        )
    others, logits, labels = _read(*validation, from_logits, ("validation[0]", "validation[1]"))
    if others.shape[1] != num_classes:
        raise ValueError(
            f"`validation[0]` should have {num_classes} classes, as `probabilities` has. Received: "
            f"validation[0].shape={others.shape}"
        )
    return logits, labels


def _read(
    scores: Any,
    labels: Any,
    from_logits: bool,
    names: tuple[str, str] = ("probabilities", "labels"),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns `(probabilities, logits, labels)`, logits in float64; as `as_probabilities`."""
    probabilities, labels = as_probabilities(scores, labels, from_logits, names)
    if from_logits:
        return probabilities, shift_logits(check_embeddings(names[0], scores)), labels
    smallest = np.finfo(probabilities.dtype).tiny  # some may have been rounded to 0
    return probabilities, np.log(np.maximum(probabilities, smallest).astype("float64")), labels


def _with_likelihood_of(
    logits: np.ndarray, labels: np.ndarray, scores: CalibrationScores
) -> CalibrationScores:
    """Takes the likelihood of logits, which loses nothing where a probability is all but 0."""
    likelihood = negative_log_likelihood(logits, labels, from_logits=True)
    return dataclasses.replace(scores, negative_log_likelihood=likelihood)


def _score(
    probabilities: np.ndarray, labels: np.ndarray, num_bins: int, resamples: int, seed: int
) -> tuple[CalibrationScores, Bins]:
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    bins = bin_confidences(confidence, is_right, num_bins)
    draws = bootstrap(
        lambda rows: bin_confidences(confidence[rows], is_right[rows], num_bins).expected_error,
        len(labels),
        resamples,
        seed,
    )
    scores = CalibrationScores(
        accuracy=float(is_right.mean()),
        confidence=float(confidence.mean(dtype="float64")),
        expected_error=bins.expected_error,
        expected_error_interval=basic_interval(bins.expected_error, draws),
        expected_error_by_mass=expected_calibration_error(probabilities, labels, num_bins, "mass"),
        classwise_error=classwise_calibration_error(probabilities, labels, num_bins),
        maximum_error=bins.maximum_error,
        negative_log_likelihood=negative_log_likelihood(probabilities, labels),
        brier_score=brier_score(probabilities, labels),
    )
    return scores, bins
