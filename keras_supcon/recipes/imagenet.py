"""ImageNet by the authors' TensorFlow code."""

import dataclasses
from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.losses import cross_entropy, ntxent, supcon
from keras_supcon.recipes.recipe import Component, Recipe, Stage

_SOURCE = (
    "github.com/google-research/google-research, folder supcon: final version of the script for "
    "{run}"
)
# The source excludes batch normalization from the L2 decay, but not biases.
_NORMALIZATION = ("gamma$", "beta$")

_AUTO_AUGMENT = Component("AutoAugment", {"policy": "imagenet", "crop_area": (0.08, 1.0)})
_SIM_AUGMENT = Component(
    "SimAugment",
    {
        "strength": 1.0,
        "crop_area": (0.08, 1.0),
        "grayscale_probability": 0.2,
        "blur_probability": 0.5,
    },
)
_STACKED_RAND_AUGMENT = Component(
    "StackedRandAugment",
    {
        "num_ops": 2,
        "magnitude": 1.0,
        "strength": 1.0,
        "crop_area": (0.08, 1.0),
        "grayscale_probability": 0.2,
        "blur_probability": 0.5,
    },
)
_DEVIATIONS_OF_AUGMENTATION = {
    "AutoAugment": (deviations.OPERATIONS,),
    "SimAugment": (deviations.JITTER, deviations.JITTER_OF_TENSORFLOW, deviations.BLUR),
    "StackedRandAugment": (
        deviations.JITTER,
        deviations.JITTER_OF_TENSORFLOW,
        deviations.OPERATIONS,
        deviations.RANDAUGMENT_SIZES,
        deviations.BLUR,
    ),
}
_DEVIATIONS = (
    deviations.STANDARDIZATION,
    deviations.INITIAL_CONVOLUTIONS,
    deviations.CROPS,
    deviations.DROPPED_TEST_IMAGES.format(scored="49,920", all="50,000"),
)
_EARLIER_DECAY = (
    "In its first version the linear classifier's rate fell by 0.1 in every 2.4 epochs."
)

_WARMUP_EPOCHS = 12


def _stage(**fields: Any) -> Stage:
    shared = {
        "warmup_epochs": _WARMUP_EPOCHS,
        "learning_rate_rule": "linear",
        "weight_decay_exclusions": _NORMALIZATION,
    }
    return Stage(**{**shared, **fields})


def _pretraining(**fields: Any) -> Stage:
    parts = ("encoder", "projection_head")
    return _stage(optimizer="lars", decay="cosine", weight_decay_parts=parts, **fields)


def _recipe(depth: int, *own_deviations: str, **fields: Any) -> Recipe:
    augmentation = fields["training"].augmentation.name
    return Recipe(
        dataset="imagenet2012",
        num_classes=1000,
        num_examples=1_281_167,
        image_size=(224, 224),
        pixel_mean=(0.5, 0.5, 0.5),
        pixel_deviation=(0.5, 0.5, 0.5),
        encoder=Component("ResNet", {"depth": depth, "width": 1.0, "stem": "imagenet"}),
        synchronized_batch_norm=True,
        evaluation=Component(
            "CenterCropResize", {"method": "resize_then_crop", "crop_padding": 32}
        ),
        dtype_policy="mixed_bfloat16",
        deviations=(*_DEVIATIONS, *_DEVIATIONS_OF_AUGMENTATION[augmentation], *own_deviations),
        **fields,
    )


def _supcon(
    depth: int, num_replicas: int, accuracy: float | None, training: Stage, notes: tuple[str, ...]
) -> Recipe:
    return _recipe(
        depth,
        deviations.INITIAL_HEAD,
        deviations.FROZEN_STATISTICS,
        deviations.RMSPROP,
        name=f"supcon_imagenet_resnet{depth}",
        source=_SOURCE.format(run=f"SupCon on ImageNet with ResNet-{depth}"),
        method="supcon",
        normalize_features=True,
        head=Component(
            "ProjectionHead", {"output_dim": 128, "hidden_units": (), "batch_norm": False}
        ),
        num_views=2,
        training=training,
        linear_classifier=_stage(
            loss=cross_entropy(label_smoothing=0.05),
            augmentation=training.augmentation,
            epochs=90,
            batch_size=training.batch_size,
            optimizer="rmsprop",
            base_learning_rate=0.05,
            rho=0.9,
            epsilon=1e-3,
            decay="exponential",
            decay_rate=0.97,
            decay_epochs=0.5,
            weight_decay=1e-6,
            weight_decay_parts=("classifier",),
        ),
        num_replicas=num_replicas,
        accuracy=accuracy,
        notes=(*notes, _EARLIER_DECAY),
    )


