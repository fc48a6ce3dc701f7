"""From the numbers of a published recipe to the objects of Keras."""

import dataclasses
import re
from typing import Any

import keras

from keras_supcon import optimizers
from keras_supcon.recipes import Component, Stage


def resize(stage: Stage, epochs: int | None, batch_size: int | None) -> Stage:
    """The stage in another number of epochs, with warm-up and decay in proportion, and with another batch."""
    share = 1 if epochs is None else epochs / stage.epochs
    return dataclasses.replace(
        stage,
        epochs=epochs or stage.epochs,
        batch_size=batch_size or stage.batch_size,
        warmup_epochs=stage.warmup_epochs * share,
        decay_epochs=None if stage.decay_epochs is None else stage.decay_epochs * share,
        decay_boundaries=tuple(boundary * share for boundary in stage.decay_boundaries),
    )


def make(module: Any, component: Component, **arguments: Any) -> Any:
    return getattr(module, component.name)(**{**component.arguments, **arguments})


def peak_learning_rate(stage: Stage) -> float:
    return optimizers.scale_learning_rate(stage.base_learning_rate, stage.batch_size, stage.learning_rate_rule)


def make_schedule(stage: Stage, steps_per_epoch: int) -> optimizers.WarmUp:
    """The learning rate over the steps that are taken, which leave out the last images of an epoch if they fill no batch."""
    peak, decays = peak_learning_rate(stage), keras.optimizers.schedules
    warmup_steps = round(stage.warmup_epochs * steps_per_epoch)
    if stage.decay == "cosine":
        steps = max(stage.epochs * steps_per_epoch - warmup_steps, 1)
        decay = decays.CosineDecay(peak, steps, alpha=stage.final_learning_rate)
    elif stage.decay == "exponential":
        steps = max(stage.decay_epochs * steps_per_epoch, 1)
        decay = decays.ExponentialDecay(peak, steps, stage.decay_rate, staircase=True)
    else:
        boundaries = [round(epochs * steps_per_epoch) for epochs in stage.decay_boundaries]
        rates = [peak * stage.decay_rate**number for number in range(len(boundaries) + 1)]
        decay = decays.PiecewiseConstantDecay(boundaries, rates)
    return optimizers.WarmUp(decay, warmup_steps, stage.warmup_learning_rate)


def make_optimizer(stage: Stage, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    schedule = make_schedule(stage, steps_per_epoch)
    if stage.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(schedule, rho=stage.rho, momentum=stage.momentum, epsilon=stage.epsilon)
    # Stochastic gradient descent is LARS that adapts nothing: unlike Keras' it has the decay inside the gradient.
    is_sgd = stage.optimizer == "sgd"
    return optimizers.LARS(
        schedule,
        momentum=stage.momentum,
        weight_decay=stage.weight_decay,
        nesterov=stage.nesterov,
        classic_momentum=not is_sgd,
        exclude_from_adaptation=(".",) if is_sgd else stage.weight_decay_exclusions,
        exclude_from_weight_decay=stage.weight_decay_exclusions,
    )


def add_weight_decay(model: keras.Model, stage: Stage) -> None:
    """Puts the decay of a stage into the loss of a built model."""
    for variable in model.trainable_variables:
        if not any(re.search(pattern, variable.path) for pattern in stage.weight_decay_exclusions):
            variable.regularizer = keras.regularizers.L2(stage.weight_decay / 2)
