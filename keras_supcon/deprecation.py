"""Public names and calls that still work for one version, with a `DeprecationWarning`."""

import functools
import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from keras_supcon.user_lines import stacklevel_of_user

_Function = TypeVar("_Function", bound=Callable[..., Any])


def deprecate_positional(function: _Function) -> _Function:
    """Accepts keyword-only arguments by position, in the order of the signature, with a warning.

    Args:
        function: Function or constructor whose keyword-only arguments were positional before.

    Returns:
        The function with the same signature.

    Example:

    >>> import warnings
    >>> from keras_supcon.deprecation import deprecate_positional
    >>> @deprecate_positional
    ... def scale(image, *, factor=2):
    ...     return image * factor
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     print(scale(3, 4), caught[0].category.__name__)
    12 DeprecationWarning
    """
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    allowed = [one for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    by_keyword = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        excess = args[len(allowed) :]
        # Too many, or given twice: Python's own error is clear.
        names = by_keyword[: len(excess)]
        if not excess or len(excess) > len(by_keyword) or not kwargs.keys().isdisjoint(names):
            return function(*args, **kwargs)
        # Of an inherited constructor, the class that is made.
        is_constructor = function.__name__ == "__init__"
        name = type(args[0]).__name__ if is_constructor else function.__qualname__
        warnings.warn(
            f"{', '.join(f'`{one}`' for one in names)} of `{name}` should be given by keyword; the "
            "next version will not take them by position.",
            DeprecationWarning,
            stacklevel=stacklevel_of_user(),
        )
        given = dict(zip(names, excess, strict=True))
        return function(*args[: len(allowed)], **given, **kwargs)

    # Keras reads the arguments of a constructor by `getfullargspec`, which does not look through
    # wrappers.
    call.__signature__ = signature
    return call


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module whose old names lead to new ones, with a warning.

    Args:
        module: `__name__` of the module.
        names: New path, such as `"keras_supcon.data.center_resize"`, for each old name.
    """

    def look_up(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new = names[name]
        warnings.warn(
            f"`{module}.{name}` is now `{new}`; the next version will not have the old name.",
            DeprecationWarning,
            stacklevel=stacklevel_of_user(),
        )
        home, _, attribute = new.rpartition(".")
        return getattr(importlib.import_module(home), attribute)

    return look_up
