"""Whether Keras' trainer is asking for a loss, which it then reports."""

# Keras has no public way to ask. tests/distributed/test_reporting.py tells when the name of the
# scope is another.
import keras
from keras.src.backend.common.name_scope import current_path

_SCOPE = "compile_loss"


def reported_by_trainer() -> keras.name_scope:
    """Returns a context for `compute_loss` of a model, in which a loss that it calls is one that
    Keras' trainer reports.

    Without it a loss with `reduction="sum"` or `"mean_with_sample_weight"` still has the right
    gradient, but under a strategy the reported value of an uneven last batch is another.
    """
    return keras.name_scope(_SCOPE)


def is_in_compiled_loss() -> bool:
    """Whether a loss is called by what `compile` made of it, within `fit`, `evaluate` or
    `train_on_batch`.

    A user's own training loop calls the loss itself and decides how to combine the values of the
    replicas.
    """
    return _SCOPE in current_path().split("/")
