"""Any Keras layer as an augmenter, those of keras-cv included.

keras-cv 0.9 is older than Keras 3.15 and at odds with it in six things that are mended here: its
layers augment whether Keras trains or not, some of them fail without AutoGraph, `Augmenter` is not
a complete layer, `RandomApply` and `RandomChoice` do not come back from a file, layers that XLA
cannot compile do not say so, and with a global seed all loops of a step draw the same numbers.
keras-cv need not be installed.
"""

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import keras

# Layers of keras-cv that draw nothing. They belong to the preparation of the images when not
# training too.
_FIXED = {"AutoContrast", "Equalization", "Grayscale", "Posterization", "Rescaling", "Resizing"}

# Far more than the random operations of a step, by the numbers of which TensorFlow tells them
# apart.
_SEED_STRIDE = 1_000_003


def as_augmenter(augmenter: Any) -> keras.layers.Layer | None:
    """Returns the augmenter as a layer that a model can hold.

    That is the layer itself, but for `keras_cv.layers.Augmenter`, which never calls the constructor
    of `keras.layers.Layer`, so that Keras can neither track nor save it. It becomes a
    `keras.layers.Pipeline` of the same layer objects, which does the same: it calls one after the
    other.

    Args:
        augmenter: A layer, or None.

    Raises:
        ValueError: If it is neither a Keras layer nor None.
    """
    if augmenter is None:
        return None
    if not isinstance(augmenter, keras.layers.Layer):
        raise ValueError(
            f"`augmenter` should be a Keras layer, or None. Received: augmenter={augmenter!r}"
        )
    if "Augmenter" in keras_cv_classes(augmenter):
        augmenter = keras.layers.Pipeline([as_augmenter(layer) for layer in augmenter.layers])
    if holds_keras_cv(augmenter):
        augmenter.supports_jit = False  # Keras asks every layer; one that fails under XLA is enough
    return augmenter


def call_augmenter(augmenter: keras.layers.Layer, images: Any, training: bool) -> Any:
    """Calls any layer as an augmenter, with its inference form when not training.

    The inference form is the call with `training=False`. A layer that takes no `training` is left
    out, as it would augment at inference too. Of a `keras.layers.Pipeline` or `keras.Sequential`
    with keras-cv layers the other layers are called; of keras-cv layers those that draw nothing,
    such as `Rescaling`, are called, those that cut or set the size resize the whole image to it,
    and the others are left out.

    Args:
        augmenter: A layer as `as_augmenter` returns it.
        images: A batch or one image.
        training: Whether to augment.

    Returns:
        What the layer gives, or `images` themselves.
    """
    if training or _takes_training(augmenter) or holds_keras_cv(augmenter):
        return _call(augmenter, images, training)
    return images


def layers_within(layer: Any) -> Iterator[Any]:
    """Yields a layer and those within it, as far as Keras' and our own containers show, in the
    order of their calls.
    """
    yield layer
    within = [*getattr(layer, "layers", []), *getattr(layer, "augmenters", [])]
    within += [layer.layer] if hasattr(layer, "layer") else []
    for part in within:
        yield from layers_within(part)


def holds_keras_cv(layer: Any) -> bool:
    """Whether a layer is of keras-cv, or one within it, as far as Keras' and our own containers
    show.
    """
    return any(map(keras_cv_classes, layers_within(layer)))


def keras_layers_within(layer: Any) -> list[Any]:
    """The layers of Keras and keras-cv in an augmenter, but for the containers."""
    return [
        part
        for part in layers_within(layer)
        if type(part).__module__.split(".")[0] in ("keras", "keras_cv")
        and not isinstance(part, (keras.Sequential, keras.layers.Pipeline))
    ]


def deserialize_augmenter(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """`keras.saving.deserialize_keras_object` for augmenters.

    `RandomApply` and `RandomChoice` of keras-cv take the configs of their layers for layers. Here
    they get layers.
    """
    return keras.saving.deserialize_keras_object(
        _with_layers(config, custom_objects), custom_objects=custom_objects
    )


def _with_layers(config: Any, custom_objects: dict[str, Any] | None) -> Any:
    if isinstance(config, (list, tuple)):
        return [_with_layers(part, custom_objects) for part in config]
    if not isinstance(config, dict):
        return config
    config = {key: _with_layers(part, custom_objects) for key, part in config.items()}
    is_keras_cv = str(config.get("module")).split(".")[0] == "keras_cv"
    if is_keras_cv and config.get("class_name") in ("RandomApply", "RandomChoice"):
        for name in {"layer", "layers"} & config["config"].keys():
            layers = keras.saving.deserialize_keras_object(
                config["config"][name], custom_objects=custom_objects
            )
            config["config"][name] = layers
    return config


def _call(layer: keras.layers.Layer, images: Any, training: bool) -> Any:
    if not holds_keras_cv(layer):
        return layer(images, training=training) if _takes_training(layer) else layer(images)
    if isinstance(layer, (keras.layers.Pipeline, keras.Sequential)):
        for part in layer.layers:
            images = _call(part, images, training)
        return images
    classes = keras_cv_classes(layer)
    if training or classes & _FIXED:
        return _call_with_autograph(layer, images)
    height, width = getattr(layer, "height", None), getattr(layer, "width", None)
    size = getattr(layer, "target_size", (height, width)) if classes else (None, None)
    return images if None in size else keras.layers.Resizing(*size, antialias=True)(images)


def _call_with_autograph(layer: keras.layers.Layer, images: Any) -> Any:
    """Calls a layer of keras-cv, or a wrapper of such layers.

    keras-cv has Python conditions on tensors, as in `Equalization`, hence `RandAugment`, and in
    `RandomApply`. In a graph they need AutoGraph, which Keras turns off in its training step and
    `tf.function` turns on.
    """
    call = functools.partial(layer, training=True) if _takes_training(layer) else layer
    if keras.backend.backend() != "tensorflow":
        return call(images)
    import tensorflow as tf

    if tf.executing_eagerly():
        return call(images)
    # TensorFlow numbers the random operations of each graph from 0. After
    # `keras.utils.set_random_seed` the loops of a step, each a graph, would draw the same numbers:
    # crops of one size in both views, strong blur in large crops.
    graph_seed, number = tf.compat.v1.get_seed(None)

    def augment(images: Any) -> Any:
        if graph_seed is not None:
            tf.random.set_seed(graph_seed + _SEED_STRIDE * (number + 1))  # of this function alone
        return call(images)

    return tf.function(augment)(images)


def _takes_training(layer: keras.layers.Layer) -> bool:
    return "training" in inspect.signature(layer.call).parameters


def keras_cv_classes(layer: Any) -> set[str]:
    """Names of the keras-cv classes that the layer is an instance of."""
    return {
        base.__name__ for base in type(layer).__mro__ if base.__module__.split(".")[0] == "keras_cv"
    }
