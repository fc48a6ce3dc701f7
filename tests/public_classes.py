"""Every public Keras class with arguments and what it is called on, a line for each."""

import functools
from typing import Any

import keras
import numpy as np

import keras_supcon
from keras_supcon import augmentation, encoders, losses, metrics, models, optimizers
from tests.harness import Case

VIEWS = {"image_size": (12, 10), "crop_area": (0.2, 0.9), "flip_probability": 0.3}
CLASS_IDS = np.array(
    [0, 1, 0, 2, -1, 1, 0, 1, 3]
)  # classes of one and of three samples, one unlabeled sample


def same_images(channels: int = 3, size: int = 16, number: int = 8) -> np.ndarray:
    """Returns the same uint8 image several times, so that differences come from the layer."""
    image = (
        np.random.default_rng(20200423).integers(0, 256, (1, size, size, channels)).astype("uint8")
    )
    return np.repeat(image, number, axis=0)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(20200423).normal(size=shape).astype("float32")


# The arguments of the layers that augment by random draws.
AUGMENTATIONS = {
    "RandomResizedCrop": VIEWS,
    "RandomColorJitter": {"brightness": 0.5, "hue": 0.2, "probability": 1.0},
    "RandomGrayscale": {"probability": 0.5},
    "RandomGaussianBlur": {"sigma": (0.5, 3.0), "kernel_size": 5, "probability": 0.9},
    "RandomSolarize": {"threshold": 0.4, "probability": 0.5},
    "RandomWarp": {"max_length": 0.2, "grid_size": 3, "probability": 0.9},
    "RandomApply": {"layer": augmentation.Invert(), "probability": 0.5},
    **{
        name: {"magnitude": 0.8, "probability": 0.7}
        for name in ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
    },
    **{name: {"probability": 0.6} for name in ("AutoContrast", "Equalize", "Invert")},
    **{
        name: {"magnitude": 0.3, "probability": 0.6}
        for name in ("Posterize", "Solarize", "SolarizeAdd")
    },
    **{
        name: {"magnitude": 0.9, "probability": 0.6}
        for name in ("Color", "Contrast", "Brightness", "Sharpness")
    },
    "Cutout": {"magnitude": 1.0, "probability": 0.8},
    "SimAugment": {
        **VIEWS,
        "strength": 0.7,
        "grayscale_probability": 0.3,
        "blur_probability": 0.4,
        "warp_probability": 0.6,
        "saturation": 0.3,
        "solarize_probability": 0.5,
    },
    "AutoAugment": {
        **VIEWS,
        "policy": (((("Rotate", 0.5, 0.3), ("Equalize", 0.8, None))), (("Color", 1.0, 0.9),)),
    },
    "RandAugment": {**VIEWS, "num_ops": 3, "magnitude": 0.7},
    "StackedRandAugment": {
        **VIEWS,
        "num_ops": 1,
        "magnitude": 0.9,
        "strength": 0.6,
        "blur_probability": 0.4,
    },
}


def _augmentation(name: str) -> Case:
    arguments = functools.partial(dict, AUGMENTATIONS[name], seed=5, value_range=(0, 255))
    return Case(getattr(augmentation, name), arguments, same_images, maps_data=True, draws=True)


LAYERS = {
    **{name: _augmentation(name) for name in AUGMENTATIONS},
    "CenterCropResize": Case(
        augmentation.CenterCropResize,
        lambda: {"image_size": (12, 10), "method": "crop_then_resize", "crop_padding": 2},
        same_images,
        maps_data=True,
    ),
    "MultiView of one recipe": Case(
        augmentation.MultiView,
        lambda: {"augmenter": augmentation.SimAugment((12, 10), seed=5), "num_views": 3},
        same_images,
        maps_data=True,
    ),
    "ImageStandardization": Case(encoders.ImageStandardization, inputs=same_images),
    "ProjectionHead": Case(
        keras_supcon.ProjectionHead,
        lambda: {
            "output_dim": 4,
            "hidden_units": (8, 3),
            "batch_norm": "all",
            "output_bias": True,
            "normalize": False,
        },
        lambda: normal(5, 6),
        output_dtype="float32",
    ),
    "PredictionHead": Case(
        keras_supcon.layers.PredictionHead,
        lambda: {
            "output_dim": 4,
            "hidden_units": (8, 3),
            "batch_norm": False,
            "output_bias": True,
        },
        lambda: normal(5, 6),
        output_dtype="float32",
    ),
    "ResNet": Case(
        encoders.ResNet,
        lambda: {"depth": 10, "width": 0.125, "stem": "cifar", "batch_norm_momentum": 0.8},
        lambda: same_images(1, 8, 2),
    ),
}

