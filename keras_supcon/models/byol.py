"""Bootstrap your own latent: predictions of a slowly moving network, without negatives."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_between, check_whole_number_or_none, is_number
from keras_supcon.losses import NegativeCosineLoss
from keras_supcon.losses.base import ContrastiveLoss
from keras_supcon.models.momentum import CosineMomentum, MomentumModel
from keras_supcon.models.pretraining import Projector
from keras_supcon.models.projection import check_head, check_widths, project_features
from keras_supcon.typing import Tensor, TensorTree


@keras.saving.register_keras_serializable(package="keras_supcon")
class BYOL(MomentumModel):
    """Predicts, from one view, the projection that a slowly moving network has of another view.

    The online network is encoder, projection head and prediction head. The target network is a copy
    of the first two, which moves after each step, `target <- target + (1 - m) (online - target)`;
    its batch normalization keeps the statistics of its own passes. There are no negatives and no
    labels. The loss of an image is the sum over both directions,

        ||unit(p_1) - unit(t_2)||^2 + ||unit(p_2) - unit(t_1)||^2,

    from 0 to 8, with the predictions `p` of the online and the projections `t` of the target
    network. Targets have no gradient. Without the prediction head all images get one embedding.

    **SimSiam** is `BYOL(..., momentum=0)` without `total_steps`: the targets are then the
    projections of the online network, whose second pass is saved. The second networks are made and
    saved all the same, and take no part. The value of its publication is this one divided by four,
    less one; so learning rates are four times as high there.

    Each view passes through the networks by itself: its statistics are those of one view. With
    small batches normalization is what fails first; see `synchronized_batch_norm` of the heads for
    several replicas. The paper has a base learning rate of 0.2 for `LARS`; Adam wants 3e-4.

    Args:
        encoder: Any Keras model or layer that maps a batch to `(batch, features)`.
        projection_head: Layer from features to projections, or None for none. The paper has
            `ProjectionHead(256, hidden_units=(4096,), batch_norm="hidden", normalize=False)`.
        prediction_head: Layer from projections to predictions of the same width, or None for none.
            The paper has `layers.PredictionHead(256, hidden_units=(4096,))`.
        augmenter: Layer that augments a batch of images; see `ContrastiveModel`. The paper has
            `augmentation.byol_views(size)`.
        momentum: m, in [0, 1], at the first step.
        total_steps: Steps in which m rises to 1, by half a cosine; later it stays 1. None keeps m.
        micro_batch_size: As in `ContrastiveModel`.
        augment_in_evaluation: As in `ContrastiveModel`. Without views both networks see the image.
        **kwargs: `name`, `dtype` and the other arguments of `keras.Model`.

    Attributes:
        momentum_encoder: The encoder of the target network.
        momentum_head: Its projection head.
        steps: int32 weight, batches of training that have begun.

    Raises:
        ValueError: If an argument is of the wrong kind or out of its range, or a network cannot be
            copied; if predictions and projections differ in width; by `compile`, for a contrastive
            loss.

    Warns:
        UserWarning: If `fit` trains more than `total_steps` steps.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020; Chen and He, Exploring Simple Siamese
        Representation Learning, CVPR 2021.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.BYOL(
    ...     keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar"),
    ...     keras_supcon.ProjectionHead(
    ...         output_dim=8, hidden_units=(16,), batch_norm="hidden", normalize=False
    ...     ),
    ...     keras_supcon.layers.PredictionHead(output_dim=8, hidden_units=(16,)),
    ...     augmenter=keras_supcon.augmentation.byol_views(image_size=(8, 8)),
    ...     total_steps=100,
    ... )
    >>> model.compile(optimizer="adam")
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    >>> history = model.fit(images, batch_size=8, verbose=0)
    >>> int(model.steps), tuple(model.embed(images).shape)
    (2, (16, 64))
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None,
        prediction_head: keras.layers.Layer | type[keras.layers.Layer] | None,
        *,
        augmenter: keras.layers.Layer | None = None,
        momentum: float = 0.996,
        total_steps: int | None = None,
        micro_batch_size: int | None = None,
        augment_in_evaluation: bool = True,
        **kwargs: Any,
    ) -> None:
        if not is_number(momentum):
            raise ValueError(
                "`momentum` of `BYOL` should be a number between 0 and 1, and `total_steps` the "
                f"steps in which it rises to 1. Received: momentum={momentum!r}"
            )
        initial_momentum = check_between("momentum", momentum, 0, 1)
        total_steps = check_whole_number_or_none("total_steps", total_steps, at_least=1)
        super().__init__(
            encoder,
            projection_head,
            momentum=initial_momentum
            if total_steps is None
            else CosineMomentum(initial_momentum, total_steps),
            networks={"prediction_head": check_head("prediction_head", prediction_head)},
            augmenter=augmenter,
            micro_batch_size=micro_batch_size,
            augment_in_evaluation=augment_in_evaluation,
            **kwargs,
        )
        self.initial_momentum, self.total_steps = initial_momentum, total_steps

    def build_networks(self, view: TensorTree) -> None:
        check_widths(self._prediction_and_target(view, training=False))
        if self._is_simsiam:
            self.project_by_copy(view, training=False)  # for its weights alone

    @property
    def _is_simsiam(self) -> bool:
        return self.initial_momentum == 0 and self.total_steps is None

    def step_projectors(self, num_views: int) -> list[Projector]:
        return [self._prediction_and_target] * num_views

    def _prediction_and_target(self, view: TensorTree, training: bool) -> TensorTree:
        projection = self.project(view, training)
        return {
            "projection": projection,
            "prediction": project_features(self.prediction_head, projection, training),
            "target": ops.stop_gradient(projection)
            if self._is_simsiam
            else self.project_by_copy(view, training),
        }

    def contrast(self, projections: TensorTree, y: Tensor, sample_weight: Any) -> Tensor:
        predictions = projections["prediction"]
        targets = ops.flip(projections["target"], axis=1)  # those of the other view
        places = range(2) if predictions.shape[1] == 2 else (0, 0)
        return self.loss_weight * sum(
            self.loss(targets[:, place], predictions[:, place], sample_weight) for place in places
        )

    def metric_projections(self, projections: TensorTree) -> TensorTree:
        return projections["projection"]

    def check_loss(self, loss: Any) -> None:
        super().check_loss(loss)
        if not isinstance(loss, keras.losses.Loss) or isinstance(loss, ContrastiveLoss):
            raise ValueError(
                "`loss` of `BYOL` should be one of predictions and their targets, such as "
                "`keras_supcon.losses.NegativeCosineLoss()` or `keras.losses.CosineSimilarity()`. "
                f"Received: loss={loss!r}"
            )

    def default_loss(self) -> keras.losses.Loss:
        return NegativeCosineLoss()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "prediction_head": keras.saving.serialize_keras_object(self.prediction_head),
            "momentum": self.initial_momentum,
            "total_steps": self.total_steps,
        }
