import dataclasses
import json
import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import augmentation, encoders, layers, losses, recipes
from keras_supcon.optimizers import LARS, WarmUp, scale_learning_rate

pytestmark = pytest.mark.neutral

every_recipe = pytest.mark.parametrize(
    "recipe", [recipes.get(name) for name in recipes.names()], ids=recipes.names()
)

# The table of the scripts: batch, epochs, warm-up, optimizer, peak of the learning rate, decay,
# weight decay; both stages.
LINEAR_OF_SUPCON = (90, 12, "rmsprop", "exponential", 1e-6)
TABLE = {
    "supcon_imagenet_resnet50": (
        6144,
        (350, 12, "lars", "cosine", 1e-3),
        9.6,
        LINEAR_OF_SUPCON,
        1.2,
    ),
    "supcon_imagenet_resnet101": (
        4096,
        (350, 12, "lars", "cosine", 1e-4),
        6.4,
        LINEAR_OF_SUPCON,
        0.8,
    ),
    "supcon_imagenet_resnet200": (
        4096,
        (700, 12, "lars", "cosine", 1e-4),
        3.2,
        LINEAR_OF_SUPCON,
        0.8,
    ),
    "simclr_imagenet_resnet50": (
        6144,
        (100, 12, "lars", "cosine", 1e-4),
        7.2,
        (90, 12, "sgd", "cosine", 1e-6),
        2.4,
    ),
    "cross_entropy_imagenet_resnet50": (6144, (200, 12, "sgd", "cosine", 1e-4), 2.4, None, None),
    "cross_entropy_imagenet_resnet200": (4096, (700, 12, "sgd", "cosine", 1e-4), 1.6, None, None),
    "supcon_cifar10_resnet50": (
        4096,
        (1000, 10, "sgd", "cosine", 1e-4),
        8.0,
        (100, 0, "sgd", "piecewise", 0),
        40.0,
    ),
    "simclr_cifar10_resnet50": (
        1024,
        (400, 10, "sgd", "cosine", 1e-4),
        2.0,
        (90, 0, "sgd", "cosine", 0),
        1.0,
    ),
    "cross_entropy_cifar10_resnet50": (1024, (1000, 12, "sgd", "cosine", 5e-4), 0.4, None, None),
    "supcontrast_cross_entropy_cifar10_resnet50": (
        1024,
        (500, 10, "sgd", "cosine", 1e-4),
        0.8,
        None,
        None,
    ),
    "supcontrast_supcon_cifar10_resnet50": (
        1024,
        (1000, 10, "sgd", "cosine", 1e-4),
        0.5,
        (100, 0, "sgd", "piecewise", 0),
        5.0,
    ),
    "supcontrast_simclr_cifar10_resnet50": (
        1024,
        (1000, 10, "sgd", "cosine", 1e-4),
        0.5,
        (100, 0, "sgd", "piecewise", 0),
        1.0,
    ),
}
TABLE |= {
    name.replace("cifar10_", "cifar100_"): row
    for name, row in TABLE.items()
    if name.startswith("supcontrast")
}

AUGMENTATIONS = {
    "AutoAugment": (
        "supcon_imagenet_resnet50",
        "supcon_imagenet_resnet101",
        "cross_entropy_imagenet_resnet50",
    ),
    "StackedRandAugment": ("supcon_imagenet_resnet200", "cross_entropy_imagenet_resnet200"),
    "RandomResizedCrop": (
        "supcontrast_cross_entropy_cifar10_resnet50",
        "supcontrast_cross_entropy_cifar100_resnet50",
    ),
}
ACCURACIES = {
    "supcon_imagenet_resnet200": 0.814,
    "supcontrast_cross_entropy_cifar10_resnet50": 0.95,
    "supcontrast_supcon_cifar10_resnet50": 0.96,
    "supcontrast_simclr_cifar10_resnet50": 0.936,
    "supcontrast_cross_entropy_cifar100_resnet50": 0.753,
    "supcontrast_supcon_cifar100_resnet50": 0.765,
    "supcontrast_simclr_cifar100_resnet50": 0.707,
}


def stages(recipe):
    return [stage for stage in (recipe.training, recipe.linear_classifier) if stage is not None]


def peak(stage):
    return scale_learning_rate(stage.base_learning_rate, stage.batch_size, stage.learning_rate_rule)


def make(module, component, **arguments):
    return getattr(module, component.name)(**arguments, **component.arguments)


def steps_of(epochs, num_examples, batch_size):
    """Counts the steps as the sources do: rounded down once, at the end of all epochs."""
    return int(epochs * num_examples / batch_size)


