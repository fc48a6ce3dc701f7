"""Keras objects from the numbers of a published recipe."""

import dataclasses
import inspect
import re
from types import ModuleType
from typing import Any

import keras

from keras_supcon import augmentation, encoders, layers, models, optimizers
from keras_supcon.models import ContrastiveModel, PretrainingModel
from keras_supcon.recipes import Component, Recipe, Stage


def rescale_stage(stage: Stage, epochs: int | None = None, batch_size: int | None = None) -> Stage:
    """Returns a stage with another number of epochs and another batch size.

    Warm-up and decay are scaled in proportion to the epochs. The learning rate follows the batch
    size by the rule of the stage, see `peak_learning_rate`.

    Args:
        stage: Stage of a recipe.
        epochs: Epochs in all, at least 1; None keeps those of the stage.
        batch_size: Images in a batch over all replicas; None keeps that of the stage.

    Returns:
        The new stage.

    Example:

    >>> from keras_supcon import experiments, recipes
    >>> stage = recipes.get("supcon_imagenet_resnet50").training
    >>> shorter = experiments.rescale_stage(stage, epochs=35, batch_size=512)
    >>> round(shorter.warmup_epochs, 1), round(experiments.peak_learning_rate(shorter), 2)
    (1.2, 0.8)
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


def make_component(module: ModuleType, component: Component, **arguments: Any) -> Any:
    """Makes the object that a component of a recipe describes.

    Args:
        module: Module that holds the class, such as `keras_supcon.encoders`.
        component: Name of the class and its arguments.
        **arguments: Further arguments; they take precedence over those of the component.

    Returns:
        The object.

    Raises:
        ValueError: If the module has no class of that name, or the class takes other arguments.

    Example:

    >>> from keras_supcon import encoders, experiments, recipes
    >>> recipe = recipes.get("supcon_cifar10_resnet50")
    >>> experiments.make_component(encoders, recipe.encoder, depth=18).depth
    18
    """
    make = getattr(module, component.name, None)
    if not callable(make):
        raise no_class_error(module, component)
    given = {**component.arguments, **arguments}
    try:
        if inspect.isclass(make):
            inspect.signature(make.__init__).bind(None, **given)
        else:
            inspect.signature(make).bind(**given)
    except TypeError as error:
        raise ValueError(
            f"The arguments of a component should be those of `{component.name}`. Received: "
            f"{list(given)}, which Python refuses: {error}"
        ) from error
    return make(**given)


def no_class_error(module: ModuleType, component: Component) -> ValueError:
    """Returns the error of a component whose class is not in a module."""
    return ValueError(
        f"The name of a component should be a class in `{module.__name__}`. Received: "
        f"{component.name!r}"
    )


def peak_learning_rate(stage: Stage) -> float:
    """Returns the learning rate of a stage after its warm-up, for its batch size.

    Args:
        stage: Stage of a recipe.

    Example:

    >>> from keras_supcon import experiments, recipes
    >>> round(experiments.peak_learning_rate(recipes.get("supcon_imagenet_resnet50").training), 4)
    9.6
    """
    return optimizers.scale_learning_rate(
        stage.base_learning_rate, stage.batch_size, stage.learning_rate_rule
    )


def make_schedule(stage: Stage, steps_per_epoch: int) -> optimizers.WarmUp:
    """Makes the learning-rate schedule of a stage.

    It counts the steps that are taken. An epoch leaves out its last images if they fill no batch.

    Args:
        stage: Stage of a recipe.
        steps_per_epoch: Batches in an epoch, at least 1.

    Returns:
        The schedule, with its warm-up.

    Example:

    >>> from keras_supcon import experiments, recipes
    >>> stage = recipes.get("supcontrast_supcon_cifar10_resnet50").training
    >>> schedule = experiments.make_schedule(stage, steps_per_epoch=48)
    >>> [round(float(schedule(step)), 4) for step in (0, 480, 48_000)]
    [0.01, 0.5, 0.0005]
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
    return optimizers.WarmUp(decay, warmup_steps, initial_learning_rate=stage.warmup_learning_rate)


