"""Calls layers with known draws."""

import keras
import numpy as np
from keras import ops

from keras_supcon.typing import TensorTree
from tests.autodiff import compiled


def transform(layer: keras.layers.Layer, images: np.ndarray, draws: TensorTree) -> np.ndarray:
    """Applies given draws to images.

    On JAX this is one program: step by step, every step would be compiled alone.
    """
    run = compiled(layer.transform) if keras.backend.backend() == "jax" else layer.transform
    return ops.convert_to_numpy(run(ops.convert_to_tensor(images), draws))


def draw_and_transform(
    layer: keras.layers.Layer, images: np.ndarray
) -> tuple[TensorTree, np.ndarray]:
    """Returns the draws for a batch, and the images to which they are applied."""
    draws = layer.draw(len(images), images.shape[1:])
    return draws, transform(layer, images, draws)
