"""What an encoder declares of its inputs, and how a batch is brought to it.

An encoder may take one tensor, or a list or dictionary of them. A functional model declares shapes
and dtypes; other layers say less, or nothing before they are built.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops, tree

from keras_supcon.typing import Tensor, TensorTree

# Of a batch for an encoder that declares nothing: images.
_IMAGE_RANK = 4
# Up to this rank integers may be ids, one or several for each sample; above they are pixels, counts
# or samples of a signal.
_ID_RANK = 2


def check_encoder(encoder: keras.layers.Layer) -> None:
    """Raises `ValueError` if `encoder` is no Keras layer or model, or is known to give something
    else than features.
    """
    if not isinstance(encoder, keras.layers.Layer):
        raise ValueError(
            f"`encoder` should be a Keras model or layer. Received: encoder={encoder!r}"
        )
    outputs = getattr(encoder, "outputs", None)
    if outputs:  # a functional model, which knows its output before it is called
        check_features(encoder, getattr(encoder, "output", outputs))


def encode_view(encoder: keras.layers.Layer, view: TensorTree, training: bool) -> Tensor:
    """Runs an encoder on one view, and returns `(batch, features)`.

    Raises:
        ValueError: On symbolic inputs, if the features are not of shape (batch, features).
    """
    features = encoder(cast_for_encoder(encoder, view), training=training)
    if any(isinstance(one, keras.KerasTensor) for one in tree.flatten(features)):
        check_features(encoder, features)
    return tree.flatten(features)[0]


def cast_for_encoder(encoder: keras.layers.Layer, inputs: TensorTree) -> Any:
    """Brings inputs to the structure and kind of numbers that the encoder wants, with the same
    values.

    Integers become floats where the encoder declares floats, and where it declares nothing and they
    are of rank 3 or more. Floats are rounded where it declares integers. A dictionary for inputs
    that were declared in a list is put in their order, by name.
    """
    declared = declared_inputs(encoder)
    inputs = _in_declared_order(inputs, declared)

    def cast(tensor: Tensor, declaration: TensorTree) -> Any:
        if declaration is None:
            return as_floats(tensor) if len(tensor.shape) > _ID_RANK else tensor
        given, wanted = _dtype(tensor), _dtype(declaration)
        if "int" in given and "float" in wanted:
            return ops.cast(tensor, wanted)
        return (
            ops.cast(ops.round(tensor), wanted) if "float" in given and "int" in wanted else tensor
        )

    return _map_with(cast, inputs, declared)


def as_floats(tensor: Tensor) -> Any:
    """A tensor of integers or bools as floats of the same values; others stay what they are."""
    return (
        ops.cast(tensor, keras.config.floatx())
        if "int" in _dtype(tensor) or _dtype(tensor) == "bool"
        else tensor
    )


def holds_views(encoder: keras.layers.Layer, inputs: TensorTree) -> bool:
    """Whether a batch is of views that were made before: `(batch, views, ...)`, one axis more than
    the encoder takes.

    Raises:
        ValueError: If the rank is neither that of a batch for the encoder nor that of its views.
    """
    ranks = _declared_ranks(encoder)
    inputs = _in_declared_order(inputs, declared_inputs(encoder))
    if ranks is None:
        if tree.is_nested(inputs):
            return False
        # It may read vectors or sequences as well as images.
        _check_rank(inputs, (1, 2, 3, _IMAGE_RANK, _IMAGE_RANK + 1))
        return len(inputs.shape) == _IMAGE_RANK + 1
    surplus = []

    def compare(tensor: Tensor, rank: int | None) -> None:
        if rank is not None:
            _check_rank(tensor, (rank, rank + 1))
            surplus.append(len(tensor.shape) - rank)

    _map_with(compare, inputs, ranks)
    if len(set(surplus)) > 1:
        shapes = tree.map_structure(lambda tensor: str(tuple(tensor.shape)), inputs)
        raise ValueError(
            "The inputs should all be of samples, or all of views. Received: inputs of shape "
            f"{shapes}"
        )
    return bool(surplus and surplus[0])


def remove_view_axis(inputs: TensorTree) -> Any:
    """Symbolic inputs of one view: `(batch, views, ...)` without the second axis."""
    return tree.map_structure(
        lambda tensor: keras.KerasTensor((None, *tensor.shape[2:]), tensor.dtype), inputs
    )


def dtypes_of(inputs: TensorTree) -> Any:
    """The names of the dtypes of a structure of tensors or arrays; None if something in it has no
    dtype.
    """
    if not all(hasattr(tensor, "dtype") for tensor in tree.flatten(inputs)):
        return None
    return tree.map_structure(_dtype, inputs)


def symbolic_inputs(encoder: keras.layers.Layer, shapes: Any, dtypes: Any) -> Any:
    """Symbolic inputs of the given shapes, of dtypes that were seen, or else declared by the
    encoder, or else of floats.

    Args:
        encoder: A layer.
        shapes: A shape, or a list or dictionary of them.
        dtypes: A structure of dtypes like that of `shapes`, or None.
    """
    inputs = _map_shapes(
        lambda shape: keras.KerasTensor((None, *shape[1:]), keras.config.floatx()), shapes
    )
    if dtypes is None:
        declared = declared_inputs(encoder)
        dtypes = None if declared is None else tree.map_structure(_dtype, declared)
    return _map_with(
        lambda one, dtype: one if dtype is None else keras.KerasTensor(one.shape, dtype),
        inputs,
        dtypes,
    )


def export_signature(encoder: keras.layers.Layer, build_config: Mapping[str, Any]) -> Any:
    """What an exported model takes: `keras.InputSpec`s; ids as integers, strings as strings, all
    else as floats.
    """
    inputs = symbolic_inputs(encoder, build_config["input_shape"], build_config["input_dtype"])
    cast = cast_for_encoder(encoder, inputs)  # ids and strings are what it leaves

    def spec(tensor: Tensor, after: Any) -> keras.InputSpec:
        dtype = keras.config.floatx() if "float" in _dtype(after) else _dtype(tensor)
        return keras.InputSpec(shape=tensor.shape, dtype=dtype)

    return tree.map_structure(spec, inputs, cast)


def check_features(encoder: keras.layers.Layer, features: Tensor) -> None:
    """Raises `ValueError` unless features are one tensor of shape (batch, features)."""
    outputs = tree.flatten(features)
    shapes = [tuple(getattr(output, "shape", ())) for output in outputs]
    if len(outputs) != 1:
        raise ValueError(
            f"`encoder` should have one output of shape (batch, features); `{encoder.name}` has "
            f"{len(outputs)}: choose one, as "
            "`keras.Model(encoder.inputs, encoder.outputs[0])` does. Received: encoder outputs "
            f"of shapes {shapes}"
        )
    if len(shapes[0]) != 2:
        raise ValueError(
            "`encoder` should map a batch to features of shape (batch, features); end a "
            "convolutional network with "
            "global average pooling (`pooling='avg'` in keras.applications) and a sequence with "
            "its pooling. If the batch is "
            "of views that were made before, (batch, views, ...), the encoder should say its "
            "input: by `keras.Input` or "
            f"`encoder.build(...)`. Received: encoder output of shape {shapes[0]}"
        )


def _check_rank(tensor: Tensor, allowed: tuple[int, ...]) -> None:
    if getattr(tensor.shape, "rank", 0) is None:
        raise ValueError(
            "The rank of inputs should be known. TensorFlow loses it where one of `fit`, "
            "`evaluate` and `predict` gets "
            "samples first and views later, or the reverse; in between call, for `predict`, "
            "`model.make_predict_function(force=True)`. Received: unknown rank"
        )
    if len(tensor.shape) not in allowed:
        raise ValueError(
            "The model should be called on a batch for its encoder, such as images of shape "
            "(batch, height, width, "
            "channels), or on views of it, (batch, views, height, width, channels): rank "
            f"{' or '.join(map(str, allowed))}. Received: input_shape={tuple(tensor.shape)}"
        )


def declared_inputs(encoder: keras.layers.Layer) -> Any:
    """Returns the symbolic inputs that a functional model was made with, in their structure.

    None for other layers.
    """
    if not getattr(encoder, "inputs", None):
        return None
    return encoder.inputs[0] if isinstance(encoder, keras.Sequential) else encoder.input


def _declared_ranks(encoder: keras.layers.Layer) -> Any:
    """Ranks of a batch in the structure of the encoder's inputs, as far as it says; None if it does
    not.
    """
    declared = declared_inputs(encoder)
    if declared is not None:
        return tree.map_structure(lambda tensor: len(tensor.shape), declared)
    if encoder.built:
        shapes = (encoder.get_build_config() or {}).get("input_shape")
        if shapes is not None:
            return _map_shapes(len, shapes)
    if isinstance(encoder, keras.Sequential) and encoder.layers:
        return _declared_ranks(encoder.layers[0])
    spec = encoder.input_spec
    return spec.ndim if isinstance(spec, keras.layers.InputSpec) else None


def _in_declared_order(inputs: TensorTree, declared: TensorTree) -> Any:
    """A dictionary by the names of inputs that were declared in a list, or alone, as they were
    declared.
    """
    if not isinstance(inputs, Mapping) or declared is None or isinstance(declared, Mapping):
        return inputs
    names = [tensor.name for tensor in tree.flatten(declared)]
    if not all(name in inputs for name in names):
        return inputs
    return tree.pack_sequence_as(declared, [inputs[name] for name in names])


def _map_with(function: Any, inputs: TensorTree, declared: TensorTree) -> Any:
    """Maps `function(tensor, declaration)` over inputs; the declaration is None where the encoder
    makes none.
    """
    if isinstance(inputs, Mapping):
        of_key = declared if isinstance(declared, Mapping) else {}
        return {key: _map_with(function, one, of_key.get(key)) for key, one in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        flat = (
            []
            if declared is None
            else list(
                declared.values() if isinstance(declared, Mapping) else tree.flatten(declared)
            )
        )
        flat += [None] * (len(inputs) - len(flat))
        return [
            _map_with(function, one, declaration)
            for one, declaration in zip(inputs, flat, strict=False)
        ]
    if tree.is_nested(declared):
        flat = tree.flatten(declared)
        declared = flat[0] if len(flat) == 1 else None
    return function(inputs, declared)


def _map_shapes(function: Any, shapes: Any) -> Any:
    if isinstance(shapes, Mapping):
        return {key: _map_shapes(function, shape) for key, shape in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return function(tuple(shapes))
    return [_map_shapes(function, shape) for shape in shapes]


def _dtype(tensor: Tensor) -> str:
    dtype = tensor.dtype
    kind = getattr(dtype, "kind", "")  # of a NumPy array
    return "string" if kind in ("U", "S", "O") else keras.backend.standardize_dtype(dtype)