def make_optimizer(stage: Stage, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Makes the optimizer of a stage, with its schedule and its weight decay.

    The weight decay of Adam and RMSprop is not part of it, since that of Keras is decoupled.

    Args:
        stage: Stage of a recipe.
        steps_per_epoch: Batches in an epoch, at least 1.

    Returns:
        `LARS` for LARS and for stochastic gradient descent; `keras.optimizers.Adam` and
        `keras.optimizers.RMSprop`.

    Example:

    >>> from keras_supcon import experiments, recipes
    >>> stage = recipes.get("supcon_imagenet_resnet50").training
    >>> experiments.make_optimizer(stage, steps_per_epoch=208).coupled_weight_decay
    0.001
    """
    schedule = make_schedule(stage, steps_per_epoch)
    if stage.optimizer == "adam":
        return keras.optimizers.Adam(schedule)
    if stage.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(
            schedule, rho=stage.rho, momentum=stage.momentum, epsilon=stage.epsilon
        )
    # Stochastic gradient descent is LARS that adapts nothing: unlike Keras' SGD it has the decay
    # inside the gradient.
    is_sgd = stage.optimizer == "sgd"
    return optimizers.LARS(
        schedule,
        momentum=stage.momentum,
        weight_decay=stage.weight_decay,
        trust_coefficient=stage.trust_coefficient,
        nesterov=stage.nesterov,
        classic_momentum=not is_sgd,
        exclude_from_adaptation=(".",) if is_sgd else stage.weight_decay_exclusions,
        exclude_from_weight_decay=stage.weight_decay_exclusions,
    )


def add_weight_decay(model: keras.Model, stage: Stage) -> None:
    """Adds the weight decay of a stage to the loss of a built model, if its optimizer has none."""
    if stage.optimizer in ("lars", "sgd") or not stage.weight_decay:
        return
    for variable in model.trainable_variables:
        if not any(re.search(pattern, variable.path) for pattern in stage.weight_decay_exclusions):
            variable.regularizer = keras.regularizers.L2(stage.weight_decay / 2)


def assemble_pretraining_model(
    recipe: Recipe,
    encoder: keras.layers.Layer,
    *,
    augmenter: keras.layers.Layer | None,
    total_steps: int | None,
    synchronized_batch_norm: bool = False,
    **arguments: Any,
) -> PretrainingModel:
    """Makes the model of a recipe around an encoder and an augmenter.

    Args:
        recipe: Recipe with a projection head.
        encoder: Encoder, as the model takes it.
        augmenter: Augmenter, or None.
        total_steps: Steps of pre-training, for a model that takes them.
        synchronized_batch_norm: Whether statistics of the heads cover all replicas.
        **arguments: Further arguments of the model, before those of the recipe.

    Raises:
        ValueError: If the recipe has no projection head.
    """
    if recipe.head is None:
        raise ValueError(f"`recipe` should have pre-training. Received: recipe={recipe.name!r}")

    def make_head(component: Component | None) -> keras.layers.Layer | None:
        if component is None:
            return None
        options = {"synchronized_batch_norm": True} if synchronized_batch_norm else {}
        return make_component(layers, component, **options)

    taken = inspect.signature(getattr(models, recipe.model.name)).parameters
    given = {
        "projection_head": make_head(recipe.head),
        "prediction_head": make_head(recipe.prediction_head),
        "num_views": recipe.num_views,
        "total_steps": total_steps,
    }
    given = {name: value for name, value in given.items() if name in taken}
    return make_component(
        models, recipe.model, encoder=encoder, augmenter=augmenter, **given, **arguments
    )


def make_pretraining_model(
    recipe: Recipe,
    image_size: tuple[int, int] | None = None,
    total_steps: int | None = None,
    micro_batch_size: int | None = None,
    **encoder: Any,
) -> PretrainingModel:
    """Makes encoder, heads and augmenter of a recipe of any method, as a model to compile.

    Args:
        recipe: Recipe of pre-training.
        image_size: Height and width at the encoder; None takes those of the recipe.
        total_steps: Steps of pre-training, which the momentum of `BYOL` depends on; None keeps its
            first value. The other methods do not need them.
        micro_batch_size: As in `ContrastiveModel`.
        **encoder: Arguments of the encoder, in place of those of the recipe.

    Returns:
        The model, `ContrastiveModel`, `MoCo`, `BYOL` or `NNCLR`.

    Raises:
        ValueError: If the recipe is of cross-entropy.

    Example:

    >>> from keras_supcon import experiments, losses, recipes
    >>> recipe = recipes.get("moco_small")
    >>> model = experiments.make_pretraining_model(recipe, width=0.125)
    >>> model.compile(
    ...     optimizer=experiments.make_optimizer(recipe.training, steps_per_epoch=195),
    ...     loss=experiments.make_component(losses, recipe.training.loss),
    ... )
    >>> type(model).__name__, model.queue_size
    ('MoCo', 4096)
    """
    size = recipe.image_size if image_size is None else image_size
    return assemble_pretraining_model(
        recipe,
        make_component(encoders, recipe.encoder, **encoder),
        augmenter=make_component(augmentation, recipe.training.augmentation, image_size=size),
        total_steps=total_steps,
        micro_batch_size=micro_batch_size,
    )


def make_contrastive_model(
    recipe: Recipe, image_size: tuple[int, int] | None = None, **encoder: Any
) -> ContrastiveModel:
    """Makes encoder, projection head and augmenter of a contrastive recipe, as a model to compile.

    `make_pretraining_model` does so for every method.

    Args:
        recipe: Recipe of SupCon or SimCLR.
        image_size: Height and width at the encoder; None takes those of the recipe.
        **encoder: Arguments of the encoder, in place of those of the recipe.

    Returns:
        The model.

    Raises:
        ValueError: If the recipe is of another method.

    Example:

    >>> from keras_supcon import experiments, losses, recipes
    >>> recipe = recipes.get("supcontrast_supcon_cifar10_resnet50")
    >>> model = experiments.make_contrastive_model(recipe, depth=10, width=0.25)
    >>> model.compile(
    ...     optimizer=experiments.make_optimizer(recipe.training, steps_per_epoch=48),
    ...     loss=experiments.make_component(losses, recipe.training.loss),
    ...     loss_weights=recipe.training.loss_weight,
    ... )
    """
    if recipe.head is None or recipe.model.name != "ContrastiveModel":
        raise ValueError(
            f"`recipe` should be of SupCon or SimCLR. Received: recipe={recipe.name!r}"
        )
    return make_pretraining_model(recipe, image_size, **encoder)
