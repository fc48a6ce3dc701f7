"""Base class of all contrastive losses."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import keras
from keras import ops

from keras_supcon.deprecation import deprecate_positional
from keras_supcon.distribution.gather import whole_batch_factor
from keras_supcon.distribution.replicas import replica_context
from keras_supcon.distribution.reporting import is_in_compiled_loss
from keras_supcon.losses.options import options_of, with_argument_lines
from keras_supcon.losses.temperature import check_temperature_number, temperature_given_to
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.typing import Tensor

# Options that the constructor of Keras keeps.
_OF_KERAS = ("reduction", "name", "dtype")


class ContrastiveLoss(keras.losses.Loss):
    """Makes a Keras loss of a function of a whole batch, and keeps labels exact.

    `keras.losses.Loss` casts labels to its float dtype before `call` sees them, so that class ids
    above 2^24 may become equal. Here labels reach `call` unchanged. A dtype of half precision is
    replaced by float32. A Keras mask of the projections is ignored; use sample weights instead.

    Options are set once, by the constructor: a step that has been compiled would not see a change.

    A subclass names its `function`, `function(y_true, y_pred, *, keys, queue, queue_labels,
    **options)`, which `checks_options` decorates and which returns one value per sample. Its
    constructor, decorated by `takes_options`, has the options of the function as arguments. Its
    docstring gets their descriptions from the docstring of the function.

    Attributes:
        function: The function.
        uses_labels: Whether the loss looks at `y_true`.

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
    uses_labels: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__doc__ and "function" in vars(cls):
            names = [*options_of(cls.function), *_OF_KERAS]
            cls.__doc__ = with_argument_lines(
                cls.__doc__, names, (cls.function.__doc__, ContrastiveLoss.__doc__)
            )

    def __init__(
        self, *, reduction: str | None, name: str, dtype: Any = None, **options: Any
    ) -> None:
        precision = keras.dtype_policies.get(dtype or keras.config.floatx()).compute_dtype
        super().__init__(
            name=name,
            reduction=reduction,
            dtype="float32" if precision in ("float16", "bfloat16") else precision,
        )
        self._reduce = _Reduction(name=name, reduction=reduction, dtype=self.dtype)
        self._temperature_now = None
        options = self.function.check_options(options)
        if "temperature" in options:
            check_temperature_number(options["temperature"])  # no tensor
        for option, value in options.items():
            setattr(self, option, value)
        self._option_names = tuple(options)

    def __setattr__(self, name: str, value: Any) -> None:
        options = self.__dict__.get("_option_names")  # the last thing that the constructor sets
        if options is not None and name in (*options, *_OF_KERAS):
            callback = (
                ", or train with `keras_supcon.callbacks.TemperatureSchedule`"
                if name == "temperature"
                else ""
            )
            raise AttributeError(
                f"`{name}` of a `{type(self).__name__}` is set once, by its constructor, since a "
                "compiled step would not see a "
                f"change: make a new loss and call `compile` with it{callback}. Received: "
                f"{name}={value!r}"
            )
        super().__setattr__(name, value)

    def __call__(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        *,
        keys: Tensor | None = None,
        queue: Tensor | None = None,
        queue_labels: Tensor | None = None,
    ) -> Tensor:
        """Computes the loss of a batch.

        Args:
            y_true: Labels, as for the function of the loss.
            y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view: the anchors.
            sample_weight: Factors of the losses of samples `(batch,)`; None for 1.
            keys: Projections of another encoder, of the shape of `y_pred`: the candidates in its
                stead, without gradient. None contrasts the rows of `y_pred` with one another.
            queue: Further candidates `(queue, dim)`, without gradient; None for none.
            queue_labels: Class ids of the queue `(queue,)`; -1 for unlabeled, any lower number for
                an empty slot, which counts for nothing. None for no labels and no empty slot.

        Returns:
            Scalar, or `(batch,)` with `reduction=None`.
        """
        inputs = {"keys": keys, "queue": queue, "queue_labels": queue_labels}
        values = self.call(y_true, convert_rows(y_pred, self.dtype), **inputs)
        loss = self._reduce(values, self._scaled_for_replicas(values, sample_weight), sample_weight)
        # Keras does not reduce a batch of which it knows that it is empty, and then reports NaN.
        is_left = tuple(loss.shape) == (0,) and self.reduction not in (None, "none")
        return ops.sum(loss) if is_left else loss

    def call(self, y_true: Tensor, y_pred: Tensor, **inputs: Tensor | None) -> Tensor:
        """Returns the loss of each sample; `inputs` are `keys`, `queue` and `queue_labels`."""
        options = self._options()
        if self.has_temperature:
            options["temperature"] = self._temperature_in_use()
        return self.function(y_true, y_pred, **options, **inputs)

    @property
    def has_temperature(self) -> bool:
        """True if `temperature` is one of the options."""
        return "temperature" in self._option_names

    def move_temperature(self, temperature: float, now: Callable[[], Any]) -> None:
        """Changes the temperature while a model trains, for
        `keras_supcon.callbacks.TemperatureSchedule`.

        Args:
            temperature: The temperature from now on. The configuration has it too.
            now: Returns the same number as a tensor that reads a variable, for steps that were
                compiled before.

        Raises:
            ValueError: If the constructor would refuse the temperature.
        """
        self.__dict__["temperature"] = check_temperature_number(temperature)
        self._temperature_now = now

    def _temperature_in_use(self) -> Any:
        given = temperature_given_to(self)
        if given is not None:
            return given
        return self.temperature if self._temperature_now is None else self._temperature_now()

    def _scaled_for_replicas(self, values: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Scales the values, and separately their gradient, for shards of uneven size.

        The gradients of all replicas sum up to that of the global batch. A custom training loop
        gets the value of the replica's own samples. Keras' trainer multiplies the value by the
        number of replicas, then reports the mean over replicas, weighted by their numbers of
        samples. For the trainer, values are scaled so that this mean is the loss of the global
        batch.
        """
        context = replica_context()
        if context is None:
            return values
        rows = ops.cast(ops.shape(values)[0], values.dtype)
        of_value = of_gradient = 1.0
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            of_gradient = whole_batch_factor(ops.sum(ops.cast(sample_weight, values.dtype)))
        elif self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight"):
            of_gradient = whole_batch_factor(rows, is_of_rows=True)
            of_gradient = 1.0 if of_gradient is None else of_gradient
        if is_in_compiled_loss():
            if self.reduction in (None, "none"):
                of_value = (
                    1.0 / context.num_replicas_in_sync
                )  # Keras multiplies by this number without having divided by it
            elif self.reduction == "sum" or (
                self.reduction == "mean_with_sample_weight" and sample_weight is not None
            ):
                share = whole_batch_factor(rows, is_of_rows=True)
                of_value = of_gradient if share is None else ops.divide_no_nan(of_gradient, share)
        if (
            isinstance(of_gradient, float)
            and isinstance(of_value, float)
            and of_value == of_gradient
        ):
            return values
        return of_gradient * values + ops.stop_gradient((of_value - of_gradient) * values)

    def _options(self) -> dict[str, Any]:
        return {option: getattr(self, option) for option in self._option_names}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dtype": self.dtype, **self._options()}


class _Reduction(keras.losses.Loss):
    """Applies sample weights, the reduction and the scale of a replica to computed values."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return y_pred


def takes_options(constructor: Callable[..., None]) -> Callable[..., None]:
    """Makes the constructor of a `ContrastiveLoss`, whose body is empty, of its signature.

    The arguments are handed to `ContrastiveLoss` by keyword, as its own and as options.
    """
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def construct(self: ContrastiveLoss, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        _, *arguments = given.arguments.items()
        ContrastiveLoss.__init__(self, **dict(arguments))

    return deprecate_positional(construct)
