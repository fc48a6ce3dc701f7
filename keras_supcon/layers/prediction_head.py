"""The network between two projections, of methods with an online and a target network."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_supcon.layers.projection_head import ProjectionHead


@keras.saving.register_keras_serializable(package="keras_supcon")
class PredictionHead(ProjectionHead):
    """Predicts the projection of another view from that of one view.

    Hidden layers are dense + batch normalization + ReLU; the last layer is dense, neither biased
    nor normalized. The heads of the papers:

    | method | arguments |
    | --- | --- |
    | BYOL | `PredictionHead(256, hidden_units=(4096,))` |
    | NNCLR | `PredictionHead(256, hidden_units=(4096,), output_bias=True)` |
    | SimSiam | `PredictionHead(2048, hidden_units=(512,), output_bias=True)` |

    Args:
        output_dim: Width of the predictions, that of the projections; at least 1.
        hidden_units: Widths of the hidden layers; an empty sequence gives a linear head.
        batch_norm: Layers with batch normalization: False for none, True or `"hidden"` for the
            hidden ones, `"all"` for the last one too.
        synchronized_batch_norm: Whether batch statistics cover all replicas of a strategy, as in
            BYOL (TensorFlow only).
        output_bias: Whether the last layer has a bias.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input shape: `(batch, projection)`. Output shape: `(batch, output_dim)`, float32.

    Raises:
        ValueError: As by `ProjectionHead`.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, section 3.3; Dwibedi et al., NNCLR,
        ICCV 2021; Chen and He, SimSiam, CVPR 2021.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> head = keras_supcon.layers.PredictionHead(output_dim=16, hidden_units=(32,))
    >>> tuple(head(np.ones((4, 16), "float32")).shape)
    (4, 16)
    """

    def __init__(
        self,
        output_dim: int = 256,
        hidden_units: Sequence[int] = (4096,),
        *,
        batch_norm: bool | str = "hidden",
        synchronized_batch_norm: bool = False,
        output_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            output_dim,
            hidden_units=hidden_units,
            batch_norm=batch_norm,
            synchronized_batch_norm=synchronized_batch_norm,
            output_bias=output_bias,
            normalize=False,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["normalize"]
        return config
