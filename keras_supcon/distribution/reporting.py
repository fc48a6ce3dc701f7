"""Whether Keras' trainer is asking for a loss, which it then reports."""

# Keras has no public way to ask.
from keras.src.backend.common.name_scope import current_path

_SCOPE = "compile_loss"


def is_in_compiled_loss() -> bool:
    """Whether a loss is called by what `compile` made of it, within `fit`, `evaluate` or `train_on_batch`.

    A training loop of the user's own calls the loss itself, and knows best what to make of the values of replicas.
    """
    return _SCOPE in current_path().split("/")
