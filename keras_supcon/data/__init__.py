"""Labeled images as `tf.data` pipelines and as arrays.

The pipelines need TensorFlow, whatever the backend of Keras. Streams of tasks and their buffer are
arrays of NumPy.
"""

from keras_supcon.data.balanced_batches import BalancedBatches, balanced_batches
from keras_supcon.data.decode import decode_and_center, decode_and_crop
from keras_supcon.data.epochs import load_epochs
from keras_supcon.data.expected_positives import ExpectedPositives, expected_positives
from keras_supcon.data.folder import load_folder
from keras_supcon.data.long_tail import long_tail_sizes, long_tailed
from keras_supcon.data.multi_label import load_multi_label
from keras_supcon.data.named import load, load_arrays
from keras_supcon.data.replay_buffer import ReplayBuffer
from keras_supcon.data.tasks import (
    Task,
    TaskStream,
    class_incremental,
    domain_incremental,
    task_incremental,
)
from keras_supcon.data.with_views import with_views
from keras_supcon.deprecation import renamed

__all__ = [
    "BalancedBatches",
    "ExpectedPositives",
    "ReplayBuffer",
    "Task",
    "TaskStream",
    "balanced_batches",
    "class_incremental",
    "decode_and_center",
    "decode_and_crop",
    "domain_incremental",
    "expected_positives",
    "load",
    "load_arrays",
    "load_epochs",
    "load_folder",
    "load_multi_label",
    "long_tail_sizes",
    "long_tailed",
    "task_incremental",
    "with_views",
]

__getattr__ = renamed(__name__, {"decode_and_centre": "keras_supcon.data.decode_and_center"})
