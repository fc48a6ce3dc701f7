"""How much a run of the claims may cost: data, encoder and epochs of their experiments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_supcon.experiments.trials import CROSS_ENTROPY, Images, Training
from keras_supcon.recipes import Component

_VIEWS = {"blur_probability": 0.0, "strength": 0.3, "crop_area": [0.4, 1.0]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tier:
    """The setting that all claims share.

    Args:
        name: Its name.
        description: Data, encoder and budget in a sentence.
        main: The training of SupCon for the comparison with cross-entropy.
        sweep: A cheaper one, for claims with many arms.
        coarse: That of images with coarse and fine labels.
        learning_rates: What arms choose from that are to be compared at their best.
        smallest_batch: Batch size that the claims on it begin with, and go to eight times of it.
        queue_size: Slots of a queue.
        processes: Processes that train at the same time.
    """

    name: str
    description: str
    main: Training
    sweep: Training
    coarse: Training
    learning_rates: tuple[float, ...]
    smallest_batch: int
    queue_size: int
    processes: int


def with_loss(training: Training, loss: str | None = None, **arguments: Any) -> Training:
    """Returns a training with other arguments of its loss, or another loss.

    Example:

    >>> from keras_supcon.experiments import Images, Training
    >>> from keras_supcon.experiments.claims import with_loss
    >>> training = Training(images=Images(dataset="digits"))
    >>> with_loss(training, temperature=0.5).loss
    Component(name='SupConLoss', arguments={'temperature': 0.5})
    """
    if loss is not None:
        return dataclasses.replace(training, loss=Component(loss, arguments))
    return dataclasses.replace(
        training, loss=Component(training.loss.name, {**training.loss.arguments, **arguments})
    )


def cross_entropy(training: Training, **fields: Any) -> Training:
    """Returns the training of encoder and classifier with cross-entropy, all else equal.

    It sees one view of an image in a step: the same epochs are the same updates, twice the epochs
    are the same views as those of SupCon.
    """
    return dataclasses.replace(training, model=CROSS_ENTROPY, head=None, num_views=1, **fields)


def _views(**arguments: Any) -> Component:
    return Component("SimAugment", {**_VIEWS, **arguments})


_FASHION = Training(
    images=Images(dataset="fashion_mnist", train_images=10_000, size=14),
    augmentation=_views(),
    learning_rate=3e-3,
    epochs=8,
    batch_size=128,
)
_EMOJI = Training(
    images=Images(dataset="emoji/balanced", label="group"),
    augmentation=_views(),
    learning_rate=3e-3,
    batch_size=128,
)
_RESNET18 = Component("ResNet", {"depth": 18, "stem": "cifar"})

TIERS: Mapping[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            name="small",
            description=(
                "Fashion-MNIST at 14x14 pixels: 10,000 training images and 8 epochs of SupCon "
                "where it is compared with cross-entropy, 2,000 images and 6 epochs elsewhere; "
                "all 10,000 test images. Emoji at 16x16 pixels, 4 or 8 epochs. ResNet-10 of "
                "quarter width."
            ),
            main=_FASHION,
            sweep=dataclasses.replace(
                _FASHION,
                images=dataclasses.replace(_FASHION.images, train_images=2000),
                epochs=6,
                batch_size=64,
            ),
            coarse=dataclasses.replace(
                _EMOJI,
                images=dataclasses.replace(_EMOJI.images, size=16),
                epochs=4,
            ),
            learning_rates=(1e-3, 3e-3, 1e-2, 3e-2),
            smallest_batch=32,
            queue_size=256,
            processes=2,
        ),
        Tier(
            name="full",
            description=(
                "Fashion-MNIST, 60,000 images of 28x28 pixels, 50 epochs of SupCon where it is "
                "compared with cross-entropy, 10 elsewhere. Emoji of 32x32 pixels, 100 or 200 "
                "epochs. ResNet-18 with the stem for small "
                "images."
            ),
            main=dataclasses.replace(
                _FASHION,
                images=Images(dataset="fashion_mnist", size=28),
                encoder=_RESNET18,
                learning_rate=1e-3,
                epochs=50,
                batch_size=512,
            ),
            sweep=dataclasses.replace(
                _FASHION,
                images=Images(dataset="fashion_mnist", size=28),
                encoder=_RESNET18,
                learning_rate=1e-3,
                epochs=10,
                batch_size=512,
            ),
            coarse=dataclasses.replace(
                _EMOJI,
                images=dataclasses.replace(_EMOJI.images, size=32),
                encoder=_RESNET18,
                learning_rate=1e-3,
                epochs=100,
                batch_size=256,
            ),
            learning_rates=(3e-4, 1e-3, 3e-3, 1e-2),
            smallest_batch=128,
            queue_size=4096,
            processes=1,
        ),
    )
}