# Layers that do not map samples.
MEMORIES = {
    "ClassCenters": Case(keras_supcon.layers.ClassCenters, lambda: {"num_classes": 3}),
    "Queue": Case(keras_supcon.layers.Queue, lambda: {"size": 12, "dim": 4, "per_class": 3}),
}

_OPTIONS = {
    "normalize": False,
    "gather": False,
    "block_size": 64,
    "reduction": "sum",
    "name": "other",
}


@keras.saving.register_keras_serializable(package="tests")
def same_label(labels, others):
    return keras.ops.equal(labels, keras.ops.transpose(others))


_IGNORES = {**_OPTIONS, "ignore_class": 3}
LOSSES = {
    "supcon": Case(
        keras_supcon.SupConLoss,
        lambda: {
            **_IGNORES,
            "temperature": 0.3,
            "summation": "in",
            "denominator": "one_positive",
            "contrast_mode": "one",
            "positives_cap": 4,
            "scale_by_temperature": True,
        },
    ),
    "function": Case(keras_supcon.SupConLoss, lambda: {**_OPTIONS, "positives": same_label}),
    "sincere": Case(
        keras_supcon.SINCERELoss,
        lambda: {**_IGNORES, "temperature": 0.3, "epsilon": 0.5, "contrast_mode": "one"},
    ),
    "balanced": Case(
        keras_supcon.BalancedSupConLoss,
        lambda: {**_IGNORES, "temperature": 0.3, "contrast_mode": "one"},
    ),
    "spread": Case(
        keras_supcon.SpreadLoss,
        lambda: {
            **_IGNORES,
            "temperature": 0.3,
            "spread_weight": 0.2,
            "denominator": "one_positive",
            "contrast_mode": "one",
        },
    ),
    "ntxent": Case(keras_supcon.NTXentLoss, lambda: {**_OPTIONS, "temperature": 0.2}),
    "ntlogistic": Case(
        keras_supcon.NTLogisticLoss,
        lambda: {**_IGNORES, "temperature": 0.3, "bias": -2.0, "pair_reduction": "sum"},
    ),
    "npairs": Case(keras_supcon.NPairsLoss, lambda: _IGNORES),
    "max_margin": Case(keras_supcon.MaxMarginLoss, lambda: {**_IGNORES, "margin": 1.2}),
    "triplet": Case(
        keras_supcon.TripletLoss, lambda: {**_IGNORES, "margin": 0.5, "mining": "semi_hard"}
    ),
}

# Losses of classifiers.
CLASSIFIER_LOSSES = {
    "logit_adjusted": Case(
        losses.LogitAdjustedCrossentropy,
        lambda: {
            "class_counts": (5, 3, 1),
            "strength": 0.5,
            "from_logits": False,
            "reduction": "sum",
            "name": "other",
        },
    ),
}

# Losses of targets instead of labels.
TARGET_LOSSES = {
    "negative_cosine": Case(
        losses.NegativeCosineLoss, lambda: {"reduction": "sum", "name": "other"}
    ),
    "relation_distillation": Case(
        losses.RelationDistillationLoss,
        lambda: {**_OPTIONS, "student_temperature": 0.5, "teacher_temperature": 0.3},
    ),
}

