"""An optimizer and learning rates for large batches, beside those of Keras."""

from keras_supcon.optimizers.lars import LARS
from keras_supcon.optimizers.schedules import (
    WarmUp,
    epochs_to_steps,  # noqa: F401, deprecated
    scale_learning_rate,
)

__all__ = ["LARS", "WarmUp", "scale_learning_rate"]
