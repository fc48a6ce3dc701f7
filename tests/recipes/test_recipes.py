import dataclasses
import json
import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon import augmentation, encoders, layers, losses, models, recipes
from keras_supcon.optimizers import LARS, WarmUp, scale_learning_rate

pytestmark = pytest.mark.neutral

PUBLISHED = [name for name in recipes.names() if not name.endswith("_small")]
SMALL = [name for name in recipes.names() if name.endswith("_small")]
every_recipe = pytest.mark.parametrize(
    "recipe", [recipes.get(name) for name in recipes.names()], ids=recipes.names()
)
every_published_recipe = pytest.mark.parametrize(
    "recipe", [recipes.get(name) for name in PUBLISHED], ids=PUBLISHED
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
    f"{name}_two_stage{rest}": (*TABLE[f"{name}{rest}"][:3], *TABLE[f"{supcon}{rest}"][3:])
    for name, supcon, rest in (
        ("cross_entropy", "supcon", "_imagenet_resnet50"),
        ("supcontrast_cross_entropy", "supcontrast_supcon", "_cifar10_resnet50"),
    )
}
TABLE |= {
    name.replace("cifar10_", "cifar100_"): row
    for name, row in TABLE.items()
    if name.startswith("supcontrast")
}
LINEAR_OF_SIMCLR = (90, 0, "sgd", "cosine", 1e-6)
LINEAR_OF_BYOL = (80, 0, "sgd", "cosine", 0)
LINEAR_OF_SUPCONTRAST = (100, 0, "sgd", "piecewise", 0)
TABLE |= {
    "simclrv1_imagenet_resnet50": (
        4096,
        (100, 10, "lars", "cosine", 1e-4),
        4.8,
        LINEAR_OF_SIMCLR,
        1.6,
    ),
    "simclrv1_cifar10_resnet18": (
        512,
        (1000, 10, "lars", "cosine", 1e-4),
        2.0,
        (100, 0, "sgd", "cosine", 0),
        0.2,
    ),
    "simclrv2_imagenet_resnet50": (
        4096,
        (800, 40, "lars", "cosine", 1e-4),
        6.4,
        LINEAR_OF_SIMCLR,
        1.6,
    ),
    "simclrv2_fine_tuned_imagenet_resnet50": (
        4096,
        (800, 40, "lars", "cosine", 1e-4),
        6.4,
        (60, 0, "lars", "cosine", 0),
        0.16,
    ),
    "moco_imagenet_resnet50": (
        256,
        (200, 0, "sgd", "cosine", 1e-4),
        0.03,
        (100, 0, "sgd", "piecewise", 0),
        30.0,
    ),
    "moco_supcon_imagenet_resnet50": (
        256,
        (350, 0, "sgd", "cosine", 1e-4),
        0.03,
        LINEAR_OF_SUPCON,
        1.2,
    ),
    "byol_imagenet_resnet50": (
        4096,
        (1000, 10, "lars", "cosine", 1.5e-6),
        3.2,
        LINEAR_OF_BYOL,
        0.8,
    ),
    "nnclr_imagenet_resnet50": (
        4096,
        (1000, 10, "lars", "cosine", 1e-6),
        4.8,
        LINEAR_OF_BYOL,
        0.8,
    ),
    "sololearn_moco_cifar10_resnet18": (
        256,
        (1000, 10, "sgd", "cosine", 1e-4),
        0.3,
        LINEAR_OF_SUPCONTRAST,
        1.0,
    ),
    "sololearn_byol_cifar10_resnet18": (
        256,
        (1000, 10, "lars", "cosine", 1e-5),
        1.0,
        LINEAR_OF_SUPCONTRAST,
        1.0,
    ),
    "sololearn_nnclr_cifar10_resnet18": (
        256,
        (1000, 10, "lars", "cosine", 1e-5),
        0.4,
        LINEAR_OF_SUPCONTRAST,
        1.0,
    ),
}
# Of the linear classifier, where it is not that of pre-training.
LINEAR_BATCHES = {
    "supcontrast": 512,
    "sololearn": 512,
    "simclrv2_fine_tuned": 1024,
    "byol": 1024,
    "nnclr": 1024,
    "moco_supcon": 6144,
    "cross_entropy_two_stage": 6144,
}
# The model of pre-training, its arguments and the units of the heads.
MODELS = {
    "moco_imagenet_resnet50": (
        "MoCo",
        {"queue_size": 65_536, "momentum": 0.999, "shuffle_bn": 8},
        (2048, 128),
        None,
    ),
    "moco_supcon_imagenet_resnet50": (
        "MoCo",
        {"queue_size": 8192, "momentum": 0.999},
        (2048, 128),
        None,
    ),
    "byol_imagenet_resnet50": ("BYOL", {"momentum": 0.996}, (4096, 256), (4096, 256)),
    "nnclr_imagenet_resnet50": (
        "NNCLR",
        {"queue_size": 98_304, "temperature": 0.1},
        (2048, 2048, 256),
        (4096, 256),
    ),
    "sololearn_moco_cifar10_resnet18": (
        "MoCo",
        {"queue_size": 32_768, "momentum": 0.99, "symmetric": True},
        (2048, 256),
        None,
    ),
    "sololearn_byol_cifar10_resnet18": ("BYOL", {"momentum": 0.99}, (4096, 256), (4096, 256)),
    "sololearn_nnclr_cifar10_resnet18": (
        "NNCLR",
        {"queue_size": 65_536, "temperature": 0.2},
        (2048, 2048, 256),
        (4096, 256),
    ),
}

