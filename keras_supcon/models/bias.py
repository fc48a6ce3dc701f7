"""Learns the bias of the loss that a model is compiled with."""

from keras import ops

from keras_supcon.models.learned_options import (
    LearnedOption,
    LearnsLossOptions,
    loss_with_option,
)


class LearnsBias(LearnsLossOptions):
    """Mix-in for Keras models that may learn the bias of their loss by one more weight.

    The bias is `loss.bias + w` with `w = 0` at the start. Goes before `keras.Model`.
    """

    learnable_bias = False

    def make_bias_learnable(self) -> None:
        """Adds the weight. Constructors call it."""
        self.learnable_bias = True
        self._added_bias = self.add_option_weight("bias")

    @property
    def bias(self) -> float | None:
        """Present bias of the compiled loss, None for a loss without one."""
        try:
            loss = loss_with_option(self, "bias")
        except ValueError:
            return None
        if not self.learnable_bias:
            return loss.bias
        return loss.bias + float(ops.convert_to_numpy(self._added_bias))

    def learned_options(self) -> list[LearnedOption]:
        others = super().learned_options()
        if not self.learnable_bias:
            return others
        own = LearnedOption("bias", self._added_bias, lambda start, added: start + added)
        return [*others, own]
