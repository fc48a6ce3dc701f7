"""Networks that follow the trained ones as a moving average of their weights."""

import math
import warnings
from typing import Any

import keras
from keras import ops

from keras_supcon._keras_internals import is_in_symbolic_scope
from keras_supcon.arguments import check_between, check_whole_number, is_number
from keras_supcon.layers import ProjectionHead
from keras_supcon.models.callback_lists import with_callback
from keras_supcon.models.momentum_copy import MomentumCopy
from keras_supcon.models.pretraining import PretrainingModel
from keras_supcon.models.projection import check_head, encode_and_project
from keras_supcon.typing import Tensor, TensorTree
from keras_supcon.user_lines import stacklevel_of_user

Schedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable(package="keras_supcon")
class CosineMomentum(Schedule):
    """Rises from a first momentum to 1 by half a wave of the cosine, as BYOL has it.

    The momentum of step `k` is `1 - (1 - m) (cos(pi k / K) + 1) / 2`, and 1 from step `K` on.

    Args:
        initial_momentum: m, in [0, 1].
        total_steps: K, a whole number of at least 1.

    Raises:
        ValueError: For an argument of the wrong kind or out of its range.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, section 3.3.

    Example:

    >>> from keras_supcon.models import CosineMomentum
    >>> schedule = CosineMomentum(0.9, total_steps=4)
    >>> [round(float(schedule(step)), 4) for step in (0, 2, 4, 9)]
    [0.9, 0.95, 1.0, 1.0]
    """

    def __init__(self, initial_momentum: float, total_steps: int) -> None:
        super().__init__()
        self.initial_momentum = check_between("initial_momentum", initial_momentum, 0, 1)
        self.total_steps = check_whole_number("total_steps", total_steps, at_least=1)

    def __call__(self, step: Tensor) -> Tensor:
        share = ops.cast(ops.minimum(step, self.total_steps), "float32") / self.total_steps
        return 1.0 - (1.0 - self.initial_momentum) * (ops.cos(math.pi * share) + 1.0) / 2.0

    def get_config(self) -> dict[str, Any]:
        return {"initial_momentum": self.initial_momentum, "total_steps": self.total_steps}


def _check_momentum(momentum: Any) -> float | Schedule:
    if not isinstance(momentum, Schedule):
        if is_number(momentum):
            return check_between("momentum", momentum, 0, 1)
        raise ValueError(
            "`momentum` should be a number between 0 and 1 or a "
            "`keras.optimizers.schedules.LearningRateSchedule`, such as "
            f"`keras_supcon.models.CosineMomentum`. Received: momentum={momentum!r}"
        )
    first = float(ops.convert_to_numpy(momentum(0)))
    if not 0 <= first <= 1:
        raise ValueError(
            f"`momentum` should be between 0 and 1 at each step. Received: {momentum!r}, which is "
            f"{first:g} at the first step"
        )
    return momentum


class _WarnOfMoreSteps(keras.callbacks.Callback):
    """Warns once if training takes more steps than a schedule has.

    That is before the first step, where Keras knows the steps of an epoch, else when it happens.
    """

    def __init__(self, total_steps: int, initial_epoch: int) -> None:
        super().__init__()
        self._total_steps, self._first_epoch = total_steps, initial_epoch
        self._has_warned = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        steps, epochs = (self.params.get(name) for name in ("steps", "epochs"))
        if steps is not None and epochs is not None:
            self._check((epochs - self._first_epoch) * steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._check(0)

    def _check(self, coming_steps: int) -> None:
        steps = int(ops.convert_to_numpy(self.model.steps)) + coming_steps
        steps //= self.model.batches_of_update
        if steps > self._total_steps and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"`{self.model.name}` takes {steps} steps, more than `total_steps`: its momentum "
                f"stays 1, so that the second networks stand still. Received: "
                f"total_steps={self._total_steps}",
                stacklevel=stacklevel_of_user(),
            )


