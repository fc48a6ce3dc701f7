"""MoCo v2, BYOL and NNCLR on CIFAR-10 by solo-learn, a library of methods in PyTorch."""

from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.losses import negative_cosine, ntxent
from keras_supcon.recipes.recipe import Component, Recipe, Stage
from keras_supcon.recipes.supcontrast import SIMCLR_CIFAR10

_SOURCE = (
    "github.com/vturrisi/solo-learn, scripts/pretrain/cifar/{file}.yaml; accuracy of its "
    "classifier beside pre-training from the table in its README"
)
_LONG_QUEUE = (
    "The queue is {share} of the training images: most of its rows are of images that the batch "
    "may hold too. A queue of about a tenth of them is the better choice."
)
_CLASSIFIER = (
    "A choice of this package: the linear classifier is that of SupContrast. The source trains "
    "one beside pre-training."
)


def _recipe(*own_deviations: str, method: str, file: str, notes: tuple, **fields: Any) -> Recipe:
    return Recipe(
        name=f"sololearn_{method}_cifar10_resnet18",
        source=_SOURCE.format(file=file),
        method=method,
        dataset="cifar10",
        num_classes=10,
        num_examples=50_000,
        image_size=(32, 32),
        pixel_mean=SIMCLR_CIFAR10.pixel_mean,
        pixel_deviation=(0.2470, 0.2435, 0.2616),
        encoder=Component("ResNet", {"depth": 18, "width": 1.0, "stem": "cifar"}),
        normalize_features=False,
        synchronized_batch_norm=True,
        num_views=2,
        linear_classifier=SIMCLR_CIFAR10.linear_classifier,
        evaluation=Component("CenterCropResize", {"crop_padding": 0}),
        dtype_policy="float32",
        num_replicas=1,
        deviations=(
            deviations.STANDARDIZATION,
            deviations.INITIAL_WEIGHTS_OF_TORCH,
            deviations.SGD,
            deviations.JITTER,
            deviations.HALF_PRECISION,
            deviations.WIDE_PADDING,
            *own_deviations,
        ),
        notes=(*notes, _CLASSIFIER),
        **fields,
    )


def _pretraining(**fields: Any) -> Stage:
    return Stage(
        epochs=1000,
        warmup_epochs=10,
        batch_size=256,
        learning_rate_rule="linear",
        decay="cosine",
        warmup_learning_rate=3e-5,
        **fields,
    )


def _lars(**fields: Any) -> Stage:
    return _pretraining(
        augmentation=Component("byol_views", {"blur_probability": (0.0, 0.0)}),
        optimizer="lars",
        trust_coefficient=0.02,
        weight_decay=1e-5,
        weight_decay_parts=("encoder", "projection_head", "prediction_head"),
        weight_decay_exclusions=("gamma$", "beta$", "bias$"),
        **fields,
    )


MOCO = _recipe(
    deviations.ONE_QUEUE,
    deviations.MASKED_QUEUE,
    deviations.CONSTANT_MOMENTUM,
    method="moco",
    file="mocov2plus",
    model=Component("MoCo", {"queue_size": 32_768, "momentum": 0.99, "symmetric": True}),
    head=Component(
        "ProjectionHead",
        {"output_dim": 256, "hidden_units": (2048,), "batch_norm": False, "output_bias": True},
    ),
    training=_pretraining(
        loss=ntxent(0.2),
        augmentation=Component(
            "SimAugment",
            {
                "strength": 0.5,
                "crop_area": (0.08, 1.0),
                "grayscale_probability": 0.2,
                "blur_probability": 0.5,
            },
        ),
        optimizer="sgd",
        base_learning_rate=0.3,
        weight_decay=1e-4,
        weight_decay_parts=("encoder", "projection_head"),
        weight_decay_exclusions=(),
    ),
    accuracy=0.9294,
    notes=(
        _LONG_QUEUE.format(share="66 %"),
        "A blur of images of 32 pixels has 3 taps here; that of the source is not cut off, and an "
        "earlier script of it, mocov2plus.sh, has none.",
    ),
)
BYOL = _recipe(
    deviations.UNCLIPPED_LARS,
    deviations.RATE_IN_VELOCITY,
    method="byol",
    file="byol",
    model=Component("BYOL", {"momentum": 0.99}),
    head=Component(
        "ProjectionHead",
        {
            "output_dim": 256,
            "hidden_units": (4096,),
            "batch_norm": "hidden",
            "output_bias": True,
            "normalize": False,
        },
    ),
    prediction_head=Component(
        "PredictionHead", {"output_dim": 256, "hidden_units": (4096,), "output_bias": True}
    ),
    training=_lars(loss=negative_cosine(), base_learning_rate=1.0),
    accuracy=0.9258,
    notes=(),
)
NNCLR = _recipe(
    deviations.UNCLIPPED_LARS,
    deviations.RATE_IN_VELOCITY,
    deviations.MASKED_QUEUE,
    deviations.SYMMETRIC_LOSS,
    method="nnclr",
    file="nnclr",
    model=Component("NNCLR", {"queue_size": 65_536, "temperature": 0.2}),
    head=Component(
        "ProjectionHead",
        {
            "output_dim": 256,
            "hidden_units": (2048, 2048),
            "batch_norm": "all",
            "output_bias": True,
            "normalize": False,
        },
    ),
    prediction_head=Component(
        "PredictionHead", {"output_dim": 256, "hidden_units": (4096,), "output_bias": True}
    ),
    training=_lars(loss=ntxent(0.2), base_learning_rate=0.4),
    accuracy=0.9188,
    notes=(_LONG_QUEUE.format(share="131 %"),),
)

RECIPES = (MOCO, BYOL, NNCLR)