_METRIC = {"name": "mine", "dtype": "float32"}
_BATCH_METRIC = {**_METRIC, "gather": False, "ignore_class": 7}
# Means over samples.
METRICS = {
    **{
        name: Case(getattr(metrics, name), lambda: _BATCH_METRIC)
        for name in (
            "AnchorsWithPositive",
            "ChanceLoss",
            "ContrastiveAccuracy",
            "PositivesPerAnchor",
        )
    },
    "RecallAtK": Case(metrics.RecallAtK, lambda: {**_BATCH_METRIC, "k": 2}),
}
# Metrics of other sums; `tests/metrics/test_in_training.py` has their laws.
OTHER_METRICS = {
    "Alignment": Case(metrics.Alignment, lambda: {**_BATCH_METRIC, "alpha": 3}),
    "EffectiveRank": Case(metrics.EffectiveRank, lambda: {**_METRIC, "dim": 4}),
    "ExpectedCalibrationError": Case(
        metrics.ExpectedCalibrationError,
        lambda: {**_METRIC, "num_bins": 10, "from_logits": True},
    ),
    "Uniformity": Case(metrics.Uniformity, lambda: {**_BATCH_METRIC, "t": 3}),
}


def _encoder() -> keras.Model:
    convolution = keras.layers.Conv2D(4, 3, strides=2, activation="relu")
    layers = [
        convolution,
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.2, seed=2),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Dense(8)])


def _augmenter() -> keras.layers.Layer:
    return augmentation.RandomResizedCrop((8, 8), crop_area=(0.5, 1.0), seed=3)


def _heads() -> dict[str, keras.layers.Layer]:
    head = keras_supcon.ProjectionHead(4, hidden_units=(6,), batch_norm=True, normalize=False)
    prediction_head = keras_supcon.layers.PredictionHead(4, hidden_units=(5,))
    return {"projection_head": head, "prediction_head": prediction_head}


