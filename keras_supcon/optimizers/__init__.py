"""What large-batch training needs beside Keras' own optimizers and schedules."""

from keras_supcon.optimizers.lars import LARS
from keras_supcon.optimizers.schedules import WarmUp, epochs_to_steps, scale_learning_rate

__all__ = ["LARS", "WarmUp", "epochs_to_steps", "scale_learning_rate"]
