"""Options of losses, each declared by the signature of a function, checked and described once."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_supcon.arguments import (
    check_choice,
    check_class_id_or_none,
    check_whole_number_or_none,
)
from keras_supcon.losses.bias import check_bias
from keras_supcon.losses.temperature import check_temperature

# What a loss function is called on; its other arguments are options.
INPUTS = ("y_true", "y_pred", "keys", "queue", "queue_labels", "pair_weights", "centers")

Check = Callable[[str, Any], Any]
_SHARED_CHECKS: dict[str, Check] = {
    "temperature": lambda _, value: check_temperature(value),
    "bias": lambda _, value: check_bias(value),
    "block_size": functools.partial(check_whole_number_or_none, at_least=1),
    "ignore_class": check_class_id_or_none,
}


def one_of(*choices: str) -> Check:
    """Returns a check that accepts these strings."""
    return functools.partial(check_choice, choices=choices)


def checks_options(
    together: Callable[..., None] | None = None, **checks: Check
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a loss function so that its options are checked before each call.

    The function gets an attribute `check_options`, by which the constructor of its class checks the
    same.

    Args:
        together: Function of all options by keyword that raises `ValueError` for those that do not
            go together; None for no such ones.
        **checks: For each option of this function a `check(name, value)`, which returns the value
            to use or raises `ValueError`. Options of several losses have a check without being
            named here.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        names = [name for name in signature.parameters if name not in INPUTS]
        of_option = {name: {**_SHARED_CHECKS, **checks}.get(name) for name in names}

        def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
            checked = {
                name: value if of_option[name] is None else of_option[name](name, value)
                for name, value in options.items()
            }
            if together is not None:
                together(**checked)
            return checked

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            given.arguments |= check_options({name: given.arguments[name] for name in names})
            return function(*given.args, **given.kwargs)

        call.check_options = check_options
        return call

    return decorate


def described_by(
    source: Callable[..., Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a loss function whose docstring describes some arguments alone.

    Args:
        source: Function with arguments of the same names, whose docstring describes the others.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        names = inspect.signature(function).parameters
        function.__doc__ = with_argument_lines(function.__doc__, names, [source.__doc__])
        return function

    return decorate


def options_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Returns the options in the signature of a loss function, by name."""
    parameters = inspect.signature(function).parameters
    return {name: one for name, one in parameters.items() if name not in INPUTS}


def with_argument_lines(docstring: str, names: Iterable[str], sources: Iterable[str]) -> str:
    """Completes the section `Args` of a docstring from those of other docstrings.

    Args:
        docstring: Docstring with or without the section. Its own lines are kept.
        names: Names of the arguments, in their order.
        sources: Docstrings, of which the first that describes an argument is taken.

    Returns:
        The docstring without common indentation.
    """
    docstring = inspect.cleandoc(docstring)
    described: dict[str, str] = {}
    for source in (docstring, *map(inspect.cleandoc, sources)):
        described = {**_argument_lines(source), **described}
    section = "Args:\n" + "".join(described[name] for name in names)
    own = _ARGS.search(docstring)
    if own is not None:
        return docstring[: own.start()] + section + docstring[own.end() :]
    place = _NEXT_SECTION.search(docstring).start()
    return f"{docstring[:place]}{section}\n{docstring[place:]}"


_ARGS = re.compile(r"^Args:\n((?:    .*\n)+)", re.MULTILINE)
_ARGUMENT = re.compile(r"^    \**(\w+): .*\n(?:     .*\n)*", re.MULTILINE)
_NEXT_SECTION = re.compile(r"^(?:Raises|Reference|Example):$", re.MULTILINE)


def _argument_lines(docstring: str) -> dict[str, str]:
    section = _ARGS.search(f"{docstring}\n")
    if section is None:
        return {}
    return {entry[1]: entry[0] for entry in _ARGUMENT.finditer(section[1])}
