"""Layer-wise adaptive rate scaling (You et al., 2017)."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_supcon._keras_internals import variable_index
from keras_supcon.arguments import check_below_1, check_not_negative, check_positive
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.typing import Tensor

# The last names of the paths of biases and of the scales and shifts of normalization layers.
_VECTORS = ("bias$", "gamma$", "beta$", "scale$")
# Keys of a saved optimizer besides its variables.
_PATTERNS, _CHOICES = "exclusions", ("adapts", "decays")


@keras.saving.register_keras_serializable(package="keras_supcon")
class LARS(keras.optimizers.Optimizer):
    """Steps in each variable in proportion to the norm of that variable, with momentum.

    With weights `w`, their gradient `g`, their velocity `v` (0 at first), the rate `lr` and the
    trust ratio of a direction

        r(u) = trust_coefficient ||w|| / ||u||, and 1 where a norm is 0 or the variable is excluded

    a step is `g <- g + weight_decay w`, unless the variable is excluded from that, and then

        classic_momentum=True:    v <- momentum v + lr r(g) g;  w <- w - v
            with nesterov                                       w <- w - (momentum v + lr r(g) g)
        classic_momentum=False:   v <- momentum v + g;          w <- w - lr r(v) v
            with nesterov         u = momentum v + g;           w <- w - lr r(u) u

    The decay is coupled: it is part of the gradient whose norm is taken, unlike the decay of Keras'
    own optimizers. A variable that is excluded from adaptation takes the whole rate, without the
    trust coefficient. With all excluded, `exclude_from_adaptation=(".",)`, this is momentum SGD
    with coupled decay; with `classic_momentum=False` the rate then stays outside the velocity, as
    in PyTorch and in TensorFlow 1.

    Exclusions are regular expressions that are searched in the path of a variable, such as
    `"resnet/conv_norm/batch_normalization/gamma"`, with the same result on every backend. They are
    saved with the optimizer, together with the variables that they exclude. In a model from a file
    the paths may differ, since Keras numbers the names of layers within a process (`conv2d_1`). By
    default biases and the scales and shifts of normalization layers are excluded from both. The
    authors' code excludes batch normalization only, which is `("gamma$", "beta$")`: its biases
    decay and adapt. Its ImageNet models have no bias in pre-training. A variable of a single
    number, such as a learned temperature, is always excluded from both: near 0 the ratio would keep
    it where it is.

    Norms, and the step itself, are computed in float32 also for variables of half precision.

    Args:
        learning_rate: Non-negative float, a `keras.optimizers.schedules.LearningRateSchedule`, or a
            callable without arguments.
        momentum: In [0, 1).
        weight_decay: Coefficient of the coupled L2 decay, at least 0.
        trust_coefficient: Positive float; the paper's eta.
        nesterov: Whether to look one step of momentum ahead.
        classic_momentum: Whether the velocity holds the scaled steps (as published for SimCLR and
            SupCon) or the gradients.
        exclude_from_adaptation: Regular expressions; variables whose path has a match take the
            ratio 1.
        exclude_from_weight_decay: Regular expressions; variables whose path has a match do not
            decay.
        name: Name of the optimizer.
        **kwargs: `clipnorm`, `clipvalue`, `global_clipnorm`, `use_ema`, `ema_momentum`,
            `ema_overwrite_frequency`, `loss_scale_factor` and `gradient_accumulation_steps` of
            `keras.optimizers.Optimizer`.

    Attributes:
        coupled_weight_decay: The `weight_decay` above. The attribute `weight_decay` is that of
            Keras, whose own (decoupled) decay is off, and stays None.

    Raises:
        ValueError: For an argument out of its range, or an exclusion that is no regular expression.

    Reference:
        You et al., Large Batch Training of Convolutional Networks, 2017, algorithm 1; Khosla et
        al., NeurIPS 2020, section 4.4, with the two forms of momentum of SimCLR's published code.

    Example:

    >>> import numpy as np
    >>> import keras
    >>> import keras_supcon
    >>> optimizer = keras_supcon.optimizers.LARS(1.0, momentum=0.0, trust_coefficient=0.1)
    >>> kernel = keras.Variable(np.array([3.0, 4.0], "float32"), name="kernel")
    >>> # A step of length 0.1 x 5, whatever the length of the gradient.
    >>> optimizer.apply([np.array([0.0, 20.0], "float32")], [kernel])
    >>> print(np.asarray(kernel).round(4))
    [3.  3.5]
    """

    @deprecate_positional
    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | Callable[[], Any],
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        nesterov: bool = False,
        classic_momentum: bool = True,
        exclude_from_adaptation: Sequence[str] = _VECTORS,
        exclude_from_weight_decay: Sequence[str] = _VECTORS,
        name: str = "lars",
        **kwargs: Any,
    ) -> None:
        if not callable(learning_rate):
            learning_rate = check_not_negative("learning_rate", learning_rate)
        momentum = check_below_1("momentum", momentum)
        # Without `weight_decay`: that of Keras is decoupled.
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.coupled_weight_decay = check_not_negative("weight_decay", weight_decay)
        self.trust_coefficient = check_positive("trust_coefficient", trust_coefficient)
        self.nesterov = bool(nesterov)
        self.classic_momentum = bool(classic_momentum)
        # `exclude_from_weight_decay` is a method of Keras' optimizers.
        self._not_adapted = _check_patterns("exclude_from_adaptation", exclude_from_adaptation)
        self._not_decayed = _check_patterns("exclude_from_weight_decay", exclude_from_weight_decay)

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")
        # Decided here, since `update_step` sees variables without a path on TensorFlow.
        paths = [_path(variable) for variable in variables]
        are_arrays = [len(variable.shape) > 0 for variable in variables]
        may_adapt, may_decay = (
            [
                is_array and not _matches(patterns, path)
                for is_array, path in zip(are_arrays, paths, strict=True)
            ]
            for patterns in (self._not_adapted, self._not_decayed)
        )
        self._adapts, self._decays = (
            tuple(may_adapt),
            tuple(self.coupled_weight_decay > 0 and may for may in may_decay),
        )

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        index = variable_index(self, variable)
        dtype = keras.backend.result_type(
            keras.backend.standardize_dtype(variable.dtype), "float32"
        )
        weights, velocity = ops.cast(variable, dtype), ops.cast(self.momentums[index], dtype)
        gradient, learning_rate = (
            ops.cast(ops.convert_to_tensor(gradient), dtype),
            ops.cast(learning_rate, dtype),
        )
        if self._decays[index]:
            gradient = gradient + self.coupled_weight_decay * weights
        addend = gradient
        if self.classic_momentum:
            addend = learning_rate * self._adapted(index, weights, gradient)
        velocity = self.momentum * velocity + addend
        step = self.momentum * velocity + addend if self.nesterov else velocity
        if not self.classic_momentum:
            step = learning_rate * self._adapted(index, weights, step)
        self.assign(self.momentums[index], velocity)
        self.assign(variable, weights - step)

    def _adapted(self, index: int, weights: Tensor, direction: Tensor) -> Tensor:
        """Returns the direction times its trust ratio."""
        if not self._adapts[index]:
            return direction
        (weight_peak, weight_norm, _), (peak, norm, scaled) = _norm(weights), _norm(direction)
        # In this order: the ratio of the norms alone may be beyond float32.
        adapted = (
            self.trust_coefficient
            * weight_peak
            * weight_norm
            * (scaled / ops.maximum(norm, ops.ones_like(norm)))
        )
        return ops.where(ops.logical_and(weight_peak > 0, peak > 0), adapted, direction)

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if self.built:
            store[_PATTERNS] = np.frombuffer(self._patterns(), "uint8")
            for key in _CHOICES:
                store[key] = np.array(getattr(self, f"_{key}"), "uint8")

    def load_own_variables(self, store: Any) -> None:
        own = (_PATTERNS, *_CHOICES)
        super().load_own_variables({key: store[key] for key in store.keys() if key not in own})  # noqa: SIM118
        is_known = self.built and _PATTERNS in store.keys()  # noqa: SIM118
        if is_known and np.asarray(store[_PATTERNS]).tobytes() == self._patterns():
            for key in _CHOICES:
                chosen = tuple(map(bool, np.asarray(store[key])))
                if len(chosen) == len(self.momentums):
                    setattr(self, f"_{key}", chosen)

    def _patterns(self) -> bytes:
        return json.dumps(
            [self._not_adapted, self._not_decayed, self.coupled_weight_decay > 0]
        ).encode()

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Is not supported; the constructor argument of the same name is, and is saved.

        Args:
            var_list: Not used.
            var_names: Not used.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "`LARS` takes what does not decay as its argument `exclude_from_weight_decay`."
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "weight_decay": self.coupled_weight_decay,
            "trust_coefficient": self.trust_coefficient,
            "nesterov": self.nesterov,
            "classic_momentum": self.classic_momentum,
            "exclude_from_adaptation": list(self._not_adapted),
            "exclude_from_weight_decay": list(self._not_decayed),
        }


def _norm(tensor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the largest absolute entry, and the norm and the tensor divided by it.

    Squares of the entries may be beyond float32.
    """
    peak = ops.max(ops.abs(tensor), initial=0.0)
    # XLA makes a reciprocal of the divisor, which float32 has not for numbers near its ends.
    step = ops.where(peak > 1, ops.full_like(peak, 2.0**-8), ops.full_like(peak, 2.0**8))
    scaled = tensor * step / ops.where(peak > 0, peak * step, ops.ones_like(peak))
    return peak, ops.sqrt(ops.sum(ops.square(scaled))), scaled


def _check_patterns(name: str, patterns: Sequence[str]) -> tuple[str, ...]:
    is_sequence = isinstance(patterns, Sequence) and not isinstance(patterns, str)
    if not is_sequence or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError(
            f"`{name}` should be a sequence of regular expressions. Received: {name}={patterns!r}"
        )
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"`{name}` should be a sequence of regular expressions. Received: "
                f"{name}={patterns!r}, of which {pattern!r} is none: {error}"
            ) from error
    return tuple(patterns)


def _matches(patterns: tuple[str, ...], path: str) -> bool:
    return any(re.search(pattern, path) for pattern in patterns)


def _path(variable: Any) -> str:
    # A variable of TensorFlow's own has a name such as "dense/kernel:0".
    return variable.path if hasattr(variable, "path") else variable.name.partition(":")[0]
