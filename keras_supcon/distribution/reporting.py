"""Whether Keras' trainer asks for a loss, which it then reports."""

import keras

from keras_supcon._keras_internals import name_scope_path

# `keras.Model.compile` gives its losses this name scope. There is no public way to ask;
# tests/distribution/test_reporting.py fails if Keras changes the name.
_SCOPE = "compile_loss"


def reported_by_trainer() -> keras.name_scope:
    """Returns a context in which `compute_loss` of a model calls losses that Keras reports.

    Without it a loss with `reduction="sum"` or `"mean_with_sample_weight"` still has the right
    gradient, but under a strategy the reported value of an uneven last batch is another.
    """
    return keras.name_scope(_SCOPE)


def is_in_compiled_loss() -> bool:
    """Checks whether a compiled model calls the loss, in `fit`, `evaluate` or `train_on_batch`.

    A user's own training loop calls the loss directly and combines the values of the replicas
    itself.
    """
    return _SCOPE in name_scope_path().split("/")
