"""Settings that must come before the first tensor."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Two processes of tests share two cores: further threads of each would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# A test runs its program once or twice, on little: LLVM's optimizations would take longer than they
# save, and the newer emitters of fused loops compile for twice as long as the older ones. XLA's own
# passes, on the graph of a program, stay as they are.
os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_use_fusion_emitters=false",
        os.environ.get("XLA_FLAGS", ""),
    ]
)

import atexit
import gc
import shutil
import tempfile

import hypothesis
import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
QUICKEST = "torch"  # it neither traces nor compiles

if BACKEND == "tensorflow":
    import tensorflow as tf

    # Two logical processors, so that tests can run two replicas. Only possible before TensorFlow
    # starts.
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )
elif BACKEND == "jax":
    import jax

    # Many tests make models alike: what JAX has compiled for one it takes for the next.
    PROGRAMS = tempfile.mkdtemp(prefix="jax-programs-")
    atexit.register(shutil.rmtree, PROGRAMS, ignore_errors=True)
    jax.config.update("jax_compilation_cache_dir", PROGRAMS)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive", action="store_true", help="Run the tests that are marked exhaustive, too."
    )


def pytest_configure(config: pytest.Config) -> None:
    # JAX compiles for every new shape and option.
    examples = {"tensorflow": 24, "jax": 6, "torch": 40}[BACKEND]
    hypothesis.settings.register_profile(
        "default run", max_examples=examples, deadline=None, derandomize=True
    )
    hypothesis.settings.register_profile("exhaustive", max_examples=5 * examples, deadline=None)
    hypothesis.settings.load_profile(
        "exhaustive" if config.getoption("--exhaustive") else "default run"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Processes that share the tests of `make check` have to know them by the same names.
    unnamed = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unnamed:
        raise pytest.UsageError(f"The id of a test has an address in memory: {unnamed[0]}")
    if config.getoption("--exhaustive"):
        return
    kept, left_out = [], []
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        is_elsewhere = BACKEND != QUICKEST and {"neutral", "quickest"} <= marks
        (left_out if "exhaustive" in marks or is_elsewhere else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_collection_finish() -> None:
    """Takes what was imported, some million objects, out of every later garbage collection, and
    has fewer of them: a trace of TensorFlow makes many objects that stay.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Gives back what the tests of a module traced and compiled, as far as the backends let go of
    it.
    """
    yield
    keras.backend.clear_session()
    if BACKEND == "tensorflow":
        # TensorFlow registers every custom gradient of every traced function for ever, and with it
        # the graph.
        from tensorflow.python.framework.ops import gradient_registry

        for name in [
            name for name in gradient_registry.list() if name.startswith("CustomGradient")
        ]:
            del gradient_registry._registry[name]
    elif BACKEND == "jax":
        import jax

        jax.clear_caches()
    gc.collect()


@pytest.fixture(autouse=True)
def _fixed_seed():
    keras.utils.set_random_seed(1234)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200423)


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """The two photographs that scikit-learn ships, uint8 `(427, 640, 3)`."""
    from sklearn.datasets import load_sample_images

    return load_sample_images().images


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The training digits, uint8 `(1442, 8, 8, 1)`, and their labels."""
    from keras_supcon.data.digits import read_digits

    return read_digits("train")


@pytest.fixture(scope="session")
def strategy():
    """One for all tests: a second strategy in a process numbers its collectives from the start
    again, and they clash.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