def _cross_entropy(depth: int, num_replicas: int, training: Stage) -> Recipe:
    return _recipe(
        depth,
        deviations.SGD,
        name=f"cross_entropy_imagenet_resnet{depth}",
        source=_SOURCE.format(run=f"cross-entropy on ImageNet with ResNet-{depth}"),
        method="cross_entropy",
        normalize_features=False,
        head=None,
        num_views=1,
        training=training,
        linear_classifier=None,
        num_replicas=num_replicas,
        accuracy=None,
    )


SUPCON_RESNET50 = _supcon(
    depth=50,
    num_replicas=128,
    accuracy=None,
    training=_pretraining(
        loss=supcon(0.1, scale_by_temperature=True),
        augmentation=_AUTO_AUGMENT,
        epochs=350,
        batch_size=6144,
        base_learning_rate=0.4,
        weight_decay=1e-3,
    ),
    notes=(
        "Pre-training had a base learning rate of 0.3 and a weight decay of 1e-4 in the first "
        "version, and a temperature of 0.07 in a later one.",
    ),
)
SUPCON_RESNET101 = _supcon(
    depth=101,
    num_replicas=128,
    accuracy=None,
    training=dataclasses.replace(SUPCON_RESNET50.training, batch_size=4096, weight_decay=1e-4),
    notes=("Pre-training had a base learning rate of 0.3 in the first version.",),
)
SUPCON_RESNET200 = _supcon(
    depth=200,
    num_replicas=256,
    accuracy=0.814,
    training=_pretraining(
        loss=supcon(0.1, scale_by_temperature=True),
        augmentation=_STACKED_RAND_AUGMENT,
        epochs=700,
        batch_size=4096,
        base_learning_rate=0.2,
        weight_decay=1e-4,
    ),
    notes=(
        "Pre-training had a base learning rate of 0.3 in the first version.",
        "The accuracy is that of the paper's abstract; the code reports none.",
    ),
)
SIMCLR_RESNET50 = _recipe(
    50,
    deviations.INITIAL_HEAD,
    deviations.FROZEN_STATISTICS,
    deviations.INITIAL_CLASSIFIER,
    deviations.SGD,
    name="simclr_imagenet_resnet50",
    source=_SOURCE.format(run="SimCLR on ImageNet with ResNet-50"),
    method="simclr",
    normalize_features=False,
    head=Component(
        "ProjectionHead", {"output_dim": 128, "hidden_units": (2048, 2048), "batch_norm": True}
    ),
    num_views=2,
    training=_pretraining(
        loss=ntxent(0.1),
        augmentation=_SIM_AUGMENT,
        epochs=100,
        batch_size=6144,
        base_learning_rate=0.3,
        weight_decay=1e-4,
    ),
    linear_classifier=_stage(
        loss=cross_entropy(label_smoothing=0.05),
        augmentation=_SIM_AUGMENT,
        epochs=90,
        batch_size=6144,
        optimizer="sgd",
        nesterov=True,
        base_learning_rate=0.1,
        decay="cosine",
        weight_decay=1e-6,
        weight_decay_parts=("classifier",),
    ),
    num_replicas=128,
    accuracy=None,
    notes=(
        "In the first version pre-training had a weight decay of 1e-6, a head of 2048 and 128 "
        "units, and the loss times the temperature.",
    ),
)
CROSS_ENTROPY_RESNET50 = _cross_entropy(
    depth=50,
    num_replicas=128,
    training=_stage(
        loss=cross_entropy(label_smoothing=0.05),
        augmentation=_AUTO_AUGMENT,
        epochs=200,
        batch_size=6144,
        optimizer="sgd",
        nesterov=True,
        base_learning_rate=0.1,
        decay="cosine",
        weight_decay=1e-4,
        weight_decay_parts=("encoder", "classifier"),
    ),
)
CROSS_ENTROPY_RESNET200 = _cross_entropy(
    depth=200,
    num_replicas=256,
    training=dataclasses.replace(
        CROSS_ENTROPY_RESNET50.training,
        augmentation=_STACKED_RAND_AUGMENT,
        epochs=700,
        batch_size=4096,
    ),
)
CROSS_ENTROPY_TWO_STAGE_RESNET50 = dataclasses.replace(
    CROSS_ENTROPY_RESNET50,
    name="cross_entropy_two_stage_imagenet_resnet50",
    linear_classifier=SUPCON_RESNET50.linear_classifier,
    deviations=(
        *CROSS_ENTROPY_RESNET50.deviations,
        deviations.FROZEN_STATISTICS,
        deviations.RMSPROP,
    ),
    notes=(
        "The control of the paper, whose code has the first stage only. A choice of this package: "
        "the linear classifier is that of SupCon.",
    ),
)

RECIPES = (
    SUPCON_RESNET50,
    SUPCON_RESNET101,
    SUPCON_RESNET200,
    SIMCLR_RESNET50,
    CROSS_ENTROPY_RESNET50,
    CROSS_ENTROPY_RESNET200,
    CROSS_ENTROPY_TWO_STAGE_RESNET50,
)
