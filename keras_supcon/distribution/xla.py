"""What TensorFlow is compiling for."""


def is_tracing_for_xla() -> bool:
    """Whether TensorFlow is tracing a function that XLA will compile, `jit_compile=True` or a
    TPU's.
    """
    import tensorflow as tf
    from tensorflow.python.ops.control_flow_util import (
        GraphOrParentsInXlaContext,
    )  # TensorFlow has no public way to ask

    return not tf.executing_eagerly() and GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )
