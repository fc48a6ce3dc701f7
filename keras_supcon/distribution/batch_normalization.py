"""Batch normalization, whose statistics are per-replica or of the global batch."""

import keras

from keras_supcon._keras_internals import nested_layers


def batch_normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Returns the batch normalization layers of a model and all its parts."""
    layers = nested_layers(model, include_self=False)
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
