"""The parts of a published training run."""

import functools
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

from keras_supcon.user_lines import stacklevel_of_user


@dataclass(frozen=True)
class Component:
    """Names a class, and holds the arguments to make it with.

    Args:
        name: Name of a class, or of a function that makes an object, in the module that the field
            of `Recipe` or `Stage` names.
        arguments: Its keyword arguments.

    Example:

    >>> import keras_supcon
    >>> loss = keras_supcon.recipes.get("supcon_imagenet_resnet50").training.loss
    >>> loss.name, loss.arguments["temperature"]
    ('SupConLoss', 0.1)
    >>> type(getattr(keras_supcon.losses, loss.name)(**loss.arguments)).__name__
    'SupConLoss'
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Holds one stage of training: a loss, an optimizer and a schedule, in epochs.

    The learning rate rises linearly from `warmup_learning_rate` to its peak,
    `scale_learning_rate(base_learning_rate, batch_size, learning_rate_rule)`, within
    `warmup_epochs`. It then falls by `decay` until the end of `epochs`, which include the warm-up.

    Args:
        loss: Class in `keras_supcon.losses`; for classifiers one in `keras.losses`, on one-hot
            labels.
        loss_weight: Factor of the loss, as `loss_weights` of `compile`.
        augmentation: Class in `keras_supcon.augmentation`, or a function there that makes views of
            several policies; its `image_size` is that of the recipe.
        epochs: Whole number, at least 1.
        warmup_epochs: The first of these epochs; 0 for no warm-up.
        batch_size: Images over all replicas, each with all of its views.
        optimizer: `"adam"`, `"lars"`, `"rmsprop"` or `"sgd"`.
        base_learning_rate: Learning rate under `learning_rate_rule`.
        learning_rate_rule: `"linear"`, for a batch of 256, `"square_root"` of the batch size, or
            `"none"`.
        momentum: In [0, 1); Adam has Keras' own.
        nesterov: Whether the momentum looks ahead.
        rho: Share of the old value in RMSprop's mean square; None for the others.
        epsilon: RMSprop's, inside the root; None for the others.
        trust_coefficient: That of LARS.
        decay: `"cosine"`: half a wave from the peak to `final_learning_rate` of it;
            `"exponential"`: times `decay_rate` after every `decay_epochs`, in steps;
            `"piecewise"`: times `decay_rate` at each of `decay_boundaries`.
        decay_rate: See `decay`; None for the cosine.
        decay_epochs: See `decay`; None for the others.
        decay_boundaries: Epochs after the warm-up; empty for the others.
        warmup_learning_rate: Learning rate of the first step.
        final_learning_rate: Share of the peak in [0, 1) that the cosine ends at.
        weight_decay: Coefficient of the L2 decay that is part of the gradient (half of it times the
            squared norm in the loss).
        weight_decay_parts: Parts that decay: some of `"encoder"`, `"projection_head"`,
            `"prediction_head"` and `"classifier"`.
        weight_decay_exclusions: Regular expressions, as `LARS` takes them: variables that neither
            decay nor, with LARS, adapt.

    Example:

    >>> from keras_supcon import experiments, recipes
    >>> stage = recipes.get("supcon_imagenet_resnet50").training
    >>> stage.base_learning_rate, round(experiments.peak_learning_rate(stage), 4)
    (0.4, 9.6)
    """

    loss: Component
    loss_weight: float = 1.0
    augmentation: Component
    epochs: int
    warmup_epochs: int = 0
    batch_size: int
    optimizer: Literal["adam", "lars", "rmsprop", "sgd"]
    base_learning_rate: float
    learning_rate_rule: Literal["linear", "square_root", "none"]
    momentum: float = 0.9
    nesterov: bool = False
    rho: float | None = None
    epsilon: float | None = None
    trust_coefficient: float = 0.001
    decay: Literal["cosine", "exponential", "piecewise"]
    decay_rate: float | None = None
    decay_epochs: float | None = None
    decay_boundaries: tuple[int, ...] = ()
    warmup_learning_rate: float = 0.0
    final_learning_rate: float = 0.0
    weight_decay: float
    weight_decay_parts: tuple[
        Literal["encoder", "projection_head", "prediction_head", "classifier"], ...
    ]
    weight_decay_exclusions: tuple[str, ...]


def _take_differences(kind: type["Recipe"]) -> type["Recipe"]:
    """Lets the constructor take `differences`, the name that `deviations` had in version 0.1."""
    init = kind.__init__

    @functools.wraps(init)
    def accept(self: "Recipe", **fields: Any) -> None:
        if "differences" in fields:  # `dataclasses.replace` gives both
            _warn_of_differences()
            fields["deviations"] = fields.pop("differences")
        init(self, **fields)

    kind.__init__ = accept
    return kind


