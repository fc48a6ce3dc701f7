"""Batch normalization, whose statistics are of one replica or of all."""

import keras


def batch_normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Those of the model and all its parts."""
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
