"""The choice of what a model is trained on: one device, the GPUs of a machine, several machines, a
TPU.
"""

import contextlib
import json
import os
import socket
from typing import Any

import keras

from keras_supcon.arguments import check_whole_number

_KINDS = ("auto", "default", "mirrored", "multi_worker", "tpu")
_TPU_PORT = 8470
_CONNECTION_SECONDS = 10


def strategy(
    kind: str = "auto", tpu: str | None = None, num_virtual_cpus: int | None = None
) -> Any:
    """What to build and compile models under, `with strategy.scope():`.

    Call it before anything else that computes. On TensorFlow the result is a
    `tf.distribute.Strategy`, on JAX a `keras.distribution.DataParallel`, which becomes the global
    distribution; one device needs neither, and PyTorch has neither.

    Args:
        kind: What to train on.

            - `"auto"`: a TPU if `tpu` or the environment variable `TPU_NAME` names one, several
              workers if `TF_CONFIG` lists more than one, the GPUs of this machine if there are
              several, one device otherwise.
            - `"default"`: one device.
            - `"mirrored"`: all GPUs of this machine; without a GPU all (virtual) processors. On JAX
                all devices.
            - `"multi_worker"`: the machines in the environment variable `TF_CONFIG`. On JAX the
              processes that `keras.distribution.initialize` finds.
            - `"tpu"`: a Cloud TPU, by `tf.distribute.TPUStrategy`. On JAX all TPU devices; those of
              several hosts after `jax.distributed.initialize()`.
        tpu: Name of the TPU or its address `grpc://host:port`; `"local"` on a TPU virtual machine.
            None takes `TPU_NAME` from the environment, and `"local"` without that.
        num_virtual_cpus: Splits this machine's processor into so many devices, to try several
            replicas without GPUs. TensorFlow only.

    Returns:
        An object with a method `scope()`. `num_replicas` tells how many replicas it has.

    Raises:
        ValueError: If an argument is none of the above, the backend has no such thing, or
            `TF_CONFIG` is not what TensorFlow documents.
        RuntimeError: If the TPU cannot be reached, or TensorFlow has computed something already.

    Example:

    >>> import keras_supcon
    >>> strategy = keras_supcon.distribution.strategy("default")
    >>> with strategy.scope():
    ...     model = keras_supcon.ContrastiveModel(keras_supcon.encoders.ResNet(10, width=0.125, stem="cifar"))
    ...     model.compile(optimizer="adam", loss=keras_supcon.SupConLoss())
    """
    if kind not in _KINDS:
        raise ValueError(
            f"`kind` should be one of {', '.join(map(repr, _KINDS))}. Received: kind={kind!r}"
        )
    backend = keras.backend.backend()
    if backend == "tensorflow":
        if num_virtual_cpus is not None:
            _split_processor(num_virtual_cpus)
        return _tensorflow_strategy(kind, tpu)
    if num_virtual_cpus is not None or tpu is not None:
        raise ValueError(
            "`num_virtual_cpus` and `tpu` should be None on other backends than TensorFlow; JAX "
            "finds its TPU, and splits the "
            "processor by the environment variable "
            "XLA_FLAGS=--xla_force_host_platform_device_count=2. "
            f"Received: num_virtual_cpus={num_virtual_cpus!r}, tpu={tpu!r}, KERAS_BACKEND={backend}"
        )
    return _jax_distribution(kind) if backend == "jax" else _torch_device(kind)


def num_replicas(strategy: Any) -> int:
    """How many replicas share a batch.

    Args:
        strategy: What `keras_supcon.distribution.strategy` gave.

    Returns:
        At least 1.

    Example:

    >>> from keras_supcon import distribution
    >>> distribution.num_replicas(distribution.strategy("default"))
    1
    """
    if isinstance(strategy, keras.distribution.DataParallel):
        return strategy.device_mesh.shape[0]
    return getattr(strategy, "num_replicas_in_sync", 1)