def _warn_of_differences() -> None:
    warnings.warn(
        "`differences` of `Recipe` is now `deviations`; the next version will not have the old "
        "name.",
        DeprecationWarning,
        stacklevel=stacklevel_of_user(),
    )


@_take_differences
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Holds a training run as data.

    Numbers are those of the source. `deviations` says what this package does otherwise when it runs
    them, and `notes` which numbers are a choice of this package.

    Args:
        name: Name for `get`.
        source: Publication of the numbers.
        method: `"supcon"`, `"simclr"`, `"moco"`, `"moco_supcon"`, `"byol"`, `"nnclr"` or
            `"cross_entropy"`.
        dataset: Name in TensorFlow Datasets, as `keras_supcon.data.load` takes it.
        num_classes: Classes of the data set.
        num_examples: Training images of the data set.
        image_size: Height and width of the images at the encoder, in pixels.
        pixel_mean: Mean of each channel in [0, 1], which the source subtracts from the pixels.
        pixel_deviation: Deviation of each channel, by which it divides them then.
        encoder: Class in `keras_supcon.encoders`.
        normalize_features: Whether the heads see features of length one,
            `keras.layers.UnitNormalization` on the encoder.
        synchronized_batch_norm: Whether batch normalization covers all replicas.
        model: Class in `keras_supcon.models` that pre-trains, without networks, augmenter and
            numbers of steps among its arguments. Not used with `"cross_entropy"`.
        head: Class in `keras_supcon.layers` for the projections, or None for a classifier.
        prediction_head: Class in `keras_supcon.layers` for the predictions of `"byol"` and
            `"nnclr"`, or None for none.
        num_views: Views of an image in `training`.
        training: Pre-training, or the training of encoder and classifier with cross-entropy.
        linear_classifier: The classifier on the encoder, or None where `training` makes the
            classifier. With `"cross_entropy"` it is a second stage, on the frozen encoder of the
            first.
        head_layers: Hidden layers of the head that stay on the encoder under that classifier, see
            `models.encoder_with_head`.
        fine_tunes_encoder: Whether `linear_classifier` trains the encoder too, in training mode.
        evaluation: Class in `keras_supcon.augmentation` for test images; its `image_size` is that
            of the recipe.
        dtype_policy: Precision in Keras' terms.
        num_replicas: Replicas that a batch was sharded over, or None if the source does not say.
        accuracy: Published top-1 accuracy on the test images (for ImageNet the validation images),
            in [0, 1], or None.
        deviations: What this package does otherwise than the source.
        notes: Further facts on the source.

    Example:

    >>> from keras_supcon import augmentation, encoders, recipes
    >>> recipe = recipes.get("supcon_cifar10_resnet50")
    >>> encoder = getattr(encoders, recipe.encoder.name)(**recipe.encoder.arguments)
    >>> views = recipe.training.augmentation
    >>> policy = getattr(augmentation, views.name)
    >>> augmenter = policy(image_size=recipe.image_size, **views.arguments)
    >>> recipe.training.epochs, recipe.linear_classifier.decay_boundaries
    (1000, (60, 75, 90))

    The control of the paper, two stages of cross-entropy, and fine-tuning:

    >>> import dataclasses
    >>> cross_entropy = recipes.get("cross_entropy_cifar10_resnet50")
    >>> control = dataclasses.replace(cross_entropy, linear_classifier=recipe.linear_classifier)
    >>> tuned = dataclasses.replace(recipe, head_layers=1, fine_tunes_encoder=True)
    """

    name: str
    source: str
    method: Literal["supcon", "simclr", "moco", "moco_supcon", "byol", "nnclr", "cross_entropy"]
    dataset: str
    num_classes: int
    num_examples: int
    image_size: tuple[int, int]
    pixel_mean: tuple[float, float, float]
    pixel_deviation: tuple[float, float, float]
    encoder: Component
    normalize_features: bool
    synchronized_batch_norm: bool
    model: Component = field(default_factory=lambda: Component("ContrastiveModel"))
    head: Component | None
    prediction_head: Component | None = None
    num_views: int
    training: Stage
    linear_classifier: Stage | None
    head_layers: int = 0
    fine_tunes_encoder: bool = False
    evaluation: Component
    dtype_policy: Literal["float32", "mixed_bfloat16"]
    num_replicas: int | None
    accuracy: float | None
    deviations: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[str, ...]:
        """Deprecated name of `deviations`."""
        _warn_of_differences()
        return self.deviations
