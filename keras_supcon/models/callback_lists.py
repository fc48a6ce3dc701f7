"""Callbacks that a model adds to those of `fit`."""

from typing import Any

import keras


def with_callback(model: keras.Model, added: keras.callbacks.Callback, callbacks: Any) -> Any:
    """Returns the `callbacks` argument of `fit` with one more, which is called before the others.

    A `CallbackList` is changed. In a later `fit` with it the new callback replaces the one of the
    same class that was added before.

    Args:
        model: The model that is fit.
        added: The callback.
        callbacks: A callback, a list of them, a `CallbackList`, or None.
    """
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        return [added, *keras.tree.flatten([] if callbacks is None else callbacks)]
    added.set_model(model)
    added.set_params(callbacks.params or {})
    others = [one for one in callbacks.callbacks if type(one) is not type(added)]
    callbacks.callbacks[:] = [added, *others]
    return callbacks
