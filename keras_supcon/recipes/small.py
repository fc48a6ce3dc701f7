"""Every method on small images, within the reach of a laptop: this package's own choice."""

import dataclasses
from typing import Any

from keras_supcon.recipes.losses import cross_entropy, negative_cosine, ntxent, supcon
from keras_supcon.recipes.recipe import Component, Recipe, Stage

_SOURCE = "A choice of this package, which follows no published run"
_NOTE = (
    "All methods have the same encoder, views, batch, steps and linear classifier, so that they "
    "can be compared; none has what suits it best."
)


@dataclasses.dataclass(frozen=True)
class _Images:
    """What suits the images of a data set.

    Args:
        suffix: End of the names of the recipes.
        dataset: Name of the data set.
        num_examples: Its training images.
        image_size: Height and width.
        epochs: Epochs of pre-training, and of cross-entropy.
        linear_epochs: Epochs of the linear classifier.
        batch_size: Images in a batch.
        queue_size: Rows of a queue, about a tenth of the images.
        views: Arguments of the policy.
        crops: Arguments of the crops for classifiers.
        momentum: That of a second network.
        byol_momentum: That of BYOL's at the first step.
        byol_notes: What is known of it.
    """

    suffix: str
    dataset: str
    num_examples: int
    image_size: tuple[int, int]
    epochs: int
    linear_epochs: int
    batch_size: int
    queue_size: int
    views: dict[str, Any]
    crops: dict[str, Any]
    momentum: float
    byol_momentum: float
    byol_notes: tuple[str, ...] = ()


_CIFAR = _Images(
    suffix="small",
    dataset="cifar10",
    num_examples=50_000,
    image_size=(32, 32),
    epochs=15,
    linear_epochs=5,
    batch_size=256,
    queue_size=4096,
    views={"strength": 0.5, "crop_area": (0.2, 1.0), "blur_probability": 0.0},
    crops={"crop_area": (0.2, 1.0), "flip_probability": 0.5},
    momentum=0.99,
    byol_momentum=0.97,
)
_DIGITS = _Images(
    suffix="digits_small",
    dataset="digits",
    num_examples=1442,
    image_size=(8, 8),
    epochs=40,
    linear_epochs=20,
    batch_size=64,
    queue_size=128,
    views={
        "strength": 0.5,
        "crop_area": (0.5, 1.0),
        "blur_probability": 0.0,
        "flip_probability": 0.0,
    },
    crops={"crop_area": (0.5, 1.0), "flip_probability": 0.0},
    momentum=0.99,
    byol_momentum=0.9,
    byol_notes=(
        "Of the momenta 0.9, 0.97 and 0.99 this one gave the best neighbors within the training "
        "images, 87.9 % of their class, beside 84.3 % and 80.6 %.",
    ),
)


def _adam(images: _Images, **fields: Any) -> Stage:
    return Stage(
        batch_size=images.batch_size,
        optimizer="adam",
        learning_rate_rule="none",
        decay="cosine",
        weight_decay=0.0,
        weight_decay_parts=(),
        weight_decay_exclusions=(),
        **fields,
    )


def _recipes(images: _Images) -> tuple[Recipe, ...]:
    """Returns a recipe of every method."""
    queue = {"queue_size": images.queue_size}
    of_key_encoder = {**queue, "momentum": images.momentum}
    head = Component("ProjectionHead", {"output_dim": 128, "hidden_units": (256,)})
    wide = {"output_dim": 128, "hidden_units": (256,), "normalize": False, "batch_norm": "hidden"}
    predicted = {
        "head": Component("ProjectionHead", wide),
        "prediction_head": Component("PredictionHead", {"output_dim": 128, "hidden_units": (256,)}),
    }
    linear_classifier = _adam(
        images,
        loss=cross_entropy(),
        augmentation=Component("RandomResizedCrop", images.crops),
        epochs=images.linear_epochs,
        base_learning_rate=1e-2,
    )

    def recipe(name: str, method: str, loss: Component, **fields: Any) -> Recipe:
        training = _adam(
            images,
            loss=loss,
            augmentation=Component("SimAugment", {"grayscale_probability": 0.2, **images.views}),
            epochs=images.epochs,
            warmup_epochs=1,
            base_learning_rate=2e-3,
        )
        shared = {
            "name": f"{name}_{images.suffix}",
            "source": _SOURCE,
            "method": method,
            "dataset": images.dataset,
            "num_classes": 10,
            "num_examples": images.num_examples,
            "image_size": images.image_size,
            "pixel_mean": (0.0, 0.0, 0.0),
            "pixel_deviation": (1.0, 1.0, 1.0),
            "encoder": Component("ResNet", {"depth": 10, "width": 0.25, "stem": "cifar"}),
            "normalize_features": False,
            "synchronized_batch_norm": True,
            "head": head,
            "num_views": 2,
            "training": training,
            "linear_classifier": linear_classifier,
            "evaluation": Component("CenterCropResize", {"crop_padding": 0}),
            "dtype_policy": "float32",
            "num_replicas": None,
            "accuracy": None,
            "deviations": (),
            "notes": (_NOTE,),
        }
        return Recipe(**{**shared, **fields})

    simclr = recipe("simclr", "simclr", ntxent(0.2))
    with_labels = recipe("supcon", "supcon", supcon(0.1, scale_by_temperature=False))
    alone = {"head": None, "num_views": 1}
    one_stage = recipe("cross_entropy", "cross_entropy", cross_entropy(), **alone)
    return (
        simclr,
        dataclasses.replace(
            simclr,
            name=f"simclr_fine_tuned_{images.suffix}",
            head_layers=1,
            fine_tunes_encoder=True,
            linear_classifier=dataclasses.replace(linear_classifier, base_learning_rate=1e-3),
        ),
        with_labels,
        dataclasses.replace(
            with_labels,
            name=f"supcon_joint_{images.suffix}",
            model=Component("ContrastiveModel", {"classifier": 10, "stop_gradient": True}),
        ),
        recipe("moco", "moco", ntxent(0.2), model=Component("MoCo", of_key_encoder)),
        recipe(
            "moco_supcon",
            "moco_supcon",
            supcon(0.1, scale_by_temperature=False),
            model=Component("MoCo", of_key_encoder),
        ),
        recipe(
            "byol",
            "byol",
            negative_cosine(),
            model=Component("BYOL", {"momentum": images.byol_momentum}),
            notes=(_NOTE, *images.byol_notes),
            **predicted,
        ),
        recipe(
            "nnclr",
            "nnclr",
            ntxent(0.1),
            model=Component("NNCLR", {**queue, "temperature": 0.1}),
            **predicted,
        ),
        dataclasses.replace(one_stage, linear_classifier=None),
        dataclasses.replace(one_stage, name=f"cross_entropy_two_stage_{images.suffix}"),
    )


RECIPES = (*_recipes(_CIFAR), *_recipes(_DIGITS))
