"""Scores of probabilities: calibration errors, likelihood, Brier score, temperature scaling."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_supcon.arguments import check_bool, check_choice, check_whole_number
from keras_supcon.array_checks import (
    check_embeddings,
    check_labels,
    check_probabilities,
)
from keras_supcon.extras import require_extra

BINNINGS = ("width", "mass")
# Temperatures outside are those of a classifier that is never or always right.
_TEMPERATURES = (1e-2, 1e2)
# Far from what float64 holds, also after division by the lowest temperature.
_LOWEST_LOGIT = -1e290


@dataclasses.dataclass(frozen=True)
class Bins:
    """Confidences in bins, as a reliability diagram shows them.

    Args:
        edges: Borders of the bins `(num_bins + 1,)`.
        counts: Number of images in each bin `(num_bins,)`.
        confidence: Mean confidence in each bin; NaN in an empty one.
        accuracy: Accuracy in each bin; NaN in an empty one.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def gaps(self) -> np.ndarray:
        """Absolute differences of accuracy and confidence; 0 in an empty bin."""
        return np.nan_to_num(np.abs(self.accuracy - self.confidence))

    @property
    def expected_error(self) -> float:
        return float((self.counts / self.counts.sum()) @ self.gaps)

    @property
    def maximum_error(self) -> float:
        return float(self.gaps.max())


def bin_confidences(
    confidence: np.ndarray, is_right: np.ndarray, num_bins: int = 15, binning: str = "width"
) -> Bins:
    """Sorts confidences into bins.

    Args:
        confidence: `(n,)`, in [0, 1].
        is_right: `(n,)`, bool.
        num_bins: Number of bins, at least 1.
        binning: `"width"`: bin `min(floor(confidence * num_bins), num_bins - 1)`, so that a border
            belongs to the bin above it and 1 to the last one. `"mass"`: bins of equal counts by
            ascending confidence; of equal confidences the wrong ones come first.
    """
    num_bins = check_whole_number("num_bins", num_bins, at_least=1)
    check_choice("binning", binning, BINNINGS)
    if binning == "width":
        edges = np.linspace(0, 1, num_bins + 1)
        place = np.minimum(np.floor(confidence * num_bins), num_bins - 1).astype("int64")
    else:
        order = np.lexsort((is_right, confidence))
        parts = np.array_split(order, num_bins)
        place = np.empty(len(confidence), "int64")
        for number, part in enumerate(parts):
            place[part] = number
        lowest = [confidence[part[0]] for part in parts if len(part)]
        edges = np.array([*lowest, *[confidence.max()] * (num_bins + 1 - len(lowest))])
    counts, of_confidence, of_right = (
        np.bincount(place, weights, minlength=num_bins)
        for weights in (None, confidence.astype("float64"), is_right)
    )
    with np.errstate(invalid="ignore"):
        return Bins(edges, counts, of_confidence / counts, of_right / counts)


def as_probabilities(
    scores: np.ndarray,
    labels: np.ndarray,
    from_logits: bool = False,
    names: tuple[str, str] = ("probabilities", "labels"),
) -> tuple[np.ndarray, np.ndarray]:
    """Checks probabilities, or converts logits, and checks that labels are among their classes.

    Args:
        scores: `(n, classes)`.
        labels: `(n,)`.
        from_logits: Whether scores are logits.
        names: Names of the two arguments, for messages.

    Returns:
        `(probabilities, labels)`: `(n, classes)` and int64 `(n,)`.
    """
    if check_bool("from_logits", from_logits):
        scores = softmax(check_embeddings(names[0], scores))
    probabilities = check_probabilities(names[0], scores)
    number, num_classes = probabilities.shape
    return probabilities, check_labels(names[1], labels, number, num_classes)


