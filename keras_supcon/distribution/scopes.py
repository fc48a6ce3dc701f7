"""Leaving the scope of a strategy."""

import concurrent.futures
from collections.abc import Callable
from typing import TypeVar

import keras

_Result = TypeVar("_Result")


def outside_of_scopes(function: Callable[[], _Result]) -> _Result:
    """Runs a function outside of the scope of a strategy in which the caller may be.

    Within it every replica would run a whole batch. A scope is that of a thread, so that another
    thread is outside.

    Args:
        function: Function without arguments.

    Returns:
        What it returns.
    """
    if keras.backend.backend() != "tensorflow":
        return function()
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        return function()
    policy = keras.config.dtype_policy()  # which is that of a thread, too

    def run() -> _Result:
        keras.config.set_dtype_policy(policy)
        return function()

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(run).result()
