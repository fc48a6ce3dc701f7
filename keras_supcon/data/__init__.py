"""Labelled images as `tf.data` pipelines, for which TensorFlow is needed with every backend of
Keras, and as arrays.
"""

from keras_supcon.data.decode import decode_and_centre, decode_and_crop
from keras_supcon.data.epochs import load_epochs
from keras_supcon.data.folder import load_folder
from keras_supcon.data.named import load, load_arrays
from keras_supcon.data.views import with_views

__all__ = [
    "decode_and_centre",
    "decode_and_crop",
    "load",
    "load_arrays",
    "load_epochs",
    "load_folder",
    "with_views",
]
