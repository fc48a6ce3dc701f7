"""Calibration of a classifier over all batches."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_bool, check_whole_number
from keras_supcon.ops import standardize_labels
from keras_supcon.typing import Tensor

# Probabilities of half precision sum to 1 within this.
_SUM_TOLERANCE = 1e-2


@keras.saving.register_keras_serializable(package="keras_supcon")
class ExpectedCalibrationError(keras.metrics.Metric):
    """Computes the mean distance of confidence and accuracy over bins of confidence.

    `ECE = sum_b n_b / n * |accuracy_b - confidence_b|` over all samples, where the confidence of a
    sample is its largest probability. Bins have equal width: a confidence c is in bin
    `min(floor(c * num_bins), num_bins - 1)`, computed in float32, or in float64 for such
    predictions, as `evaluation.expected_calibration_error` does. A border belongs to the bin above
    it and 1 to the last bin. torchmetrics has one more bin, for confidences of exactly 1.

    Samples with class id -1, which are unlabeled, do not count. Rows that are not finite make the
    result NaN, and so do rows that are no probabilities, such as logits without `from_logits`.

    Args:
        num_bins: Number of bins, at least 1.
        from_logits: Whether predictions are logits, of which the softmax is taken. They are never
            guessed to be.
        name: Name of the metric.
        dtype: Dtype of the result and of sums.

    Raises:
        ValueError: If an argument is none of the above.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.metrics import ExpectedCalibrationError
    >>> metric = ExpectedCalibrationError(num_bins=10)
    >>> probabilities = np.array([[0.75, 0.25], [0.75, 0.25]], "float32")
    >>> metric.update_state([0, 1], probabilities)  # confidence 0.75, accuracy 0.5
    >>> float(metric.result())
    0.25
    """

    # `EarlyStopping` and other callbacks read here whether more or less is better.
    _direction = "down"

    def __init__(
        self,
        num_bins: int = 15,
        from_logits: bool = False,
        *,
        name: str = "expected_calibration_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_bins = check_whole_number("num_bins", num_bins, at_least=1)
        self.from_logits = check_bool("from_logits", from_logits)
        self.weight, self.confidence, self.correct = (
            self.add_variable((self.num_bins,), "zeros", dtype=self.dtype, name=of)
            for of in ("weight", "confidence", "correct")
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds the samples of a batch.

        Args:
            y_true: Class ids `(batch,)` or `(batch, 1)`, -1 for unlabeled, or one-hot rows `(batch,
                classes)`.
            y_pred: Probabilities, or logits, `(batch, classes)` of at least two classes.
            sample_weight: `(batch,)`; None for 1.

        Raises:
            ValueError: If shapes or, where their values are known, labels are not as described.
        """
        y_pred = ops.convert_to_tensor(y_pred)
        shape = tuple(y_pred.shape)
        if len(shape) != 2 or shape[1] is None or shape[1] < 2:
            raise ValueError(
                "`y_pred` should have shape (batch, classes), with at least two classes. Received: "
                f"y_pred.shape={shape}"
            )
        labels = standardize_labels(y_true, num_classes=shape[1])
        if None not in (shape[0], labels.shape[0]) and shape[0] != labels.shape[0]:
            raise ValueError(
                "`y_true` should have as many rows as `y_pred`. Received: "
                f"{labels.shape[0]} labels, y_pred.shape={shape}"
            )
        probabilities = self._probabilities(y_pred)
        confidence = ops.max(probabilities, axis=1)
        is_right = ops.equal(ops.cast(ops.argmax(probabilities, axis=1), "int32"), labels)
        are_valid = _are_probabilities(probabilities)
        place = ops.floor(ops.where(are_valid, confidence, 0.0) * self.num_bins)
        place = ops.cast(ops.minimum(place, self.num_bins - 1), "int32")
        weight = ops.cast(labels >= 0, self.dtype)
        if sample_weight is not None:
            weight = weight * ops.cast(ops.reshape(sample_weight, (-1,)), self.dtype)
        confidence = ops.cast(ops.where(are_valid, confidence, float("nan")), self.dtype)
        for total, of_samples in (
            (self.weight, weight),
            (self.confidence, weight * confidence),
            (self.correct, weight * ops.cast(is_right, self.dtype)),
        ):
            total.assign_add(ops.segment_sum(of_samples, place, self.num_bins))

    def _probabilities(self, y_pred: Tensor) -> Tensor:
        """Returns probabilities, float64 of float64 and else float32."""
        if keras.backend.standardize_dtype(y_pred.dtype) != "float64":
            y_pred = ops.cast(y_pred, "float32")
        y_pred = ops.stop_gradient(y_pred)
        return ops.softmax(y_pred, axis=1) if self.from_logits else y_pred

    def result(self) -> Tensor:
        # n_b |accuracy_b - confidence_b| of a bin needs no division.
        gaps = ops.sum(ops.abs(self.correct - self.confidence))
        return ops.divide_no_nan(gaps, ops.sum(self.weight))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "from_logits": self.from_logits,
        }


def _are_probabilities(rows: Tensor) -> Tensor:
    """Returns for each row whether it is finite, not negative and sums to 1, bool `(batch,)`."""
    are_numbers = ops.all(ops.logical_and(ops.isfinite(rows), rows >= 0), axis=1)
    return ops.logical_and(are_numbers, ops.abs(ops.sum(rows, axis=1) - 1) <= _SUM_TOLERANCE)