def schedule_and_steps(stage, num_examples):
    """The learning rate of a stage from Keras' decays."""
    steps, warmup_steps = (
        steps_of(epochs, num_examples, stage.batch_size)
        for epochs in (stage.epochs, stage.warmup_epochs)
    )
    steps_per_epoch = num_examples / stage.batch_size
    decays = keras.optimizers.schedules
    if stage.decay == "cosine":
        decay = decays.CosineDecay(
            peak(stage), steps - warmup_steps, alpha=stage.final_learning_rate
        )
    elif stage.decay == "exponential":
        decay = decays.ExponentialDecay(
            peak(stage), stage.decay_epochs * steps_per_epoch, stage.decay_rate, staircase=True
        )
    else:
        boundaries = [int(epochs * steps_per_epoch) for epochs in stage.decay_boundaries]
        rates = [peak(stage) * stage.decay_rate**n for n in range(len(boundaries) + 1)]
        decay = decays.PiecewiseConstantDecay(boundaries, rates)
    return WarmUp(decay, warmup_steps, initial_learning_rate=stage.warmup_learning_rate), steps


def test_holds_every_row_of_the_table_and_no_other():
    assert set(recipes.names()) == set(TABLE)


@every_recipe
def test_has_the_numbers_of_the_table(recipe):
    batch_size, training, training_peak, linear, linear_peak = TABLE[recipe.name]
    for stage, row, rate in zip(
        stages(recipe), [training, linear], [training_peak, linear_peak], strict=False
    ):
        assert (
            stage.epochs,
            stage.warmup_epochs,
            stage.optimizer,
            stage.decay,
            stage.weight_decay,
        ) == row
        assert peak(stage) == pytest.approx(rate)
        assert stage.momentum == 0.9
    assert (recipe.linear_classifier is None) == (linear is None)
    assert recipe.training.batch_size == batch_size
    if linear is not None:
        assert recipe.linear_classifier.batch_size == (
            512 if recipe.name.startswith("supcontrast") else batch_size
        )
    assert recipe.accuracy == ACCURACIES.get(recipe.name)
    own = [name for name, users in AUGMENTATIONS.items() if recipe.name in users]
    assert recipe.training.augmentation.name == (own[0] if own else "SimAugment")


@pytest.mark.parametrize(
    ("name", "training_steps", "all_steps"),
    [
        ("supcon_imagenet_resnet50", 72_983, 91_750),
        ("supcon_imagenet_resnet101", 109_474, 137_625),
        ("supcon_imagenet_resnet200", 218_949, 247_100),
    ],
)
def test_takes_the_steps_of_the_published_runs(name, training_steps, all_steps):
    recipe = recipes.get(name)
    batch_size = recipe.training.batch_size
    assert steps_of(recipe.training.epochs, recipe.num_examples, batch_size) == training_steps
    # The source rounds the end of all epochs, not each stage.
    assert (
        steps_of(sum(stage.epochs for stage in stages(recipe)), recipe.num_examples, batch_size)
        == all_steps
    )


@every_recipe
def test_its_learning_rate_peaks_after_the_warm_up_and_falls(recipe):
    for stage in stages(recipe):
        schedule, steps = schedule_and_steps(stage, recipe.num_examples)
        start, end = (float(schedule(step)) for step in (0, steps))
        top = float(schedule(schedule.warmup_steps))
        assert start == pytest.approx(
            stage.warmup_learning_rate if stage.warmup_epochs else peak(stage)
        )
        assert top == pytest.approx(peak(stage), rel=1e-6)
        last = {
            "cosine": stage.final_learning_rate,
            "exponential": 0.97 ** math.floor(78 / 0.5),
            "piecewise": 0.2**3,
        }[stage.decay]
        assert end == pytest.approx(last * top, rel=0.05, abs=1e-6 * top)


@every_recipe
def test_its_parts_are_classes_of_this_package(recipe):
    encoder = make(encoders, recipe.encoder)
    assert recipe.name.endswith(f"resnet{encoder.depth}")
    assert encoder.stem == ("imagenet" if recipe.image_size == (224, 224) else "cifar")
    if recipe.head is not None:
        make(layers, recipe.head)
    for component in {
        stage.augmentation.name: stage.augmentation for stage in stages(recipe)
    }.values():
        make(augmentation, component, image_size=recipe.image_size)
    make(augmentation, recipe.evaluation, image_size=recipe.image_size)
    is_contrastive = recipe.method != "cross_entropy"
    assert (recipe.head is not None, recipe.linear_classifier is not None) == (is_contrastive,) * 2
    assert recipe.num_views == (2 if is_contrastive else 1)
    if is_contrastive:
        make(losses, recipe.training.loss)
    assert stages(recipe)[-1].loss.name == "CategoricalCrossentropy"
    make(keras.losses, stages(recipe)[-1].loss)


