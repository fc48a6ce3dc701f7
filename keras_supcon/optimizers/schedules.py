"""Learning rates in the units of large-batch papers: base rates, epochs and warm-up.

The decays themselves are in `keras.optimizers.schedules`.
"""

import math
import warnings
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import (
    check_choice,
    check_not_negative,
    check_positive,
    check_whole_number,
)
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor
from keras_supcon.user_lines import stacklevel_of_user

# The batch for which base rates are given under the linear rule.
_BASE_BATCH_SIZE = 256
_RULES = ("linear", "square_root", "none")


@keras.saving.register_keras_serializable(package="keras_supcon")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from an initial rate to the first rate of another schedule.

    That schedule counts its steps from the end of the warm-up. The rate at step `t`, with `W`
    warm-up steps before the schedule `s`, is

        initial_learning_rate + (s(0) - initial_learning_rate) t / W    for t < W
        s(t - W)                                                        from t = W on

    For the cosine `keras.optimizers.schedules.CosineDecay` has a warm-up of its own, which is the
    same.

    Args:
        learning_rate: The `keras.optimizers.schedules.LearningRateSchedule` after the warm-up, or a
            non-negative float for a constant rate.
        warmup_steps: Steps of the optimizer, a whole number of at least 0.
        initial_learning_rate: Rate at step 0, a non-negative float.

    Call arguments:
        step: Whole number of at least 0, or a scalar tensor of it.

    Raises:
        ValueError: For an argument of the wrong kind or out of its range.

    Reference:
        Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2.

    Example:

    >>> import keras
    >>> from keras_supcon.optimizers import WarmUp
    >>> stairs = keras.optimizers.schedules.ExponentialDecay(
    ...     1.2, decay_steps=10, decay_rate=0.5, staircase=True
    ... )
    >>> schedule = WarmUp(stairs, warmup_steps=4)
    >>> [round(float(schedule(step)), 4) for step in (0, 2, 4, 13, 14)]
    [0.0, 0.6, 1.2, 1.2, 0.6]
    """

    @deprecate_positional
    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        warmup_steps: int,
        *,
        initial_learning_rate: float = 0.0,
    ) -> None:
        super().__init__()
        is_schedule = isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule)
        self.learning_rate = (
            learning_rate if is_schedule else check_not_negative("learning_rate", learning_rate)
        )
        self.warmup_steps = check_whole_number("warmup_steps", warmup_steps, 0)
        self.initial_learning_rate = check_not_negative(
            "initial_learning_rate", initial_learning_rate
        )

    def __call__(self, step: Tensor) -> Tensor:
        step = ops.convert_to_tensor(step)
        later = self._rate_after(ops.maximum(step - self.warmup_steps, 0))
        share = ops.cast(step, later.dtype) / max(self.warmup_steps, 1)
        ramp = (
            self.initial_learning_rate
            + (self._rate_after(ops.zeros_like(step)) - self.initial_learning_rate) * share
        )
        return ops.where(step < self.warmup_steps, ramp, later)

    def _rate_after(self, step: Tensor) -> Tensor:
        is_schedule = callable(self.learning_rate)
        return ops.cast(
            self.learning_rate(step) if is_schedule else self.learning_rate, keras.config.floatx()
        )

    def get_config(self) -> dict[str, Any]:
        is_schedule = callable(self.learning_rate)
        return {
            "learning_rate": keras.saving.serialize_keras_object(self.learning_rate)
            if is_schedule
            else self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "initial_learning_rate": self.initial_learning_rate,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        learning_rate = config["learning_rate"]
        if isinstance(learning_rate, dict):
            learning_rate = keras.saving.deserialize_keras_object(learning_rate)
        return cls(**{**config, "learning_rate": learning_rate})


def scale_learning_rate(base_learning_rate: float, batch_size: int, rule: str = "linear") -> float:
    """Returns the learning rate for a batch size, from the base rate of a paper.

    Args:
        base_learning_rate: Positive float.
        batch_size: Images in a batch over all replicas, at least 1.
        rule: `"linear"`: `base_learning_rate * batch_size / 256`, SupCon's rule; `"square_root"`:
            `base_learning_rate * sqrt(batch_size)`, SimCLR's second rule; `"none"`: the base rate.

    Returns:
        The learning rate, a float.

    Raises:
        ValueError: For an argument out of its range.

    Reference:
        Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.1; Chen et al., SimCLR, ICML
        2020, appendix B.1.

    Example:

    >>> from keras_supcon.optimizers import scale_learning_rate
    >>> round(scale_learning_rate(0.4, 6144), 4)
    9.6
    >>> round(scale_learning_rate(0.075, 4096, "square_root"), 4)
    4.8
    """
    check_positive("base_learning_rate", base_learning_rate)
    check_whole_number("batch_size", batch_size, 1)
    check_choice("rule", rule, _RULES)
    factor = {
        "linear": batch_size / _BASE_BATCH_SIZE,
        "square_root": math.sqrt(batch_size),
        "none": 1.0,
    }[rule]
    return float(base_learning_rate * factor)


def epochs_to_steps(epochs: float, num_examples: int, batch_size: int) -> int:
    """Returns the steps in a number of epochs, rounded down; deprecated.

    Args:
        epochs: Number of at least 0, fractions allowed.
        num_examples: Examples in an epoch, at least 1.
        batch_size: Examples in a step over all replicas, at least 1.

    Returns:
        A whole number.

    Raises:
        ValueError: For an argument out of its range.
    """
    warnings.warn(
        "`epochs_to_steps` is deprecated, and the next version will not have it. Use "
        "`int(epochs * num_examples / batch_size)`.",
        DeprecationWarning,
        stacklevel=stacklevel_of_user(),
    )
    check_not_negative("epochs", epochs)
    check_whole_number("num_examples", num_examples, 1)
    check_whole_number("batch_size", batch_size, 1)
    # 0.29 times 100 is a little less than 29.
    return int(round(epochs * num_examples / batch_size, 6))
