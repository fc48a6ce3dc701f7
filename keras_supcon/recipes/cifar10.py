"""CIFAR-10 by the authors' TensorFlow code."""

from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.losses import cross_entropy, ntxent, supcon
from keras_supcon.recipes.recipe import Component, Recipe, Stage

_SOURCE = (
    "github.com/google-research/google-research, folder supcon: final version of the script for "
    "{run} on CIFAR-10"
)
# The source excludes batch normalization from the L2 decay, but not biases.
_NORMALIZATION = ("gamma$", "beta$")

_SIM_AUGMENT = Component(
    "SimAugment",
    {
        "strength": 0.5,
        "crop_area": (0.2, 1.0),
        "grayscale_probability": 0.2,
        "blur_probability": 0.0,
    },
)
_DEVIATIONS = (
    deviations.STANDARDIZATION,
    deviations.INITIAL_CONVOLUTIONS,
    deviations.CROPS,
    deviations.JITTER,
    deviations.SGD,
    deviations.DROPPED_TEST_IMAGES.format(scored="9,984", all="10,000"),
)


def _stage(**fields: Any) -> Stage:
    shared = {
        "augmentation": _SIM_AUGMENT,
        "optimizer": "sgd",
        "learning_rate_rule": "linear",
        "weight_decay_exclusions": _NORMALIZATION,
    }
    return Stage(**shared, **fields)


def _pretraining(**fields: Any) -> Stage:
    return _stage(decay="cosine", weight_decay_parts=("encoder", "projection_head"), **fields)


def _recipe(*own_deviations: str, **fields: Any) -> Recipe:
    return Recipe(
        dataset="cifar10",
        num_classes=10,
        num_examples=50_000,
        image_size=(32, 32),
        # In [-1, 1] as the source has them: -0.0172, -0.0356, -0.107 and 0.4046, 0.3988, 0.402.
        pixel_mean=(0.4914, 0.4822, 0.4465),
        pixel_deviation=(0.2023, 0.1994, 0.2010),
        encoder=Component("ResNet", {"depth": 50, "width": 1.0, "stem": "cifar"}),
        normalize_features=False,
        evaluation=Component("CenterCropResize", {"crop_padding": 0}),
        dtype_policy="mixed_bfloat16",
        num_replicas=32,
        accuracy=None,
        deviations=(*_DEVIATIONS, *own_deviations),
        **fields,
    )


SUPCON = _recipe(
    deviations.INITIAL_HEAD,
    deviations.FROZEN_STATISTICS,
    name="supcon_cifar10_resnet50",
    source=_SOURCE.format(run="SupCon"),
    method="supcon",
    synchronized_batch_norm=False,
    head=Component(
        "ProjectionHead", {"output_dim": 128, "hidden_units": (2048,), "batch_norm": False}
    ),
    num_views=2,
    training=_pretraining(
        loss=supcon(0.1, scale_by_temperature=True),
        epochs=1000,
        warmup_epochs=10,
        batch_size=4096,
        base_learning_rate=0.5,
        weight_decay=1e-4,
    ),
    linear_classifier=_stage(
        loss=cross_entropy(),
        epochs=100,
        batch_size=4096,
        base_learning_rate=2.5,
        decay="piecewise",
        decay_rate=0.2,
        decay_boundaries=(60, 75, 90),
        weight_decay=0.0,
        weight_decay_parts=(),
    ),
    notes=("Pre-training had a base learning rate of 0.125 in the first version.",),
)
SIMCLR = _recipe(
    deviations.INITIAL_HEAD,
    deviations.FROZEN_STATISTICS,
    deviations.INITIAL_CLASSIFIER,
    name="simclr_cifar10_resnet50",
    source=_SOURCE.format(run="SimCLR"),
    method="simclr",
    synchronized_batch_norm=True,
    head=Component(
        "ProjectionHead", {"output_dim": 128, "hidden_units": (2048, 2048), "batch_norm": True}
    ),
    num_views=2,
    training=_pretraining(
        loss=ntxent(0.5),
        epochs=400,
        warmup_epochs=10,
        batch_size=1024,
        base_learning_rate=0.5,
        weight_decay=1e-4,
    ),
    linear_classifier=_stage(
        loss=cross_entropy(),
        epochs=90,
        batch_size=1024,
        base_learning_rate=0.25,
        decay="cosine",
        weight_decay=0.0,
        weight_decay_parts=(),
    ),
    notes=(
        "In the first version pre-training had a base learning rate of 0.125, a temperature of "
        "0.2, a weight decay of 5e-4, a head of 2048 and 128 units, and the loss times the "
        "temperature.",
    ),
)
CROSS_ENTROPY = _recipe(
    name="cross_entropy_cifar10_resnet50",
    source=_SOURCE.format(run="cross-entropy"),
    method="cross_entropy",
    synchronized_batch_norm=True,
    head=None,
    num_views=1,
    training=_stage(
        loss=cross_entropy(),
        epochs=1000,
        warmup_epochs=12,
        batch_size=1024,
        nesterov=True,
        base_learning_rate=0.1,
        decay="cosine",
        weight_decay=5e-4,
        weight_decay_parts=("encoder", "classifier"),
    ),
    linear_classifier=None,
)

RECIPES = (SUPCON, SIMCLR, CROSS_ENTROPY)
