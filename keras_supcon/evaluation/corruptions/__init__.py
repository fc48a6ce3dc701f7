"""The corruptions of ImageNet-C and CIFAR-10-C, in NumPy, SciPy and Pillow."""

from keras_supcon.evaluation.corruptions.arrays import corrupt
from keras_supcon.evaluation.corruptions.constants import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    constants_table,
    corruption_constants,
)
from keras_supcon.evaluation.corruptions.datasets import corrupted, corrupted_name

__all__ = [
    "CORRUPTIONS",
    "EXTRA_CORRUPTIONS",
    "constants_table",
    "corrupt",
    "corrupted",
    "corrupted_name",
    "corruption_constants",
]
