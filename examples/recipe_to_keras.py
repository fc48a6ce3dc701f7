"""From the numbers of a published recipe to the objects of Keras.

    python examples/recipe_to_keras.py --recipe=supcon_imagenet_resnet50

prints what the pre-training of a recipe becomes, and trains a small encoder with it on the digits:
no network, some ten seconds on two CPU cores, on every backend. The rates of the recipes for
CIFAR-10 are too high for so few steps: the loss stays where it is by chance, at log(255) for 256
views. The programs that train by recipes import the functions.
"""

import dataclasses
import re
import sys
from typing import Any

import start  # noqa: F401, before the packages that it watches

# isort: split

import keras
import numpy as np
from absl import app, flags

import keras_supcon
from keras_supcon import augmentation, encoders, layers, losses, optimizers, recipes
from keras_supcon.recipes import Component, Recipe, Stage


def resize(stage: Stage, epochs: int | None, batch_size: int | None) -> Stage:
    """The stage in another number of epochs, with warm-up and decay in proportion, and with another
    batch.
    """
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
    return optimizers.scale_learning_rate(
        stage.base_learning_rate, stage.batch_size, stage.learning_rate_rule
    )


def make_schedule(stage: Stage, steps_per_epoch: int) -> optimizers.WarmUp:
    """The learning rate over the steps that are taken, which leave out the last images of an epoch
    if they fill no batch.
    """
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
        return keras.optimizers.RMSprop(
            schedule, rho=stage.rho, momentum=stage.momentum, epsilon=stage.epsilon
        )
    # Stochastic gradient descent is LARS that adapts nothing: unlike Keras' it has the decay inside
    # the gradient.
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


def make_contrastive_model(
    recipe: Recipe, stage: Stage, image_size: tuple[int, int], **encoder: Any
) -> Any:
    """Encoder, head and augmenter of a recipe, with other arguments for the encoder."""
    return keras_supcon.ContrastiveModel(
        make(encoders, recipe.encoder, **encoder),
        make(layers, recipe.head),
        augmenter=make(augmentation, stage.augmentation, image_size=image_size),
        num_views=recipe.num_views,
    )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Flags look like --name=value. Received: {' '.join(argv[1:])}")
    try:
        recipe = recipes.get(flags.FLAGS.recipe)
        if recipe.head is None:
            raise ValueError(
                f"`--recipe` should be of SupCon or SimCLR. Received: --recipe={recipe.name}"
            )
    except ValueError as error:
        sys.exit(f"recipe_to_keras.py: {error}")
    published, stage = (
        recipe.training,
        resize(recipe.training, flags.FLAGS.epochs, flags.FLAGS.batch_size),
    )
    print(f"{recipe.name}, {recipe.source}")
    for name, part in (
        ("encoder", recipe.encoder),
        ("head", recipe.head),
        ("augmentation", published.augmentation),
        ("loss", published.loss),
    ):
        arguments = ", ".join(f"{key}={value!r}" for key, value in part.arguments.items())
        print(f"  {name}: {part.name}({arguments})")
    print(
        f"  optimizer: {type(make_optimizer(published, 1)).__name__}, learning rate up to "
        f"{peak_learning_rate(published):.4g}, "
        f"{published.epochs} epochs of batches of {published.batch_size}"
    )

    print(
        f"\nThe digits, {stage.epochs} epochs of batches of {stage.batch_size}, a ResNet-10 of "
        "quarter width",
        flush=True,
    )
    images, labels = keras_supcon.data.load_arrays("digits", "train")
    images = np.repeat(images, 3, axis=-1)  # the policies of the recipes are for color
    model = make_contrastive_model(
        recipe, stage, image_size=images.shape[1:3], depth=10, width=0.25, stem="cifar"
    )
    steps = len(images) // stage.batch_size
    model.compile(
        optimizer=make_optimizer(stage, steps),
        loss=make(losses, stage.loss),
        loss_weights=stage.loss_weight,
    )
    model.fit(
        images[: steps * stage.batch_size],
        labels[: steps * stage.batch_size],
        stage.batch_size,
        stage.epochs,
        verbose=2,
    )


if __name__ == "__main__":
    flags.DEFINE_string(
        "recipe",
        "supcon_imagenet_resnet50",
        "Name in keras_supcon.recipes.names(), of SupCon or SimCLR.",
    )
    flags.DEFINE_integer(
        "epochs", 3, "Epochs on the digits; warm-up and decay are shortened alike.", lower_bound=1
    )
    flags.DEFINE_integer(
        "batch_size", 128, "Digits in a batch; the learning rate follows it.", lower_bound=1
    )
    app.run(main)
