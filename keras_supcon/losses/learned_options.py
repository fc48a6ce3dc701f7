"""Options of a loss that a model learns: tensors in place of numbers, within a context."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

# Losses, each with tensors for some of its options, the innermost last. Each replica is traced in
# its own thread, and each thread has its own value of this variable.
_IN_USE: contextvars.ContextVar[tuple[tuple[Any, dict[str, Any]], ...]] = contextvars.ContextVar(
    "learned_options", default=()
)


@contextlib.contextmanager
def using_options(loss: Any, **options: Any) -> Iterator[None]:
    """Makes a loss use these tensors for its options within the context.

    A context within another one of the same loss adds to its options.
    """
    token = _IN_USE.set((*_IN_USE.get(), (loss, options)))
    try:
        yield
    finally:
        _IN_USE.reset(token)


def options_given_to(loss: Any) -> dict[str, Any]:
    """Returns the options that the surrounding contexts give this loss, by name."""
    given: dict[str, Any] = {}
    for of_loss, options in _IN_USE.get():
        if of_loss is loss:
            given |= options
    return given
