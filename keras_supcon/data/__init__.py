"""Labelled images as `tf.data` pipelines. Needs TensorFlow, with every backend of Keras."""

from keras_supcon.data.folder import load_folder
from keras_supcon.data.named import load
from keras_supcon.data.views import with_views

__all__ = ["load", "load_folder", "with_views"]