@every_recipe
def test_its_optimizers_take_its_numbers(recipe):
    for stage in stages(recipe):
        exclusions = {"exclude_from_weight_decay": stage.weight_decay_exclusions}
        shared = {"momentum": stage.momentum}
        if stage.optimizer == "lars":
            LARS(
                peak(stage),
                weight_decay=stage.weight_decay,
                exclude_from_adaptation=exclusions.popitem()[1],
                **shared,
            )
        elif stage.optimizer == "sgd":
            LARS(
                peak(stage),
                nesterov=stage.nesterov,
                exclude_from_adaptation=(".",),
                **shared,
                **exclusions,
            )
        else:
            keras.optimizers.RMSprop(peak(stage), rho=stage.rho, epsilon=stage.epsilon, **shared)
        assert (stage.rho, stage.epsilon) == (
            (0.9, 1e-3) if stage.optimizer == "rmsprop" else (None, None)
        )
        assert bool(stage.weight_decay) == bool(stage.weight_decay_parts)


def test_the_loss_of_the_pytorch_code_is_times_the_temperature_over_its_base(rng):
    """SupContrast's loss: -(temperature / 0.07) times the mean log share of the positives."""
    views, temperature = rng.normal(size=(3, 2, 4)), 0.5
    rows = views.reshape(6, 4) / np.linalg.norm(views.reshape(6, 4), axis=1, keepdims=True)
    scores = np.exp(rows @ rows.T / temperature) * (1 - np.eye(6))
    shares = scores / scores.sum(axis=1, keepdims=True)
    expected = -(temperature / 0.07) * np.mean(np.log([shares[i, i ^ 1] for i in range(6)]))
    stage = recipes.get("supcontrast_simclr_cifar10_resnet50").training
    loss = make(losses, stage.loss)(np.zeros(3), views.astype("float32"))
    assert stage.loss_weight * float(ops.convert_to_numpy(loss)) == pytest.approx(
        expected, rel=1e-5
    )


def test_pixels_of_cifar10_are_those_that_the_source_has_from_minus_one_to_one():
    recipe = recipes.get("supcon_cifar10_resnet50")
    np.testing.assert_allclose(
        2 * np.array(recipe.pixel_mean) - 1, (-0.0172, -0.0356, -0.107), atol=1e-9
    )
    np.testing.assert_allclose(
        2 * np.array(recipe.pixel_deviation), (0.4046, 0.3988, 0.402), atol=1e-9
    )


@every_recipe
def test_says_where_it_is_from_and_what_differs(recipe):
    assert recipe.source.startswith("github.com/")
    assert ("SupContrast" in recipe.source) == recipe.name.startswith("supcontrast_")
    assert "standardizes" in recipe.deviations[0]
    sentences = (*recipe.deviations, *recipe.notes)
    assert len(set(sentences)) == len(sentences)
    assert all(re.fullmatch(r"[A-Z`].*\.", sentence) for sentence in sentences)
    uses = {stage.optimizer for stage in stages(recipe)}
    for optimizer, word in (
        ("sgd", "keras.optimizers.SGD"),
        ("rmsprop", "keras.optimizers.RMSprop"),
    ):
        assert (optimizer in uses) == any(word in sentence for sentence in recipe.deviations)
    blurs = recipe.training.augmentation.arguments.get("blur_probability", 0) > 0
    assert blurs == any("blurred" in sentence for sentence in recipe.deviations)


@every_recipe
def test_is_data_of_its_own(recipe):
    assert recipes.get(recipe.name) == recipe
    recipe = recipes.get(recipe.name)
    recipe.encoder.arguments["depth"] = 10
    assert recipes.get(recipe.name) != recipe
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.num_views = 3
    json.dumps(dataclasses.asdict(recipe))
    hash(recipe)


def test_the_name_of_deviations_in_the_version_before_works_with_a_warning():
    recipe = recipes.get("supcon_imagenet_resnet50")
    with pytest.warns(DeprecationWarning, match="`differences` of `Recipe` is now `deviations`"):
        assert recipe.differences == recipe.deviations
    with pytest.warns(DeprecationWarning, match="`differences` of `Recipe` is now `deviations`"):
        assert dataclasses.replace(recipe, differences=("One.",)).deviations == ("One.",)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "supcon_imagenet_resnet5",
            "Received: name='supcon_imagenet_resnet5'. Did you mean 'supcon_imagenet_resnet50' or",
        ),
        (
            "nothing like it",
            r"`name` should be one of \('supcon_imagenet_.*Received: name='nothing like it'.$",
        ),
        (3, "Received: name=3"),
    ],
)
def test_names_what_is_near_an_unknown_name(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        recipes.get(name)
