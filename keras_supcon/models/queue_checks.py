"""Checks of methods with a queue, before training begins."""

import keras


def check_compiled_loss(model: keras.Model, kinds: tuple[type[keras.losses.Loss], ...]) -> None:
    """Raises `ValueError` if a model is not compiled with one loss of some kinds."""
    if not isinstance(model.loss, kinds):
        raise ValueError(
            f"`loss` of `{type(model).__name__}` should be a contrastive loss of `keras_supcon`, "
            f"such as `keras_supcon.NTXentLoss()`. Received: loss={model.loss!r}"
        )


def check_rows_fit(queue_size: int, num_rows: int) -> None:
    """Raises `ValueError` if the rows of a batch do not fit into a queue."""
    if num_rows > queue_size:
        raise ValueError(
            f"`queue_size` should be at least the number of rows that a batch adds, {num_rows}. "
            f"Received: queue_size={queue_size}"
        )
