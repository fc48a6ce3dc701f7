"""What large-batch training needs beside Keras' own optimizers and schedules."""

from keras_supcon.optimizers.lars import LARS
from keras_supcon.optimizers.schedules import (
    WarmUp,
    epochs_to_steps,  # noqa: F401, deprecated
    scale_learning_rate,
)

__all__ = ["LARS", "WarmUp", "scale_learning_rate"]
