"""Stage one: contrastive pre-training of an encoder."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_bool, check_not_negative, check_whole_number, is_whole
from keras_supcon.deprecation import deprecate_positional
from keras_supcon.layers import ClassCenters, ProjectionHead
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.losses.logit_adjusted import check_class_counts
from keras_supcon.losses.subset_mean import SubsetMean
from keras_supcon.models.bias import LearnsBias
from keras_supcon.models.joint_classifier import (
    class_labels,
    cross_entropy,
    last_layer,
    make_classifier,
)
from keras_supcon.models.positive_warnings import warn_of_few_positives
from keras_supcon.models.pretraining import PretrainingModel, Projector
from keras_supcon.models.projection import check_head, project_features
from keras_supcon.models.temperature import LearnsTemperature
from keras_supcon.typing import Tensor, TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class ContrastiveModel(LearnsTemperature, LearnsBias, PretrainingModel):
    """Trains augmented views of an encoder and a projection head by a contrastive loss.

    A training step makes `num_views` augmented views of every image. All views pass through the
    encoder and the head in one batch, and the loss gets `(batch, num_views, dim)` projections.
    `evaluate`, and so `val_loss`, measures what training minimizes: the loss of `num_views`
    augmented views. It runs the encoder and the head in inference mode, and its seeds are fixed:
    each call sees the same views. `predict` uses one view without augmentation, `(batch, 1, dim)`.
    Stage two takes `model.encoder` and leaves the head behind.

    `fit` takes `(images, labels)`. It also takes `(views, labels)` with precomputed views of shape
    `(batch, views, height, width, channels)`, which are not augmented. Labels are what the loss
    takes. Without labels every image is a class by itself: the loss sees -1. Texts, tables, series
    and dictionaries of tensors work like images: whatever the encoder takes, or views of it with
    one more axis after the batch. An encoder declares its inputs by `keras.Input` or by being
    built. One that does not is given images: rank 5 is views, lower ranks are samples.

    Pixels reach the encoder as they are given, integers as floats of the same values. Augmentation
    keeps the range of pixels: the views of a policy, which are in [0, 1], are brought back to its
    `value_range`. So `fit`, `predict`, `embed`, `LinearClassifier(model.encoder, ...)`, an exported
    and a loaded model see the same numbers for the same picture, uint8 or float32. Scaling belongs
    to the encoder: `encoders.ResNet` standardizes each image, and networks of `keras.applications`
    that preprocess work as they are. Others begin with `keras.layers.Rescaling(1 / 255)`.
    Precomputed views in another range, as by `data.with_views` with a policy, reach the encoder in
    that range.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`: a tensor, or a
            list or dictionary of them.
        projection_head: Layer from features to projections, or a class that makes one. With None
            the features are the projections.
        augmenter: Layer that augments a batch of images; see `keras_supcon.augmentation`. keras-cv
            layers work; the random ones are skipped outside training. A `MultiView` makes all views
            at once, each by its own policy if it has several. `predict` and `embed` then use the
            inference form of its first one. With None the views of an image differ only by the
            randomness of the encoder, such as dropout.
        num_views: Views of each image in a training step, at least 1. None takes the number of a
            `MultiView`, and 2 otherwise. Ignored for precomputed views.
        micro_batch_size: Images of which the networks see one view at once in a training step, at
            least 1. None sends all views of the batch through them together. Loss and gradients are
            those of the whole batch (gradient caching), the memory is that of a micro-batch, and
            the time grows by one forward pass: each pass is repeated to get its gradient. A
            repeated pass draws the same random numbers, if they come from Keras' seed generators.
            The views of keras-cv layers, which have their own generators, are made first, all at
            once. Losses added by encoder or head layers are treated as means over the rows of a
            pass, as activity regularizers are. Batch normalization uses the statistics of one pass
            (on TensorFlow per-replica, synchronized or not). Its moving averages move once a step,
            by the mean over all passes. `fit` refuses batches of a known size that is not divisible
            by it on each replica; a smaller last batch may be of any size. On TensorFlow XLA is
            used only with an explicit `jit_compile=True`, and then every batch must be full.
        augment_in_evaluation: Whether `evaluate` makes the views of training. With False it takes
            one view without augmentation. Only other samples of a class are then positives:
            `NTXentLoss`, and every loss without labels, is 0. With keras-cv layers each call sees
            other views.
        classifier: A classifier beside the contrastive loss: a number of classes, for a dense layer
            on the features, or a layer that gives logits. The loss is then the sum of the
            contrastive one and the cross-entropy of all views, and labels are class ids:
            `positives` of the contrastive loss should be `"class"`, or a function of class ids.
            Samples without a label, -1, have the contrastive loss alone. `classifier_accuracy` and
            `classifier_loss`, of labeled samples, are in the logs. None for no classifier.
        classifier_weight: Factor of the cross-entropy, at least 0.
        stop_gradient: Whether the classifier leaves the encoder alone. It is then the linear
            classifier of stage two, trained in the same run (an online probe), and the encoder
            becomes what it would be without it, except where all gradients are looked at together:
            by `global_clipnorm`, and by the loss scale of float16.
        class_counts: Sizes of the classes in training, at least 1 each, for classes of different
            sizes: the cross-entropy of the classifier is then logit-adjusted, as by
            `losses.LogitAdjustedCrossentropy`, and its logits are those of classes of one size.
            None for plain cross-entropy.
        class_centers: A number of classes, or a `layers.ClassCenters`, to learn a center of each
            class that a `BalancedSupConLoss`, which the model is then compiled with, contrasts
            projections with. Labels are class ids. None for no centers.
        learnable_temperature: Whether the temperature of the loss is learned, as in CLIP. It begins
            with that of the compiled loss. One weight is added, the logarithm of a scale of the
            logits. Each step limits this scale to 100, or to its first value if that is higher.
            Neither LARS nor the optimizers of Keras decay the weight. The temperature is in the
            logs of `fit`.
        learnable_bias: Whether the bias of the loss is learned, as in SigLIP. It begins with that
            of the compiled loss, such as `NTLogisticLoss(bias=-10.0)`. One weight is added to it,
            which does not decay. The bias is in the logs of `fit`.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`. With an encoder in
            `"mixed_float16"` this is the default dtype of the model, so that `compile` scales the
            loss.

    Attributes:
        temperature: Present temperature of the compiled loss, None for a loss without one. Read
            only.
        bias: Present bias of the compiled loss, None for a loss without one. Read only.

    Raises:
        ValueError: If an argument is of the wrong kind, or `num_views` is not that of the
            `MultiView`; if the encoder has several outputs, or one that is not of rank 2; if the
            rank of the inputs is neither that of the encoder nor one more. By `fit` and `evaluate`,
            before the first step: for arrays of labels that the loss does not take, for metrics of
            class scores beside a contrastive loss, for metrics of classes or a classifier beside
            one with other `positives` than `"class"`, with `learnable_temperature` for a loss
            without a temperature, and with `learnable_bias` for a loss without a bias.

    Warns:
        UserWarning: If pixels of a range such as 0..255 reach a convolution or dense layer with
            nothing that scales them, or `augmenter` rescales them. By `fit`, for arrays whose
            random batches will have no other sample of the class of most samples.

    Reference:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, section 3.1. Radford et al.,
        Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, section
        2.5 (learned temperature). Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV
        2023 (learned bias).

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.ContrastiveModel(
    ...     keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar"),
    ...     keras_supcon.ProjectionHead(output_dim=8, hidden_units=(16,)),
    ...     augmenter=keras_supcon.augmentation.SimAugment(image_size=(8, 8)),
    ... )
    >>> model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)).astype("uint8")
    >>> history = model.fit(images, np.arange(16) % 4, batch_size=8, verbose=0)
    >>> model.predict(images, verbose=0).shape, tuple(model.embed(images).shape)
    ((16, 1, 8), (16, 64))
    """

    @deprecate_positional
    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None = ProjectionHead,
        *,
        augmenter: keras.layers.Layer | None = None,
        num_views: int | None = None,
        micro_batch_size: int | None = None,
        augment_in_evaluation: bool = True,
        learnable_temperature: bool = False,
        learnable_bias: bool = False,
        classifier: keras.layers.Layer | int | None = None,
        classifier_weight: float = 1.0,
        stop_gradient: bool = False,
        class_counts: Sequence[float] | None = None,
        class_centers: ClassCenters | int | None = None,
        **kwargs: Any,
    ) -> None:
        projection_head = check_head("projection_head", projection_head)
        classifier = make_classifier(classifier)
        class_counts = _check_counts(class_counts, classifier)
        class_centers = _make_centers(class_centers, classifier)
        networks = {"projection_head": projection_head}
        if classifier is not None:
            networks["classifier"] = classifier
        if class_centers is not None:
            networks["class_centers"] = class_centers
        super().__init__(
            encoder,
            augmenter=augmenter,
            num_views=num_views,
            micro_batch_size=micro_batch_size,
            augment_in_evaluation=augment_in_evaluation,
            networks=networks,
            **kwargs,
        )
        self.classifier, self.class_counts = classifier, class_counts
        self.class_centers = class_centers
        self.classifier_weight = check_not_negative("classifier_weight", classifier_weight)
        self.stop_gradient = check_bool("stop_gradient", stop_gradient)
        if classifier is not None:
            self._labeled_mean = SubsetMean("cross_entropy")
            self._classifier_loss = keras.metrics.Mean(name="classifier_loss")
            self._classifier_accuracy = keras.metrics.Mean(name="classifier_accuracy")
        if learnable_temperature:
            self.make_temperature_learnable()
        if learnable_bias:
            self.make_bias_learnable()

    @property
    def needs_labels(self) -> bool:
        return not (self.classifier is None and self.class_centers is None)

    @property
    def num_label_classes(self) -> int | None:
        if self.class_centers is not None:
            return self.class_centers.num_classes
        return None if self.classifier is None else _num_outputs(self.classifier)

    def check_loss(self, loss: Any) -> None:
        super().check_loss(loss)
        takes_centers = isinstance(loss, ContrastiveLoss) and "centers" in loss.inputs
        if self.class_centers is not None and not takes_centers:
            raise ValueError(
                "`loss` of a `ContrastiveModel` with `class_centers` should contrast with them, as "
                f"`keras_supcon.BalancedSupConLoss()` does. Received: loss={loss!r}"
            )

    def prepare_fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        prepared = super().prepare_fit(arguments)
        warn_of_few_positives(self, arguments)
        return prepared

    def build_networks(self, view: TensorTree) -> None:
        if self.classifier is None:
            projections = self.project(view, training=False)
        else:
            projections = self._project_and_classify(view, training=False)["projection"]
        if self.class_centers is not None:
            self.class_centers(projections)

    def project(self, view: TensorTree, training: bool) -> TensorTree:
        return project_features(self.projection_head, self.encode(view, training), training)

    def step_projectors(self, num_views: int) -> Projector:
        return self.project if self.classifier is None else self._project_and_classify

    def _project_and_classify(self, view: TensorTree, training: bool) -> TensorTree:
        features = self.encode(view, training)
        classified = ops.stop_gradient(features) if self.stop_gradient else features
        return {
            "projection": project_features(self.projection_head, features, training),
            "logits": project_features(self.classifier, classified, training),
        }

    def contrast(self, projections: TensorTree, y: Tensor, sample_weight: Any) -> Tensor:
        if self.classifier is None:
            return self.contrast_projections(projections, y, sample_weight)
        loss = self.contrast_projections(projections["projection"], y, sample_weight)
        logits = projections["logits"]
        labels = class_labels(y, logits.shape[-1], getattr(self.loss, "ignore_class", None))
        values = cross_entropy(labels, logits, self.class_counts)
        self._report(labels, logits, values)
        return loss + self.classifier_weight * self._labeled_mean.mean(
            values, labels >= 0, sample_weight
        )

    def contrast_projections(self, projections: Tensor, y: Tensor, sample_weight: Any) -> Tensor:
        """Computes the contrastive part of the loss of a batch, as `contrast` does the whole."""
        if self.class_centers is None:
            return super().contrast(projections, y, sample_weight)
        centers = self.class_centers(projections)
        return self.loss_weight * self.loss(y, projections, sample_weight, centers=centers)

    def _report(self, labels: Tensor, logits: Tensor, values: Tensor) -> None:
        is_labeled = ops.cast(labels >= 0, "float32")
        is_right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), labels.dtype), labels[:, None])
        accuracy = ops.mean(ops.cast(is_right, "float32"), axis=1)
        self._classifier_accuracy.update_state(accuracy, is_labeled)
        self._classifier_loss.update_state(values, is_labeled)

    def metric_projections(self, projections: TensorTree) -> TensorTree:
        return projections if self.classifier is None else projections["projection"]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "projection_head": keras.saving.serialize_keras_object(self.projection_head),
            "learnable_temperature": self.learnable_temperature,
            "learnable_bias": self.learnable_bias,
            "classifier": keras.saving.serialize_keras_object(self.classifier),
            "classifier_weight": self.classifier_weight,
            "stop_gradient": self.stop_gradient,
            "class_counts": self.class_counts,
            "class_centers": keras.saving.serialize_keras_object(self.class_centers),
        }


def _num_outputs(classifier: keras.layers.Layer) -> int | None:
    return getattr(last_layer(classifier), "units", None)


def _check_counts(
    class_counts: Any, classifier: keras.layers.Layer | None
) -> tuple[float, ...] | None:
    if class_counts is None:
        return None
    if classifier is None:
        raise ValueError(
            "`class_counts` should be None without a `classifier`, whose cross-entropy they "
            f"adjust. Received: class_counts={class_counts!r}"
        )
    counts = check_class_counts("class_counts", class_counts)
    if _num_outputs(classifier) not in (None, len(counts)):
        raise ValueError(
            f"`class_counts` should hold a size for each of the {_num_outputs(classifier)} classes "
            f"of `classifier`. Received: class_counts={class_counts!r}"
        )
    return counts


def _make_centers(class_centers: Any, classifier: keras.layers.Layer | None) -> ClassCenters | None:
    if class_centers is None:
        return None
    if is_whole(class_centers):
        number = check_whole_number("class_centers", class_centers, at_least=2)
        class_centers = ClassCenters(number, name="class_centers")
    if not isinstance(class_centers, ClassCenters):
        raise ValueError(
            "`class_centers` should be a number of classes, a `layers.ClassCenters`, or None. "
            f"Received: class_centers={class_centers!r}"
        )
    number = class_centers.num_classes
    if classifier is not None and _num_outputs(classifier) not in (None, number):
        raise ValueError(
            f"`class_centers` should be of the {_num_outputs(classifier)} classes of `classifier`. "
            f"Received: class_centers of {number} classes"
        )
    return class_centers