def worker(strategy: Any) -> tuple[int, int]:
    """Which of the processes that train together this is.

    Args:
        strategy: What `keras_supcon.distribution.strategy` gave; the other backends than TensorFlow
            know without it.

    Returns:
        `(index, count)`. The worker of index 0 is the chief, which writes what is written once.

    Example:

    >>> from keras_supcon import distribution
    >>> distribution.worker(distribution.strategy("default"))
    (0, 1)
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.process_index(), jax.process_count()
    if keras.backend.backend() == "torch":
        from torch import distributed

        initialized = distributed.is_available() and distributed.is_initialized()
        return (distributed.get_rank(), distributed.get_world_size()) if initialized else (0, 1)
    import tensorflow as tf

    # A TPU is driven by one process, whatever its number of hosts.
    is_one_process = isinstance(
        strategy, (tf.distribute.MirroredStrategy, tf.distribute.TPUStrategy)
    )
    resolver = None if is_one_process else getattr(strategy, "cluster_resolver", None)
    if resolver is None:
        return 0, 1
    tasks = [
        (kind, index)
        for kind in ("chief", "worker")
        for index in range(len(_tasks(resolver.cluster_spec(), kind)))
    ]
    return (tasks.index((resolver.task_type, resolver.task_id)), len(tasks)) if tasks else (0, 1)


def _tasks(cluster: Any, kind: str) -> list[str]:
    return cluster.as_dict().get(kind, [])


def _tensorflow_strategy(kind: str, tpu: str | None) -> Any:
    import tensorflow as tf

    if kind == "auto":
        kind = _kind_of_environment(tpu, len(tf.config.list_physical_devices("GPU")))
    if kind == "tpu":
        return _tpu_strategy(tpu or os.environ.get("TPU_NAME") or "local")
    if tpu is not None:
        raise ValueError(
            f"`tpu` should be None unless `kind` is 'tpu' or 'auto'. Received: kind={kind!r}, "
            f"tpu={tpu!r}"
        )
    if kind == "multi_worker":
        _read_tf_config(required=True)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise RuntimeError(
                "Several workers should be set up before TensorFlow computes anything; call "
                f"`strategy` first. {error}"
            ) from error
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def _kind_of_environment(tpu: str | None, num_gpus: int) -> str:
    if tpu or os.environ.get("TPU_NAME"):
        return "tpu"
    if len(_read_tf_config(required=False)) > 1:
        return "multi_worker"
    return "mirrored" if num_gpus > 1 else "default"


def _read_tf_config(required: bool) -> list[str]:
    """Addresses of the workers in the environment variable TF_CONFIG.

    Raises:
        ValueError: If it is not what TensorFlow documents.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text and not required:
        return []

    def wrong(reason: str) -> ValueError:
        return ValueError(
            "The environment variable TF_CONFIG should be JSON such as "
            '{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, "task": {"type": "worker", "index": 0}}: '
            f"{reason}. Received: TF_CONFIG={text!r}"
        )

    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise wrong(f"it is not JSON ({error})" if text else "it is not set") from error
    cluster = config.get("cluster") if isinstance(config, dict) else None
    task = config.get("task") if isinstance(config, dict) else None
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise wrong("it lacks `cluster` or `task`")
    for kind, addresses in cluster.items():
        if not isinstance(addresses, list) or not all(
            isinstance(address, str) for address in addresses
        ):
            raise wrong(f"`cluster.{kind}` is not a list of addresses")
    own = cluster.get(str(task.get("type")), [])
    index = task.get("index")
    if not isinstance(index, int) or not 0 <= index < len(own):
        raise wrong(
            f"`task` is of type {task.get('type')!r} and index {index!r}, of which `cluster` has "
            f"{len(own)}"
        )
    return [address for kind in ("chief", "worker") for address in cluster.get(kind, [])]


def _tpu_strategy(tpu: str) -> Any:
    import tensorflow as tf

    try:
        if tpu.startswith("grpc://"):  # connecting to nobody would wait for ever
            host, _, port = tpu.removeprefix("grpc://").partition(":")
            socket.create_connection(
                (host, int(port or _TPU_PORT)), timeout=_CONNECTION_SECONDS
            ).close()
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        if tpu != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (OSError, ValueError, ImportError, tf.errors.OpError) as error:
        raise RuntimeError(
            f"`tpu` should be a TPU that can be reached. Received: tpu={tpu!r}. The reason: {error}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _split_processor(num_virtual_cpus: int) -> None:
    import tensorflow as tf

    check_whole_number("num_virtual_cpus", num_virtual_cpus, at_least=1)
    devices = [tf.config.LogicalDeviceConfiguration()] * num_virtual_cpus
    try:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], devices
        )
    except RuntimeError as error:
        raise RuntimeError(
            f"`num_virtual_cpus` should be given before TensorFlow computes anything. {error}"
        ) from error


def _jax_distribution(kind: str) -> Any:
    if kind == "multi_worker":
        keras.distribution.initialize()
    try:
        devices = keras.distribution.list_devices("tpu" if kind == "tpu" else None)
    except RuntimeError as error:
        raise RuntimeError(
            "`kind` should be 'tpu' only where JAX has a TPU. Received: kind='tpu'. JAX says: "
            f"{error}"
        ) from error
    if kind == "default" or (kind == "auto" and len(devices) == 1):
        return _OneDevice()
    # The data of several processes are shared out when they are read, see
    # `keras_supcon.data.load_epochs`.
    distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return distribution


def _torch_device(kind: str) -> Any:
    if kind not in ("auto", "default"):
        raise ValueError(
            "`kind` should be 'auto' or 'default' on PyTorch, which Keras does not distribute. "
            f"Received: {kind!r}"
        )
    return _OneDevice()


class _OneDevice:
    """Stands for no distribution."""

    num_replicas_in_sync = 1

    def scope(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()
