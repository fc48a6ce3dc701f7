"""A learned row for each class."""

from typing import Any

import keras
from keras import ops

from keras_supcon.arguments import check_whole_number
from keras_supcon.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_supcon")
class ClassCenters(keras.layers.Layer):
    """Learns a center of each class in the space of projections.

    `BalancedSupConLoss` contrasts projections with them, so that every class is in every batch,
    however rare it is. `ContrastiveModel(class_centers=...)` trains them with its networks. The
    loss scales them to unit length as it does projections.

    Args:
        num_classes: Number of classes, at least 2.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Attributes:
        centers: Float32 weight `(num_classes, dim)`, once the layer is built. It begins with random
            directions.

    Input shape: projections `(..., dim)`, of which only the width matters. Output shape:
    `(num_classes, dim)`, the centers, row c of class c.

    Raises:
        ValueError: If `num_classes` is something else.

    Reference:
        Zhu et al., Balanced Contrastive Learning for Long-Tailed Visual Recognition, CVPR 2022,
        section 4.2. There a network computes the centers from the weights of the classifier; here
        they are weights.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> centers = keras_supcon.layers.ClassCenters(num_classes=10)
    >>> tuple(centers(np.ones((4, 2, 16), "float32")).shape)
    (10, 16)
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_whole_number("num_classes", num_classes, at_least=2)
        # Unit length on average, as of the rows that they are compared with. Made here, for its
        # seed not to depend on when a model is built.
        self._initializer = keras.initializers.VarianceScaling(
            1.0, mode="fan_out", distribution="untruncated_normal"
        )

    def build(self, input_shape: Any) -> None:
        self.centers = self.add_weight(
            (self.num_classes, input_shape[-1]),
            initializer=self._initializer,
            dtype="float32",
            autocast=False,  # half precision would round their steps away
            name="centers",
        )

    def call(self, projections: Tensor) -> Tensor:
        return ops.convert_to_tensor(self.centers)

    def compute_output_shape(self, input_shape: Any) -> tuple[int, int]:
        return self.num_classes, input_shape[-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}
