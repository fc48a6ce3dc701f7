"""Scores of predictions: accuracy, mean per class, eleven-point average precision."""

import numpy as np

from keras_supcon.array_checks import check_labels, check_numbers
from keras_supcon.extras import require_extra


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of right predictions.

    Args:
        predictions: Class ids `(n,)`.
        labels: Class ids `(n,)`.
    """
    return float((predictions == labels).mean())


def mean_per_class_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Computes the mean over classes of the accuracy on the images of a class.

    Each class counts alike, however many images it has. Classes without images do not count.

    Args:
        predictions: Class ids `(n,)`.
        labels: Class ids `(n,)`.

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: If there are no labels, or the arrays are not class ids of one length.

    Example:

    >>> from keras_supcon.evaluation import mean_per_class_accuracy
    >>> mean_per_class_accuracy([0, 0, 0, 0], [0, 0, 0, 1])
    0.5
    """
    labels = check_labels("labels", labels)
    predictions = check_labels("predictions", predictions, len(labels))
    if not len(labels):
        raise ValueError("`labels` should hold at least one class id. Received: 0")
    return float(np.mean([(predictions[labels == one] == one).mean() for one in np.unique(labels)]))


def eleven_point_average_precision(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """Computes the average precision of PASCAL VOC 2007 of one class.

    It is the mean over the recalls 0, 0.1, ..., 1 of the best precision at that recall or above.
    Images of one score are taken together, so that their order does not matter.

    Args:
        scores: `(n,)`, higher for the class.
        is_positive: `(n,)`, whether the class is in the image.

    Returns:
        A number in [0, 1]; NaN if the class is in no image.

    Raises:
        ValueError: If there are no scores, they are not finite, or the arrays differ in length.
        ImportError: If scikit-learn is missing (`pip install keras-supcon[report]`).

    Reference:
        Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010, section
        4.2.

    Example:

    >>> from keras_supcon.evaluation import eleven_point_average_precision
    >>> eleven_point_average_precision([0.9, 0.8, 0.7, 0.1], [1, 1, 0, 0])
    1.0
    """
    require_extra("report", "sklearn", by="`eleven_point_average_precision`")
    from sklearn.metrics import precision_recall_curve

    scores = check_numbers("scores", scores)
    is_positive = check_labels("is_positive", is_positive, len(scores), num_classes=2)
    if not is_positive.any():
        return float("nan")
    precision, recall, _ = precision_recall_curve(is_positive, scores)
    precision, recall = precision[:-1], recall[:-1]  # the last point is none of the ranking
    # Recalls are fractions, which the steps of 0.1 may miss by a rounding error.
    return float(
        np.mean([precision[recall >= step / 10 - 1e-12].max(initial=0.0) for step in range(11)])
    )
