"""Tells in which kind of program a layer is called."""

import sys

from keras_supcon.typing import Tensor


def is_symbolic_tensorflow(images: Tensor) -> bool:
    """Returns whether images are in a TensorFlow graph, with any backend of Keras.

    Such a graph is that of a `tf.data` map.
    """
    tensorflow = sys.modules.get("tensorflow")
    return (
        tensorflow is not None
        and tensorflow.is_tensor(images)
        and not tensorflow.executing_eagerly()
    )


def is_in_tf_data() -> bool:
    """Returns whether the program being traced is that of a `tf.data` map, or within one."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or tensorflow.executing_eagerly():
        return False
    graph = tensorflow.compat.v1.get_default_graph()
    while graph is not None:
        if getattr(graph, "name", "").startswith("Dataset_"):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def is_torch_compiling() -> bool:
    """Returns whether PyTorch compiles or exports."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_compiling()
