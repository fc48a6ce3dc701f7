"""SimCLR and SimCLR v2 by the authors' TensorFlow code."""

import dataclasses
from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.losses import cross_entropy, ntxent
from keras_supcon.recipes.recipe import Component, Recipe, Stage
from keras_supcon.recipes.resnet50 import CROPS, resnet50_on_imagenet

_SOURCE = "github.com/google-research/simclr, {command} of its README"
_NORMALIZATION = ("gamma$", "beta$")
_VECTORS = (*_NORMALIZATION, "bias$")
_CIFAR10 = {
    "dataset": "cifar10",
    "num_classes": 10,
    "num_examples": 50_000,
    "image_size": (32, 32),
    "encoder": Component("ResNet", {"depth": 18, "width": 1.0, "stem": "cifar"}),
    "evaluation": Component("CenterCropResize", {"crop_padding": 0}),
}
_DEVIATIONS = (
    deviations.INITIAL_CONVOLUTIONS,
    deviations.INITIAL_HEAD,
    deviations.INITIAL_CLASSIFIER,
    deviations.CROPS,
    deviations.JITTER,
    deviations.JITTER_OF_SIMCLR,
)
_LAYERS_OF_HEAD = "The present code has a head of three layers by default, the paper of two."


def _recipe(hidden_units: tuple[int, ...], *own_deviations: str, **fields: Any) -> Recipe:
    shared = {
        "method": "simclr",
        # The source subtracts and divides by nothing: pixels are in [0, 1].
        "pixel_mean": (0.0, 0.0, 0.0),
        "pixel_deviation": (1.0, 1.0, 1.0),
        "normalize_features": False,
        "head": Component(
            "ProjectionHead",
            {"output_dim": 128, "hidden_units": hidden_units, "batch_norm": "all"},
        ),
        "evaluation": Component(
            "CenterCropResize", {"method": "crop_then_resize", "crop_padding": 32}
        ),
    }
    return resnet50_on_imagenet(*_DEVIATIONS, *own_deviations, **{**shared, **fields})


def _pretraining(temperature: float, augmentation: Component, **fields: Any) -> Stage:
    return Stage(
        loss=ntxent(temperature),
        augmentation=augmentation,
        optimizer="lars",
        decay="cosine",
        weight_decay=1e-4,
        weight_decay_parts=("encoder", "projection_head"),
        weight_decay_exclusions=_VECTORS,
        **fields,
    )


def _linear_classifier(**fields: Any) -> Stage:
    return Stage(
        loss=cross_entropy(),
        augmentation=CROPS,
        optimizer="sgd",
        nesterov=True,
        base_learning_rate=0.1,
        learning_rate_rule="linear",
        decay="cosine",
        weight_decay_exclusions=_NORMALIZATION,
        **fields,
    )


def _views(strength: float, blur_probability: float) -> Component:
    return Component(
        "SimAugment",
        {
            "strength": strength,
            "crop_area": (0.08, 1.0),
            "grayscale_probability": 0.2,
            "blur_probability": blur_probability,
        },
    )


IMAGENET_RESNET50 = _recipe(
    (2048,),
    deviations.SGD,
    deviations.BLUR,
    name="simclrv1_imagenet_resnet50",
    source=_SOURCE.format(command="the commands for ImageNet"),
    training=_pretraining(
        0.1,
        _views(1.0, 0.5),
        epochs=100,
        warmup_epochs=10,
        batch_size=4096,
        base_learning_rate=0.075,
        learning_rate_rule="square_root",
    ),
    linear_classifier=_linear_classifier(
        epochs=90, batch_size=4096, weight_decay=1e-6, weight_decay_parts=("classifier",)
    ),
    num_replicas=32,
    accuracy=0.645,
    notes=(
        "In the first version pre-training had a weight decay of 1e-6, and a base learning rate of "
        "0.3 under the linear rule, which is the same for this batch.",
        _LAYERS_OF_HEAD,
        "Weights that the README links to have 0.691.",
    ),
)
CIFAR10_RESNET18 = _recipe(
    (512,),
    deviations.SGD,
    name="simclrv1_cifar10_resnet18",
    source=_SOURCE.format(command="the commands for CIFAR-10"),
    training=_pretraining(
        0.5,
        _views(0.5, 0.0),
        epochs=1000,
        warmup_epochs=10,
        batch_size=512,
        base_learning_rate=1.0,
        learning_rate_rule="linear",
    ),
    linear_classifier=_linear_classifier(
        epochs=100, batch_size=512, weight_decay=0.0, weight_decay_parts=()
    ),
    num_replicas=1,
    accuracy=0.91,
    notes=(
        "In the first version pre-training had a weight decay of 1e-6.",
        _LAYERS_OF_HEAD,
        "The accuracy is around 0.91, as the README says.",
    ),
    **_CIFAR10,
)
_V2_RESNET50 = _recipe(
    (2048, 2048),
    deviations.SGD,
    deviations.BLUR,
    "There is no memory as in the paper, and there are no selective kernels.",
    name="simclrv2_imagenet_resnet50",
    source=(
        "Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners, NeurIPS "
        "2020, section 3, and github.com/google-research/simclr; accuracy from its README"
    ),
    training=dataclasses.replace(
        IMAGENET_RESNET50.training, epochs=800, warmup_epochs=40, base_learning_rate=0.1
    ),
    linear_classifier=IMAGENET_RESNET50.linear_classifier,
    num_replicas=128,
    accuracy=0.717,
    notes=(
        "The linear classifier is that of the README, whose command is for 100 epochs of "
        "pre-training.",
    ),
)
V2_FINE_TUNED_RESNET50 = dataclasses.replace(
    _V2_RESNET50,
    name="simclrv2_fine_tuned_imagenet_resnet50",
    head_layers=1,
    fine_tunes_encoder=True,
    linear_classifier=Stage(
        loss=cross_entropy(),
        augmentation=CROPS,
        epochs=60,
        batch_size=1024,
        optimizer="lars",
        base_learning_rate=0.005,
        learning_rate_rule="square_root",
        decay="cosine",
        weight_decay=0.0,
        weight_decay_parts=(),
        # The rate of the classifier itself is not adapted either.
        weight_decay_exclusions=(*_VECTORS, "(^|/)head/kernel$"),
    ),
    deviations=tuple(one for one in _V2_RESNET50.deviations if one != deviations.SGD),
    accuracy=0.579,
    notes=(
        "The accuracy is that of fine-tuning on 1 % of the labels, in TensorFlow Datasets "
        "imagenet2012_subset/1pct; `linear_train_split` of the settings takes any share.",
        "With 10 % of the labels, 30 epochs, the accuracy is 0.684. With all of them it is 0.763, "
        "from below the head and over 30 epochs.",
    ),
)

RECIPES = (IMAGENET_RESNET50, CIFAR10_RESNET18, _V2_RESNET50, V2_FINE_TUNED_RESNET50)
