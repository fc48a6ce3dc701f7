"""Learns options of the loss that a model is compiled with, by one scalar weight each."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_supcon._keras_internals import leave_out_of_weight_decay
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.learned_options import using_options
from keras_supcon.models.callback_lists import with_callback
from keras_supcon.typing import Tensor

# A loss of the package that has the option.
_EXAMPLES = {"temperature": "SupConLoss", "bias": "NTLogisticLoss"}


class LearnedOption(NamedTuple):
    """Describes an option of the loss that a weight of the model changes."""

    name: str
    """Name of the option, and of its value in the logs of `fit` and among the attributes."""
    weight: keras.Variable
    """Scalar, 0 at the start."""
    value: Callable[[float, Tensor], Tensor]
    """`value(option, weight)`: the present value, of the option of the loss and the weight."""


def loss_with_option(model: keras.Model, name: str) -> ContrastiveLoss:
    """Returns the one compiled loss of a model that has an option, `temperature` or `bias`.

    Raises:
        ValueError: If there is none, or more than one.
    """
    losses = {id(loss): loss for loss in keras.tree.flatten(getattr(model, "loss", None))}.values()
    ours = [loss for loss in losses if isinstance(loss, ContrastiveLoss)]
    found = [loss for loss in ours if getattr(loss, f"has_{name}")]
    if len(found) != 1:
        raise ValueError(
            f"The model should be compiled with one loss that has a {name}, such as "
            f"`keras_supcon.{_EXAMPLES[name]}()`. Received: loss={getattr(model, 'loss', None)!r}"
        )
    return found[0]


class LearnsLossOptions:
    """Mix-in for Keras models that may learn options of their loss. Goes before `keras.Model`."""

    def learned_options(self) -> list[LearnedOption]:
        """Returns the options that are learned; none unless overridden."""
        return []

    def add_option_weight(self, name: str, constraint: Any = None) -> keras.Variable:
        """Adds a scalar weight, 0 at the start, that half precision does not round."""
        return self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="float32",
            autocast=False,  # half precision would round its steps away
            constraint=constraint,
            name=name,
        )

    def _check_losses(self) -> list[LearnedOption]:
        """Returns the options after checking that the loss has them."""
        learned = self.learned_options()
        for one in learned:
            loss_with_option(self, one.name)
        return learned

    def prepare_fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        learned = self._check_losses()
        if learned:
            logs = _LogOptions([one.name for one in learned])
            # Before those that read the logs.
            callbacks = with_callback(self, logs, arguments.get("callbacks"))
            arguments = {**arguments, "callbacks": callbacks}
        return super().prepare_fit(arguments)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        self._check_losses()
        return super().evaluate(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        for one in self.learned_options():
            optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
            if getattr(optimizer, "weight_decay", None) is not None:  # ours decays no single number
                leave_out_of_weight_decay(optimizer, one.weight)
        return super().make_train_function(force)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        with contextlib.ExitStack() as contexts:
            for name, weight, value in self.learned_options():
                loss = loss_with_option(self, name)
                now = value(getattr(loss, name), ops.convert_to_tensor(weight))
                contexts.enter_context(using_options(loss, **{name: now}))
            return super().compute_loss(*args, **kwargs)


class _LogOptions(keras.callbacks.Callback):
    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self._names = names

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update({name: getattr(self.model, name) for name in self._names})
