"""Training steps whose contrastive batch is large and whose memory is that of a micro-batch.

The encoder runs over the micro-batches without gradient; the loss of all projections gives its
gradient at the projections; then the encoder runs over the micro-batches again, with gradient, and
each takes its share of the gradient back to the weights. One file for each backend holds the step.

Reference: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
RepL4NLP 2021.
"""

import importlib
from typing import Any

import keras


def cached_train_step(model: keras.Model, *arguments: Any) -> Any:
    """`Model.train_step` of this backend, with the same arguments and results."""
    step = importlib.import_module(
        f"keras_supcon.models.gradient_caching.{keras.backend.backend()}"
    )
    return step.train_step(model, *arguments)