AUGMENTATIONS = {
    "AutoAugment": (
        "supcon_imagenet_resnet50",
        "supcon_imagenet_resnet101",
        "cross_entropy_imagenet_resnet50",
        "cross_entropy_two_stage_imagenet_resnet50",
        "moco_supcon_imagenet_resnet50",
    ),
    "byol_views": (
        "byol_imagenet_resnet50",
        "nnclr_imagenet_resnet50",
        "sololearn_byol_cifar10_resnet18",
        "sololearn_nnclr_cifar10_resnet18",
    ),
    "StackedRandAugment": ("supcon_imagenet_resnet200", "cross_entropy_imagenet_resnet200"),
    "RandomResizedCrop": (
        "supcontrast_cross_entropy_cifar10_resnet50",
        "supcontrast_cross_entropy_cifar100_resnet50",
        "supcontrast_cross_entropy_two_stage_cifar10_resnet50",
        "supcontrast_cross_entropy_two_stage_cifar100_resnet50",
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
    "simclrv1_imagenet_resnet50": 0.645,
    "simclrv1_cifar10_resnet18": 0.91,
    "simclrv2_imagenet_resnet50": 0.717,
    "simclrv2_fine_tuned_imagenet_resnet50": 0.579,
    "moco_imagenet_resnet50": 0.675,
    "moco_supcon_imagenet_resnet50": 0.791,
    "byol_imagenet_resnet50": 0.743,
    "nnclr_imagenet_resnet50": 0.756,
    "sololearn_moco_cifar10_resnet18": 0.9294,
    "sololearn_byol_cifar10_resnet18": 0.9258,
    "sololearn_nnclr_cifar10_resnet18": 0.9188,
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
    assert set(PUBLISHED) == set(TABLE)


@every_published_recipe
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
        own = [size for name, size in LINEAR_BATCHES.items() if recipe.name.startswith(name)]
        assert recipe.linear_classifier.batch_size == (own[0] if own else batch_size)
    assert recipe.accuracy == ACCURACIES.get(recipe.name)
    own = [name for name, users in AUGMENTATIONS.items() if recipe.name in users]
    assert recipe.training.augmentation.name == (own[0] if own else "SimAugment")
    name, arguments, head, prediction_head = MODELS.get(
        recipe.name, ("ContrastiveModel", {}, None, None)
    )
    assert (recipe.model.name, recipe.model.arguments) == (name, arguments)
    if head is not None:
        assert units(recipe.head) == head
    assert units(recipe.prediction_head) == prediction_head


def units(head):
    return None if head is None else (*head.arguments["hidden_units"], head.arguments["output_dim"])


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
            "piecewise": (stage.decay_rate or 0) ** len(stage.decay_boundaries),
        }[stage.decay]
        assert end == pytest.approx(last * top, rel=0.05, abs=1e-6 * top)


@every_recipe
def test_its_parts_are_classes_of_this_package(recipe):
    encoder = make(encoders, recipe.encoder)
    assert recipe.name.endswith((f"resnet{encoder.depth}", "_small"))
    assert encoder.stem == ("imagenet" if recipe.image_size == (224, 224) else "cifar")
    for head in filter(None, (recipe.head, recipe.prediction_head)):
        make(layers, head)
    for component in {
        stage.augmentation.name: stage.augmentation for stage in stages(recipe)
    }.values():
        make(augmentation, component, image_size=recipe.image_size)
    make(augmentation, recipe.evaluation, image_size=recipe.image_size)
    pretrains = recipe.method != "cross_entropy"
    assert (recipe.head is not None) == pretrains
    assert (recipe.linear_classifier is not None) == (pretrains or "two_stage" in recipe.name)
    assert recipe.num_views == (2 if pretrains else 1)
    assert (recipe.prediction_head is not None) == (recipe.method in ("byol", "nnclr"))
    assert issubclass(getattr(models, recipe.model.name), models.PretrainingModel)
    assert (recipe.head_layers, recipe.fine_tunes_encoder) == (
        (1, True) if "fine_tuned" in recipe.name else (0, False)
    )
    if pretrains:
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
        elif stage.optimizer == "adam":
            keras.optimizers.Adam(peak(stage))
        else:
            keras.optimizers.RMSprop(peak(stage), rho=stage.rho, epsilon=stage.epsilon, **shared)
        assert (stage.rho, stage.epsilon) == (
            (0.9, 1e-3) if stage.optimizer == "rmsprop" else (None, None)
        )
        assert bool(stage.weight_decay) == bool(stage.weight_decay_parts)
        assert stage.weight_decay == 0 or stage.optimizer != "adam"
        # solo-learn has another trust coefficient.
        is_other = recipe.name.startswith("sololearn") and stage.optimizer == "lars"
        assert stage.trust_coefficient == (0.02 if is_other else 0.001)


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


@every_published_recipe
def test_says_where_it_is_from_and_what_differs(recipe):
    assert recipe.source.startswith(("github.com/", "Khosla", "Dwibedi", "Chen"))
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
    # Of the sources in TensorFlow, which draw one deviation for a batch.
    blurs = recipe.training.augmentation.arguments.get("blur_probability", 0) != 0
    is_of_google = not recipe.name.startswith(("moco", "sololearn"))
    assert (blurs and is_of_google) == any("blurred" in sentence for sentence in recipe.deviations)


def test_no_code_of_momentum_supcon_was_published_and_its_recipe_says_so():
    recipe = recipes.get("moco_supcon_imagenet_resnet50")
    assert "no code of it was published" in recipe.source
    assert sum("choice of this package" in note for note in recipe.notes) == 2


@pytest.mark.parametrize("name", SMALL)
def test_small_recipes_are_alike_and_say_that_they_are_ours(name):
    recipe = recipes.get(name)
    assert "choice of this package" in recipe.source
    assert (recipe.accuracy, recipe.deviations) == (None, ())
    simclr = recipes.get("simclr_digits_small" if "digits" in name else "simclr_small")
    for field in ("encoder", "dataset", "image_size", "evaluation"):
        assert getattr(recipe, field) == getattr(simclr, field)
    for field in ("augmentation", "batch_size", "epochs", "optimizer", "warmup_epochs"):
        assert getattr(recipe.training, field) == getattr(simclr.training, field)
    keys = recipe.model.arguments.get("queue_size")
    if keys is not None:
        assert recipe.training.batch_size <= keys <= recipe.num_examples / 10


def test_every_method_has_a_small_recipe_for_both_sizes():
    names = {name.removesuffix("_small") for name in SMALL}
    assert {name for name in names if not name.endswith("_digits")} == {
        name.removesuffix("_digits") for name in names if name.endswith("_digits")
    }
    assert {recipes.get(name).method for name in SMALL} == {
        recipes.get(name).method for name in recipes.names()
    }


@every_recipe
def test_is_data_of_its_own(recipe):
    assert recipes.get(recipe.name) == recipe
    recipe = recipes.get(recipe.name)
    recipe.encoder.arguments["depth"] = 11
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
