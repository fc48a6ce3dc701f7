"""Base class of all contrastive losses."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from keras_supcon.losses.function_loss import FunctionLoss
from keras_supcon.losses.learned_options import options_given_to
from keras_supcon.losses.temperature import check_temperature_number
from keras_supcon.ops.normalization import convert_rows
from keras_supcon.ops.standardize import refuse_large_floats, standardize_labels
from keras_supcon.typing import Tensor


class ContrastiveLoss(FunctionLoss):
    """Makes a Keras loss of a function of a whole batch, and keeps labels exact.

    `keras.losses.Loss` casts labels to its float dtype before `call` sees them, so that class ids
    above 2^24 may become equal. Here labels reach `call` unchanged. A dtype of half precision is
    replaced by float32. A Keras mask of the projections is ignored; use sample weights instead.

    Options are set by the constructor. A call may have others in their place, for itself alone.

    A subclass names its `function`, `function(y_true, y_pred, *, keys, queue, queue_labels,
    **options)`, which `checks_options` decorates and which returns one value per sample. Its
    constructor, decorated by `takes_options`, has the options of the function as arguments. Its
    docstring gets their descriptions from the docstring of the function.

    Attributes:
        function: The function.
        uses_labels: Whether the loss looks at `y_true`.
        inputs: Names of further arguments of its calls.

    Args:
        reduction: As in `keras.losses.Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `keras.config.floatx()` if None. Half precision becomes
            float32.
        **options: Options of the function; they become attributes and go into the configuration.

    Raises:
        AttributeError: If an option is set after the loss has been made.
    """

    uses_labels: ClassVar[bool] = True
    inputs: ClassVar[tuple[str, ...]] = ()
    _temperature_now: Callable[[], Any] | None = None

    def __call__(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        *,
        keys: Tensor | None = None,
        queue: Tensor | None = None,
        queue_labels: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Computes the loss of a batch.

        Args:
            y_true: Labels, as for the function of the loss.
            y_pred: Projections `(batch, views, dim)`, or `(batch, dim)` for one view: the anchors.
            sample_weight: Factors of the losses of samples `(batch,)`; None for 1.
            keys: Projections of another encoder, of the shape of `y_pred`: the candidates in its
                stead. None contrasts the rows of `y_pred` with one another.
            queue: Further candidates `(queue, dim)`, without gradient; None for none.
            queue_labels: Class ids of the queue `(queue,)`; -1 for unlabeled, any lower number for
                an empty slot, which counts for nothing. None for no labels and no empty slot.
            **options: Options of the loss for this call, in place of those of the constructor, and
                its further `inputs`.

        Returns:
            Scalar, or `(batch,)` with `reduction=None`.

        Raises:
            TypeError: For an option that the loss does not have.
            ValueError: If the constructor would refuse an option, or an input has another form.
        """
        self._check_has({name: one for name, one in options.items() if name not in self.inputs})
        inputs = {"keys": keys, "queue": queue, "queue_labels": queue_labels, **options}
        values = self.call(y_true, convert_rows(y_pred, self.dtype), **inputs)
        return self.reduced(values, sample_weight)

    def check_labels(self, y_true: Any) -> None:
        """Checks labels before a batch is computed, as a model does before training.

        Args:
            y_true: Labels of samples.

        Raises:
            ValueError: If the loss does not take them.
        """
        if isinstance(y_true, np.ndarray) and y_true.dtype.kind == "f":
            refuse_large_floats(y_true)  # Keras makes float32 of them
        standardize_labels(y_true, getattr(self, "ignore_class", None))

    def call(self, y_true: Tensor, y_pred: Tensor, **inputs: Any) -> Tensor:
        """Returns the loss of each sample; `inputs` are further arguments of the call."""
        options = self._options()
        if self._temperature_now is not None:
            options["temperature"] = self._temperature_now()
        options |= options_given_to(self)
        return self.function(y_true, y_pred, **{**options, **inputs})

    @property
    def has_temperature(self) -> bool:
        """True if `temperature` is one of the options."""
        return "temperature" in self._option_names

    @property
    def has_bias(self) -> bool:
        """True if `bias` is one of the options."""
        return "bias" in self._option_names

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
