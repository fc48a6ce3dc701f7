"""Layers with their draws in sight."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tests.autodiff import compiled


def transform(layer: Any, images: np.ndarray, draws: Any) -> np.ndarray:
    """What the layer makes of images with given draws. On JAX as one program: step by step, every
    step is compiled alone.
    """
    run = compiled(layer.transform) if keras.backend.backend() == "jax" else layer.transform
    return ops.convert_to_numpy(run(ops.convert_to_tensor(images), draws))


def draw_and_transform(layer: Any, images: np.ndarray) -> tuple[Any, np.ndarray]:
    """The draws for a batch, and what the layer makes of it."""
    draws = layer.draw(len(images), images.shape[1:])
    return draws, transform(layer, images, draws)
