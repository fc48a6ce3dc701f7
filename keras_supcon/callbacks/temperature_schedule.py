"""A temperature that changes from epoch to epoch."""

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_supcon._keras_internals import own_metrics, strategy_of
from keras_supcon.arguments import is_number
from keras_supcon.models.learned_options import loss_with_option


class TemperatureSchedule(keras.callbacks.Callback):
    """Sets the temperature of the compiled loss at the start of each epoch.

    It works as `keras.callbacks.LearningRateScheduler` does for the learning rate:
    `schedule(epoch)` is the temperature of the epoch, whose index counts from 0 and continues where
    `initial_epoch` or `keras_supcon.callbacks.Checkpoint` does. It takes effect in steps that are
    already compiled, in training and in evaluation, and is `temperature` in the logs. It works for
    a `ContrastiveModel` and any other model that is compiled with one loss that has a temperature,
    alone or for one of several outputs.

    When training ends the loss keeps the last temperature: `loss.temperature` returns it, files of
    the model hold it, and `evaluate` and further training use it. The weights of the model, and
    checkpoints, do not hold it. Give each model its own loss object: models that share it may
    have compiled its first temperature.

    Args:
        schedule: Function from the index of an epoch to the temperature, a positive number. It may
            be a `keras.optimizers.schedules.LearningRateSchedule`, whose steps are then epochs.
        verbose: 1 prints a line at each epoch, 0 does not.

    Raises:
        ValueError: If `schedule` is not a function. When training begins, if the compiled loss has
            no temperature, the model learns it (`learnable_temperature=True`), or another model
            schedules the same loss object. At the start of an epoch, if the temperature is not a
            positive number.

    Reference:
        Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021, on the effect of
        the temperature; Kukleva et al., Temperature Schedules for Self-Supervised Contrastive
        Methods on Long-Tail Data, ICLR 2023.

    Example:

    >>> import numpy as np
    >>> import keras, keras_supcon
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> model.compile(optimizer="sgd", loss=keras_supcon.SupConLoss())
    >>> schedule = keras_supcon.callbacks.TemperatureSchedule(lambda epoch: 0.5 / (epoch + 1))
    >>> x, y = np.random.default_rng(0).normal(size=(8, 4)), np.arange(8) % 2
    >>> history = model.fit(x, y, epochs=2, callbacks=[schedule], verbose=0)
    >>> history.history["temperature"], model.loss.temperature
    ([0.5, 0.25], 0.25)
    """

    def __init__(self, schedule: Callable[[int], Any], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise ValueError(
                "`schedule` should be a function from an epoch to a temperature. Received: "
                f"schedule={schedule!r}"
            )
        self.schedule = schedule
        self.verbose = verbose

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        model = self.model
        if getattr(model, "learnable_temperature", False):
            raise ValueError(
                "The temperature should be learned or scheduled, not both. Received: "
                "`TemperatureSchedule` for a model with learnable_temperature=True"
            )
        self._loss = loss_with_option(model, "temperature")
        _claim(self._loss, model)
        self._state = _state_of(model, self._loss)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        temperature = self.schedule(epoch)
        if ops.is_tensor(temperature) or hasattr(temperature, "__array__"):
            temperature = ops.convert_to_numpy(temperature)
            temperature = temperature.item() if temperature.size == 1 else temperature
        if not (is_number(temperature) and temperature > 0):
            raise ValueError(
                f"`schedule` should give a positive number. Received: {temperature!r} for epoch "
                f"{epoch}"
            )
        temperature = float(temperature)
        state = self._state
        state.value.assign(temperature)
        self._loss.move_temperature(temperature, lambda: ops.convert_to_tensor(state.value))
        if self.verbose > 0:
            print(
                f"\nEpoch {epoch + 1}: TemperatureSchedule sets the temperature to {temperature}."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["temperature"] = self._loss.temperature


# From a loss to the model that schedules it.
_OWNERS: weakref.WeakKeyDictionary[Any, weakref.ref] = weakref.WeakKeyDictionary()


def _claim(loss: keras.losses.Loss, model: keras.Model) -> None:
    """Claims a loss object for the schedule of a model.

    Raises:
        ValueError: If another model schedules the temperature of the same object.
    """
    owner = _OWNERS[loss]() if loss in _OWNERS else None
    if owner is not None and owner is not model:
        raise ValueError(
            "Each model should be compiled with its own loss object for its temperature to be "
            f"scheduled. Received: a loss that {owner.name!r} schedules, for {model.name!r}"
        )
    _OWNERS[loss] = weakref.ref(model)


class _ScheduledTemperature(keras.metrics.Metric):
    """Holds a temperature that compiled steps read.

    It is a metric, since metrics are the state that every backend hands to a compiled step and that
    is in no file, checkpoint or list of weights. After a restart the schedule sets the temperature
    anew. It adds nothing to the logs.
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(name="scheduled_temperature")
        self.loss = loss
        self.value = keras.Variable(
            loss.temperature,
            dtype="float32",
            trainable=False,
            name="temperature",
            aggregation="only_first_replica",
        )

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        pass

    def reset_state(self) -> None:
        pass

    def result(self) -> dict[str, Any]:
        return {}


def _state_of(model: keras.Model, loss: keras.losses.Loss) -> _ScheduledTemperature:
    """Returns the state by which a loss reads its temperature when the model runs.

    The first call creates it.
    """
    metrics = own_metrics(model)
    for metric in metrics:
        if isinstance(metric, _ScheduledTemperature) and metric.loss is loss:
            return metric
    metrics[:] = [metric for metric in metrics if not isinstance(metric, _ScheduledTemperature)]
    strategy = strategy_of(model)
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        state = _ScheduledTemperature(loss)
    metrics.append(state)
    if not any(variable is state.value for variable in model.metrics_variables):
        metrics.remove(state)
        raise ValueError(
            "The `metrics` of the model should hold those of `super().metrics`, by which compiled "
            f"steps read the temperature. Received: {type(model).__name__}.metrics without them"
        )
    # Steps that were traced before hold the temperature as a constant.
    model.train_function = model.test_function = None
    model.make_train_function()
    return state