class MomentumModel(PretrainingModel):
    """Base of methods with a second encoder and head, a moving average of the trained ones.

    A subclass runs all of them in `build_networks`. An image has two views.

    Args:
        encoder: As for `PretrainingModel`.
        projection_head: Layer from features to projections, or a class that makes one, or None.
        momentum: Share of the second networks that a step keeps, in [0, 1], or a schedule of it
            over steps, whose later values are clipped to that range.
        **kwargs: Arguments of `PretrainingModel`.

    Attributes:
        momentum_encoder: The second encoder.
        momentum_head: The second head, or None.
        steps: int32 weight, the number of batches of training that have begun.
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        projection_head: keras.layers.Layer | type[keras.layers.Layer] | None = ProjectionHead,
        *,
        momentum: float | Schedule,
        **kwargs: Any,
    ) -> None:
        momentum = _check_momentum(momentum)
        head = check_head("projection_head", projection_head)
        networks = {"projection_head": head, **kwargs.pop("networks", {})}
        super().__init__(encoder, networks=networks, num_views=2, **kwargs)
        self.momentum = momentum
        self._followed = [encoder] if head is None else [encoder, head]
        self.momentum_copy = MomentumCopy(self._followed, name="momentum_copy")
        self.steps = self.add_weight(
            (),
            "zeros",
            dtype="int32",
            name="steps",
            trainable=False,
            aggregation="only_first_replica",
        )

    @property
    def momentum_encoder(self) -> keras.layers.Layer:
        return self.momentum_copy.encoder

    @property
    def momentum_head(self) -> keras.layers.Layer | None:
        return self.momentum_copy.head

    @property
    def step_num_views(self) -> int:
        return 2

    @property
    def batches_of_update(self) -> int:
        """Batches after which the optimizer updates the weights, its `gradient_accumulation_steps`
        or 1.
        """
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        return getattr(optimizer, "gradient_accumulation_steps", None) or 1

    def begin_step(self) -> None:
        step = ops.convert_to_tensor(self.steps)
        momentum, batches = self.momentum, self.batches_of_update
        if callable(momentum):
            # The update that follows the step before.
            update = ops.maximum(step // batches - 1, 0)
            momentum = ops.clip(ops.cast(momentum(update), "float32"), 0.0, 1.0)
        if batches > 1:  # the weights have not changed in between
            momentum = ops.where(ops.equal(step % batches, 0), momentum, 1.0)
        self.momentum_copy.follow(self._followed, momentum, ops.equal(step, 0))
        self.steps.assign(step + 1)

    def prepare_fit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if isinstance(self.momentum, CosineMomentum):
            warning = _WarnOfMoreSteps(
                self.momentum.total_steps, arguments.get("initial_epoch") or 0
            )
            callbacks = with_callback(self, warning, arguments.get("callbacks"))
            arguments = {**arguments, "callbacks": callbacks}
        return super().prepare_fit(arguments)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.momentum_copy.finish_build(self, self._followed)
        if not is_in_symbolic_scope():
            self.prepare_weights()

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        if self.built:
            self.prepare_weights()
        return super().evaluate(*args, **kwargs)

    def prepare_weights(self) -> None:
        """Gives the second networks the weights that training would begin with."""
        if not int(ops.convert_to_numpy(self.steps)):
            self.momentum_copy.follow(self._followed, 0.0, True)
        self.momentum_copy.finalize_state()

    def project(self, view: TensorTree, training: bool) -> TensorTree:
        return encode_and_project(self.encoder, self.projection_head, view, training)

    def project_by_copy(self, view: TensorTree, training: bool) -> Tensor:
        """Runs the second networks on one view, without gradient and without what their layers add
        to the loss.
        """
        return self.momentum_copy.project(view, training)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_views"]
        return {
            **config,
            "projection_head": keras.saving.serialize_keras_object(self.projection_head),
            "momentum": keras.saving.serialize_keras_object(self.momentum),
        }
