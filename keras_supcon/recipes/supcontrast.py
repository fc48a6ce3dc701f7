"""CIFAR-10 and CIFAR-100 by the authors' PyTorch code, the source of the paper's numbers."""

import dataclasses
from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.losses import cross_entropy, ntxent, supcon
from keras_supcon.recipes.recipe import Component, Recipe, Stage

# The source multiplies the contrastive losses by their temperature, divided by this.
_BASE_TEMPERATURE = 0.07
_PIXELS = {
    10: {"pixel_mean": (0.4914, 0.4822, 0.4465), "pixel_deviation": (0.2023, 0.1994, 0.2010)},
    100: {"pixel_mean": (0.5071, 0.4867, 0.4408), "pixel_deviation": (0.2675, 0.2565, 0.2761)},
}
_CROPS = Component("RandomResizedCrop", {"crop_area": (0.2, 1.0), "flip_probability": 0.5})
_SIM_AUGMENT = Component(
    "SimAugment",
    {
        "strength": 0.5,
        "crop_area": (0.2, 1.0),
        "grayscale_probability": 0.2,
        "blur_probability": 0.0,
    },
)
_HEAD = Component(
    "ProjectionHead", {"output_dim": 128, "hidden_units": (2048,), "batch_norm": False}
)


def _stage(**fields: Any) -> Stage:
    # Everything decays: biases and batch normalization too.
    return Stage(optimizer="sgd", learning_rate_rule="none", weight_decay_exclusions=(), **fields)


def _cosine_stage(**fields: Any) -> Stage:
    return _stage(
        warmup_epochs=10,
        batch_size=1024,
        decay="cosine",
        warmup_learning_rate=0.01,
        final_learning_rate=1e-3,
        weight_decay=1e-4,
        **fields,
    )


def _pretraining(loss: Component, loss_weight: float) -> Stage:
    return _cosine_stage(
        loss=loss,
        loss_weight=loss_weight,
        augmentation=_SIM_AUGMENT,
        epochs=1000,
        base_learning_rate=0.5,
        weight_decay_parts=("encoder", "projection_head"),
    )


def _linear_classifier(learning_rate: float) -> Stage:
    return _stage(
        loss=cross_entropy(),
        augmentation=_CROPS,
        epochs=100,
        batch_size=512,
        base_learning_rate=learning_rate,
        decay="piecewise",
        decay_rate=0.2,
        decay_boundaries=(60, 75, 90),
        weight_decay=0.0,
        weight_decay_parts=(),
    )


def _recipe(
    method: str, num_classes: int, *own_deviations: str, programs: str, **fields: Any
) -> Recipe:
    dataset = f"cifar{num_classes}"
    return Recipe(
        name=f"supcontrast_{method}_{dataset}_resnet50",
        source=(
            f"github.com/HobbitLong/SupContrast, {programs}, as its README runs it; accuracy from "
            "the table there"
        ),
        method=method,
        dataset=dataset,
        num_classes=num_classes,
        num_examples=50_000,
        image_size=(32, 32),
        encoder=Component("ResNet", {"depth": 50, "width": 1.0, "stem": "cifar"}),
        normalize_features=False,
        evaluation=Component("CenterCropResize", {"crop_padding": 0}),
        dtype_policy="float32",
        num_replicas=None,
        deviations=(
            deviations.STANDARDIZATION,
            deviations.INITIAL_WEIGHTS_OF_TORCH,
            deviations.SGD,
            deviations.RATE_OF_EPOCHS,
            *own_deviations,
        ),
        **_PIXELS[num_classes],
        **fields,
    )


def _contrastive(method: str, num_classes: int, **fields: Any) -> Recipe:
    return _recipe(
        method,
        num_classes,
        deviations.LAST_BIAS,
        deviations.JITTER,
        deviations.BEST_EPOCH,
        programs="main_supcon.py and main_linear.py",
        head=_HEAD,
        num_views=2,
        **fields,
    )


def _cross_entropy(num_classes: int, accuracy: float) -> Recipe:
    return _recipe(
        "cross_entropy",
        num_classes,
        programs="main_ce.py",
        synchronized_batch_norm=True,
        head=None,
        num_views=1,
        training=_cosine_stage(
            loss=cross_entropy(),
            augmentation=_CROPS,
            epochs=500,
            base_learning_rate=0.8,
            weight_decay_parts=("encoder", "classifier"),
        ),
        linear_classifier=None,
        accuracy=accuracy,
    )


def _supcon(num_classes: int, accuracy: float) -> Recipe:
    return _contrastive(
        "supcon",
        num_classes,
        synchronized_batch_norm=False,
        training=_pretraining(
            supcon(0.1, scale_by_temperature=False), loss_weight=0.1 / _BASE_TEMPERATURE
        ),
        linear_classifier=_linear_classifier(5.0),
        accuracy=accuracy,
    )


def _simclr(num_classes: int, accuracy: float) -> Recipe:
    return _contrastive(
        "simclr",
        num_classes,
        synchronized_batch_norm=True,
        training=_pretraining(ntxent(0.5), loss_weight=0.5 / _BASE_TEMPERATURE),
        linear_classifier=_linear_classifier(1.0),
        accuracy=accuracy,
    )


def _two_stage(cross_entropy: Recipe, supcon: Recipe) -> Recipe:
    return dataclasses.replace(
        cross_entropy,
        name=cross_entropy.name.replace("cross_entropy", "cross_entropy_two_stage"),
        linear_classifier=supcon.linear_classifier,
        accuracy=None,
        notes=(
            "The control of the paper, which has it on ImageNet. A choice of this package: the "
            "linear classifier is that of SupCon.",
        ),
    )


CROSS_ENTROPY_CIFAR10 = _cross_entropy(10, accuracy=0.950)
SUPCON_CIFAR10 = _supcon(10, accuracy=0.960)
SIMCLR_CIFAR10 = _simclr(10, accuracy=0.936)
CROSS_ENTROPY_CIFAR100 = _cross_entropy(100, accuracy=0.753)
SUPCON_CIFAR100 = _supcon(100, accuracy=0.765)
SIMCLR_CIFAR100 = _simclr(100, accuracy=0.707)

RECIPES = (
    CROSS_ENTROPY_CIFAR10,
    SUPCON_CIFAR10,
    SIMCLR_CIFAR10,
    CROSS_ENTROPY_CIFAR100,
    SUPCON_CIFAR100,
    SIMCLR_CIFAR100,
    _two_stage(CROSS_ENTROPY_CIFAR10, SUPCON_CIFAR10),
    _two_stage(CROSS_ENTROPY_CIFAR100, SUPCON_CIFAR100),
)