def shift_logits(logits: np.ndarray) -> np.ndarray:
    """Returns logits in float64 whose largest one in each row is 0, and none is infinite."""
    logits = np.asarray(logits, "float64")
    with np.errstate(over="ignore"):
        return np.maximum(logits - logits.max(axis=1, keepdims=True), _LOWEST_LOGIT)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits `(n, classes)`."""
    with np.errstate(over="ignore"):  # to minus infinity, whose exponential is 0
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def reliability(
    probabilities: np.ndarray,
    labels: np.ndarray,
    num_bins: int = 15,
    binning: str = "width",
    from_logits: bool = False,
) -> Bins:
    """Sorts the largest probability of each image into bins; arguments as below."""
    probabilities, labels = as_probabilities(probabilities, labels, from_logits)
    is_right = probabilities.argmax(axis=1) == labels
    return bin_confidences(probabilities.max(axis=1), is_right, num_bins, binning)


def expected_calibration_error(
    probabilities: np.ndarray,
    labels: np.ndarray,
    num_bins: int = 15,
    binning: str = "width",
    from_logits: bool = False,
) -> float:
    """Computes the mean distance of confidence and accuracy over bins of confidence.

    `ECE = sum_b n_b / n * |accuracy_b - confidence_b|`, where the confidence of an image is its
    largest probability.

    A confidence c is in bin `min(floor(c * num_bins), num_bins - 1)`, computed in the dtype of the
    probabilities. Packages differ at the borders: the code of Guo et al. puts a border into the bin
    below it, and torchmetrics has one more bin for confidences of exactly 1. The error of few
    images is too large on average, since each bin adds its noise.

    Args:
        probabilities: `(n, classes)`, or logits with `from_logits`.
        labels: Class ids `(n,)`.
        num_bins: Number of bins, at least 1.
        binning: `"width"` for bins of equal width, `"mass"` for bins of equal counts.
        from_logits: Whether `probabilities` are logits. They are never guessed to be.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: If rows are no probabilities, labels are not among the classes, or an argument
            is none of the above.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3; for equal
        counts Nguyen and O'Connor, EMNLP 2015.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import expected_calibration_error
    >>> probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    >>> round(expected_calibration_error(probabilities, [0, 1, 1, 1], num_bins=4), 3)  # .2, .35
    0.375
    """
    return reliability(probabilities, labels, num_bins, binning, from_logits).expected_error


def maximum_calibration_error(
    probabilities: np.ndarray,
    labels: np.ndarray,
    num_bins: int = 15,
    binning: str = "width",
    from_logits: bool = False,
) -> float:
    """Computes the largest distance of confidence and accuracy in a bin.

    Arguments, returned range and errors are those of `expected_calibration_error`.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 5.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import maximum_calibration_error
    >>> probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    >>> round(maximum_calibration_error(probabilities, [0, 1, 1, 1], num_bins=4), 3)
    0.4
    """
    return reliability(probabilities, labels, num_bins, binning, from_logits).maximum_error


def classwise_calibration_error(
    probabilities: np.ndarray,
    labels: np.ndarray,
    num_bins: int = 15,
    binning: str = "width",
    from_logits: bool = False,
) -> float:
    """Computes the mean over classes of the calibration error of a class's probability.

    It looks at all probabilities, not only at the largest one of each image. With
    `binning="mass"` it is the adaptive calibration error.

    Arguments, returned range and errors are those of `expected_calibration_error`.

    Reference:
        Nixon et al., Measuring Calibration in Deep Learning, CVPR workshops 2019, equations 2 and
        3 (static and adaptive calibration error).

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import classwise_calibration_error
    >>> probabilities = np.array([[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]])
    >>> classwise_calibration_error(probabilities, [0, 0, 0, 1])
    0.0
    """
    probabilities, labels = as_probabilities(probabilities, labels, from_logits)
    return float(
        np.mean(
            [
                bin_confidences(of_class, labels == i, num_bins, binning).expected_error
                for i, of_class in enumerate(probabilities.T)
            ]
        )
    )


def negative_log_likelihood(
    probabilities: np.ndarray, labels: np.ndarray, from_logits: bool = False
) -> float:
    """Computes the mean of `-log(probability of the true class)`.

    Probabilities are clipped to the smallest step of their dtype, 1.2e-7 in float32, as in
    scikit-learn's `log_loss`; logits are not clipped.

    Args:
        probabilities: `(n, classes)`, or logits with `from_logits`.
        labels: Class ids `(n,)`.
        from_logits: Whether `probabilities` are logits.

    Returns:
        A number of at least 0, in nats.

    Raises:
        ValueError: If rows are no probabilities, or labels are not among the classes.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import negative_log_likelihood
    >>> round(negative_log_likelihood(np.array([[0.5, 0.5], [0.25, 0.75]]), [0, 0]), 4)  # ln 8 / 2
    1.0397
    """
    if from_logits:
        logits = check_embeddings("logits", probabilities)
        labels = check_labels("labels", labels, *logits.shape)
        return _likelihood_of_logits(shift_logits(logits), labels)
    probabilities, labels = as_probabilities(probabilities, labels)
    of_true_class = np.take_along_axis(probabilities, labels[:, None], axis=1)
    smallest = np.finfo(probabilities.dtype).eps
    of_true_class = np.clip(of_true_class.astype("float64"), smallest, 1)
    return float(np.abs(np.log(of_true_class)).mean())


def _likelihood_of_logits(shifted: np.ndarray, labels: np.ndarray) -> float:
    of_true_class = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float((np.log(np.exp(shifted).sum(axis=1)) - of_true_class).mean())


def brier_score(probabilities: np.ndarray, labels: np.ndarray, from_logits: bool = False) -> float:
    """Computes the mean squared distance of the probabilities from the one-hot true class.

    Args:
        probabilities: `(n, classes)`, or logits with `from_logits`.
        labels: Class ids `(n,)`.
        from_logits: Whether `probabilities` are logits.

    Returns:
        A number in [0, 2]; the squares of all classes are added.

    Raises:
        ValueError: If rows are no probabilities, or labels are not among the classes.

    Reference:
        Brier, Verification of Forecasts Expressed in Terms of Probability, 1950.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import brier_score
    >>> brier_score(np.array([[0.5, 0.5], [0.0, 1.0]]), [0, 1])
    0.25
    """
    probabilities, labels = as_probabilities(probabilities, labels, from_logits)
    distances = probabilities.astype("float64")
    distances[np.arange(len(labels)), labels] -= 1
    return float((distances**2).sum(axis=1).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Finds the temperature by which logits should be divided, on validation data.

    It minimizes the negative log-likelihood. It changes no prediction, only the confidence. The
    logarithms of probabilities are logits.

    Args:
        logits: `(n, classes)`.
        labels: Class ids `(n,)`.

    Returns:
        A temperature from 0.01 to 100; above 1 the classifier was too confident.

    Raises:
        ValueError: If logits are not finite rows, or labels are not among the classes.
        ImportError: If SciPy is missing (`pip install keras-supcon[report]`).

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.evaluation import fit_temperature
    >>> logits = np.log([[0.75, 0.25]] * 4)  # right in three of four
    >>> [round(fit_temperature(scale * logits, [0, 0, 0, 1]), 3) for scale in (1, 3)]
    [1.0, 3.0]
    """
    require_extra("report", "scipy", by="`fit_temperature`")
    from scipy.optimize import minimize_scalar

    logits = shift_logits(check_embeddings("logits", logits))
    labels = check_labels("labels", labels, *logits.shape)
    # The likelihood is convex in 1 / temperature.
    low, high = (1 / one for one in reversed(_TEMPERATURES))
    best = minimize_scalar(
        lambda scale: _likelihood_of_logits(logits * scale, labels),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(1 / best.x)
