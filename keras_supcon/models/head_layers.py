"""An encoder with the first layers of its projection head, for fine-tuning from within the head."""

import keras

from keras_supcon.arguments import check_whole_number
from keras_supcon.layers import ProjectionHead
from keras_supcon.models.encoder_inputs import check_encoder, declared_inputs


def encoder_with_head(
    encoder: keras.layers.Layer, projection_head: ProjectionHead, num_layers: int = 1
) -> keras.Model:
    """Joins an encoder and the first layers of its projection head to an encoder.

    Fine-tuning from the first layer of a deep head does better than from below the head, above all
    with few labels (SimCLR v2). The layers are shared, not copied.

    Args:
        encoder: The encoder, such as `model.encoder`.
        projection_head: The `ProjectionHead` that was trained on it.
        num_layers: Number of hidden layers to keep: dense layers, each with its batch normalization
            and activation. From 1 up to the number of hidden layers.

    Returns:
        A model from samples to the outputs of the last layer that is kept.

    Raises:
        ValueError: If an argument is of the wrong kind, or the head has fewer hidden layers.

    Reference:
        Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners, NeurIPS 2020,
        section 2.

    Example:

    >>> import numpy as np
    >>> import keras_supcon
    >>> model = keras_supcon.ContrastiveModel(
    ...     keras_supcon.encoders.ResNet(depth=10, width=0.125, stem="cifar"),
    ...     keras_supcon.ProjectionHead(output_dim=8, hidden_units=(32, 16)),
    ... )
    >>> images = np.zeros((2, 8, 8, 3), "uint8")
    >>> projections = model(images)  # and `fit`
    >>> encoder = keras_supcon.models.encoder_with_head(model.encoder, model.projection_head)
    >>> classifier = keras_supcon.LinearClassifier(encoder, 10, trainable_encoder=True)
    >>> tuple(encoder(images).shape), tuple(classifier(images).shape)
    ((2, 32), (2, 10))
    """
    check_encoder(encoder)
    if not isinstance(projection_head, ProjectionHead):
        raise ValueError(
            "`projection_head` should be a `ProjectionHead`; of another head make a model up to "
            f"the layer. Received: projection_head={projection_head!r}"
        )
    num_layers = check_whole_number("num_layers", num_layers, at_least=1)
    if num_layers > len(projection_head.hidden_units):
        raise ValueError(
            "`num_layers` should be at most the number of hidden layers of the head, "
            f"{len(projection_head.hidden_units)}. Received: num_layers={num_layers}"
        )
    layers = projection_head.first_layers(num_layers)
    declared = declared_inputs(encoder)
    if declared is None:
        return keras.Sequential([encoder, *layers])
    # As the encoder declares them: a `Sequential` would make floats of ids in half precision.
    inputs = keras.tree.map_structure(
        lambda one: keras.Input(batch_shape=one.shape, dtype=one.dtype, name=one.name),
        declared,
    )
    outputs = encoder(inputs)
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)