MODELS = {
    "BYOL": Case(
        keras_supcon.BYOL,
        lambda: {
            "encoder": _encoder(),
            **_heads(),
            "augmenter": _augmenter(),
            "momentum": 0.9,
            "total_steps": 10,
            "micro_batch_size": 4,
            "augment_in_evaluation": False,
        },
        lambda: same_images(1, 8, 8),
    ),
    "Co2L": Case(
        keras_supcon.Co2L,
        lambda: {
            "encoder": _encoder(),
            "projection_head": keras_supcon.ProjectionHead(4, hidden_units=(6,)),
            "augmenter": _augmenter(),
            "distillation_weight": 0.5,
            "distillation_loss": losses.RelationDistillationLoss(0.3, 0.1),
            "asymmetric": False,
            "max_task_classes": 5,
            "num_views": 3,
            "micro_batch_size": 4,
            "augment_in_evaluation": False,
        },
        lambda: same_images(1, 8, 8),
    ),
    "ContrastiveModel": Case(
        keras_supcon.ContrastiveModel,
        lambda: {
            "encoder": _encoder(),
            "projection_head": keras_supcon.ProjectionHead(4, hidden_units=(6,)),
            "augmenter": _augmenter(),
            "num_views": 3,
            "micro_batch_size": 4,
            "augment_in_evaluation": False,
            "learnable_temperature": True,
            "learnable_bias": True,
        },
        lambda: same_images(1, 8, 8),
    ),
    "ContrastiveModel with a classifier": Case(
        keras_supcon.ContrastiveModel,
        lambda: {
            "encoder": _encoder(),
            "projection_head": keras_supcon.ProjectionHead(4, hidden_units=()),
            "augmenter": _augmenter(),
            "classifier": keras.layers.Dense(4),
            "classifier_weight": 0.5,
            "stop_gradient": True,
        },
        lambda: same_images(1, 8, 8),
    ),
    "ContrastiveModel with centers": Case(
        keras_supcon.ContrastiveModel,
        lambda: {
            "encoder": _encoder(),
            "projection_head": keras_supcon.ProjectionHead(4, hidden_units=()),
            "augmenter": _augmenter(),
            "classifier": keras.layers.Dense(4),
            "class_counts": (9, 3, 1, 5),
            "class_centers": keras_supcon.layers.ClassCenters(4),
        },
        lambda: same_images(1, 8, 8),
    ),
    "ContrastiveModel with several policies": Case(
        keras_supcon.ContrastiveModel,
        lambda: {
            "encoder": _encoder(),
            "projection_head": keras_supcon.ProjectionHead(4, hidden_units=()),
            "augmenter": augmentation.MultiView(
                [_augmenter(), augmentation.RandomResizedCrop((8, 8), seed=4)]
            ),
        },
        lambda: same_images(1, 8, 8),
    ),
    "EncoderModel": Case(
        models.EncoderModel,
        lambda: {"encoder": _encoder(), "augmenter": _augmenter()},
        lambda: same_images(1, 8, 8),
    ),
    "MoCo": Case(
        keras_supcon.MoCo,
        lambda: {
            "encoder": _encoder(),
            "projection_head": keras_supcon.ProjectionHead(4, hidden_units=(6,)),
            "augmenter": _augmenter(),
            "queue_size": 20,
            "momentum": models.CosineMomentum(0.9, total_steps=10),
            "symmetric": True,
            "per_class": 4,
            "in_batch_keys": False,
            "shuffle_bn": 2,
            "seed": 7,
            "augment_in_evaluation": False,
        },
        lambda: same_images(1, 8, 8),
    ),
    "NNCLR": Case(
        keras_supcon.NNCLR,
        lambda: {
            "encoder": _encoder(),
            **_heads(),
            "augmenter": _augmenter(),
            "queue_size": 20,
            "temperature": 0.2,
            "supervised": True,
            "micro_batch_size": 4,
            "augment_in_evaluation": False,
        },
        lambda: same_images(1, 8, 8),
    ),
    "PretrainingModel": Case(
        models.PretrainingModel,
        lambda: {
            "encoder": _encoder(),
            "augmenter": _augmenter(),
            "num_views": 3,
            "micro_batch_size": 4,
            "augment_in_evaluation": False,
        },
        lambda: same_images(1, 8, 8),
    ),
    "LinearClassifier": Case(
        keras_supcon.LinearClassifier,
        lambda: {
            "encoder": _encoder(),
            "num_classes": 4,
            "augmenter": _augmenter(),
            "classifier_activation": "softmax",
        },
        lambda: same_images(1, 8, 8),
    ),
}
LOSS_OF_MODEL: dict[type | str, Any] = {
    "ContrastiveModel with centers": keras_supcon.BalancedSupConLoss,
    keras_supcon.BYOL: losses.NegativeCosineLoss,
    keras_supcon.Co2L: lambda: keras_supcon.SupConLoss(0.5),
    keras_supcon.MoCo: lambda: keras_supcon.SupConLoss(0.2),
    keras_supcon.NNCLR: lambda: keras_supcon.NTXentLoss(0.2),
    keras_supcon.ContrastiveModel: lambda: keras_supcon.NTLogisticLoss(0.2, bias=-2.0),
    models.EncoderModel: lambda: "sparse_categorical_crossentropy",
    models.PretrainingModel: lambda: keras_supcon.SupConLoss(0.2),
    keras_supcon.LinearClassifier: lambda: "sparse_categorical_crossentropy",
}

_schedules = keras.optimizers.schedules
OPTIMIZERS = {
    "CosineMomentum": Case(
        models.CosineMomentum, lambda: {"initial_momentum": 0.5, "total_steps": 7}
    ),
    "LARS": Case(
        optimizers.LARS,
        lambda: {
            "learning_rate": 0.5,
            "momentum": 0.8,
            "weight_decay": 1e-4,
            "trust_coefficient": 0.01,
            "nesterov": True,
            "classic_momentum": False,
            "exclude_from_adaptation": ["bias"],
            "exclude_from_weight_decay": ["gamma", "beta"],
            "name": "mine",
        },
    ),
    "WarmUp": Case(
        optimizers.WarmUp,
        lambda: {"learning_rate": 0.5, "warmup_steps": 3, "initial_learning_rate": 0.25},
    ),
    "WarmUp of a schedule": Case(
        optimizers.WarmUp,
        lambda: {"learning_rate": _schedules.CosineDecay(0.5, decay_steps=10), "warmup_steps": 3},
    ),
}
