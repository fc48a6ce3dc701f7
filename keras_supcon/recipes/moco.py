"""MoCo v2 on ImageNet by the authors' PyTorch code, and SupCon with its memory."""

from typing import Any

from keras_supcon.recipes import deviations
from keras_supcon.recipes.imagenet import SUPCON_RESNET50
from keras_supcon.recipes.losses import cross_entropy, ntxent, supcon
from keras_supcon.recipes.recipe import Component, Stage
from keras_supcon.recipes.resnet50 import CROPS, resnet50_on_imagenet


def _pretraining(**fields: Any) -> Stage:
    # Everything decays: biases and batch normalization too.
    return Stage(
        batch_size=256,
        optimizer="sgd",
        base_learning_rate=0.03,
        learning_rate_rule="linear",
        decay="cosine",
        weight_decay=1e-4,
        weight_decay_parts=("encoder", "projection_head"),
        weight_decay_exclusions=(),
        **fields,
    )


MOCO_RESNET50 = resnet50_on_imagenet(
    deviations.INITIAL_WEIGHTS_OF_TORCH,
    deviations.SGD,
    deviations.JITTER,
    deviations.RATE_BETWEEN_EPOCHS,
    deviations.SHUFFLED_GROUPS,
    deviations.MASKED_QUEUE,
    deviations.SMALL_CLASSIFIER,
    name="moco_imagenet_resnet50",
    source=(
        "github.com/facebookresearch/moco, main_moco.py with --mlp --moco-t 0.2 --aug-plus --cos "
        "for 200 epochs, and main_lincls.py; accuracy from the table in its README"
    ),
    method="moco",
    normalize_features=False,
    model=Component("MoCo", {"queue_size": 65_536, "momentum": 0.999, "shuffle_bn": 8}),
    head=Component(
        "ProjectionHead",
        {"output_dim": 128, "hidden_units": (2048,), "batch_norm": False, "output_bias": True},
    ),
    training=_pretraining(
        loss=ntxent(0.2),
        # Brightness, contrast and saturation 0.4, hue 0.1.
        augmentation=Component(
            "SimAugment",
            {
                "strength": 0.5,
                "crop_area": (0.2, 1.0),
                "grayscale_probability": 0.2,
                "blur_probability": 0.5,
            },
        ),
        epochs=200,
    ),
    linear_classifier=Stage(
        loss=cross_entropy(),
        augmentation=CROPS,
        epochs=100,
        batch_size=256,
        optimizer="sgd",
        base_learning_rate=30.0,
        learning_rate_rule="none",
        decay="piecewise",
        decay_rate=0.1,
        decay_boundaries=(60, 80),
        weight_decay=0.0,
        weight_decay_parts=(),
        weight_decay_exclusions=(),
    ),
    num_replicas=8,
    accuracy=0.675,
    notes=("Over 800 epochs the accuracy is 0.711.",),
)
MOCO_SUPCON_RESNET50 = resnet50_on_imagenet(
    deviations.SGD,
    deviations.CROPS,
    deviations.OPERATIONS,
    deviations.RMSPROP,
    deviations.FROZEN_STATISTICS,
    name="moco_supcon_imagenet_resnet50",
    source=(
        "Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 4: memory of 8,192, "
        "batch size, optimizer, devices and accuracy; no code of it was published"
    ),
    method="moco_supcon",
    normalize_features=True,
    model=Component("MoCo", {"queue_size": 8192, "momentum": 0.999}),
    head=Component(
        "ProjectionHead", {"output_dim": 128, "hidden_units": (2048,), "batch_norm": False}
    ),
    training=_pretraining(
        loss=supcon(0.1, scale_by_temperature=False),
        augmentation=SUPCON_RESNET50.training.augmentation,
        epochs=350,
    ),
    linear_classifier=SUPCON_RESNET50.linear_classifier,
    num_replicas=8,
    accuracy=0.791,
    notes=(
        "A choice of this package: keys of the batch are candidates beside the memory, the own key "
        "is always a positive, and only the first view makes queries.",
        "A choice of this package: the rates, the weight decay and the momentum of the key encoder "
        "are those of MoCo v2; epochs, augmentation, head, normalized features, pixel statistics "
        "and linear classifier are those of SupCon.",
        "The accuracy was not reached again: Kim et al., Generalized Supervised Contrastive "
        "Learning, 2022, report less for their own run.",
    ),
)

RECIPES = (MOCO_RESNET50, MOCO_SUPCON_RESNET50)
