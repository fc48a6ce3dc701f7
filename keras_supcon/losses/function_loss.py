"""Base class of losses that are a function of a whole batch with options."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import keras

from keras_supcon.deprecation import deprecate_positional
from keras_supcon.losses.bias import check_bias_number
from keras_supcon.losses.options import options_of, with_argument_lines
from keras_supcon.losses.replica_scaled import OF_KERAS, ReplicaScaledLoss
from keras_supcon.losses.temperature import check_temperature_number
from keras_supcon.typing import Tensor
from keras_supcon.user_lines import stacklevel_of_user

# Options that may be tensors in a call, and not in a constructor.
_NUMBERS = {"temperature": check_temperature_number, "bias": check_bias_number}


class FunctionLoss(ReplicaScaledLoss):
    """Makes a Keras loss of a function of a whole batch.

    A dtype of half precision is replaced by float32. Options are set by the constructor. A call may
    have others in their place, for itself alone.

    A subclass names its `function`, `function(y_true, y_pred, **options)`, which `checks_options`
    decorates and which returns one value per sample. Its constructor, decorated by
    `takes_options`, has the options of the function as arguments. Its docstring gets their
    descriptions from the docstring of the function.

    Attributes:
        function: The function.

    Args:
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes
            float32.
        **options: Options of the function; they become attributes and go into the configuration.

    Raises:
        AttributeError: If an option is set after the loss has been made.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__doc__ and "function" in vars(cls):
            names = [*options_of(cls.function), *OF_KERAS]
            cls.__doc__ = with_argument_lines(
                cls.__doc__, names, (cls.function.__doc__, FunctionLoss.__doc__)
            )

    def __init__(
        self, *, reduction: str | None, name: str, dtype: Any = None, **options: Any
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        options = self.function.check_options(options)
        for name, check in _NUMBERS.items():
            if name in options:
                check(options[name])
        for option, value in options.items():
            setattr(self, option, value)
        self._option_names = tuple(options)
        self._set_once = (*self._option_names, *OF_KERAS)

    def _check_has(self, options: dict[str, Any]) -> None:
        for name, value in options.items():
            if name not in self._option_names:
                own = ", ".join(self._option_names) or "of which it has none"
                raise TypeError(
                    f"`{type(self).__name__}` should be called with its own options, {own}. "
                    f"Received: {name}={value!r}"
                )

    def _options(self) -> dict[str, Any]:
        return {option: getattr(self, option) for option in self._option_names}

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, as files have it.

        Raises:
            ValueError: If an option is a callable that Keras cannot serialize.

        Warns:
            UserWarning: If an option is a function that Keras would not load again.
        """
        options = {
            name: _serialized_function(type(self).__name__, name, one) if callable(one) else one
            for name, one in self._options().items()
        }
        return {**super().get_config(), **options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FunctionLoss":
        functions = {
            name: keras.saving.deserialize_keras_object(one)
            for name, one in config.items()
            if name != "dtype" and isinstance(one, dict)
        }
        return super().from_config({**config, **functions})


def _serialized_function(loss: str, name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Returns what a file holds of a function, and warns if the function will not come back."""
    sentence = (
        f"`{name}` of a `{loss}` should be registered by "
        "`keras.saving.register_keras_serializable()` to be saved: a function with a name, or an "
        "object with `get_config` and `from_config`"
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of a lambda, without naming the option
            config = keras.saving.serialize_keras_object(function)
    except Exception as error:  # of any type, as of `inspect` for a lambda without a source file
        raise ValueError(f"{sentence}. Received: {name}={function!r}") from error
    if not _comes_back(function, config):
        warnings.warn(
            f"{sentence}. As it is, `load_model` needs `compile=False`, or the function by name in "
            f"`custom_objects`. Received: {name}={function!r}",
            stacklevel=stacklevel_of_user(),
        )
    return config


def _comes_back(function: Callable[..., Any], config: Any) -> bool:
    try:
        loaded = keras.saving.deserialize_keras_object(config)
    except Exception:  # Keras raises errors of several types for what it does not find
        return False
    return loaded is function or (callable(loaded) and not inspect.isroutine(function))


def takes_options(constructor: Callable[..., None]) -> Callable[..., None]:
    """Makes the constructor of a `FunctionLoss`, whose body is empty, of its signature.

    The arguments are handed to `FunctionLoss` by keyword, as its own and as options.
    """
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def construct(self: FunctionLoss, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        _, *arguments = given.arguments.items()
        FunctionLoss.__init__(self, **dict(arguments))

    return deprecate_positional(construct)
