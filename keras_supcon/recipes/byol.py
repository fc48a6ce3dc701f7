"""BYOL on ImageNet by the authors' JAX code, and NNCLR, of which the authors published none."""

from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.losses import cross_entropy, negative_cosine, ntxent
from keras_supcon.recipes.recipe import Component, Recipe, Stage
from keras_supcon.recipes.resnet50 import CROPS, resnet50_on_imagenet

_VECTORS = ("gamma$", "beta$", "bias$")


def _recipe(*own_deviations: str, **fields: Any) -> Recipe:
    return resnet50_on_imagenet(
        deviations.SGD,
        *own_deviations,
        normalize_features=False,
        evaluation=Component(
            "CenterCropResize", {"method": "crop_then_resize", "crop_padding": 32}
        ),
        linear_classifier=Stage(
            loss=cross_entropy(),
            augmentation=CROPS,
            epochs=80,
            batch_size=1024,
            optimizer="sgd",
            nesterov=True,
            base_learning_rate=0.2,
            learning_rate_rule="linear",
            decay="cosine",
            weight_decay=0.0,
            weight_decay_parts=(),
            weight_decay_exclusions=(),
        ),
        **fields,
    )


def _pretraining(**fields: Any) -> Stage:
    return Stage(
        augmentation=Component("byol_views"),
        epochs=1000,
        warmup_epochs=10,
        batch_size=4096,
        optimizer="lars",
        learning_rate_rule="linear",
        decay="cosine",
        weight_decay_parts=("encoder", "projection_head", "prediction_head"),
        weight_decay_exclusions=_VECTORS,
        **fields,
    )


BYOL_RESNET50 = _recipe(
    deviations.CROPS,
    deviations.JITTER,
    deviations.JITTER_OF_TENSORFLOW,
    deviations.RATE_IN_VELOCITY,
    deviations.INITIAL_CONVOLUTIONS,
    deviations.COPIED_TARGET,
    name="byol_imagenet_resnet50",
    source=(
        "github.com/google-deepmind/deepmind-research, folder byol: preset for 1,000 epochs; "
        "accuracy from Grill et al., Bootstrap Your Own Latent, NeurIPS 2020"
    ),
    method="byol",
    model=Component("BYOL", {"momentum": 0.996}),
    head=Component(
        "ProjectionHead",
        {
            "output_dim": 256,
            "hidden_units": (4096,),
            "batch_norm": "hidden",
            "normalize": False,
        },
    ),
    prediction_head=Component("PredictionHead", {"output_dim": 256, "hidden_units": (4096,)}),
    training=_pretraining(loss=negative_cosine(), base_learning_rate=0.2, weight_decay=1.5e-6),
    num_replicas=512,
    accuracy=0.743,
    notes=(
        "Presets for 40, 100 and 300 epochs have a base learning rate of 0.45, 0.45 and 0.3, a "
        "weight decay of 1e-6, and a momentum of 0.97, 0.99 and 0.99.",
        "Over 300 epochs the accuracy is 0.725.",
        "The paper chooses the rate of the linear classifier among five by images that are left "
        "out of training; the code has this one, with a batch of 4,096 by default. The batch is "
        "that of the paper.",
        "In the runs of the paper the last scale of each residual block starts at 1; its README "
        "saw no difference for this encoder.",
    ),
)
NNCLR_RESNET50 = _recipe(
    name="nnclr_imagenet_resnet50",
    source=(
        "Dwibedi et al., With a Little Help from My Friends, ICCV 2021, and the documentation of "
        "VISSL for the projection head and the size of the support set; the authors published no "
        "code"
    ),
    method="nnclr",
    model=Component("NNCLR", {"queue_size": 98_304, "temperature": 0.1}),
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
    training=_pretraining(loss=ntxent(0.1), base_learning_rate=0.3, weight_decay=1e-6),
    num_replicas=None,
    accuracy=0.756,
    notes=(
        "A choice of this package: views, pixel statistics and linear classifier are those of "
        "BYOL, and the bias of the prediction head is that of solo-learn.",
        "The learning rate, the weight decay and the warm-up are as others cite them.",
    ),
)

RECIPES = (BYOL_RESNET50, NNCLR_RESNET50)
