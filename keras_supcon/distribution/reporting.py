"""Whether Keras' trainer asks for a loss, which it then reports."""

from keras_supcon._keras_internals import name_scope_path

# `keras.Model.compile` gives its losses this name scope. There is no public way to ask;
# tests/distribution/test_reporting.py fails if Keras changes the name.
_SCOPE = "compile_loss"


def is_in_compiled_loss() -> bool:
    """Checks whether a loss is called as part of a compiled model, in `fit`, `evaluate` or
    `train_on_batch`.

    A user's own training loop calls the loss directly and combines the values of the replicas
    itself.
    """
    return _SCOPE in name_scope_path().split("/")
